package reputation

import (
	"encoding/binary"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"posta/internal/addr"
)

// Fate is what became of a message.
type Fate uint8

// The fates.
const (
	Wanted  Fate = iota // filed, and not as junk; or taken out of Junk
	Junk                // filed as junk, or moved there by its reader
	Refused             // refused for good, or discarded
)

// Sender is who a standing is about.
type Sender struct {
	Domain addr.Domain // of the From field or the reverse-path, "" if none
	Proven bool        // SPF or DKIM passed for the domain, aligned
	IP     netip.Addr
}

// pair is the key of the domain from the network.
func (s Sender) pair() string { return key("pair", string(s.Domain), Network(s.IP).String()) }

// keys are the facts to which a message counts. Of a domain that nobody proved
// only the pair is kept, so that nobody spoils another's name.
func (s Sender) keys() []string {
	if s.Proven && s.Domain != "" {
		return []string{s.pair(), key("domain", string(s.Domain))}
	}
	return []string{s.pair()}
}

const (
	// standingDays is for how many days counts are kept.
	standingDays = 60
	// shownDays is the window that is shown to people.
	shownDays = 30
	// halfLife is after how many days a message counts half.
	halfLife = 15
	// doubt is how many messages without meaning stand beside those that were
	// seen: few messages never make a strong score.
	doubt = 5
	// enough messages are needed before anybody is below 0.
	enough   = 3
	maxCount = 1 << 20
)

// Standing is how a sender's messages fared, by day. The zero value is unknown.
type Standing struct {
	days []day // oldest first
}

type day struct {
	at     int64 // days since 1970, UTC
	counts [3]uint32
}

// dayOf is the day of a moment.
func dayOf(t time.Time) int64 {
	d := t.Unix() / (24 * 60 * 60)
	if t.Unix() < 0 {
		d--
	}
	return d
}

// Add counts n messages of a fate, fewer when n is negative but never less than
// none. It is a pure function.
func (s Standing) Add(f Fate, n int, now time.Time) Standing {
	today := dayOf(now)
	next := Standing{}
	for _, d := range s.days {
		if d.at > today-standingDays && d.at <= today { // a later one is of a clock that was wrong
			next.days = append(next.days, d)
		}
	}
	if k := len(next.days); k == 0 || next.days[k-1].at != today {
		next.days = append(next.days, day{at: today})
	}
	last := &next.days[len(next.days)-1]
	// A correction may concern an earlier day.
	for i := len(next.days) - 1; n < 0 && i >= 0; i-- {
		have := int(next.days[i].counts[f])
		take := min(have, -n)
		next.days[i].counts[f] -= uint32(take)
		n += take
	}
	if n > 0 {
		last.counts[f] = uint32(min(int(last.counts[f])+n, maxCount))
	}
	next.days = slices.DeleteFunc(next.days, func(d day) bool { return d.counts == [3]uint32{} })
	return next
}

// until is when nothing of the standing counts any more; zero when nothing is there.
func (s Standing) until() time.Time {
	if len(s.days) == 0 {
		return time.Time{}
	}
	return time.Unix((s.days[len(s.days)-1].at+standingDays)*24*60*60, 0).UTC()
}

// Counts are messages of the last 30 days.
type Counts struct {
	Wanted, Junk, Refused int
	Days                  int // 30
}

// Total is the number of messages.
func (c Counts) Total() int { return c.Wanted + c.Junk + c.Refused }

// String is the evidence: "12 messages in 30 days, 11 wanted, 1 junk".
func (c Counts) String() string {
	if c.Total() == 0 {
		return fmt.Sprintf("no message in %d days", c.Days)
	}
	s := fmt.Sprintf("%d messages in %d days, %d wanted", c.Total(), c.Days, c.Wanted)
	if c.Total() == 1 {
		s = fmt.Sprintf("1 message in %d days, %d wanted", c.Days, c.Wanted)
	}
	if c.Junk > 0 {
		s += fmt.Sprintf(", %d junk", c.Junk)
	}
	if c.Refused > 0 {
		s += fmt.Sprintf(", %d refused", c.Refused)
	}
	return s
}

// Counts gives what is shown.
func (s Standing) Counts(now time.Time) Counts {
	c := Counts{Days: shownDays}
	for _, d := range s.days {
		if d.at > dayOf(now)-shownDays && d.at <= dayOf(now) {
			c.Wanted += int(d.counts[Wanted])
			c.Junk += int(d.counts[Junk])
			c.Refused += int(d.counts[Refused])
		}
	}
	return c
}

// Score is between -1 (all was junk or refused) and 1 (all was wanted); 0 is
// unknown. Recent messages count more, few messages make a score near 0, and
// fewer than three never one below it.
func (s Standing) Score(now time.Time) float64 {
	var good, bad float64
	seen := 0
	for _, d := range s.days {
		age := dayOf(now) - d.at
		if age < 0 || age >= standingDays {
			continue
		}
		weight := math.Exp2(-float64(age) / halfLife)
		good += weight * float64(d.counts[Wanted])
		bad += weight * (float64(d.counts[Junk]) + float64(d.counts[Refused]))
		seen += int(d.counts[Wanted]) + int(d.counts[Junk]) + int(d.counts[Refused])
	}
	score := (good - bad) / (good + bad + doubt)
	if seen < enough {
		return max(score, 0)
	}
	return score
}

// append encodes the standing: days as distances from the one before. Sixty days
// take at most 60·(10+3·3) octets, less than a fact may.
func (s Standing) append(b []byte) []byte {
	before := int64(0)
	for _, d := range s.days {
		b = binary.AppendVarint(b, d.at-before)
		before = d.at
		for _, n := range d.counts {
			b = binary.AppendUvarint(b, uint64(n))
		}
	}
	return b
}

// parseStanding reads what append wrote; anything else is unknown.
func parseStanding(b []byte) Standing {
	var s Standing
	at := int64(0)
	for len(b) > 0 {
		if len(s.days) == standingDays {
			return Standing{}
		}
		step, n := binary.Varint(b)
		if n <= 0 || len(s.days) > 0 && step <= 0 || step > 1<<40 || step < -1<<40 {
			return Standing{}
		}
		b = b[n:]
		at += step
		d := day{at: at}
		for i := range d.counts {
			v, n := binary.Uvarint(b)
			if n <= 0 || v > maxCount {
				return Standing{}
			}
			d.counts[i] = uint32(v)
			b = b[n:]
		}
		s.days = append(s.days, d)
	}
	return s
}
