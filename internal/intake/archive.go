package intake

import (
	"posta/internal/mail"
	"posta/internal/mailbox"
)

// archiveVia stands in traces before where a copy goes.
const archiveVia = "archive"

// archived are the copies that archive rules want of a message: placements on the same
// bytes, in the same transaction, whatever scripts did with the mail of those whom it
// is for. Where a rule leads the scripts do not run. What is held is copied when it is
// released to somebody, as any mail; what is refused is nobody's.
func (w *filed) archived(filedTo []mail.Effect) []mail.Effect {
	view := w.k.tx.view
	if len(view.Archives()) == 0 {
		return nil
	}
	var out []mail.Effect
	add := func(recipient int, id AccountID, sent bool) {
		for _, a := range view.Copies(id, sent) {
			ef := mail.Effect{Kind: mail.Append, Recipient: recipient, Account: int64(view.AccountOf(a.To).ID), Mailbox: a.Mailbox, Flags: uint8(mailbox.Seen), Via: []string{archiveVia}}
			if a.Mailbox == "" {
				ef.Use = mailbox.Archive.Attr()
			}
			out = append(out, ef)
		}
	}
	for _, ef := range filedTo {
		if ef.Kind == mail.Append {
			add(ef.Recipient, AccountID(ef.Account), false)
		}
	}
	if id := AccountID(w.k.env.Client.Account); id != 0 && len(filedTo) > 0 {
		add(filedTo[0].Recipient, id, true)
	}
	return once(out)
}
