package reputation

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/ratelimit"
	"posta/internal/store"

	"pgregory.net/rapid"
)

func TestStableSender(t *testing.T) {
	for _, tt := range []struct{ what, in, want string }{
		{"a person", "Ana.Lopez@a.example", "ana.lopez@a.example"},
		{"a short name with a digit", "ana2@a.example", "ana2@a.example"},
		{"VERP", "list-4711-bob=our.example@l.example", "list-#@l.example"},
		{"VERP with plus", "bounces+bob=our.example@l.example", "bounces@l.example"},
		{"a number", "bounce-20260302@l.example", "bounce-#@l.example"},
		{"a hash", "b-0a1b2c3d4e5f@l.example", "b-#@l.example"},
		{"BATV", "prvs=3067ab12cd=ana@a.example", "ana@a.example"},
		{"SRS0", "SRS0=HHH=TT=orig.example=ana@f.example", "srs0=orig.example@f.example"},
		{"SRS0, malformed", "srs0=x@f.example", "srs0=#@f.example"},
		{"SRS1", "SRS1=HHH=other.example==HH=TT=orig.example=ana@f.example", "srs1=other.example@f.example"},
		{"null", "<>", "<>"},
		{"letters beyond ASCII", "añadido-7@l.example", "añadido-#@l.example"},
	} {
		if got := stableSender(address(t, tt.in)); got != tt.want {
			t.Errorf("%s: %s becomes %s, want %s", tt.what, tt.in, got, tt.want)
		}
	}
}

// Whatever the addresses: a key is one that a store takes.
func FuzzKeys(f *testing.F) {
	f.Add("list-1-a=b.example@l.example", "bob@our.example", "192.0.2.1")
	f.Add(`"a b\"c"@x.example`, strings.Repeat("ñ", 60)+"@"+strings.Repeat("a.", 120)+"b", "2001:db8::1")
	f.Fuzz(func(t *testing.T, from, to, ip string) {
		a := Attempt{}
		a.From, _ = addr.ParseAddress(from)
		a.To, _ = addr.ParseAddress(to)
		a.IP, _ = netip.ParseAddr(ip)
		own, circle := Party{1, CircleOf(0, 1)}.keys(a.From)
		for _, k := range []string{a.tripletKey(), a.passedKey(), own, circle, Sender{Domain: a.From.Domain, IP: a.IP}.pair()} {
			if k == "" || len(k) > store.MaxFactKey || strings.IndexByte(k, 0) >= 0 || strings.ToValidUTF8(k, "") != k {
				t.Fatalf("%q", k)
			}
		}
		// Reverse-paths that differ in a number are one sender.
		one, two := a.From, a.From
		one.Local, two.Local = "n-123-"+one.Local, "n-456-"+two.Local
		if stableSender(one) != stableSender(two) {
			t.Fatalf("%s and %s", stableSender(one), stableSender(two))
		}
	})
}

// Nobody passes before the delay, everybody passes who comes again between delay
// and window, and what is remembered reads as it was written.
func TestJudge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := Grey{Delay: time.Duration(rapid.IntRange(1, 60).Draw(t, "delay")) * time.Minute, Window: time.Duration(rapid.IntRange(2, 48).Draw(t, "window")) * time.Hour}
		now := t0
		var tr Triplet
		var first time.Time
		for range rapid.IntRange(1, 30).Draw(t, "attempts") {
			now = now.Add(time.Duration(rapid.IntRange(0, 7200).Draw(t, "gap")) * time.Second)
			if first.IsZero() || now.Sub(first) > g.window() {
				first = now
			}
			next, until, ans := g.Judge(tr, now)
			if ans.Pass != (now.Sub(first) >= g.delay()) || !ans.First.Equal(first) || !ans.Pass && ans.Wait != first.Add(g.delay()).Sub(now) {
				t.Fatalf("%v after the first: %+v", now.Sub(first), ans)
			}
			if !until.Equal(first.Add(g.window())) {
				t.Fatalf("until %v", until)
			}
			if tr = parseTriplet(next.append(nil)); tr.Tries != next.Tries || !tr.First.Equal(next.First) {
				t.Fatalf("%+v reads as %+v", next, tr)
			}
			if ans.Pass {
				tr, first = Triplet{}, time.Time{}
			}
		}
	})
}

