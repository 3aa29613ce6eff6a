package rescue

import (
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/store"
)

// quarantine holds again what was held when it came: whether it was released or
// deleted since is not beside the bytes.
func (b *rebuilder) quarantine(a *store.Accept, r *store.AcceptRecord, tree *message.Part, common store.Delivery, p *placed) {
	for _, to := range r.Held {
		out := b.wishes(r, tree)
		out.Prefix, out.Seal = r.QueuedPrefix, to.Seal
		a.Holds = append(a.Holds, store.Quarantined{
			Recipient: to.Recipient, Domain: to.Domain, Original: to.Original, Notify: mail.Notify(to.Notify),
			Author: to.Author, Subject: tree.Envelope.Subject, Reasons: to.Reasons, Review: to.Review, Stored: common, Out: out,
		})
		p.quarantined++
	}
}
