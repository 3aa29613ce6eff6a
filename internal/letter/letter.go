// Package letter writes what Posta itself has to say to its own people: short text
// messages from the postmaster of the reader's domain, marked as automatic (RFC 3834 §5).
package letter

import (
	"crypto/rand"
	"crypto/sha256"
	"time"

	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/message"
)

// Letter is a message of ours.
type Letter struct {
	ID      mail.ID      // what is filed once
	To      addr.Address // an account of ours
	Message []byte       // with CRLF
	UTF8    bool         // it needs SMTPUTF8
}

// New writes to an account, in the name of our host. body has LF lines.
func New(host string, now time.Time, id mail.ID, to addr.Address, subject, body string) Letter {
	return From(host, host, now, id, to, subject, body)
}

// From is New with another display name of the sender.
func From(name, host string, now time.Time, id mail.ID, to addr.Address, subject, body string) Letter {
	var random [16]byte
	rand.Read(random[:])
	var b message.Builder
	b.Date(now)
	b.Mailbox("From", name, addr.Address{Local: "postmaster", Domain: to.Domain})
	b.Mailbox("To", "", to)
	b.Field("Subject", subject)
	b.Structured("Message-ID", message.NewMessageID(random[:], addr.Domain(host)))
	b.Structured("Auto-Submitted", "auto-generated") // it answers nobody, and no program should answer it
	b.Text("plain", body)
	return Letter{ID: id, To: to, Message: b.Bytes(), UTF8: !ascii(to.String())}
}

// IDOf is the id of what is said once: it follows from a moment and from a text that only that
// has, so a letter that is written again after a crash is the same one.
func IDOf(at time.Time, text string) mail.ID {
	id := mail.NewID(at)
	sum := sha256.Sum256([]byte(text))
	copy(id[6:], sum[:])
	return id
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
