package rescue

import (
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/store"
)

// quarantine holds again what was held when it came: whether it was released or
// deleted since is not beside the bytes.
func quarantine(a *store.Accept, r *store.AcceptRecord, tree *message.Part, common store.Delivery, p *placed) {
	for _, to := range r.Held {
		h := store.Quarantined{
			Recipient: to.Recipient, Domain: to.Domain, Original: to.Original, Notify: mail.Notify(to.Notify),
			Author: to.Author, Subject: tree.Envelope.Subject, Reasons: to.Reasons, Review: to.Review, Stored: common,
			Out: store.Enqueue{ReversePath: r.From, Prefix: r.QueuedPrefix, EightBit: tree.Defects.Has(message.EightBitBody)},
		}
		a.Holds = append(a.Holds, h)
		p.quarantined++
	}
}
