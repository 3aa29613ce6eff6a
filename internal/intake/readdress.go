package intake

import (
	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/rewrite"
)

// Where domains were renamed their addresses have the new name in envelope and header of
// all mail; the senders of mail that our own clients hand in have the address that the
// world knows. It is done once, before filters see the message, so that what they approve
// is what is kept, signed and sent. Signatures of the sender were verified on what came.

// readdress changes the addresses of the header; it costs nothing where no rule does.
func (k *sink) readdress(f *facts, ours bool) {
	v := k.tx.view
	if !v.Rewrites() {
		return
	}
	r := rewrite.Rules{All: v.Renamed}
	if ours {
		r.Sender = func(a addr.Address) addr.Address { return v.Public(a, true) }
		f.missing, _ = rewrite.Header(f.missing, r)
	}
	if h, changed := rewrite.Header(f.header, r); changed {
		f.header, f.rewritten, f.renamed = h, true, true
	}
}

// rewrittenPath is the reverse-path as it is kept and sent.
func (tx *transaction) rewrittenPath() addr.Address {
	a, c := tx.env.ReversePath, &tx.env.Client
	if a.IsZero() {
		return a
	}
	if c.Class >= mail.LocalNetwork && c.Door != mail.LMTP {
		a = tx.view.Public(a, false)
	}
	return tx.view.Renamed(a)
}
