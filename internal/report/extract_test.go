package report

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/dmarcreport"
	"posta/internal/unpack"
)

// dmarcXML is a report about a domain of some messages from 192.0.2.25.
func dmarcXML(domain, id string, messages int64) string {
	begin := time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC)
	r := &dmarcreport.Report{
		Metadata:  dmarcreport.Metadata{Org: "big.example", Email: "dmarc@big.example", ReportID: id, Begin: begin, End: begin.Add(24*time.Hour - time.Second)},
		Published: dmarcreport.Published{Domain: domain, Policy: "none"},
		Records:   []dmarcreport.Record{{Source: netip.MustParseAddr("192.0.2.25"), Count: messages, Disposition: "none", DKIM: "pass", SPF: "fail", HeaderFrom: domain}},
	}
	return string(r.AppendXML(nil))
}

// tlsJSON is a TLS report about two domains.
const tlsJSON = `{"organization-name":"Big","date-range":{"start-datetime":"2026-03-02T00:00:00Z","end-datetime":"2026-03-02T23:59:59Z"},"contact-info":"tls@big.example","report-id":"t1",
"policies":[{"policy":{"policy-type":"sts","policy-domain":"empresa.test"},"summary":{"total-successful-session-count":7,"total-failure-session-count":1}},
{"policy":{"policy-type":"no-policy-found","policy-domain":"elsewhere.test"},"summary":{"total-successful-session-count":2,"total-failure-session-count":0}}]}`

func gz(s string) string {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func zipped(files ...string) string {
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i, f := range files {
		x, _ := w.Create(fmt.Sprint(i))
		io.WriteString(x, f)
	}
	w.Close()
	return b.String()
}

// part is a leaf of a message, in base64.
func part(kind, content string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "Content-Type: %s\r\nContent-Transfer-Encoding: base64\r\n\r\n", kind)
	for text := base64.StdEncoding.EncodeToString([]byte(content)); text != ""; {
		n := min(len(text), 76)
		b.WriteString(text[:n] + "\r\n")
		text = text[n:]
	}
	return b.String()
}

const letterHead = "From: dmarc@big.example\r\nTo: postmaster@empresa.test\r\nSubject: Report Domain: empresa.test\r\nDate: Tue, 3 Mar 2026 06:00:00 +0000\r\nMessage-ID: <r1@big.example>\r\nMIME-Version: 1.0\r\n"

// letterOf is a message of some parts.
func letterOf(parts ...string) string {
	if len(parts) == 1 {
		return letterHead + parts[0]
	}
	return letterHead + "Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n" + strings.Join(parts, "\r\n--b\r\n") + "\r\n--b--\r\n"
}

// complaint is an ARF report about a message of ana's.
const complaint = letterHead + "Content-Type: multipart/report; report-type=feedback-report; boundary=b\r\n\r\n" +
	"--b\r\nContent-Type: text/plain\r\n\r\nThis is an abuse report.\r\n" +
	"--b\r\nContent-Type: message/feedback-report\r\n\r\nFeedback-Type: abuse\r\nVersion: 1\r\nUser-Agent: Big/1\r\nOriginal-Mail-From: <ana@empresa.test>\r\nOriginal-Rcpt-To: <x@big.example>\r\n\r\n" +
	"--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: Ana <ana@empresa.test>\r\nSubject: news\r\nMessage-ID: <m1@empresa.test>\r\nList-Id: <news.empresa.test>\r\n\r\nHello\r\n--b--\r\n"

