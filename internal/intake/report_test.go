package intake

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/report"
	"posta/internal/store"
)

func packed(t *testing.T, text []byte) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	e := base64.StdEncoding.EncodeToString(b.Bytes())
	var out strings.Builder
	for line := range chunks(e, 76) {
		out.WriteString(line + "\r\n")
	}
	return out.String()
}

// aggregate is a report about a domain, in the message that it comes in.
func aggregate(t *testing.T, domain, id string) string {
	xml := fmt.Sprintf(`<feedback><report_metadata><org_name>good.example</org_name><report_id>%s</report_id><date_range><begin>1772409600</begin><end>1772495999</end></date_range></report_metadata>
<policy_published><domain>%s</domain><p>none</p></policy_published>
<record><row><source_ip>192.0.2.25</source_ip><count>7</count><policy_evaluated><disposition>none</disposition><dkim>pass</dkim><spf>fail</spf></policy_evaluated></row><identifiers><header_from>%[2]s</header_from></identifiers></record></feedback>`, id, domain)
	return attached("Report Domain: "+domain+" Submitter: good.example Report-ID: <"+id+">", "good.example!"+domain+"!1772409600!1772495999.xml.gz", packed(t, []byte(xml)))
}

func attached(subject, name, data string) string {
	return "From: reports@good.example\r\nTo: x@empresa.test\r\nSubject: " + subject + "\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\nMessage-ID: <1@good.example>\r\nMIME-Version: 1.0\r\n" +
		"Content-Type: application/octet-stream; name=\"" + name + "\"\r\nContent-Transfer-Encoding: base64\r\n\r\n" + data
}

const complaint = "From: fbl@good.example\r\nTo: abuse@empresa.test\r\nSubject: complaint\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\nMessage-ID: <2@good.example>\r\nMIME-Version: 1.0\r\n" +
	"Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n--b\r\nContent-Type: text/plain\r\n\r\nA complaint.\r\n" +
	"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nUser-Agent: x/1\r\nVersion: 1\r\nOriginal-Mail-From: <luis@empresa.test>\r\n" +
	"\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: Luis <luis@empresa.test>\r\nMessage-ID: <3@empresa.test>\r\nList-Id: <news.empresa.test>\r\n\r\nBuy!\r\n--b--\r\n"

// Reports are kept and never shown as mail; what looks like one and is none, or of a domain of
// others, is in the postmaster's mailbox with the reason above it. Nothing is lost before or after.
func TestReports(t *testing.T) {
	h := newHouse(t)
	c := report.New(report.Config{Store: h.store, Blobs: h.blobs, Directory: h.dir, Node: "n"})
	tls := base64.StdEncoding.EncodeToString([]byte(`{"organization-name":"Good","date-range":{"start-datetime":"2026-03-02T00:00:00Z","end-datetime":"2026-03-02T23:59:59Z"},"report-id":"t1","policies":[{"policy":{"policy-type":"sts","policy-domain":"empresa.test"},"summary":{"total-successful-session-count":5,"total-failure-session-count":1}}]}`))
	bomb := packed(t, append([]byte("<feedback>"), bytes.Repeat([]byte("<a/>"), 8<<20)...))
	for _, s := range []struct {
		what, to, message string
		jobs, reports     int // a job waits after 250; reports that are there in the end
		why               string
	}{
		{"an aggregate report", "dmarc-reports", aggregate(t, "empresa.test", "r1"), 1, 1, ""},
		{"the same again", "dmarc-reports", aggregate(t, "empresa.test", "r1"), 1, 1, ""},
		{"one of a subdomain, to the address of older records", "postmaster", aggregate(t, "www.empresa.test", "r2"), 1, 2, ""},
		{"a TLS report", "tls-reports", attached("Report Domain: empresa.test", "good.example!empresa.test!1!2.json", tls), 1, 3, ""},
		{"a complaint", "abuse", complaint, 1, 4, ""},
		{"one about a domain of others", "dmarc-reports", aggregate(t, "bank.example", "r3"), 1, 4, `Posta-Report: delivered: it is a report about "bank.example"`},
		{"a bomb", "dmarc-reports", attached("Report Domain: empresa.test", "a!b!1!2.xml.gz", bomb), 1, 4, "Posta-Report: delivered: it looks like a report and is none: unpack: over budget"},
		{"a letter", "dmarc-reports", "From: a@good.example\r\nTo: x@empresa.test\r\nSubject: hello\r\nDate: Mon, 2 Mar 2026 10:00:00 +0000\r\nMessage-ID: <4@good.example>\r\n\r\nHello.\r\n", 0, 4, "Subject: hello"},
		{"a report to a person", "luis", aggregate(t, "empresa.test", "r4"), 0, 4, ""},
	} {
		before := len(h.mailIn("ana", "INBOX"))
		rcpt, final := h.talk(stranger(), "reports@good.example", []string{s.to + "@empresa.test"}, s.message)
		if len(rcpt) > 0 || len(final) != 1 || final[0].Code != 250 {
			t.Fatalf("%s: %v %v", s.what, rcpt, final)
		}
		jobs, err := h.store.ListJobs(t.Context(), 0)
		if err != nil || len(jobs) != s.jobs {
			t.Errorf("%s: %d jobs, %v", s.what, len(jobs), err)
		}
		for c.Turn(t.Context()) == 0 {
		}
		if jobs, err = h.store.ListJobs(t.Context(), 0); err != nil || len(jobs) != 0 {
			t.Errorf("%s: jobs are left: %+v, %v", s.what, jobs, err)
		}
		list, err := h.store.ListReports(t.Context(), store.ReportFilter{})
		if err != nil || len(list) != s.reports {
			t.Errorf("%s: %d reports, %v", s.what, len(list), err)
		}
		inbox := h.mailIn("ana", "INBOX")
		if want := s.why != ""; (len(inbox) > before) != want {
			t.Errorf("%s: %d letters, before %d", s.what, len(inbox), before)
		} else if want && !strings.Contains(strings.ReplaceAll(inbox[len(inbox)-1], "\r\n ", " "), s.why) {
			t.Errorf("%s: %.1000s", s.what, inbox[len(inbox)-1])
		}
	}
	if n := len(h.mailIn("luis", "INBOX")); n != 1 {
		t.Errorf("%d letters of luis", n)
	}
	h.reportsKept()
}

