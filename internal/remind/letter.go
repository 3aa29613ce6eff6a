package remind

import (
	"cmp"

	"posta/internal/addr"
	"posta/internal/letter"
	"posta/internal/mail"
	"posta/internal/words"
)

// letter writes to an address of ours: an account, or the postmaster of its domain.
func (r *Reminder) letter(id mail.ID, to, subject, body string) (letter.Letter, error) {
	a, err := addr.ParseAddress(to)
	if err != nil {
		return letter.Letter{}, err
	}
	return letter.New(r.cfg.Hostname, r.cfg.Now(), id, a, subject, body), nil
}

// language is the one in which we write to an address.
func (r *Reminder) language(address string) words.Lang {
	lang := ""
	if a, err := addr.ParseAddress(address); err == nil {
		lang = r.cfg.Directory.View().Language(a)
	}
	return words.Lang(cmp.Or(lang, string(r.cfg.Language)))
}
