package audit

import (
	"context"

	"posta/internal/finding"
)

// evaluator is one subject of the audit.
type evaluator struct {
	section string // of the report's probes, in the words of the union table: "MX", "SPF"
	run     func(ctx context.Context, a *audit) []finding.Finding
}

// evaluators lists what runs, all side by side.
func evaluators() []evaluator {
	return []evaluator{
		{"name servers", nameServers},     // zone.go: CH-DNS-01
		{"zone", zoneRecords},             // records.go: CH-DNS-02, 06, 07
		{"DNSSEC", signed},                // dnssec.go: CH-DNS-03
		{"resolver", ownResolver},         // dnssec.go: CH-DNS-04
		{"MX", exchangers},                // mx.go: CH-MX-01, 02, 04
		{"identity", identities},          // identity.go: CH-ID-01 to 05
		{"SPF", senderPolicy},             // spf.go: CH-SPF-01 to 05
		{"the way out", wayOut},           // outbound.go: CH-ID-07
		{"registration", registration},    // rdap.go: CH-DNS-05
		{"DMARC", protection},             // dmarc.go: CH-DMARC-01 to 04, 06
		{"BIMI", brand},                   // bimi.go: CH-BIMI-01
		{"DNS lists", reputed},            // reputation.go: CH-REP-01, 02
		{"doors", doors},                  // doors.go, doorstls.go, backups.go: CH-MX-03, 05, CH-ID-06, CH-TLS, CH-SMTP
		{"MTA-STS", transport},            // sts.go: CH-STS-01, 02
		{"DANE", keysOfHosts},             // dane.go: CH-DANE-01, 02
		{"outbound", outbound},            // dane.go: CH-TLS-07
		{"TLS reports", transportReports}, // rpt.go: CH-RPT-01
		{"CAA", authorities},              // caa.go: CH-TLS-04
		{"DKIM", signingKeys},             // dkim.go: CH-DKIM-01 to 03, 06
		{"AUTO", programs},                // auto.go: CH-AUTO-01, 02
	}
}