// reportsKept looks at what is known of the reports.
func (h *house) reportsKept() {
	h.t.Helper()
	sums, err := h.store.SumReportSources(h.t.Context(), "empresa.test", 0, false)
	if err != nil || len(sums) != 1 || sums[0].Count != 7 || !sums[0].DKIM || sums[0].SPF {
		h.t.Errorf("%+v, %v", sums, err)
	}
	list, err := h.store.ListReports(h.t.Context(), store.ReportFilter{Kind: store.FeedbackReport})
	if err != nil || len(list) != 1 || list[0].Account != "luis@empresa.test" || list[0].List != "news.empresa.test" || list[0].Domain != "empresa.test" {
		h.t.Errorf("%+v, %v", list, err)
	}
	list, err = h.store.ListReports(h.t.Context(), store.ReportFilter{Kind: store.TLSReport})
	if err != nil || len(list) != 1 || list[0].Messages != 6 || list[0].Failed != 1 || !list[0].Begin.Equal(time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)) {
		h.t.Errorf("%+v, %v", list, err)
	}
}

// Beside the bytes of what may be a report stands who gets it if it is none: when the
// database is lost before anybody has looked, it comes back to him.
func TestReportComesBack(t *testing.T) {
	h := newHouse(t)
	ana := h.dir.View().ByLogin("ana@empresa.test")
	job, err := (&store.ReportJob{
		Accept: mail.NewID(time.Now()), Blob: blob.NewID(time.Now()), Size: 1,
		Deliveries: []store.Delivery{{Account: ana.ID, Prefix: []byte("Received: x\r\n")}},
		Enqueues:   []store.Enqueue{{ReversePath: "a@good.example", Recipients: []store.QueueTo{{Address: "x@other.example", Domain: "other.example"}}}},
	}).Job()
	if err != nil {
		t.Fatal(err)
	}
	r, err := store.DecodeAcceptRecord(h.acceptRecord(&store.Accept{Jobs: []store.Job{{Kind: "other"}, job}}))
	if err != nil || len(r.Deliveries) != 1 || r.Deliveries[0].Login != "ana@empresa.test" || string(r.Prefix) != "Received: x\r\n" ||
		len(r.Queued) != 1 || r.Queued[0].Address != "x@other.example" {
		t.Errorf("%+v, %v", r, err)
	}
}
