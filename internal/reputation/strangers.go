package reputation

import (
	"net/netip"
	"time"

	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/ratelimit"
)

// Stranger is somebody whom limits may touch. Only AsStranger makes one.
type Stranger struct {
	network netip.Prefix // zero for a big provider: its networks carry everybody's mail
	sender  addr.Address
}

// AsStranger says whether limits apply to a transaction at all: not to clients
// that are authenticated, local or of the local network, not at any door but the
// MX, and not to the null reverse-path, by which DSNs come.
func AsStranger(c *mail.Client, from addr.Address) (Stranger, bool) {
	if c.Door != mail.MX || c.Class >= mail.LocalNetwork || !c.IP.IsValid() || from.IsZero() {
		return Stranger{}, false
	}
	s := Stranger{sender: from.Fold()}
	if c.Class != mail.BigProvider {
		s.network = Network(c.IP)
	}
	return s, true
}

// Limits are how many recipients strangers may name. The zero Limit limits
// nothing.
type Limits struct {
	Network   ratelimit.Limit // from one /24 or /64
	Sender    ratelimit.Limit // from one reverse-path
	Recipient ratelimit.Limit // to one address, from all strangers together
}

// Which is the limit that was met.
type Which uint8

// The limits.
const (
	NoLimit Which = iota
	NetworkLimit
	SenderLimit
	RecipientLimit
)

var whichNames = [...]string{"no limit", "network", "sender", "recipient"}

// String gives the limit as a word.
func (w Which) String() string { return whichNames[w] }

// Strangers holds the limits of strangers in memory of a fixed size. It is safe
// for concurrent use and does not block on anything.
type Strangers struct {
	networks   *ratelimit.Set[netip.Prefix]
	senders    *ratelimit.Set[addr.Address]
	recipients *ratelimit.Set[addr.Address]
}

// NewStrangers makes the limits, each with room for that many keys (16 octets
// a key); 0 is 65,536.
func NewStrangers(l Limits, keys int) *Strangers {
	if keys == 0 {
		keys = 1 << 16
	}
	return &Strangers{
		networks:   ratelimit.NewSet[netip.Prefix](l.Network, keys),
		senders:    ratelimit.NewSet[addr.Address](l.Sender, keys),
		recipients: ratelimit.NewSet[addr.Address](l.Recipient, keys),
	}
}

// Take asks for one more recipient. When it is refused, the limits that come
// before the one that was met have counted the attempt.
func (s *Strangers) Take(who Stranger, to addr.Address, now time.Time) (Which, ratelimit.Decision) {
	if who.network.IsValid() {
		if d := s.networks.Take(who.network, now, 1); !d.Allowed {
			return NetworkLimit, d
		}
	}
	if d := s.senders.Take(who.sender, now, 1); !d.Allowed {
		return SenderLimit, d
	}
	d := s.recipients.Take(to.Fold(), now, 1)
	if !d.Allowed {
		return RecipientLimit, d
	}
	return NoLimit, d
}
