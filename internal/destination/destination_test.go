package destination

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/store/sqlstore"
)

var t0 = time.Date(2026, 3, 2, 10, 20, 0, 0, time.UTC)

func open(t *testing.T) *sqlstore.Store {
	t.Helper()
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir(), Now: func() time.Time { return t0.Add(10 * 24 * time.Hour) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// A week of sending: what is told of it.
func TestWeek(t *testing.T) {
	s := open(t)
	r := NewRecorder(s, nil)
	note := func(day int, n int, a Attempt) {
		a.At = t0.AddDate(0, 0, day)
		for range n {
			r.Note(a)
		}
		if day%2 == 0 { // some are written together, some apart
			r.Flush(t.Context())
		}
	}
	const gmail = "gmail-smtp-in.l.google.com"
	for day := range 7 {
		note(day, 10, Attempt{Domain: "gmail.com", Host: gmail, Remote: gmail + " [142.250.1.26]:25", Outcome: Delivered, Reply: "250 2.0.0 OK", TLS: "TLS 1.3"})
		note(day, 1, Attempt{Domain: "old.example", Host: "mx.old.example", Outcome: Delivered, Reply: "250 ok"})
	}
	note(5, 2, Attempt{Domain: "gmail.com", Host: gmail, Outcome: Deferred, Reply: "421-4.7.28 unusual rate of unsolicited mail 1", TLS: "TLS 1.3"})
	note(6, 3, Attempt{Domain: "gmail.com", Host: gmail, Outcome: Deferred, Reply: "421-4.7.28 unusual rate of unsolicited mail 2", TLS: "TLS 1.3"})
	note(6, 1, Attempt{Domain: "gmail.com", Host: gmail, Outcome: Refused, Reply: "550-5.7.25 no PTR record", TLS: "TLS 1.3"})
	note(6, 4, Attempt{Domain: "down.example", Outcome: Deferred, Reply: "451 4.4.1 connection refused", Ours: true})
	r.Flush(t.Context())

	list := func(now time.Time, days int, domain string) string {
		t.Helper()
		all, more, err := List(t.Context(), s, now, days, domain)
		if err != nil || more {
			t.Fatal(err, more)
		}
		var b strings.Builder
		for _, d := range all {
			fmt.Fprintf(&b, "%s %s %d %d %d clear %d\n", d.Domain, d.Provider, d.Delivered, d.Deferred, d.Refused, d.Clear)
			for _, x := range d.Troubles {
				fmt.Fprintf(&b, "  %d %s %s %s %v %q\n", x.N, x.Outcome, x.Reading.Advice, x.Reading.Check, x.Ours, x.Reply)
			}
		}
		return b.String()
	}
	sunday := t0.AddDate(0, 0, 6)
	want := `gmail.com Gmail 70 5 1 clear 0
  5 deferred rate  false "421-4.7.28 unusual rate of unsolicited mail 2"
  1 refused ptr ptr.missing false "550-5.7.25 no PTR record"
down.example  0 4 0 clear 0
  4 deferred   true "451 4.4.1 connection refused"
old.example  7 0 0 clear 7
`
	if got := list(sunday, 7, ""); got != want {
		t.Errorf("the week:\n%s", got)
	}
	if got := list(sunday, 1, "gmail.com"); !strings.HasPrefix(got, "gmail.com Gmail 10 3 1 clear 0\n") || strings.Contains(got, "old") {
		t.Errorf("the last day at gmail:\n%s", got)
	}
	if got := list(t0, 1, "gmail.co"); got != "" {
		t.Errorf("a domain is found whole only:\n%s", got)
	}
	d, _, _ := List(t.Context(), s, sunday, 7, "gmail.com")
	if c := d[0].Checks(); len(c) != 1 || c[0] != finding.PTRMissing {
		t.Errorf("checks %v", c)
	}
}

// Whatever a stranger answers, a row fits, and a domain costs few of them.
func TestBounded(t *testing.T) {
	s := open(t)
	r := NewRecorder(s, nil)
	for i := range 2000 {
		reply := fmt.Sprintf("550 5.%d.%d \"\x00\xff<&>%s https://x.example/%s", i%300, i, strings.Repeat("\u0001", i), strings.Repeat("y", 250))
		r.Note(Attempt{At: t0, Domain: "x.example", Host: "mx.x.example", Remote: strings.Repeat("r", 500), TLS: strings.Repeat("\"", 500), Outcome: Refused, Reply: reply})
	}
	r.Note(Attempt{At: t0, Domain: strings.Repeat("d", 700), Outcome: Delivered})
	r.Flush(t.Context())
	all, _, err := List(t.Context(), s, t0, 1, "")
	if err != nil || len(all) != 1 || all[0].Refused != 2000 || len(all[0].Troubles) > 40 {
		t.Fatalf("%d domains, %+v, %v", len(all), all, err)
	}
}
