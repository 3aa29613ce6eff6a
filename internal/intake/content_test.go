package intake

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/spam/learn"
	"posta/internal/spam/spamtest"
	"posta/internal/spam/tally"
	"posta/internal/trace"
)

// parcel is a letter with a file.
func parcel(name string, data []byte) string {
	var b strings.Builder
	b.WriteString(strings.Replace(letter, "\r\n\r\nhola\r\n", "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 1))
	b.WriteString("--b\r\nContent-Type: text/plain\r\n\r\nsee the file\r\n--b\r\nContent-Type: application/octet-stream; name=\"" + name +
		"\"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
	enc := base64.StdEncoding.EncodeToString(data)
	for ; len(enc) > 76; enc = enc[76:] {
		b.WriteString(enc[:76] + "\r\n")
	}
	b.WriteString(enc + "\r\n--b--\r\n")
	return b.String()
}

func zipped(t testing.TB, name string, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(name)
	if err == nil {
		_, err = f.Write(data)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What the content alone leads to at the level strict.
func TestContent(t *testing.T) {
	h := newHouse(t)
	bomb := zipped(t, "zeros", make([]byte, 64<<20))
	flood := strings.Replace(letter, "hola\r\n", "", 1)
	for i := range 10_000 {
		flood += fmt.Sprintf("http://host%d.example/\r\n", i)
	}
	nested := strings.Replace(letter, "\r\n\r\n", "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b0\r\n\r\n", 1)
	for i := range 500 {
		nested += fmt.Sprintf("--b%d\r\nContent-Type: multipart/mixed; boundary=b%d\r\n\r\n", i, i+1)
	}
	many := strings.Replace(letter, "\r\n\r\n", "\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n", 1) +
		strings.Repeat("--b\r\nContent-Type: image/png; name=a.png\r\n\r\nx\r\n", 20_000) + "--b--\r\n"
	for _, c := range []struct {
		name, text string
		fails      string // of content, url and spam
		action     mail.Action
	}{
		{"a letter", letter, "", mail.Accept},
		{"a program is held", parcel("invoice.exe", []byte("MZ\x90\x00")), "!content.executable !spam.score", mail.Quarantine},
		{"a program in an archive is held", parcel("files.zip", zipped(t, "setup.scr", []byte("MZ\x90\x00"))), "!content.executable !spam.score", mail.Quarantine},
		{"a name that deceives", parcel("invoice.pdf.exe", []byte("MZ\x90\x00")), "!content.executable !content.name !spam.score", mail.Quarantine},
		{"macros are for Junk", parcel("offer.docm", zipped(t, "word/vbaProject.bin", []byte("x"))), "!content.macro", mail.Junk},
		{"an archive made to resist is held", parcel("a.zip", bomb), "!content.archive", mail.Quarantine},
		{"what nobody opens could not be verified", parcel("a.7z", []byte("7z\xbc\xaf\x27\x1c")), "?content.archive", mail.Accept},
		{"a name before the host", letter + "http://www.bank.example@evil.example/\r\n", "!url.credential", mail.Junk},
		{"10,000 links", flood, "!url.many", mail.Accept},
		{"parts in parts", nested, "", mail.Accept},
		{"20,000 parts", many, "", mail.Accept},
	} {
		reply, rec := h.judged(stranger(), "a@good.example", c.text)
		if got := failures(&rec.Findings, "content", "url", "spam"); got != c.fails || rec.To[0].Action != c.action.String() {
			t.Errorf("%s: %s %+v, want %s %s\n%s", c.name, got, rec.To[0], c.fails, c.action, reply)
		}
	}
}

// A file in a letter of one of our own is his affair.
func TestContentOfOurOwn(t *testing.T) {
	h := newHouse(t)
	c := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Account: int64(h.ids["ana"]), Login: "ana@empresa.test"}
	_, rec := h.judged(c, "ana@empresa.test", parcel("tool.exe", []byte("MZ\x90\x00")))
	if got := failures(&rec.Findings, "content", "url", "spam"); got != "" || rec.To[0].Action != "accept" {
		t.Errorf("%s %+v", got, rec.To[0])
	}
}

// learned makes a learner that knows a corpus for a model.
func learned(t testing.TB, m tally.Model) *learn.Learner {
	t.Helper()
	l := learn.New(&tally.Memory{})
	for i, raw := range spamtest.Mail(1, 150) {
		f, err := learn.Read(raw)
		if err == nil {
			err = l.Learn(t.Context(), m, f, i%2 == 0)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return l
}

// authored has the author be the stranger of these tests.
func authored(text string) string {
	head, rest, _ := strings.Cut(text, "\r\nFrom: ")
	_, rest, _ = strings.Cut(rest, "\r\n")
	return head + "\r\nFrom: a@good.example\r\n" + rest
}

// What was learned as spam goes to Junk, what was learned as wanted does not, and
// the reasons stand in the record.
func TestLearnedSpam(t *testing.T) {
	h := newHouse(t)
	h.Intake.cfg.Learner = learned(t, tally.Shared)
	for i, raw := range spamtest.Mail(2, 10) {
		_, rec := h.judged(stranger(), "a@good.example", authored(string(raw)))
		spam := i%2 == 0
		if rec.Findings.Outcome(finding.SpamScore) == finding.Fail != spam || (rec.To[0].Action == "junk") != spam {
			t.Errorf("message %d: %+v %v", i, rec.To[0], rec.Findings.Others)
		}
		if evidence := seen(&rec.Findings, finding.SpamScore); spam && (!strings.Contains(evidence, "learned: +") || !strings.Contains(evidence, " spam, ")) {
			t.Errorf("message %d: %s", i, evidence)
		}
	}
	if n := len(h.mailIn("ana", "Junk")); n != 10 {
		t.Errorf("%d in Junk", n)
	}
}

// What one account has learned is held against no other: one message, two verdicts.
func TestLearnedByOneAccount(t *testing.T) {
	h := newHouse(t)
	h.Intake.cfg.Learner = learned(t, tally.Account(int64(h.ids["luis"])))
	raw := authored(string(spamtest.Mail(2, 1)[0]))
	_, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test", "luis@empresa.test"}, raw)
	if final[0].Code != 250 || len(h.mailIn("ana", "INBOX")) != 1 || len(h.mailIn("luis", "Junk")) != 1 {
		t.Fatal(final, len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "Junk")))
	}
	if err := h.store.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	id, err := mail.ParseID(anID.FindString(final[0].String()))
	if err != nil {
		t.Fatal(err)
	}
	st, err := h.store.Trace(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil {
		t.Fatal(err)
	}
	if f, ok := rec.Findings.Find(finding.SpamScore); !ok || f.Subject != "luis@empresa.test" || rec.To[0].Action != "accept" || rec.To[1].Action != "junk" {
		t.Errorf("%+v %+v", f, rec.To)
	}
	// A dry run holds it against him alone too.
	for text, want := range map[string]string{"": "", "[rules]\n'spam.score' = 'accept'": "junk accept 1", "[rules]\n'spam.score' = 'quarantine'": "junk quarantine 1"} {
		var report command.PolicyReport
		h.do("policy.test", command.PolicyTrial{Text: text, Since: time.Now().Add(-time.Hour)}, &report)
		got := ""
		for _, c := range report.Changes {
			got += fmt.Sprint(c.Was, " ", c.Becomes, " ", c.Count)
		}
		if got != want {
			t.Errorf("dry run of %q: %q, want %q", text, got, want)
		}
	}
	// To him alone it is the message's own score.
	if _, rec := h.judged(stranger(), "a@good.example", raw); rec.To[0].Action != "accept" {
		t.Errorf("ana alone: %+v", rec.To)
	}
}

// BenchmarkContent is what judging the content of a message adds after the dot, as
// long as nobody has learned anything and afterwards.
func BenchmarkContent(b *testing.B) {
	plain := letter + strings.Repeat(strings.Repeat("un texto ", 7)+"\r\n", 60)
	for name, l := range map[string]Learner{"untrained": learn.New(&tally.Memory{}), "trained": learned(b, tally.Shared)} {
		b.Run(name, func(b *testing.B) {
			h := newHouse(b)
			h.Intake.cfg.Learner = l
			k, f := h.arrived(b, plain)
			b.SetBytes(int64(len(plain)))
			b.ReportAllocs()
			for b.Loop() {
				set := &finding.Set{}
				k.addContent(b.Context(), set, f)
				if set.Outcome(finding.SpamHigh) != finding.Pass {
					b.Fatal(set)
				}
			}
		})
	}
}

// arrived is a message of a stranger after the dot.
func (h *house) arrived(b *testing.B, text string) (*sink, *facts) {
	b.Helper()
	c := stranger()
	s := &session{in: h.Intake, client: &c}
	to := mail.Recipient{Address: address(b, "ana@empresa.test")}
	e := &mail.Envelope{Client: c, ReversePath: address(b, "a@good.example"), Recipients: []mail.Recipient{to}}
	view := h.dir.View()
	k := &sink{s: s, env: e, tx: &transaction{env: e, view: view, policy: h.policyOf(view)}, spool: h.spools.open(0),
		parser: message.NewParser(message.Budget{}), header: -1}
	if _, err := io.WriteString(k, text); err != nil {
		b.Fatal(err)
	}
	f, err := k.read(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	return k, f
}
