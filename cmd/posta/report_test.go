package main

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"posta/internal/arf"
	"posta/internal/command"
	"posta/internal/dmarcreport"
	"posta/internal/feedback"
	"posta/internal/store"
	"posta/internal/tlsrpt"
	"posta/internal/words"
)

// What posta report prints, in both languages. Some of it is as strangers wrote it.
func TestReportPrints(t *testing.T) {
	begin, local := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 3, 3, 6, 0, 0, 0, time.Local)
	base := command.Report{
		ID: "00112233445566778899aabbccddeeff", Kind: "dmarc", Domain: "empresa.test", Org: "big.example\x1b[31m", Name: "r1", Begin: begin, End: begin.Add(24*time.Hour - time.Second),
		Message: "018e", Sender: "dmarc@big.example", Proved: true, Messages: 12, Failed: 2, Policy: "p=none",
	}
	dmarc, tls, spam := base, base, base
	dmarc.DMARC = &dmarcreport.Report{Records: []dmarcreport.Record{
		{Source: netip.MustParseAddr("192.0.2.25"), Count: 10, DKIM: "pass", SPF: "pass", Disposition: "none", HeaderFrom: "empresa.test",
			DKIMAuth: []dmarcreport.DKIMResult{{Domain: "empresa.test", Selector: "s1", Result: "pass"}}, SPFAuth: []dmarcreport.SPFResult{{Domain: "empresa.test", Result: "pass"}}},
		{Count: 2, DKIM: "fail", SPF: "fail", Disposition: "reject", HeaderFrom: "empresa.test\n", Reasons: []dmarcreport.Reason{{Type: "mailing_list"}}},
	}}
	dmarc.Trace = []string{"big.example"}
	tls.Kind, tls.Policy, tls.Proved = "tls", "sts", false
	tls.TLS = &tlsrpt.Report{Policies: []tlsrpt.PolicyResult{{Policy: tlsrpt.Policy{Type: "sts", Domain: "empresa.test"}, Succeeded: 10, Failed: 2,
		Details: []tlsrpt.Detail{{Type: "certificate-expired", MXHostname: "mx2.empresa.test", SendingIP: "192.0.2.9", Failed: 2, Reason: "x509"}}}}}
	spam.Kind, spam.Policy, spam.Account, spam.List = "complaint", "abuse", "ana@empresa.test", "news.empresa.test"
	spam.ARF = &arf.Report{Type: "abuse", Original: arf.Original{MessageID: "<m1@empresa.test>"}}
	counts := feedback.Counts{Messages: 12, Aligned: 10, DKIM: 10, SPF: 9, Rejected: 2}
	next := "v=DMARC1; p=quarantine; rua=mailto:dmarc-reports@empresa.test; t=y"
	ask := func(id string, args ...string) feedback.Blocker { return feedback.Blocker{ID: id, Args: args} }
	for _, lang := range []words.Lang{"en", "es"} {
		var out strings.Builder
		c := &cli{lang: lang, out: &out}
		c.listReports(&[]command.Report{base, tls, spam})
		c.listReports(&[]command.Report{})
		for _, r := range []*command.Report{&dmarc, &tls, &spam} {
			out.WriteString("\n")
			c.showReport(r)
		}
		out.WriteString("\n")
		c.viewReports(&feedback.Overview{
			Domain: "empresa.test", Sent: 13, Counts: counts, Days: []feedback.Day{{Day: "2026-03-02", Sent: 13, Counts: counts}},
			Reporters: []feedback.Reporter{{Org: "big.example", Days: 1, Last: "2026-03-02", Sent: 13, Counts: counts}},
			Policies:  []feedback.Policy{{Policy: "p=none", First: "2026-03-02", Last: "2026-03-02", Reports: 1, Orgs: []string{"big.example", "small.example"}}},
		})
		out.WriteString("\n")
		c.listSources(&command.ReportSources{Domain: "empresa.test", Sources: []feedback.Source{
			{Group: "empresa.test", Class: feedback.Ours, IPs: []string{"192.0.2.25"}, First: "2026-03-02", Last: "2026-03-02", Counts: counts},
			{Group: "sendgrid.net", Class: feedback.Vendor, Sender: "SendGrid", IPs: []string{"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4"}, First: "2026-03-01", Last: "2026-03-02", Counts: counts, Decided: "ana: our newsletter"},
			{Group: "lists.example", Class: feedback.Forwarder, First: "2026-03-02", Last: "2026-03-02"},
			{Group: "old.example", Class: feedback.Misconfigured, First: "2026-03-02", Last: "2026-03-02"},
			{Group: "203.0.113.66", Class: feedback.Spoof, First: "2026-03-02", Last: "2026-03-02"},
		}})
		for _, a := range []feedback.Advice{
			{Domain: "empresa.test", Step: "none", Ready: true, Next: &next, Rollback: "v=DMARC1; p=none", Limits: []string{"placement"}, TLS: &feedback.TLSAdvice{Mode: "testing", Ready: true, Sessions: 900, Days: 14, Explained: 3}},
			{Domain: "empresa.test", Step: "quarantine", Final: true, Limits: []string{"lists"}, TLS: &feedback.TLSAdvice{Mode: "enforce", Sessions: 900, Days: 28}},
			{Domain: "empresa.test", Step: "testing-quarantine", Blockers: []feedback.Blocker{
				ask("volume", "3", "50"), ask("days", "4", "28"), ask("report-days", "2", "7"), ask("reporters", "1", "3"), ask("aligned", "90.0", "98"), ask("coverage", "12.5", "80"),
				ask("new-source", "3", "14"), ask("unclassified", "203.0.113.66", "70"), ask("misconfigured", "old.example", "5", "9"), ask("check", "spf.broad"), ask("refused", "gmail.com", "7", "5.7.26"), ask("complaints", "9", "1000"),
			}, TLS: &feedback.TLSAdvice{Mode: "testing", Sessions: 9, Days: 2, Failed: 4, Blockers: []feedback.Blocker{ask("tls-days", "2", "14"), ask("tls-reporters", "1", "2"), ask("tls-failure", "4", "certificate-expired mx2.empresa.test")}}},
		} {
			out.WriteString("\n")
			c.advise(&a)
		}
		var alerts []store.ReportAlert
		for i, kind := range []string{feedback.AlertUnaligned, feedback.AlertOwn, feedback.AlertNewSource, feedback.AlertCompliance, feedback.AlertSilent, feedback.AlertPolicy, feedback.AlertSpoof} {
			a := store.ReportAlert{Domain: "empresa.test", Kind: kind, Subject: "203.0.113.66", Seen: "3|40", First: local}
			if i == 0 {
				a.Resolved = local.AddDate(0, 0, 3)
			}
			alerts = append(alerts, a)
		}
		out.WriteString("\n")
		c.listAlerts(&alerts)
		out.WriteString("\n")
		c.listComplaints(&[]command.Complaints{{Account: "ana@empresa.test", List: "news.empresa.test", Complaints: 4, Sent: 1000, Last: local, By: []string{"big.example", "small.example"}}})
		sameAsGolden(t, "report."+string(lang)+".txt", out.String())
	}
}

// sameAsGolden holds a text against a file of testdata.
func sameAsGolden(t *testing.T, name, got string) {
	t.Helper()
	golden := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil || string(want) != got {
		t.Errorf("%s is not what is printed (%v): go test ./cmd/posta -run %s -update\n%s", golden, err, t.Name(), got)
	}
}