// What is in a message, and why it is none: each shape that reporters send, and what
// nobody should.
func TestExtract(t *testing.T) {
	report := dmarcXML("empresa.test", "r1", 5)
	bomb := gz("<feedback>" + strings.Repeat("<!--"+strings.Repeat(" ", 60000)+"-->", 100))
	many := make([]string, 15)
	for i := range many {
		many[i] = dmarcXML("empresa.test", fmt.Sprint("r", i), 1)
	}
	filler := func(n int) (out []string) {
		for range n {
			out = append(out, part("text/plain", "nothing"))
		}
		return out
	}
	utf16 := "\xff\xfe"
	for _, r := range report {
		utf16 += string(rune(r)) + "\x00"
	}
	for _, c := range []struct {
		what, letter string
		want         string // dmarc, tls, complaints; and the reason
	}{
		{"bare XML", letterOf(part("text/xml", report)), "1 0 false"},
		{"gzip", letterOf(part("application/gzip", gz(report))), "1 0 false"},
		{"zip beside a text", letterOf(part("text/plain", "hello"), part("application/zip", zipped(report))), "1 0 false"},
		{"a type that lies", letterOf(part("application/zip", gz(report))), "1 0 false"},
		{"UTF-16", letterOf(part("text/xml", utf16)), "1 0 false"},
		{"a byte order mark", letterOf(part("text/xml", "\xef\xbb\xbf\r\n"+report)), "1 0 false"},
		{"TLS", letterOf(part("application/tlsrpt+gzip", gz(tlsJSON))), "0 1 false"},
		{"both", letterOf(part("application/gzip", gz(report)), part("application/tlsrpt+json", tlsJSON)), "1 1 false"},
		{"a complaint", complaint, "0 0 true"},
		{"a complaint without the message", strings.Replace(complaint, "message/rfc822", "text/plain", 1), "0 0 true"},
		{"forwarded inside a message", letterOf("Content-Type: message/rfc822\r\n\r\n" + letterOf(part("application/gzip", gz(report)))), "1 0 false"},
		{"twenty of thirty", letterOf(part("application/zip", zipped(many...)), part("application/zip", zipped(many...))), "20 0 false"},
		{"behind ten other parts", letterOf(append(filler(10), part("application/gzip", gz(report)))...), "0 0 false no part of it is a report"},
		{"no report at all", letterOf(part("text/plain", "where is my report?")), "0 0 false no part of it is a report"},
		{"nothing", "", "0 0 false no part of it is a report"},
		{"a bomb", letterOf(part("application/gzip", bomb)), "0 0 false it looks like a report and is none: unpack: over budget"},
		{"zeros", letterOf(part("application/gzip", gz(strings.Repeat("\x00", 5<<20)))), "0 0 false no part of it is a report"},
		{"a bomb in a bomb", letterOf(part("application/zip", zipped(bomb))), "0 0 false it looks like a report and is none: unpack: over budget"},
		{"a bomb, then a page", letterOf(part("application/gzip", bomb), part("text/html", "<html><body>hello</body></html>")), "0 0 false it looks like a report and is none: unpack: over budget"},
		{"a page, then a cut archive", letterOf(part("text/html", "<html>"), part("application/gzip", gz(report)[:30])), "0 0 false it looks like a report and is none: unpack: broken archive"},
		{"a page", letterOf(part("text/html", "<html><body>hello</body></html>")), "0 0 false it looks like a report and is none: dmarcreport: not an aggregate report"},
		{"deep tags", letterOf(part("text/xml", "<feedback>"+strings.Repeat("<a>", 1000))), "0 0 false it looks like a report and is none: dmarcreport: over budget"},
		{"JSON of something else", letterOf(part("application/json", `{"a":[1,2,`)), "0 0 false it looks like a report and is none: tlsrpt:"},
		{"an encoding that nobody knows", letterOf(strings.Replace(part("text/xml", report), "base64", "rot13", 1)), "0 0 false it looks like a report and is none: "},
		{"a complaint without a type", strings.Replace(complaint, "Feedback-Type", "X-Type", 1), "0 0 false it looks like a report and is none: arf: not a feedback report"},
		{"a good report beside a broken one", letterOf(part("application/gzip", gz("<feedback><x>")), part("application/gzip", gz(report))), "1 0 false"},
	} {
		f, err := extract(strings.NewReader(c.letter), int64(len(c.letter)))
		if err != nil {
			t.Errorf("%s: %v", c.what, err)
			continue
		}
		got := fmt.Sprint(len(f.dmarc), len(f.tls), f.arf != nil)
		if f.empty() {
			got += " " + f.reason()
		}
		if !strings.HasPrefix(got, c.want) || f.empty() != strings.HasPrefix(c.want, "0 0 false ") {
			t.Errorf("%s: %s", c.what, got)
		}
	}
}

// All parts of a message share one budget: ten archives cost no more than one.
func TestExtractBudget(t *testing.T) {
	report := gz(dmarcXML("empresa.test", "r1", 5))
	letter := letterOf(part("application/gzip", report), part("application/gzip", report), part("application/gzip", report))
	f, err := extractWithin(strings.NewReader(letter), int64(len(letter)), int64(len(dmarcXML("empresa.test", "r1", 5)))*3/2)
	if err != nil || len(f.dmarc) != 1 || !errors.Is(f.why, unpack.ErrLimit) || f.left > 0 {
		t.Errorf("%d reports, %d octets left, %v, %v", len(f.dmarc), f.left, f.why, err)
	}
}

// broken is a message whose bytes cannot be read beyond some place.
type broken struct {
	letter string
	from   int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.from {
		return 0, fmt.Errorf("chunk 7: %w", blob.ErrCorrupt)
	}
	return strings.NewReader(b.letter).ReadAt(p, off)
}

// That bytes cannot be read is said, and never taken for a report that is none.
func TestExtractBroken(t *testing.T) {
	letter := letterOf(part("text/plain", strings.Repeat("hello ", 100000)), part("application/gzip", gz(dmarcXML("empresa.test", "r1", 5))))
	for _, from := range []int64{0, 1000, int64(len(letter)) - 10} {
		if f, err := extract(broken{letter, from}, int64(len(letter))); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("from %d: %+v, %v", from, f, err)
		}
	}
}

// Whatever comes, no more is found than may be, and it says why there is nothing.
func FuzzExtract(f *testing.F) {
	f.Add([]byte(complaint))
	f.Add([]byte(letterOf(part("application/gzip", gz(dmarcXML("empresa.test", "r1", 5))))))
	f.Add([]byte(letterOf(part("application/tlsrpt+json", tlsJSON), part("text/plain", "x"))))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := extract(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			t.Fatal(err) // of bytes that can be read
		}
		if len(x.dmarc)+len(x.tls) > maxReports || x.empty() && x.reason() == "" {
			t.Fatalf("%d and %d reports", len(x.dmarc), len(x.tls))
		}
	})
}
