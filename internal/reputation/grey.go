package reputation

import (
	"encoding/binary"
	"net/netip"
	"time"

	"posta/internal/addr"
)

// Grey has the times of greylisting. The zero value of a field is its default.
type Grey struct {
	Delay  time.Duration // how long a stranger is put off; 0: 5 minutes
	Window time.Duration // how long after the first attempt the next may come; 0: 24 hours (RFC 6647 §5)
	Keep   time.Duration // how long one who passed is known since the last time; 0: 36 days
}

func (g Grey) delay() time.Duration  { return orElse(g.Delay, 5*time.Minute) }
func (g Grey) window() time.Duration { return orElse(g.Window, 24*time.Hour) }
func (g Grey) keep() time.Duration   { return orElse(g.Keep, 36*24*time.Hour) }

func orElse(d, def time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return def
}

// Attempt is one RCPT of a stranger.
type Attempt struct {
	IP        netip.Addr
	SPFDomain addr.Domain  // the domain for which SPF passed, "" if none
	From      addr.Address // reverse-path; zero is null
	To        addr.Address
}

// client is who tries: the same for all addresses that one SPF record lets send.
func (a Attempt) client() string {
	if a.SPFDomain != "" {
		return "spf:" + string(a.SPFDomain)
	}
	return Network(a.IP).String()
}

// tripletKey is the attempt as it is recognised.
func (a Attempt) tripletKey() string {
	return key(a.client(), stableSender(a.From), a.To.Fold().String())
}

// passedKey is the client with a sender domain; once passed, all mail of it is.
func (a Attempt) passedKey() string {
	if a.From.IsZero() {
		return key(a.client(), "<>")
	}
	return key(a.client(), string(a.From.Domain))
}

// Triplet is what is known of an attempt's triplet. The zero value is nothing.
type Triplet struct {
	First time.Time // of the attempts
	Tries int
}

// GreyAnswer is what greylisting says.
type GreyAnswer struct {
	Pass  bool
	Known bool          // it passed before; nothing was looked at
	Wait  time.Duration // when it does not pass: how long until it may
	First time.Time     // first attempt of this triplet
	Tries int           // this one included
}

// Judge is greylisting as a pure function: it gives what is to be remembered,
// until when, and the answer.
func (g Grey) Judge(old Triplet, now time.Time) (Triplet, time.Time, GreyAnswer) {
	t := old
	late := now.Sub(t.First) > g.window()
	if t.Tries == 0 || late || t.First.After(now) { // the last: a clock that was wrong
		t = Triplet{First: now}
	}
	t.Tries++
	ans := GreyAnswer{First: t.First, Tries: t.Tries}
	if ans.Wait = t.First.Add(g.delay()).Sub(now); ans.Wait <= 0 {
		ans.Pass, ans.Wait = true, 0
	}
	return t, t.First.Add(g.window()), ans
}

// append encodes the triplet.
func (t Triplet) append(b []byte) []byte {
	b = binary.AppendVarint(b, t.First.UnixMilli())
	return binary.AppendUvarint(b, uint64(t.Tries))
}

// parseTriplet reads what append wrote; anything else is nothing.
func parseTriplet(b []byte) Triplet {
	first, n := binary.Varint(b)
	if n <= 0 {
		return Triplet{}
	}
	tries, m := binary.Uvarint(b[n:])
	if m <= 0 || tries > 1<<30 {
		return Triplet{}
	}
	return Triplet{First: time.UnixMilli(first).UTC(), Tries: int(tries)}
}
