package mail

import "posta/internal/addr"

// EffectKind says what an Effect does.
type EffectKind uint8

// The kinds of effect (DESIGN §2.4).
const (
	Append  EffectKind = iota // place in a mailbox of an account
	Enqueue                   // send on to a remote address
	Drop                      // accepted and dropped (DISCARD)
	Hold                      // kept in the quarantine for the recipient
)

// Effect is one consequence of accepting a message for a recipient. Filing makes
// effects; only the accept transaction carries them out.
type Effect struct {
	Kind      EffectKind
	Recipient int // index in the envelope

	// For Append.
	Account  int64
	Junk     bool   // into the mailbox with the role Junk instead of the inbox
	Mailbox  string // a mailbox by name, "" for the role
	Keywords []string

	// For Enqueue; of Hold, To is the recipient itself.
	To       addr.Address
	Original string // ORCPT
	Notify   Notify
	Relayed  bool // by an alias of ours, not by the sender's own wish

	Via []string // the aliases that led here, for the trace
}
