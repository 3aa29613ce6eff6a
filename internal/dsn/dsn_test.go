package dsn

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"posta/internal/addr"
	"posta/internal/message"
)

func TestXtext(t *testing.T) {
	t.Parallel()
	for plain, enc := range map[string]string{
		"Bob@Big-Bucks.example": "Bob@Big-Bucks.example",
		"a+b=c d":               "a+2Bb+3Dc+20d",
		"":                      "",
		"\x00\xff":              "+00+FF",
	} {
		if got := EncodeXtext(plain); got != enc {
			t.Errorf("EncodeXtext(%q) = %q", plain, got)
		}
		if got, err := DecodeXtext(enc); err != nil || got != plain {
			t.Errorf("DecodeXtext(%q) = %q, %v", enc, got, err)
		}
	}
	for _, bad := range []string{"+", "+2", "+2b", "+GG", "a b", "a=b", "ñ"} {
		if got, err := DecodeXtext(bad); err == nil {
			t.Errorf("DecodeXtext(%q) = %q", bad, got)
		}
	}
}

func TestUTF8Address(t *testing.T) {
	t.Parallel()
	const plain = `ñ+a=b\ 𝒳@example.org`
	if got := EncodeUTF8Address(plain); got != `\x{F1}\x{2B}a\x{3D}b\x{5C}\x{20}\x{1D4B3}@example.org` {
		t.Errorf("7-bit form %q", got)
	}
	if got := EncodeUTF8Unitext(plain); got != `ñ\x{2B}a\x{3D}b\x{5C}\x{20}𝒳@example.org` {
		t.Errorf("8-bit form %q", got)
	}
	for _, bad := range []string{`\`, `\x`, `\x{}`, `\x{1}`, `\x{f1}`, `\x{1234567}`, `\x{D800}`, `\x{110000}`, "\xff"} {
		if got, err := DecodeUTF8Address(bad); err == nil {
			t.Errorf("DecodeUTF8Address(%q) = %q", bad, got)
		}
	}
}

func TestParams(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Notify{
		"NEVER": NotifyNever, "success,FAILURE": NotifySuccess | NotifyFailure, "DELAY": NotifyDelay,
		"": 0, "NEVER,DELAY": 0, "DELAY,DELAY": 0, "X": 0, "SUCCESS,": 0,
	} {
		n, err := ParseNotify(in)
		if n != want || (err == nil) != (want != 0) {
			t.Errorf("ParseNotify(%q) = %v, %v", in, n, err)
		}
		if err == nil {
			if again, err := ParseNotify(n.String()); err != nil || again != n {
				t.Errorf("%q → %q", in, n)
			}
		}
	}
	if NotifyNever.Wants(Failed) || !Notify(0).Wants(Failed) || Notify(0).Wants(Delivered) || !NotifySuccess.Wants(Relayed) || NotifyFailure.Wants(Delayed) {
		t.Error("Wants")
	}
	for _, r := range []Ret{RetFull, RetHeaders} {
		if got, err := ParseRet(strings.ToLower(r.String())); err != nil || got != r {
			t.Errorf("%v: %v, %v", r, got, err)
		}
	}
	if _, err := ParseRet("ALL"); err == nil {
		t.Error("RET=ALL")
	}
	if id, err := ParseEnvID("QQ314159+20x"); err != nil || id != "QQ314159 x" {
		t.Errorf("ENVID %q, %v", id, err)
	}
	for _, bad := range []string{"", "a+0D+0AX:", "+FF", strings.Repeat("x", 101)} {
		if _, err := ParseEnvID(bad); err == nil {
			t.Errorf("ENVID=%q", bad)
		}
	}
	for _, c := range []struct {
		in   string
		utf8 bool
		want Address
	}{
		{"rfc822;Bob@big.example", false, Address{"rfc822", "Bob@big.example"}},
		{"RFC822;a+2Bb@x", false, Address{"rfc822", "a+b@x"}},
		{`utf-8;\x{F1}@x`, false, Address{"utf-8", "ñ@x"}},
		{"utf-8;ñ@x", true, Address{"utf-8", "ñ@x"}},
		{"utf-8;ñ@x", false, Address{}},
		{"rfc822;+C3+B1@x", true, Address{}},
		{"rfc822;a+0D+0Ab", false, Address{}},
		{`utf-8;a\x{0D}`, true, Address{}},
		{"a@b", false, Address{}},
		{";a", false, Address{}},
		{"rfc822;", false, Address{}},
	} {
		a, err := ParseORCPT(c.in, c.utf8)
		if a != c.want || (err == nil) != !c.want.IsZero() {
			t.Errorf("ParseORCPT(%q) = %v, %v", c.in, a, err)
		}
	}
}

func notice() Notice {
	at := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	return Notice{
		Report: Report{
			EnvelopeID: "QQ 1", ReportingMTA: "mx.example.org", ReceivedFrom: "pc.example.org", Arrival: at,
			Recipients: []Recipient{{
				Original: Address{"rfc822", "Joe@example.net"}, Final: Address{"rfc822", "joe@example.net"},
				Action: Failed, Status: "5.1.1", RemoteMTA: "mail.example.net",
				Diagnostic: "550 5.1.1 no such\r\nX-Evil: user", DiagnosticType: "smtp", LastAttempt: at.Add(time.Hour), LogID: "q1",
				Why: Text{"There is no such mailbox.", "Ese buzón no existe."},
			}, {
				Final: Address{"rfc822", "ann@example.com"}, Action: Delayed, Status: "4.4.1", RetryUntil: at.Add(120 * time.Hour),
			}},
		},
		From: addr.Address{Local: "MAILER-DAEMON", Domain: "mx.example.org"},
		To:   addr.PathOf(addr.Address{Local: "sender", Domain: "example.org"}),
		Date: at, MessageID: "<n@mx.example.org>", Boundary: "=_b",
		Original: []byte("Message-ID: <o@example.org>\r\nSubject: hi\r\n\r\n"),
	}
}

func TestNotice(t *testing.T) {
	t.Parallel()
	got := notice().Bytes()
	_, machine, _ := bytes.Cut(got, []byte("Content-Type: message/delivery-status\r\n"))
	machine, _, _ = bytes.Cut(machine, []byte("\r\n--=_b"))
	const want = `Content-Transfer-Encoding: 7bit

Original-Envelope-Id: QQ 1
Reporting-MTA: dns; mx.example.org
Received-From-MTA: dns; pc.example.org
Arrival-Date: Tue, 2 Jan 2024 03:04:05 +0000

Original-Recipient: rfc822; Joe@example.net
Final-Recipient: rfc822; joe@example.net
Action: failed
Status: 5.1.1
Remote-MTA: dns; mail.example.net
Diagnostic-Code: smtp; 550 5.1.1 no such  X-Evil: user
Last-Attempt-Date: Tue, 2 Jan 2024 04:04:05 +0000
Final-Log-ID: q1

Final-Recipient: rfc822; ann@example.com
Action: delayed
Status: 4.4.1
Will-Retry-Until: Sun, 7 Jan 2024 03:04:05 +0000
`
	if g := strings.ReplaceAll(string(machine), "\r\n", "\n"); g != want {
		t.Errorf("machine part\n%s\nwant\n%s", g, want)
	}
	h, _ := message.SplitHeader(got)
	for name, want := range map[string]string{
		"From": "Mail Delivery System <MAILER-DAEMON@mx.example.org>", "To": "<sender@example.org>", "Auto-Submitted": "auto-replied",
		"Subject": "Your message could not be delivered", "In-Reply-To": "<o@example.org>",
		"Content-Type": `multipart/report; report-type=delivery-status; boundary="=_b"`,
	} {
		if g := h.Get(name); g != want {
			t.Errorf("%s: %q, want %q", name, g, want)
		}
	}
	root := message.ParseBytes(got, message.Budget{})
	if root.Defects != 0 || len(root.Children) != 3 {
		t.Fatalf("defects %b, %d parts", root.Defects, len(root.Children))
	}
	text, err := message.Text(bytes.NewReader(got), root.Children[0], 10_000)
	for _, want := range []string{"could not be delivered to: <joe@example.net>", "mail.example.net said: 550 5.1.1", "There is no such mailbox.", "no se pudo entregar a:", "Ese buzón no existe.", "until Sun, 07 Jan"} {
		if err != nil || !strings.Contains(text, want) {
			t.Errorf("text lacks %q: %s", want, text)
		}
	}
	n := notice()
	n.Language = Spanish
	if s := message.Header(n.Bytes()).Get("Subject"); s != "Su mensaje no se pudo entregar" {
		t.Errorf("Spanish subject %q", s)
	}
}

// machineOnly brings a report to what the machine part keeps.
func machineOnly(r Report) Report {
	for i := range r.Recipients {
		c := &r.Recipients[i]
		c.Why = Text{}
		c.Diagnostic = strings.ReplaceAll(c.Diagnostic, "\r\n", "  ")
	}
	return r
}

func TestRoundTrip(t *testing.T) {
	t.Parallel()
	for _, full := range []bool{false, true} {
		for _, utf8 := range []bool{false, true} {
			n := notice()
			n.UTF8 = utf8
			n.Recipients[0].Final = Address{"utf-8", "ñandú@example.net"}
			if full {
				n.Ret = RetFull
				n.Original = append(n.Original, "body\r\n"...)
			}
			b := n.Bytes()
			if !utf8 && bytes.ContainsFunc(b, func(r rune) bool { return r > 127 }) {
				t.Error("8-bit where 7-bit was promised")
			}
			r := bytes.NewReader(b)
			p, err := Parse(r, message.ParseBytes(b, message.Budget{}))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(machineOnly(n.Report), p.Report, cmp.Comparer(time.Time.Equal)); d != "" {
				t.Errorf("full %v, utf8 %v: %s", full, utf8, d)
			}
			h, err := p.OriginalHeader(r)
			if err != nil || h.Get("Subject") != "hi" || (p.Original.Message != nil) != full {
				t.Errorf("full %v, utf8 %v: original %q, %v", full, utf8, h, err)
			}
		}
	}
}

// TestParseForeign reads the example of RFC 3464 App. E.1 and a sloppy one.
func TestParseForeign(t *testing.T) {
	t.Parallel()
	const in = `From: Mail Delivery Subsystem <MAILER-DAEMON@CS.UTK.EDU>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=delivery-status;
      boundary="RAA14128.773615765/CS.UTK.EDU"

--RAA14128.773615765/CS.UTK.EDU

The original message was received at Sat, 2 Jul 1994 17:10:28 -0400

--RAA14128.773615765/CS.UTK.EDU
content-type: message/delivery-status

Reporting-MTA: dns; cs.utk.edu

Original-Recipient: rfc822;louisl@larry.slip.umd.edu
Final-Recipient: rfc822;louisl@larry.slip.umd.edu
Action: failed
Status: 4.0.0
Diagnostic-Code: smtp; 426 connection timed out
Last-Attempt-Date: Thu, 7 Jul 1994 17:15:49 -0400

--RAA14128.773615765/CS.UTK.EDU
content-type: message/rfc822

Subject: original

x
--RAA14128.773615765/CS.UTK.EDU--
`
	b := []byte(strings.ReplaceAll(in, "\n", "\r\n"))
	p, err := Parse(bytes.NewReader(b), message.ParseBytes(b, message.Budget{}))
	if err != nil || p.ReportingMTA != "cs.utk.edu" || len(p.Recipients) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if r := p.Recipients[0]; r.Final.Value != "louisl@larry.slip.umd.edu" || r.Action != Failed || r.Status != "4.0.0" || r.Permanent() || r.Diagnostic != "426 connection timed out" {
		t.Errorf("%+v", r)
	}
	sloppy := []byte("Content-Type: multipart/report; boundary=a\n\n--a\nContent-Type: message/delivery-status\n\n\ngarbage\nReporting-MTA: x\nFinal-Recipient: <a@b>\nAction: Failed (really)\nStatus: 5.1.1 (bad)\n--a--\n")
	p, err = Parse(bytes.NewReader(sloppy), message.ParseBytes(sloppy, message.Budget{}))
	if err != nil || p.Recipients[0].Final != (Address{"rfc822", "a@b"}) || p.Recipients[0].Action != Failed || p.Recipients[0].Status != "5.1.1" || p.Original != nil {
		t.Errorf("%+v, %v", p, err)
	}
	plain := []byte("Subject: x\n\ny")
	if _, err := Parse(bytes.NewReader(plain), message.ParseBytes(plain, message.Budget{})); err != ErrNotReport {
		t.Error(err)
	}
}

func FuzzParams(f *testing.F) {
	for _, s := range []string{"rfc822;a+2Bb@x", `utf-8;\x{F1}@x`, "utf-8;ñ@x", "x-type;a"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if got, err := DecodeXtext(EncodeXtext(s)); err != nil || got != s {
			t.Fatalf("xtext %q → %q, %v", s, got, err)
		}
		for _, utf8 := range []bool{false, true} {
			a, err := ParseORCPT(s, utf8)
			if err != nil {
				continue
			}
			if strings.ContainsAny(a.Value, "\r\n\x00") {
				t.Fatalf("%q", a)
			}
			enc := a.ORCPT(utf8)
			if len(enc) > maxORCPT {
				continue
			}
			if again, err := ParseORCPT(enc, utf8); err != nil || again != a {
				t.Fatalf("%q → %q → %q, %v", a, enc, again, err)
			}
		}
		if id, err := ParseEnvID(s); err == nil {
			if again, err := ParseEnvID(EncodeXtext(id)); err != nil && len(EncodeXtext(id)) <= maxEnvID || err == nil && again != id {
				t.Fatalf("%q → %q, %v", id, again, err)
			}
		}
	})
}

// FuzzNotice: whatever remote hosts and clients say, the notice is one
// well-formed message with the recipients that were put in.
func FuzzNotice(f *testing.F) {
	f.Add("550 no", "mx.example.net", "a@b", false)
	f.Add("550\r\n\r\n--=_b\r\n", "x\ny: z", "ñ@x\x00", true)
	f.Fuzz(func(t *testing.T, diagnostic, host, rcpt string, utf8 bool) {
		n := notice()
		n.UTF8 = utf8
		n.Recipients[0].Diagnostic, n.Recipients[0].RemoteMTA = diagnostic, host
		n.Recipients[0].Final = Address{"utf-8", rcpt}
		b := n.Bytes()
		root := message.ParseBytes(b, message.Budget{})
		if len(root.Children) != 3 || root.Defects.Has(message.BareLF) || root.Defects.Has(message.BareCR) || root.Defects.Has(message.ContainsNUL) {
			t.Fatalf("defects %b in %q", root.Defects, b)
		}
		p, err := Parse(bytes.NewReader(b), root)
		if err != nil || len(p.Recipients) != 2 || p.Recipients[0].Action != Failed {
			t.Fatalf("%v in %q", err, b)
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(notice().Bytes())
	f.Add([]byte("Content-Type: multipart/report; boundary=a\n\n--a\nContent-Type: message/delivery-status\n\nFinal-Recipient: a@b\n\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := Parse(bytes.NewReader(b), message.ParseBytes(b, message.Budget{}))
		if err != nil {
			return
		}
		if len(p.Recipients) == 0 || len(p.Recipients) > maxRecipients {
			t.Fatalf("%d recipients", len(p.Recipients))
		}
		for _, r := range p.Recipients {
			if strings.ContainsAny(r.Final.Value+r.Diagnostic+r.Status+r.RemoteMTA, "\r\n\x00") {
				t.Fatalf("%+v", r)
			}
		}
		if _, err := p.OriginalHeader(bytes.NewReader(b)); err != nil && err != message.ErrUnknownEncoding {
			t.Fatal(err)
		}
	})
}
