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
	Later                     // filed for the recipient To by a job, after the commit
	Expand                    // given to the list of the address To, by a job after the commit
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
	Use      string // with Mailbox "": the mailbox of this special use ("\\Archive"), made if it is missing
	Flags    uint8  // mailbox.Flags with which it comes
	Keywords []string

	// For Enqueue; of Hold, To is the recipient itself.
	To       addr.Address
	Original string // ORCPT
	Notify   Notify
	Relayed  bool   // by an alias or a script of ours, not by the sender's own wish
	By       string // login of the account whose script sends it on, "" if none did
	// From is the reverse-path with which it leaves, in place of the envelope's: that of
	// an alias's owner, or a rewritten one (SRS). nil is the envelope's.
	From *addr.Address
	// Transport is how it leaves ("pipe:NAME", "lmtp:HOST:PORT", "lmtp:unix:/PATH",
	// "smtp:[HOST]:PORT"; "smtp:" is by MX); "" is what the domain's route says.
	Transport string

	// Edited is the number, from 1, of the form in which a script wants the message placed
	// or sent, among those that filing made; 0 is as it is.
	Edited int

	Via []string // the aliases that led here, for the trace
}

// Hop is the next hop of what leaves, in the form that route reads: the domain of To, its
// Transport, or "mx:DOMAIN" where that is "smtp:".
func (e *Effect) Hop() string {
	switch e.Transport {
	case "":
		return string(e.To.Domain)
	case "smtp:":
		return "mx:" + string(e.To.Domain)
	}
	return e.Transport
}
