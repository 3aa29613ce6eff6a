package standing

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/resolver"
	"posta/internal/store/sqlstore"
)

var t0 = time.Date(2026, 3, 2, 10, 0, 0, 0, time.UTC)

// A fortnight of sweeps: what the world says, what has changed, and how things stand.
func TestSweeps(t *testing.T) {
	now := t0
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir(), Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	world := resolver.Static{}
	questions := []dnsbl.Question{
		{Zone: "zen.spamhaus.org", About: dnsbl.Client, IP: netip.MustParseAddr("203.0.113.9")},
		{Zone: "list.dnswl.org", About: dnsbl.Client, IP: netip.MustParseAddr("203.0.113.9")},
		{Zone: "dbl.spamhaus.org", About: dnsbl.Sender, Domain: "empresa.test"},
		{Zone: "dnsbl-2.uceprotect.net", About: dnsbl.Client, IP: netip.MustParseAddr("203.0.113.9")},
	}
	sound := func() {
		clear(world)
		world["2.0.0.127.zen.spamhaus.org"] = []string{"A 127.0.0.2"}
		world["2.0.0.127.list.dnswl.org"] = []string{"A 127.0.10.0"}
		world["test.dbl.spamhaus.org"] = []string{"A 127.0.1.2"}
		world["2.0.0.127.dnsbl-2.uceprotect.net"] = []string{"A 127.0.0.2"}
		world["9.113.0.203.dnsbl-2.uceprotect.net"] = []string{"A 127.0.0.2"} // shown by others, never acted on
	}
	sweep := func() string {
		t.Helper()
		now = now.Add(Every)
		changed, err := Sweep(t.Context(), s, dnsbl.New(world, func() time.Time { return now }), now, questions)
		if err != nil {
			t.Fatal(err)
		}
		return show(changed)
	}
	sound()
	if got := sweep(); got != "" {
		t.Errorf("nothing is listed, and nothing was known: %s", got)
	}
	sound()
	world["9.113.0.203.zen.spamhaus.org"] = []string{"A 127.0.0.3", "TXT see https://check.spamhaus.org/" + strings.Repeat("x", 400)}
	world["9.113.0.203.list.dnswl.org"] = []string{"A 127.0.10.2"}
	listed := now.Add(Every)
	if got := sweep(); got != "203.0.113.9 zen.spamhaus.org listed 127.0.0.3; 203.0.113.9 list.dnswl.org good 127.0.10.2; " {
		t.Errorf("it is listed: %s", got)
	}
	if got := sweep(); got != "" {
		t.Errorf("nothing new: %s", got)
	}
	clear(world) // no list answers rightly: nobody is released by that
	if got := sweep(); got != "" {
		t.Errorf("the lists are down: %s", got)
	}
	states, err := States(t.Context(), s)
	if err != nil || len(states) != 3 || !states[0].Bad() || !states[0].Since.Equal(listed) || states[1].Bad() {
		t.Fatalf("%+v %v", states, err)
	}
	f := states[0].Finding()
	if f.Check != finding.DNSBLListed || f.Outcome != finding.Fail || f.Subject != "203.0.113.9" || !strings.Contains(fmt.Sprint(f.Evidence), "low-reputation mail") {
		t.Errorf("%+v", f)
	}
	sound()
	world["9.113.0.203.list.dnswl.org"] = []string{"A 127.0.10.2"}
	if got := sweep(); got != "203.0.113.9 zen.spamhaus.org clear ; " {
		t.Errorf("it is released: %s", got)
	}
	all, err := Changes(t.Context(), s, t0)
	if got := show(all); err != nil || strings.Count(got, ";") != 3 {
		t.Errorf("changes: %s %v", got, err)
	}
	if all, err = Changes(t.Context(), s, listed.Add(time.Hour)); err != nil || show(all) != "203.0.113.9 zen.spamhaus.org clear ; " {
		t.Errorf("later changes: %s %v", show(all), err)
	}
	now = now.Add(15 * 24 * time.Hour)
	if states, err = States(t.Context(), s); err != nil || len(states) != 0 {
		t.Errorf("what is asked about no more is forgotten: %+v %v", states, err)
	}
}

func show(all []State) string {
	var b strings.Builder
	for _, s := range all {
		word := "clear"
		if s.Bad() {
			word = "listed"
		} else if s.Listed {
			word = "good"
		}
		fmt.Fprintf(&b, "%s %s %s %s; ", s.Subject, s.List, word, strings.Join(s.Answers, " "))
	}
	return b.String()
}

// What is asked: public addresses of address lists, domains of domain lists, each list
// once, and lists that want an account only with its key.
func TestQuestions(t *testing.T) {
	q := Questions([]netip.Addr{netip.MustParseAddr("192.168.1.2"), netip.MustParseAddr("203.0.113.9"), netip.MustParseAddr("2001:db8::1")}, []string{"empresa.es", "empresa.test"},
		dnsbl.Lists{IP: []string{"abc.zen.dq.spamhaus.net", "zen.spamhaus.org", "rbl.example"}})
	n := map[string]int{}
	for _, x := range q {
		l := dnsbl.Find(x.Zone)
		if x.About == dnsbl.Client && (x.IP.IsPrivate() || l != nil && l.Kind != dnsbl.Addresses) || x.About == dnsbl.Sender && l.Kind != dnsbl.Domains {
			t.Errorf("%+v", x)
		}
		if l != nil && (l.State == dnsbl.Gone || l.State == dnsbl.ShowOnly || l.State == dnsbl.WithAccount && x.Zone != "abc.zen.dq.spamhaus.net") {
			t.Errorf("%s (%s) is asked", x.Zone, l.State)
		}
		n[x.Zone]++
	}
	if n["zen.spamhaus.org"] != 2 || n["abc.zen.dq.spamhaus.net"] != 2 || n["rbl.example"] != 2 || n["dbl.spamhaus.org"] != 1 {
		t.Errorf("%v", n)
	}
	var many []string
	for i := range 2 * MaxSubjects {
		many = append(many, fmt.Sprintf("d%d.es", i))
	}
	if got := len(Questions(nil, many, dnsbl.Lists{})); got > MaxSubjects*10 {
		t.Errorf("%d questions", got)
	}
}

// A sweep that is called off says so and keeps what it knows.
func TestCalledOff(t *testing.T) {
	s, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Sweep(ctx, s, dnsbl.New(resolver.Static{}, nil), time.Now(), Questions(nil, []string{"a.es"}, dnsbl.Lists{})); err == nil {
		t.Error("no error")
	}
}
