package remind

import (
	"cmp"
	"crypto/rand"

	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/words"
)

// letter writes to an address about an account, in the name of its postmaster, who
// reads what is answered.
func (r *Reminder) letter(id mail.ID, to, account, subject, body string) (Letter, error) {
	a, err := addr.ParseAddress(to)
	if err != nil {
		return Letter{}, err
	}
	from, err := addr.ParseAddress("postmaster@" + domainOf(account))
	if err != nil {
		return Letter{}, err
	}
	var random [16]byte
	rand.Read(random[:])
	var b message.Builder
	b.Date(r.cfg.Now())
	b.Mailbox("From", r.cfg.Hostname, from)
	b.Mailbox("To", "", a)
	b.Field("Subject", subject)
	b.Structured("Message-ID", message.NewMessageID(random[:], addr.Domain(r.cfg.Hostname)))
	b.Structured("Auto-Submitted", "auto-generated") // RFC 3834 §5
	b.Text("plain", body)
	return Letter{ID: id, To: a, Message: b.Bytes(), UTF8: !ascii(a.String())}, nil
}

// language is the one in which we write to an address.
func (r *Reminder) language(address string) words.Lang {
	lang := ""
	if a, err := addr.ParseAddress(address); err == nil {
		lang = r.cfg.Directory.View().Language(a)
	}
	return words.Lang(cmp.Or(lang, string(r.cfg.Language)))
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
