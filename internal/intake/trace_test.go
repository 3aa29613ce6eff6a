package intake

import (
	"context"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/trace"
)

// A refusal at MAIL has a record, and its link leads there.
func TestRefusedAtMail(t *testing.T) {
	for _, c := range []struct {
		name   string
		client mail.Client
		want   string
		check  finding.ID
	}{
		{"no login", mail.Client{Door: mail.Submission, IP: netip.MustParseAddr("198.51.100.9"), HELO: "pc"}, "530 5.7.0 ", finding.AuthRequired},
		{"another's address", mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "luis@empresa.test", Account: 2, IP: netip.MustParseAddr("203.0.113.77"), HELO: "pc", TLS: mail.TLS{Version: "TLS1.3", Cipher: "X"}}, "553 5.7.1 ", finding.SenderForeign},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			if c.client.Account != 0 {
				c.client.Account = int64(h.ids["luis"])
			}
			replies, _ := h.talk(c.client, "ana@empresa.test", []string{"luis@empresa.test"}, letter)
			if len(replies) != 1 || !strings.HasPrefix(replies[0], c.want) {
				t.Fatal(replies)
			}
			rec := h.recordOf(replies[0])
			if rec.Stage != trace.AtMail || rec.From != "ana@empresa.test" || rec.Findings.Outcome(c.check) != finding.Fail || rec.Opened.IsZero() || rec.Reply != replies[0] || rec.Cipher != c.client.TLS.Cipher {
				t.Errorf("%+v", rec)
			}
		})
	}
}

// broken is a store that takes no message now.
type broken struct {
	Store
	err error
}

func (b broken) Accept(context.Context, *store.Accept) ([]store.Placed, error) { return nil, b.err }

// A message that could not be kept is put off with a record of all that was found,
// as far as the store keeps anything.
func TestPutOff(t *testing.T) {
	for err, want := range map[error]string{store.ErrTemporary: "451 4.3.0 ", store.ErrFull: "452 4.3.1 "} {
		h := newHouse(t)
		h.Intake.store = broken{h.Intake.store, err}
		_, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, letter)
		if len(final) != 1 || !strings.HasPrefix(final[0].String(), want) {
			t.Fatal(final)
		}
		rec := h.recordOf(final[0].String())
		if rec.Stage != trace.AtData || rec.To[0].Action != "defer" || rec.To[0].Check != final[0].Check || len(rec.To[0].Effects) != 0 || rec.MessageID != "<1@good.example>" {
			t.Errorf("%+v", rec)
		}
	}
}
