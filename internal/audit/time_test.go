package audit

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/authority"
	"posta/internal/certs"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// wellKept is a domain with two exchangers of two addresses each.
func wellKept() resolver.Static {
	return resolver.Static{
		".":            {"SECURE", "NS a.root.test", "SOA x"},
		"good.test":    {"MX 10 mx.good.test", "MX 20 mx2.good.test", "TXT v=spf1 mx -all", "SOA ns.good.test. hostmaster.good.test. 1 3600 600 86400 60"},
		"mx.good.test": {"A 203.0.113.25", "AAAA 2001:db8::25", "TXT v=spf1 a -all"}, "203.0.113.25": {"PTR mx.good.test"}, "2001:db8::25": {"PTR mx.good.test"},
		"mx2.good.test": {"A 203.0.113.26", "AAAA 2001:db8::26", "TXT v=spf1 a -all"}, "203.0.113.26": {"PTR mx2.good.test"}, "2001:db8::26": {"PTR mx2.good.test"},
	}
}

// config is a world of this harbour without name servers and web sites.
func (h *harbour) config(zone resolver.Resolver) Config {
	return Config{
		Resolver: zone, Authority: authority.New(zone, authority.Config{Dial: noDoors, Timeout: time.Millisecond}), Dial: h.dial, Hello: "probe.example.org",
		HTTP: &http.Client{Transport: &http.Transport{DialContext: noDoors}},
	}
}

// An audit takes no longer than its slowest answer and a second more, with all doors
// open, one answer of all of them slow, and never more than two connections to one
// address and port at a time.
func TestTimeOfDoors(t *testing.T) {
	for what, slow := range map[string]map[string]time.Duration{
		"all is quick":         nil,
		"VRFY is slow":         {"VRFY posta-probe": 10 * time.Second},
		"the stranger is slow": {"RCPT TO:<posta-probe": 10 * time.Second},
		"EXPN is slow":         {"EXPN": 5 * time.Second},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ca, err := certs.NewAuthority("Test", time.Now)
				if err != nil {
					t.Fatal(err)
				}
				h := newHarbour(t, "mx.good.test", ca)
				h.wait, h.slow = 15*time.Millisecond, slow
				limit := time.Second
				for _, d := range slow {
					limit += d
				}
				cfg := h.config(wellKept())
				cfg.Roots = ca.Pool()
				began := time.Now()
				r := Run(t.Context(), cfg, Target{Domain: "good.test"})
				took := time.Since(began)
				if took > limit {
					t.Errorf("took %v of fake time, at most %v are allowed", took, limit)
				}
				synctest.Wait()
				for at, n := range h.most {
					if n > 2 || h.open[at] != 0 {
						t.Errorf("%s: %d connections at a time, %d left open", at, n, h.open[at])
					}
				}
				if len(h.most) != 4+2 { // 25 of each address, 465 and 587 of the first
					t.Errorf("connected to %v", h.most)
				}
				for _, f := range r.Findings {
					switch f.Check.Section() {
					case "tls", "cert", "relay", "rcpt", "smtp":
						if f.Outcome == finding.Unverified {
							t.Errorf("could not verify: %v", f)
						}
					}
				}
			})
		})
	}
}

// Servers that take connections and say nothing hold nobody: the audit ends with its
// time, or at once with its context, and no goroutine stays behind (synctest would say).
func TestSilentDoors(t *testing.T) {
	for what, end := range map[string]time.Duration{"its own time": time.Hour, "the context": 7 * time.Second} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHarbour(t, "mx.good.test", nil)
				h.silent = true
				ctx, cancel := context.WithTimeout(t.Context(), end)
				defer cancel()
				cfg := h.config(wellKept())
				cfg.HTTP = &http.Client{Transport: &http.Transport{DialContext: h.dial}}
				began := time.Now()
				r := Run(ctx, cfg, Target{Domain: "good.test"})
				if took := time.Since(began); took > min(end, defaultTimeout) {
					t.Errorf("took %v of fake time", took)
				}
				for _, f := range r.Findings {
					if (f.Check.Section() == "tls" || f.Check == finding.RelayOpen) && f.Outcome != finding.Unverified {
						t.Errorf("a silent server gives %v", f)
					}
				}
				if end < defaultTimeout && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
					t.Error(ctx.Err())
				}
			})
		})
	}
}
