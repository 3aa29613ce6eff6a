// Package mail has the values that flow through the house on the way of a
// message: the client, the envelope, one verdict for each recipient, and the
// effects that a commit makes durable (DESIGN §2). Values only: no socket, no
// disk, no clock.
package mail

import (
	"net/netip"
	"time"

	"posta/internal/addr"
)

// Door tells through which engine a message came in.
type Door uint8

// The doors of SMTP. All run the same engine (DESIGN §2.1).
const (
	MX         Door = iota // port 25, from other servers
	Submission             // 587 and 465, from our users
	LMTP                   // from a trusted agent beside us, RFC 2033
	Local                  // the sendmail command, over the unix socket
	Internal               // Posta itself: DSNs, reports
)

var doorNames = [...]string{"mx", "submission", "lmtp", "local", "internal"}

func (d Door) String() string { return doorNames[d] }

// Class is what policy asks first: who is this sender to us? (DESIGN §2.3)
type Class uint8

// The classes, from the stranger to the known.
const (
	OwnServer     Class = iota // everybody else: a server of its own
	BigProvider                // on the list by PTR and SPF domain
	LocalNetwork               // loopback and the networks that the administrator listed
	Authenticated              // logged in, or a local user by peer credentials
)

var classNames = [...]string{"own-server", "big-provider", "local-network", "authenticated"}

func (c Class) String() string { return classNames[c] }

// ParseClass is the inverse of String.
func ParseClass(s string) (Class, bool) {
	for i, n := range classNames {
		if n == s {
			return Class(i), true
		}
	}
	return 0, false
}

// TLS describes a session's encryption; the zero value is cleartext.
type TLS struct {
	Version string // "TLS1.3"; "" is cleartext
	Cipher  string
	Name    string // SNI asked for
}

// Client is who speaks to us, as far as it is known at the moment.
type Client struct {
	Door  Door
	IP    netip.Addr // the real client's, after PROXY; unmapped; invalid for unix sockets
	Port  uint16
	Local netip.AddrPort
	HELO  string // argument as sent
	EHLO  bool   // extended greeting (or LHLO)
	TLS   TLS
	Class Class

	Login   string // address that was authenticated, "" if none
	Account int64  // its account, 0 if none
}

// Notify says when the sender wants a DSN for a recipient (RFC 3461 §4.1). The
// zero value is the default: on failure, and on delay as we see fit.
type Notify uint8

// The bits of Notify.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// Recipient is one forward-path of an envelope.
type Recipient struct {
	Address  addr.Address
	Original string // ORCPT as sent, decoded "type;address"; "" if none
	Notify   Notify
}

// Envelope is what the SMTP dialogue tells of a message (RFC 5321 §2.3.1).
type Envelope struct {
	ID          ID
	Received    time.Time // of the MAIL command
	Client      Client
	ReversePath addr.Address // zero is the null reverse-path
	Recipients  []Recipient
	Size        int64  // SIZE parameter, 0 if none
	EnvID       string // DSN envelope id, decoded
	RetFull     bool   // RET=FULL
	EightBit    bool   // BODY=8BITMIME or BINARYMIME
	Binary      bool   // BODY=BINARYMIME
	UTF8        bool   // SMTPUTF8
	RequireTLS  bool   // REQUIRETLS, RFC 8689
}

// Action is what policy decides for one recipient.
type Action uint8

// The actions, from mild to hard; Fold takes the harder of two.
const (
	Accept Action = iota
	Junk          // accepted, filed in Junk
	Quarantine
	Discard
	Defer
	Reject
)

var actionNames = [...]string{"accept", "junk", "quarantine", "discard", "defer", "reject"}

func (a Action) String() string { return actionNames[a] }

// ParseAction is the inverse of String.
func ParseAction(s string) (Action, bool) {
	for i, n := range actionNames {
		if n == s {
			return Action(i), true
		}
	}
	return 0, false
}

// Verdict is policy's answer for one recipient, with the check that decided.
type Verdict struct {
	Action Action
	Check  string // id of the deciding check, "" when all was well
	Label  string // keyword to set on the delivered message, e.g. "$SPFSoftFail"
	// Greylist is the id of a check for which a sender that is not known yet is put
	// off once, "" for none. The action is what holds when he comes again.
	Greylist string
}
