package audit

import (
	"testing"
	"time"

	"posta/internal/certs"
	"posta/internal/probe"
	"posta/internal/resolver"
)

// BenchmarkAudit is the processor's part of the audit of a normal domain, with real TLS
// on both sides in memory: two exchangers of two addresses, submission, SPF, DMARC, all
// DNS lists. A thousand domains an hour on one core leave 3.6 s for each.
func BenchmarkAudit(b *testing.B) {
	ca, err := certs.NewAuthority("Test", time.Now)
	if err != nil {
		b.Fatal(err)
	}
	h := newHarbour(b, "mx.good.test", ca)
	zone := wellKept()
	zone["_dmarc.good.test"] = []string{"TXT v=DMARC1; p=reject; rua=mailto:dmarc@good.test"}
	cfg := h.config(resolver.Resolver(zone))
	cfg.Roots, cfg.Lanes = ca.Pool(), probe.NewLanes(lanes)
	for b.Loop() {
		r := Run(b.Context(), cfg, Target{Domain: "good.test"})
		if n := len(r.Findings); n < 100 {
			b.Fatalf("%d findings", n)
		}
	}
	b.ReportMetric(3600/b.Elapsed().Seconds()*float64(b.N), "domains/h")
	b.ReportMetric(float64(len(h.heard))/float64(b.N), "commands")
}