func TestScore(t *testing.T) {
	for _, tt := range []struct {
		what      string
		add       []Fate
		days      int // ago
		low, high float64
	}{
		{"unknown", nil, 0, 0, 0},
		{"one wanted", []Fate{Wanted}, 0, 0.1, 0.2},
		{"one junk is not enough", []Fate{Junk}, 0, 0, 0},
		{"two junk are not enough", []Fate{Junk, Junk}, 0, 0, 0},
		{"three junk", []Fate{Junk, Junk, Refused}, 0, -0.4, -0.3},
		{"three junk, a month ago", []Fate{Junk, Junk, Refused}, 30, -0.2, -0.1},
		{"half and half", []Fate{Wanted, Junk, Wanted, Junk}, 0, 0, 0},
		{"twenty wanted", slices.Repeat([]Fate{Wanted}, 20), 0, 0.75, 0.85},
		{"twenty refused", slices.Repeat([]Fate{Refused}, 20), 0, -0.85, -0.75},
	} {
		var s Standing
		for _, f := range tt.add {
			s = s.Add(f, 1, t0.AddDate(0, 0, -tt.days))
		}
		if got := s.Score(t0); got < tt.low || got > tt.high {
			t.Errorf("%s: %.3f, want between %v and %v", tt.what, got, tt.low, tt.high)
		}
	}
}

// However a standing grows: the score is bounded, it fits into a fact, reads as
// it was written, and one day it is gone.
func TestStandingProperty(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var s Standing
		now := t0
		for range rapid.IntRange(0, 150).Draw(t, "messages") {
			now = now.Add(time.Duration(rapid.IntRange(-24, 100).Draw(t, "hours")) * time.Hour)
			s = s.Add(Fate(rapid.IntRange(0, 2).Draw(t, "fate")), rapid.SampledFrom([]int{1, 1, 3, -1, -5, 1 << 22}).Draw(t, "n"), now)
			if score := s.Score(now); score < -1 || score > 1 {
				t.Fatalf("score %v", score)
			}
			b := s.append(nil)
			if len(b) > store.MaxFactValue {
				t.Fatalf("%d octets", len(b))
			}
			if got := parseStanding(b); !slices.Equal(got.days, s.days) {
				t.Fatalf("%v reads as %v", s, got)
			}
			if until := s.until(); until.IsZero() != (len(s.days) == 0) || !until.IsZero() && s.Score(until) != 0 {
				t.Fatalf("until %v: %v", until, s)
			}
		}
	})
}

// Values that nobody wrote are nothing.
func FuzzValues(f *testing.F) {
	f.Add(Standing{}.Add(Junk, 3, t0).append(nil))
	f.Add(Triplet{First: t0, Tries: 2}.append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s := parseStanding(b); s.Score(t0) < -1 || s.Score(t0) > 1 || len(s.days) > standingDays {
			t.Fatalf("%v", s)
		}
		if tr := parseTriplet(b); tr.Tries < 0 {
			t.Fatalf("%v", tr)
		}
		if c, ok := parseCorrespondent(store.Fact{Value: b, Until: t0}); ok && c.since > c.last {
			t.Fatalf("%v", c)
		}
	})
}

