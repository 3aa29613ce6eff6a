package reflector

import (
	"bytes"
	"flag"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/authres"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/words"
)

var update = flag.Bool("update", false, "write the golden files anew")

func report(languages ...words.Lang) *Report {
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	r := &Report{
		Host: "mail.empresa.test", From: addr.Address{Local: "check-auth", Domain: "empresa.test"}, To: addr.Address{Local: "info", Domain: "oficina.test"},
		Date: at, MessageID: "<answer@mail.empresa.test>", ID: mail.ID{1, 2, 3}, Why: "https://mail.empresa.test/why/",
		Client: mail.Client{IP: netip.MustParseAddr("192.0.2.66"), HELO: "PC-SECRETARIA", TLS: mail.TLS{Version: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256"}},
		Author: "info@oficina.test", Subject: "Prueba", InReplyTo: "<1@oficina.test>", Judged: true,
		Results: []authres.Result{
			authres.IPRev("permerror", "192.0.2.66"), authres.SPF("pass", "info@oficina.test", ""),
			authres.DKIM("pass", "oficina.test", "s1", "rsa-sha256", "", "abcdefgh"), authres.DMARC("pass", "oficina.test"),
		},
		Findings: &finding.Set{}, Level: "strict", Verdict: mail.Verdict{Action: mail.Reject, Check: string(finding.HELOFQDN), Label: "$SPFSoftFail"},
		Languages: languages,
	}
	r.Findings.Add(finding.Of(finding.DMARCFail, finding.Pass, ""))
	r.Findings.Add(finding.Of(finding.SpamScore, finding.Fail, "", "score", "7.5", "word", strings.Repeat("oferta ", 20)))
	r.Findings.Add(finding.Of(finding.PTRMissing, finding.Unverified, "192.0.2.66", "PTR", "SERVFAIL"))
	r.Findings.Add(finding.Of(finding.HELOFQDN, finding.Fail, "", "HELO", "PC-SECRETARIA"))
	r.Findings.Add(finding.Of(finding.ReputationBad, finding.Fail, "", "seen", "canario"))
	return r
}

// The answer as people read it.
func TestAnswer(t *testing.T) {
	for name, langs := range map[string][]words.Lang{"en": {"en"}, "es": {"es"}, "both": {"en", "es"}} {
		raw := report(langs...).Message()
		tree := message.ParseBytes(raw, message.Budget{})
		got := strings.ReplaceAll(string(raw[:tree.Body]), "\r\n", "\n") + body(t, raw)
		file := "testdata/" + name + ".txt"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s differs; -update writes it:\n%s", file, got)
		}
		if strings.Contains(got, "canario") {
			t.Error("what is ours was told")
		}
	}
}

// body is the text of the answer.
func body(t *testing.T, raw []byte) string {
	t.Helper()
	r, err := message.Open(bytes.NewReader(raw), message.ParseBytes(raw, message.Budget{}))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// What no program answers (RFC 3834 §2), and our own answers before all.
func TestAutomatic(t *testing.T) {
	for field, want := range map[string]bool{
		"Subject: hola": false, "Auto-Submitted: no": false, "Auto-Submitted: NO; x=1": false, "Auto-Submitted: no (by hand)": false,
		"Auto-Submitted: auto-replied": true, "auto-submitted: auto-generated; type=x": true, "Auto-Submitted:": true,
		"List-Id: <x.example>": true, "List-Unsubscribe: <mailto:x@example.net>": true, "Listless: yes": false,
		"Precedence: bulk": true, "Precedence: LIST": true, "Precedence: junk": true, "Precedence: first-class": false,
		"X-Auto-Response-Suppress: All": true, "X-Loop: x": true, "Return-Path: <>": true, "Return-Path: <a@example.net>": false,
	} {
		if got := Automatic(message.Header("From: a@example.net\r\n" + field + "\r\n\r\n")); (got != "") != want {
			t.Errorf("%s: %q", field, got)
		}
	}
	raw := report("en").Message()
	if Automatic(message.Header(raw[:message.ParseBytes(raw, message.Budget{}).Body])) == "" {
		t.Error("we would answer our own answer")
	}
}

func TestLanguages(t *testing.T) {
	for _, c := range []struct {
		subject, accept string
		want            []words.Lang
	}{
		{"hola", "", []words.Lang{"en", "es"}},
		{" Español ", "en", []words.Lang{"es"}},
		{"EN", "es", []words.Lang{"en"}},
		{"prueba", "es-ES, es;q=0.9", []words.Lang{"es"}},
		{"prueba", "fr, en;q=0.5", []words.Lang{"en"}},
		{"prueba", "fr", []words.Lang{"en", "es"}},
		{"prueba", strings.Repeat("fr,", 10_000) + "es", []words.Lang{"en", "es"}},
	} {
		h := message.Header("Subject: x\r\nAccept-Language: " + c.accept + "\r\n\r\n")
		if got := Languages(h, c.subject); !slices.Equal(got, c.want) {
			t.Errorf("%q, %.30q: %v", c.subject, c.accept, got)
		}
	}
}

// Whatever a stranger writes, the answer has our fields only, each once, is a
// bounded text of 7 bits with lines within RFC 5322 §2.1.1, and is none that we
// would answer.
func FuzzAnswer(f *testing.F) {
	f.Add("PC", "hola", "<1@x>", "a@x", "seen", "v=spf1\r\nBcc: x@y", uint16(3))
	f.Add("[1.2.3.4]\r\n\r\nx", "=?utf-8?q?=0d=0aBcc:x?=", "<a b>", "ñ", "\x00", strings.Repeat("x", 5000), uint16(300))
	f.Fuzz(func(t *testing.T, helo, subject, id, author, what, seen string, findings uint16) {
		r := report("en", "es")
		r.Client.HELO, r.Subject, r.InReplyTo, r.Author = helo, subject, id, author
		for range findings % 301 {
			r.Findings.Add(finding.Of(finding.SPFFail, finding.Fail, "", what, seen))
		}
		raw := r.Message()
		if len(raw) > 1<<20+20*(len(helo)+len(author)+len(what)*maxFindings) {
			t.Errorf("%d octets", len(raw))
		}
		tree := message.ParseBytes(raw, message.Budget{})
		h := message.Header(raw[:tree.Body])
		seenFields := map[string]bool{}
		for fd := range h.Fields() {
			if !slices.Contains([]string{"From", "To", "Subject", "Date", "Message-ID", "In-Reply-To", "References", "Auto-Submitted", "X-Auto-Response-Suppress", "Content-Language", "MIME-Version", "Content-Type", "Content-Transfer-Encoding"}, fd.Name()) || seenFields[fd.Name()] {
				t.Errorf("a field %s:\n%s", fd.Name(), h)
			}
			seenFields[fd.Name()] = true
		}
		if Automatic(h) == "" {
			t.Error("it would be answered")
		}
		for line := range bytes.SplitSeq(raw, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsFunc(line, func(c rune) bool { return c == '\r' || c == '\n' || c >= 0x80 || c == 0 }) {
				t.Errorf("a line %q", line)
			}
		}
	})
}
