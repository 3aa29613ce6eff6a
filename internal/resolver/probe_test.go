package resolver

import (
	"testing"
	"time"

	"github.com/miekg/dns"
)

// A probe never waits: what it misses is asked, and is there the next time.
func TestProbe(t *testing.T) {
	c := newClient(t, Config{}, serve(t, func(m *dns.Msg, q dns.Question, _ bool) {
		m.Answer = []dns.RR{rr(t, q.Name+" 60 IN A 192.0.2.1")}
	}))
	var first Probe
	if _, err := c.LookupA(first.Context(t.Context()), "a.example.org"); err == nil || !first.Missed() {
		t.Fatalf("answered at once: %v, missed %v", err, first.Missed())
	}
	for deadline := time.Now().Add(5 * time.Second); ; {
		var p Probe
		if _, err := c.LookupA(p.Context(t.Context()), "a.example.org"); err == nil && !p.Missed() {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the question of a missed probe was not asked")
		}
		time.Sleep(time.Millisecond)
	}
}