// Limits touch strangers at the MX and nobody else.
func TestAsStranger(t *testing.T) {
	ana := address(t, "ana@a.example")
	ip := netip.MustParseAddr("192.0.2.1")
	for _, tt := range []struct {
		what string
		c    mail.Client
		from addr.Address
		want bool
	}{
		{"a stranger's server", mail.Client{IP: ip}, ana, true},
		{"a big provider", mail.Client{IP: ip, Class: mail.BigProvider}, ana, true},
		{"a DSN", mail.Client{IP: ip}, addr.Address{}, false},
		{"the local network", mail.Client{IP: ip, Class: mail.LocalNetwork}, ana, false},
		{"logged in at the MX", mail.Client{IP: ip, Class: mail.Authenticated}, ana, false},
		{"submission", mail.Client{IP: ip, Door: mail.Submission}, ana, false},
		{"LMTP", mail.Client{IP: ip, Door: mail.LMTP}, ana, false},
		{"a local program", mail.Client{Door: mail.Local}, ana, false},
		{"our own DSN", mail.Client{Door: mail.Internal}, addr.Address{}, false},
	} {
		if _, got := AsStranger(&tt.c, tt.from); got != tt.want {
			t.Errorf("%s: %v", tt.what, got)
		}
	}
}

func TestStrangers(t *testing.T) {
	per := func(n int) ratelimit.Limit { return ratelimit.Limit{Count: n, Period: time.Hour} }
	s := NewStrangers(Limits{Network: per(5), Sender: per(3), Recipient: per(7)}, 0)
	take := func(ip string, class mail.Class, from, to string) string {
		who, ok := AsStranger(&mail.Client{IP: netip.MustParseAddr(ip), Class: class}, address(t, from))
		if !ok {
			return "no stranger"
		}
		which, d := s.Take(who, address(t, to), t0)
		if d.Allowed != (which == NoLimit) || !d.Allowed && d.RetryAfter <= 0 {
			t.Errorf("%v: %+v", which, d)
		}
		return which.String()
	}
	for i, tt := range []struct {
		ip    string
		class mail.Class
		from  string
		to    string
		want  string
	}{
		{"192.0.2.1", mail.OwnServer, "a@a.example", "bob@our.example", "no limit"},
		{"192.0.2.2", mail.OwnServer, "a@a.example", "eva@our.example", "no limit"},
		{"192.0.2.3", mail.OwnServer, "A@a.example", "eva@our.example", "no limit"},
		{"192.0.2.4", mail.OwnServer, "a@a.example", "eva@our.example", "sender"},
		{"192.0.2.4", mail.OwnServer, "b@a.example", "eva@our.example", "no limit"},
		{"192.0.2.5", mail.OwnServer, "b@a.example", "eva@our.example", "network"},
		{"198.51.100.1", mail.BigProvider, "1@mail.example", "eva@our.example", "no limit"},
		{"198.51.100.1", mail.BigProvider, "2@mail.example", "eva@our.example", "no limit"},
		{"198.51.100.1", mail.BigProvider, "3@mail.example", "eva@our.example", "no limit"},
		{"198.51.100.1", mail.BigProvider, "4@mail.example", "Eva@our.example", "no limit"},
		{"198.51.100.1", mail.BigProvider, "5@mail.example", "eva@our.example", "recipient"},
		{"198.51.100.1", mail.BigProvider, "6@mail.example", "bob@our.example", "no limit"},
		{"192.0.2.5", mail.OwnServer, "<>", "eva@our.example", "no stranger"},
	} {
		if got := take(tt.ip, tt.class, tt.from, tt.to); got != tt.want {
			t.Errorf("%d: %s from %s to %s: %s, want %s", i, tt.ip, tt.from, tt.to, got, tt.want)
		}
	}
}

func BenchmarkStrangers(b *testing.B) {
	l := ratelimit.Limit{Count: 1000, Period: time.Hour}
	s := NewStrangers(Limits{Network: l, Sender: l, Recipient: l}, 0)
	who, _ := AsStranger(&mail.Client{IP: netip.MustParseAddr("192.0.2.1")}, address(b, "ana@a.example"))
	to := address(b, "bob@our.example")
	b.ReportAllocs()
	for now := t0; b.Loop(); now = now.Add(time.Second) {
		s.Take(who, to, now)
	}
}
