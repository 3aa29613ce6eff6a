package audit

import (
	"syscall"
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
	began := processor(b)
	for b.Loop() {
		r := Run(b.Context(), cfg, Target{Domain: "good.test"})
		if n := len(r.Findings); n < 100 {
			b.Fatalf("%d findings", n)
		}
	}
	took := processor(b) - began
	b.ReportMetric(float64(took.Milliseconds())/float64(b.N), "cpu-ms/op")
	b.ReportMetric(3600/took.Seconds()*float64(b.N), "domains/core-h")
	b.ReportMetric(float64(len(h.heard))/float64(b.N), "commands")
}

// processor is the time of processors that this process has had: unlike the wall clock
// it does not count what others on the machine do.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		b.Fatal(err)
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
