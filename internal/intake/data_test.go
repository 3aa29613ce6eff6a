package intake

import (
	"crypto"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/arc"
	"posta/internal/authres"
	"posta/internal/dkim"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/policy"
	"posta/internal/resolver"
	"posta/internal/store"
	"posta/internal/trace"
)

// key is a new Ed25519 key with the record that publishes it.
func key(t testing.TB, domain, selector string) (k dkim.Key, record string) {
	t.Helper()
	private, err := dkim.GenerateEd25519()
	if err != nil {
		t.Fatal(err)
	}
	if record, err = dkim.Record(crypto.Signer(private).Public()); err != nil {
		t.Fatal(err)
	}
	return dkim.Key{Domain: domain, Selector: selector, Signer: private}, record
}

// sign puts a signature with further tags above a message; one of l= covers as much
// of the body as it says.
func sign(t testing.TB, k dkim.Key, text string, tags ...string) string {
	t.Helper()
	head, body := message.SplitHeader([]byte(text))
	names, data, err := dkim.SelectHeaders(head, dkim.SignOptions{Oversign: []string{"From"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tag := range tags {
		var n int
		if _, err := fmt.Sscanf(tag, "l=%d;", &n); err == nil {
			body = body[:n]
		}
	}
	hash := dkim.NewBodyHash(dkim.Relaxed)
	hash.Write(body)
	f := dkim.SignedField{Name: "DKIM-Signature", First: "v=1;", Tags: tags, Headers: names, BodyHash: hash.Sum(), Data: data}
	field, err := f.Sign(k)
	if err != nil {
		t.Fatal(err)
	}
	return string(field) + text
}

// anID is the id in a reply.
var anID = regexp.MustCompile(`\b[0-9a-hjkmnp-tv-z]{26}\b`)

// judged sends a message from a stranger to ana, and gives the reply and the trace
// of it.
func (h *house) judged(c mail.Client, from, text string) (string, *trace.Record) {
	h.t.Helper()
	rcpt, final := h.talk(c, from, []string{"ana@empresa.test"}, text)
	if len(rcpt) != 0 || len(final) != 1 {
		h.t.Fatal(rcpt, final)
	}
	if err := h.store.FlushTraces(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	id, err := mail.ParseID(anID.FindString(final[0].String()))
	if err != nil {
		h.t.Fatal(final[0], err)
	}
	st, err := h.store.Trace(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil {
		h.t.Fatal(err)
	}
	return final[0].String(), rec
}

// failures lists what failed (!) or could not be verified (?) or was noted (~), of
// sections of the catalogue.
func failures(s *finding.Set, sections ...string) string {
	var out []string
	for _, f := range s.Others {
		section, _, _ := strings.Cut(string(f.Check), ".")
		if slices.Contains(sections, section) {
			out = append(out, map[finding.Outcome]string{finding.Fail: "!", finding.Unverified: "?", finding.Pass: "~"}[f.Outcome]+string(f.Check))
		}
	}
	return strings.Join(out, " ")
}

// seen is the evidence of the finding of a check, as "what: seen" lines.
func seen(s *finding.Set, id finding.ID) string {
	var b strings.Builder
	for _, f := range s.Others {
		if f.Check == id {
			for _, e := range f.Evidence {
				b.WriteString(e.What + ": " + e.Seen + "\n")
			}
		}
	}
	return b.String()
}

// weakRecord publishes an RSA key of 512 bits.
const weakRecord = "v=DKIM1; k=rsa; p=MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBALRiMLAh9iimur8VA7qVvdqxevEuUkW4K+2KdMXmnQbG9Aa7k7eBjK1S+0LYmVjPKlJGNXHDGuy5Fw/d9rjVJ0sCAwEAAQ=="

// Each fault of a signature is the check with its mend; the guides hold mail without
// a valid signature, and one that is valid is enough.
func TestSignatures(t *testing.T) {
	k, record := key(t, "good.example", "s")
	other, _ := key(t, "good.example", "none")
	now := time.Now().Unix()
	h := newHouse(t)
	testing_ := strings.Replace(record, "v=DKIM1;", "v=DKIM1; t=y;", 1)
	for _, c := range []struct {
		name     string
		record   string
		text     string
		want     string
		evidence string // of the first
		guia     mail.Action
	}{
		{"none", record, letter, "!dkim.missing", "", mail.Quarantine},
		{"good", record, sign(t, k, letter), "", "", mail.Accept},
		{"the body was changed", record, sign(t, k, letter) + "x\r\n", "!dkim.fail", "result: fail body-hash-mismatch\n", mail.Quarantine},
		{"the Subject was changed", record, strings.Replace(sign(t, k, letter), "hola", "oferta", 1), "!dkim.fail", "result: fail signature-mismatch\n", mail.Quarantine},
		{"no key", record, sign(t, other, letter), "!dkim.key", "key looked up at: none._domainkey.good.example\n", mail.Quarantine},
		{"a revoked key", "v=DKIM1; p=", sign(t, k, letter), "!dkim.key", "key record: v=DKIM1; p=\n", mail.Quarantine},
		{"no answer", "FAIL servfail", sign(t, k, letter), "?dkim.key", "result: temperror key-unavailable\n", mail.Accept},
		{"l=", record, sign(t, k, letter, "l=6;") + "more\r\n", "!dkim.length", "body length: l=6, 6 octets beyond it", mail.Quarantine},
		{"expired", record, sign(t, k, letter, fmt.Sprintf("t=%d;", now-7200), fmt.Sprintf("x=%d;", now-3600)), "!dkim.expired", "expires: ", mail.Quarantine},
		{"from the future", record, sign(t, k, letter, fmt.Sprintf("t=%d;", now+86400)), "!dkim.clock", "signed: ", mail.Quarantine},
		{"rsa-sha1", record, strings.Replace(sign(t, k, letter), "ed25519-sha256", "rsa-sha1", 1), "!dkim.sha1", "algorithm: rsa-sha1\n", mail.Quarantine},
		{"a key of 512 bits", weakRecord, strings.Replace(sign(t, k, letter), "ed25519-sha256", "rsa-sha256", 1), "!dkim.weak !dkim.key", "key record: " + weakRecord, mail.Quarantine},
		{"a test key", testing_, sign(t, k, letter), "!dkim.testing", "key flag: t=y", mail.Accept},
		{"a test key, the body changed", testing_, sign(t, k, letter) + "x\r\n", "!dkim.testing !dkim.fail", "result: neutral test-flag\n", mail.Quarantine},
		{"a broken one beside a good one", record, sign(t, other, sign(t, k, letter)), "~dkim.key", "detail: there is no key record\n", mail.Accept},
		{"broken below a good one", record, sign(t, k, strings.Replace(sign(t, k, letter), "hola", "[lista] hola", 1)), "~dkim.fail", "selector: s\n", mail.Accept},
		{"two broken, one of them perhaps good", "FAIL timeout", sign(t, other, sign(t, k, letter)), "?dkim.key ?dkim.key", "", mail.Accept},
	} {
		t.Run(c.name, func(t *testing.T) {
			zone := maps.Clone(world)
			zone["_dmarc.good.example"] = []string{"TXT v=DMARC1; p=quarantine"}
			zone["s._domainkey.good.example"] = []string{c.record}
			if !strings.HasPrefix(c.record, "FAIL") {
				zone["s._domainkey.good.example"] = []string{"TXT " + c.record}
			}
			h.dns = zone
			reply, rec := h.judged(stranger(), "a@good.example", c.text)
			if !strings.HasPrefix(reply, "250 ") {
				t.Error(reply)
			}
			if got := failures(&rec.Findings, "dkim"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if len(rec.Findings.Others) > 0 {
				if got := seen(&rec.Findings, finding.ID(strings.Trim(strings.Fields(c.want + " dkim.missing")[0], "!?~"))); !strings.Contains(got, c.evidence) {
					t.Errorf("evidence:\n%s\nlacks %q", got, c.evidence)
				}
			}
			if v := policy.Profile(policy.Guia).Fold(&rec.Findings, policy.Facts{}); v.Action != c.guia {
				t.Errorf("the guides: %s for %s, want %s", v.Action, v.Check, c.guia)
			}
		})
	}
}

// What DMARC asked and found is told, of failures only; a record that asks for nothing
// is a finding of its own.
func TestDMARCEvidence(t *testing.T) {
	h := newHouse(t)
	zone := maps.Clone(world)
	zone["_dmarc.good.example"] = []string{"TXT v=DMARC1; p=none"}
	h.dns = zone
	_, rec := h.judged(stranger(), "a@good.example", letter)
	if got := failures(&rec.Findings, "dmarc"); got != "!dmarc.none" || !strings.Contains(seen(&rec.Findings, finding.DMARCNone), "record: v=DMARC1; p=none\n") {
		t.Errorf("%s\n%s", got, seen(&rec.Findings, finding.DMARCNone))
	}
	_, rec = h.judged(stranger(), "a@good.example", strings.Replace(letter, "From: a@good.example", "From: x@sub.bank.example", 1))
	got := seen(&rec.Findings, finding.DMARCFail)
	for _, want := range []string{
		"SPF: pass good.example\n", "DKIM: no signature\n", "author domain: sub.bank.example\n", "result: fail not-aligned\n",
		"record of: bank.example\n", "record: v=DMARC1; p=reject\n", "SPF good.example: not aligned: it belongs to another organization\n",
		"_dmarc.sub.bank.example: no policy record\n", "_dmarc.bank.example: v=DMARC1; p=reject\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("lacks %q:\n%s", want, got)
		}
	}
	if got := failures(&rec.Findings, "dmarc"); got != "!dmarc.fail" || rec.Asked != "reject" {
		t.Errorf("%s, asked: %s", got, rec.Asked)
	}
}

// trust makes the policy trust sealers.
func (h *house) trust(domains string) {
	h.t.Helper()
	err := h.store.ChangeDirectory(h.t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{}, tx.PutSetting(policy.Setting, "trusted_sealers = ["+domains+"]")
	})
	if err == nil {
		err = h.dir.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// seal puts the next ARC set above a message, for a sealer that found these results.
func seal(t testing.TB, k dkim.Key, text string, status arc.Status, results ...authres.Result) string {
	t.Helper()
	head, body := message.SplitHeader([]byte(text))
	hash := dkim.NewBodyHash(dkim.Relaxed)
	hash.Write(body)
	set, err := arc.Seal(head, hash.Sum(), k, arc.SealOptions{ServerID: "mx." + k.Domain, Results: results, Status: status, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	return string(set) + text
}

// A list that changes the text sends on what banks write. DMARC fails then; if the
// administrator trusts the list, its word on how the letter came to it counts (RFC
// 8617 §7.2), and nobody else's.
func TestTrustedForwarder(t *testing.T) {
	list, listRecord := key(t, "good.example", "arc")
	evil, evilRecord := key(t, "evil.example", "arc")
	bank := strings.Replace(letter, "From: a@good.example", "From: cuentas@bank.example", 1)
	passed, failed := authres.DMARC("pass", "bank.example"), authres.DMARC("fail", "bank.example")
	sealed := seal(t, list, bank, arc.None, passed)
	h := newHouse(t)
	for _, c := range []struct {
		name    string
		trusted string
		text    string
		reply   string
		want    string
		result  string // in Authentication-Results
	}{
		{"trusted", `"good.example"`, sealed, "250 ", "~dmarc.fail", "arc=pass smtp.remote-ip=192.0.2.1 header.oldest-pass=0;\r\n dmarc=fail\r\n reason=\"good.example is trusted, and sealed dmarc=pass in ARC set 1\""},
		{"trusted, and another sealed after it", `"good.example"`, seal(t, evil, sealed, arc.Pass, failed), "250 ", "~dmarc.fail", "arc=pass"},
		{"nobody is trusted", ``, sealed, "550 5.7.26 ", "!dmarc.fail", ""},
		{"another is trusted", `"bank.example"`, sealed, "550 5.7.26 ", "!dmarc.fail", ""},
		{"the trusted one says that DMARC failed", `"good.example"`, seal(t, list, bank, arc.None, failed), "550 5.7.26 ", "!dmarc.fail", ""},
		{"it says so of another domain", `"good.example"`, seal(t, list, bank, arc.None, authres.DMARC("pass", "shop.example")), "550 5.7.26 ", "!dmarc.fail", ""},
		{"a set of its name above another letter", `"good.example"`, seal(t, evil, strings.Replace(sealed, "\r\n\r\nhola", "\r\n\r\npaga", 1), arc.Pass, passed), "550 5.7.26 ", "!dmarc.fail", ""},
		{"the chain is broken", `"good.example"`, sealed + "x\r\n", "550 5.7.26 ", "!arc.fail !dmarc.fail", ""},
		{"a second author", `"good.example"`, seal(t, list, strings.Replace(bank, "From: ", "From: x@tienda.example, ", 1), arc.None, passed), "550 5.7.26 ", "!dmarc.fail", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			zone := maps.Clone(world)
			zone["arc._domainkey.good.example"] = []string{"TXT " + listRecord}
			zone["arc._domainkey.evil.example"] = []string{"TXT " + evilRecord}
			zone["_dmarc.tienda.example"] = []string{"TXT v=DMARC1; p=none"}
			h.dns = zone
			h.trust(c.trusted)
			reply, rec := h.judged(stranger(), "a@good.example", c.text)
			if !strings.HasPrefix(reply, c.reply) {
				t.Errorf("%s, want %s", reply, c.reply)
			}
			if got := failures(&rec.Findings, "arc", "dmarc"); c.want != "" && got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			rescued := rec.Override != nil && rec.Override.Type == "trusted_forwarder" && strings.Contains(rec.Override.Comment, "good.example is trusted")
			if rescued != (c.result != "") || rescued && rec.Asked != "" {
				t.Errorf("override %+v, asked %q", rec.Override, rec.Asked)
			}
			if c.result != "" {
				if got := h.mailIn("ana", "INBOX"); len(got) == 0 || !strings.Contains(got[len(got)-1], c.result) {
					t.Errorf("%q lacks %q", got, c.result)
				}
				if got := seen(&rec.Findings, finding.DMARCFail); !strings.Contains(got, "not counted: good.example is trusted") || !strings.Contains(got, "record: v=DMARC1; p=reject\n") {
					t.Errorf("evidence:\n%s", got)
				}
			}
		})
	}
}

// A key of a chain that cannot be looked up now breaks nothing.
func TestChainUnverified(t *testing.T) {
	k, _ := key(t, "good.example", "arc")
	h := newHouse(t)
	zone := maps.Clone(world)
	zone["arc._domainkey.good.example"] = []string{"FAIL timeout"}
	h.dns = zone
	_, rec := h.judged(stranger(), "a@good.example", seal(t, k, letter, arc.None, authres.SPF("pass", "a@good.example", "")))
	if got := failures(&rec.Findings, "arc"); got != "?arc.fail" {
		t.Error(got)
	}
}

// A chain of fifty sets, each as large as may be, makes a record that can be read.
func TestChainEvidenceIsBounded(t *testing.T) {
	text := letter
	for i := range arc.MaxSets {
		long := authres.Header{ServerID: "mx.good.example"}
		for range 20 {
			long.Results = append(long.Results, authres.Result{Method: "dkim", Value: "fail", Comment: strings.Repeat("ñ", 200)})
		}
		signature := fmt.Sprintf(": i=%d; a=rsa-sha256; d=good.example; s=none; t=1; h=From:%s; bh=AA==; b=AA==\r\n", i+1, strings.Repeat("Subject:", 100)+"To")
		text = "ARC-Message-Signature" + signature + fmt.Sprintf("ARC-Seal: i=%d; a=rsa-sha256; cv=pass; d=good.example; s=none; b=AA==\r\n", i+1) + string(long.AppendARC(nil, i+1)) + text
	}
	_, rec := newHouse(t).judged(stranger(), "a@good.example", text)
	got := seen(&rec.Findings, finding.ARCFail)
	if n := len(got); n == 0 || n > 30_000 || !strings.Contains(got, "not shown: ") || !strings.Contains(got, "ARC: fail ") {
		t.Errorf("%d octets of evidence: %.500s", n, got)
	}
}

// fields replaces the header of the letter but for From and To.
func fields(more ...string) string {
	return "From: a@good.example\r\nTo: ana@empresa.test\r\n" + strings.Join(more, "\r\n") + "\r\n\r\nhola\r\n"
}

// Each fault of a header is the check with its mend.
func TestHeaderChecks(t *testing.T) {
	now := message.FormatDate(time.Now())
	date, id := "Date: "+now, "Message-ID: <1@good.example>"
	near := stranger()
	near.Class = mail.LocalNetwork
	h := newHouse(t)
	for _, c := range []struct {
		name   string
		client mail.Client
		text   string
		want   string
		shown  string // of the first
	}{
		{"good", stranger(), fields(date, id), "", ""},
		{"Subject twice", stranger(), fields(date, id, "Subject: a", "subject: b"), "!header.duplicate", "more than once: subject\n"},
		{"Date and To twice", stranger(), fields(date, id, date, "To: x@example.org"), "!header.duplicate", "more than once: date to\n"},
		{"From twice", stranger(), fields(date, id, "From: a@good.example"), "!from.multiple", "authors: a@good.example, a@good.example\n"},
		{"authors of two domains", stranger(), strings.Replace(fields(date, id), "From: ", "From: x@example.org, ", 1), "!from.multiple", "authors: x@example.org, a@good.example\n"},
		{"8-bit", stranger(), fields(date, id, "Subject: año"), "!header.8bit", "8-bit field: Subject\n"},
		{"Latin-1", stranger(), fields(date, id, "X-A: b", "Subject: a\xf1o"), "!header.8bit", "8-bit field: Subject\n"},
		{"a long line", stranger(), fields(date, id, "Subject: "+strings.Repeat("x", 1000)), "!header.line", "limit: 998"},
		{"a long line in the text", stranger(), fields(date, id) + strings.Repeat("x", 1000) + "\r\n", "!header.line", "limit: 998"},
		{"no Date", stranger(), fields(id), "!header.date", "Date: none\n"},
		{"no date", stranger(), fields("Date: ayer", id), "!header.date", "Date: ayer\n"},
		{"two days ago", stranger(), fields("Date: "+message.FormatDate(time.Now().Add(-48*time.Hour)), id), "!header.date-skew", "it came: "},
		{"in two days", stranger(), fields("Date: "+message.FormatDate(time.Now().Add(48*time.Hour)), id), "!header.date-skew", "Date: "},
		{"yesterday", stranger(), fields("Date: "+message.FormatDate(time.Now().Add(-23*time.Hour)), id), "", ""},
		{"two days ago, of the local network", near, fields("Date: "+message.FormatDate(time.Now().Add(-48*time.Hour)), id), "", ""},
		{"no Message-ID", stranger(), fields(date), "!header.message-id", "Message-ID: none\n"},
		{"a Message-ID without brackets", stranger(), fields(date, "Message-ID: 1@good.example"), "!header.message-id", ""},
		{"a Message-ID without @", stranger(), fields(date, "Message-ID: <1>"), "!header.message-id", "Message-ID: <1>\n"},
		{"a line that is no field", stranger(), fields(date, id, "no field"), "!header.syntax", "defects: malformed-header"},
		{"a list without a way out", stranger(), fields(date, id, "List-Id: <x.good.example>"), "!list.unsubscribe", "List-Unsubscribe with an https link: no\n"},
		{"bulk", stranger(), fields(date, id, "Precedence: Bulk"), "!list.unsubscribe", ""},
		{"not bulk", stranger(), fields(date, id, "Precedence: first-class"), "", ""},
		{"one click, not signed", stranger(), fields(date, id, "List-Unsubscribe: <https://good.example/x>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "!list.unsubscribe", "both signed by a valid DKIM signature: no\n"},
		{"mailto only", stranger(), fields(date, id, "List-Unsubscribe: <mailto:x@good.example>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click"), "!list.unsubscribe", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, rec := h.judged(c.client, "a@good.example", c.text)
			if got := failures(&rec.Findings, "header", "from", "list"); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if c.want != "" && !strings.Contains(seen(&rec.Findings, finding.ID(c.want[1:])), c.shown) {
				t.Errorf("evidence %q lacks %q", seen(&rec.Findings, finding.ID(c.want[1:])), c.shown)
			}
		})
	}
}

// One-click unsubscribe that a valid signature covers is as RFC 8058 wants it.
func TestUnsubscribeSigned(t *testing.T) {
	h := newHouse(t)
	k, record := key(t, "good.example", "s")
	zone := maps.Clone(world)
	zone["s._domainkey.good.example"] = []string{"TXT " + record}
	h.dns = zone
	text := fields("Date: "+message.FormatDate(time.Now()), "Message-ID: <1@good.example>",
		"List-Unsubscribe: <mailto:x@good.example>,\r\n <https://good.example/x>", "List-Unsubscribe-Post: List-Unsubscribe=One-Click")
	_, rec := h.judged(stranger(), "a@good.example", sign(t, k, text))
	if got := rec.Findings.Outcome(finding.ListUnsubscribe); got != finding.Pass {
		t.Errorf("%v %s", got, seen(&rec.Findings, finding.ListUnsubscribe))
	}
}

// A header above the budget is refused, wherever its end is and however it arrives,
// and nothing is made of it; one within it is judged whole.
func TestHugeHeader(t *testing.T) {
	k, record := key(t, "good.example", "s")
	field := "X-Filler: " + strings.Repeat("x", 900) + "\r\n"
	for _, c := range []struct {
		name   string
		octets int
		want   string
	}{
		{"within the budget", maxHeader - 2000, "250 2.0.0 "},
		{"above", maxHeader + 2000, "552 5.3.4 The header is larger than 1 MiB [message.size] https://mx.empresa.test/why/"},
		{"far above, in a file", largeMemory + 2000, "552 5.3.4 The header is larger than 1 MiB [message.size] https://mx.empresa.test/why/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			zone := maps.Clone(world)
			zone["s._domainkey.good.example"] = []string{"TXT " + record}
			h.dns = zone
			text := sign(t, k, letter)
			text = strings.Repeat(field, (c.octets-len(text))/len(field)) + text
			reply, rec := h.judged(stranger(), "a@good.example", text)
			if !strings.HasPrefix(reply, c.want) {
				t.Error(reply)
			}
			accepted := strings.HasPrefix(reply, "250")
			if got := len(h.mailIn("ana", "INBOX")); (got == 1) != accepted {
				t.Errorf("%d messages", got)
			}
			if accepted && rec.Findings.Outcome(finding.DKIMMissing) != finding.Pass {
				t.Error("the signature was not found")
			}
			if !accepted && (rec.Stage != trace.AtData || rec.Findings.Outcome(finding.MessageSize) != finding.Fail || rec.To[0].Check != "message.size") {
				t.Errorf("%+v", rec)
			}
		})
	}
}

// The end of the header is found however the octets are cut.
func TestEndOfHeader(t *testing.T) {
	for text, want := range map[string]int{
		"A: b\r\n\r\nc\r\n": 8, "\r\nA: b\r\n\r\n": 2, "A: b\r\nC: d\r\n\r\n\r\n\r\n": 14, "A: b\r\nno end\r\n": -1, "A: b\r\n\n\r\n\r\n": 11,
	} {
		for size := 1; size <= len(text); size++ {
			k := &sink{header: -1, end3: [3]byte{0, '\r', '\n'}, env: &mail.Envelope{Client: mail.Client{Class: mail.Authenticated}}}
			at := 0
			for chunk := range chunks(text, size) {
				if k.header < 0 {
					k.findHeader([]byte(chunk), at)
				}
				at += len(chunk)
			}
			if k.header != want {
				t.Errorf("%q in pieces of %d: %d, want %d", text, size, k.header, want)
			}
		}
	}
}

// What an alias sends on for a stranger says whose key seals it, and what we found
// stands on top of it; what our own users send is signed instead.
func TestForwardedIsSealed(t *testing.T) {
	k, record := key(t, "good.example", "arc")
	zone := maps.Clone(world)
	zone["arc._domainkey.good.example"] = []string{"TXT " + record}
	away := maps.Clone(zone)
	away["arc._domainkey.good.example"] = []string{"FAIL timeout"}
	own := mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:0", HELO: "localhost", EHLO: true}
	sealed := seal(t, k, letter, arc.None, authres.SPF("pass", "a@good.example", ""))
	for _, c := range []struct {
		name   string
		client mail.Client
		zone   resolver.Static
		text   string
		seal   string
		top    []string // what the results on top say
	}{
		{"of a stranger", stranger(), zone, letter, "empresa.test", []string{"spf=pass smtp.mailfrom=a@good.example", "dkim=none", "dmarc=none"}},
		{"with a chain", stranger(), zone, sealed, "empresa.test", []string{"arc=pass"}},
		{"with a broken chain", stranger(), zone, sealed + "x\r\n", "empresa.test", []string{"arc=fail"}},
		{"with a chain that cannot be verified now", stranger(), away, sealed, "", nil},
		{"of our own", own, zone, letter, "", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.dns = c.zone
			if _, final := h.talk(c.client, "a@good.example", []string{"ventas@empresa.test"}, c.text); final[0].Code != 250 {
				t.Fatal(final)
			}
			q, err := h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
			if err != nil || len(q) != 1 {
				t.Fatal(q, err)
			}
			if q[0].Seal != c.seal {
				t.Errorf("sealed by %q, want %q", q[0].Seal, c.seal)
			}
			prefix := string(q[0].Prefix)
			if top := strings.HasPrefix(prefix, "Authentication-Results: mx.empresa.test;"); top != (c.seal != "") {
				t.Errorf("prefix %q", prefix)
			}
			for _, want := range c.top {
				if !strings.Contains(prefix, want) {
					t.Errorf("prefix %q lacks %q", prefix, want)
				}
			}
		})
	}
}
