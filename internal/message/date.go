package message

import (
	"errors"
	"strings"
	"time"
)

// ErrDate is returned for a date that cannot be read.
var ErrDate = errors.New("message: malformed date")

// FormatDate writes a date as RFC 5322 §3.3 wants it, in t's zone.
func FormatDate(t time.Time) string { return t.Format("Mon, 2 Jan 2006 15:04:05 -0700") }

// ParseDate reads the value of a Date field: RFC 5322 §3.3 with the obsolete
// forms of §4.3 (two-digit years, zone names, comments) and, beyond them, a
// missing zone (UTC), a wrong day of the week, a full month name. The date must
// exist in the calendar. The error is ErrDate.
func ParseDate(s string) (time.Time, error) {
	p := dateParser{s: s}
	t, ok := p.date()
	if !ok {
		return time.Time{}, ErrDate
	}
	return t, nil
}

type dateParser struct {
	s string
	i int
}

func (p *dateParser) date() (time.Time, bool) {
	if w := p.word(); w != "" { // day of the week
		p.accept(',')
		p.accept('.')
	}
	day, dn := p.number()
	p.accept('-')
	month := monthOf(p.word())
	p.accept('-')
	year, yn := p.number()
	if dn == 0 || dn > 2 || month == 0 || yn < 2 || yn > 4 {
		return time.Time{}, false
	}
	switch { // RFC 5322 §4.3
	case yn == 2 && year < 50:
		year += 2000
	case yn <= 3:
		year += 1900
	}
	hour, hn := p.number()
	okTime := hn > 0 && hn <= 2 && p.accept(':')
	minute, mn := p.number()
	second := 0
	if p.accept(':') {
		second, _ = p.number()
	}
	if !okTime || mn == 0 || hour > 23 || minute > 59 || second > 60 || year < 1900 {
		return time.Time{}, false
	}
	t := time.Date(year, month, day, hour, minute, second, 0, p.zone())
	return t, day >= 1 && day <= daysIn(month, year)
}

func daysIn(m time.Month, year int) int {
	return time.Date(year, m+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// zone reads "+0100" or an obsolete name; what it does not know is UTC, as RFC
// 5322 §4.3 says of military zones.
func (p *dateParser) zone() *time.Location {
	p.skip()
	sign := 0
	switch {
	case p.accept('+'):
		sign = 1
	case p.accept('-'):
		sign = -1
	default:
		return zoneOf(p.word())
	}
	z, n := p.number()
	if n != 4 || z%100 > 59 || z == 0 {
		return time.UTC
	}
	return time.FixedZone("", sign*(z/100*60+z%100)*60)
}

func zoneOf(name string) *time.Location {
	hours := 0
	switch strings.ToUpper(name) {
	case "EDT":
		hours = -4
	case "EST", "CDT":
		hours = -5
	case "CST", "MDT":
		hours = -6
	case "MST", "PDT":
		hours = -7
	case "PST":
		hours = -8
	default:
		return time.UTC
	}
	return time.FixedZone(name, hours*3600)
}

func monthOf(w string) time.Month {
	if len(w) < 3 {
		return 0
	}
	for m := time.January; m <= time.December; m++ {
		if full := m.String(); len(w) <= len(full) && strings.EqualFold(w, full[:len(w)]) {
			return m
		}
	}
	return 0
}

// skip passes white space and comments.
func (p *dateParser) skip() {
	depth := 0
	for ; p.i < len(p.s); p.i++ {
		switch c := p.s[p.i]; {
		case c == '(':
			depth++
		case c == ')' && depth > 0:
			depth--
		case depth > 0 || isSpace(c):
		default:
			return
		}
	}
}

func (p *dateParser) word() string {
	p.skip()
	start := p.i
	for p.i < len(p.s) && 'a' <= p.s[p.i]|0x20 && p.s[p.i]|0x20 <= 'z' {
		p.i++
	}
	return p.s[start:p.i]
}

// number reads at most five digits and tells how many.
func (p *dateParser) number() (v, digits int) {
	p.skip()
	for p.i < len(p.s) && '0' <= p.s[p.i] && p.s[p.i] <= '9' && digits < 5 {
		v = v*10 + int(p.s[p.i]-'0')
		p.i++
		digits++
	}
	return v, digits
}

func (p *dateParser) accept(c byte) bool {
	p.skip()
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}
