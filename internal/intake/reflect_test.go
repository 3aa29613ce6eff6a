package intake

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/trace"
)

// waiting lists what the queue holds, each with its text.
func (h *house) waiting() (out []store.QueueEntry, texts []string) {
	h.t.Helper()
	all, err := h.store.ListQueue(h.t.Context(), store.QueueFilter{})
	if err != nil {
		h.t.Fatal(err)
	}
	for _, e := range all {
		b, err := blob.ReadAll(h.t.Context(), h.blobs, e.Blob.ID, e.Blob.At)
		if err != nil {
			h.t.Fatal(err)
		}
		texts = append(texts, strings.ReplaceAll(string(b), "=\r\n", ""))
	}
	return all, texts
}

func test(fields, subject string) string {
	return "From: a@good.example\r\nTo: check-auth@empresa.test\r\nSubject: " + subject + "\r\n" + fields +
		"Date: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <" + subject + "@good.example>\r\n\r\nsecreto\r\n"
}

const askAuth = "check-auth@empresa.test"

// Who is proved to be the sender gets an answer from the null reverse-path, and
// nothing of the message is kept but its trace.
func TestReflected(t *testing.T) {
	h := newHouse(t)
	rcpt, final := h.talk(stranger(), "a@good.example", []string{askAuth}, test("", "es"))
	if len(rcpt) != 0 || len(final) != 1 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	queued, texts := h.waiting()
	if len(queued) != 1 || queued[0].Address != "a@good.example" || queued[0].ReversePath != "" || queued[0].Notify != mail.NotifyNever {
		t.Fatalf("%+v", queued)
	}
	for _, want := range []string{
		"From: \"mx.empresa.test\" <check-auth@empresa.test>\r\n", "To: a@good.example\r\n", "In-Reply-To: <es@good.example>\r\n",
		"Auto-Submitted: auto-replied\r\n", "Esta es la respuesta de check-auth", "pass smtp.mailfrom=3Da@good.example", "[dmarc.missing]", "RFC 9989",
	} {
		if !strings.Contains(texts[0], want) {
			t.Errorf("no %q in\n%s", want, texts[0])
		}
	}
	if strings.Contains(texts[0], "secreto") || len(h.mailIn("ana", "INBOX")) != 0 {
		t.Error("something of the message was kept")
	}
	rec := h.recordOf(final[0].Text)
	if rec.Stage != trace.Accepted || len(rec.To) != 1 || !slices.Contains(rec.To[0].Effects, "queue → a@good.example") || rec.Subject != "es" {
		t.Errorf("%+v", rec)
	}
}

// traceOf finds the record whose id a text ends in, or holds in a link.
func (h *house) recordOf(text string) *trace.Record {
	h.t.Helper()
	if err := h.store.FlushTraces(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	for _, w := range strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '/' }) {
		id, err := mail.ParseID(w)
		if err != nil {
			continue
		}
		st, err := h.store.Trace(h.t.Context(), id)
		if err != nil {
			h.t.Fatalf("%s: %v", text, err)
		}
		rec, err := trace.Decode(st.TraceRecord)
		if err != nil {
			h.t.Fatal(err)
		}
		return rec
	}
	h.t.Fatalf("no id in %q", text)
	return nil
}

// Nobody else gets one: each is refused in the session with the check that says
// why, and the link leads to what was found.
func TestNotReflected(t *testing.T) {
	forger := stranger()
	forger.IP, forger.HELO = netip.MustParseAddr("198.51.100.9"), "host.elsewhere.example"
	for _, c := range []struct {
		name   string
		client mail.Client
		from   string
		fields string
		want   string // reply; "" is an answer
	}{
		{"proved by SPF", stranger(), "a@good.example", "", ""},
		{"SPF forbids", forger, "a@good.example", "", "550 5.7.1 No answer is sent, since neither SPF nor DKIM proves the sender [reflect.unproven] https://"},
		{"no SPF", forger, "a@nothing.example", "", "550 5.7.1 *[reflect.unproven]"},
		{"SPF lets everybody pass is no reason to refuse others", stranger(), "b@good.example", "", ""},
		{"null reverse-path", stranger(), "", "", "550 5.7.1 *[reflect.automatic]"},
		{"an answer", stranger(), "a@good.example", "Auto-Submitted: auto-replied\r\n", "550 5.7.1 *[reflect.automatic]"},
		{"a list", stranger(), "a@good.example", "List-Id: <x.good.example>\r\n", "550 5.7.1 *[reflect.automatic]"},
		{"bulk", stranger(), "a@good.example", "Precedence: bulk\r\n", "550 5.7.1 *[reflect.automatic]"},
		{"ourselves", mail.Client{Door: mail.MX, IP: netip.MustParseAddr("127.0.0.1"), HELO: "x"}, askAuth, "", "550 5.7.1 *[reflect.automatic]"},
		{"a loop", stranger(), "a@good.example", strings.Repeat("Received: from x by y; Sat, 21 Nov 2026 10:00:00 +0000\r\n", 51), "550 5.4.6 *[loop.hops]"},
		{"our own user", mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "ana@empresa.test", IP: netip.MustParseAddr("203.0.113.77")}, "ana@empresa.test", "", ""},
		{"a local program", mail.Client{Door: mail.MX, IP: netip.MustParseAddr("127.0.0.1"), HELO: "x"}, "ana@empresa.test", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			rcpt, final := h.talk(c.client, c.from, []string{askAuth}, test(c.fields, "x"))
			if len(rcpt) != 0 || len(final) != 1 {
				t.Fatal(rcpt, final)
			}
			got := final[0].String()
			queued, _ := h.waiting()
			answers := len(queued) + len(h.mailIn("ana", "INBOX"))
			if c.want == "" {
				if final[0].Code != 250 || answers != 1 {
					t.Fatalf("%s, %d answers", got, answers)
				}
				return
			}
			start, rest, _ := strings.Cut(c.want, "*")
			if !strings.HasPrefix(got, start) || !strings.Contains(got, rest) || answers != 0 {
				t.Errorf("%s, %d answers", got, answers)
			}
			rec := h.recordOf(got)
			if rec.Stage != trace.AtData || rec.To[0].Action != "reject" || rec.To[0].Check != final[0].Check || rec.Findings.Outcome(finding.ID(final[0].Check)) != finding.Fail {
				t.Errorf("%+v", rec)
			}
		})
	}
}

// A repeat of a message whose 250 was never read gets no second answer (RFC 1047).
func TestReflectedOnce(t *testing.T) {
	h := newHouse(t)
	c := stranger()
	s, _ := h.Open(t.Context(), &c)
	h.converse(s, &c, "a@good.example", []string{askAuth}, test("", "x"))
	s.Close(t.Context(), smtpserver.CloseReason{Unconfirmed: true})
	if _, final := h.talk(stranger(), "a@good.example", []string{askAuth}, test("", "x")); final[0].Code != 250 {
		t.Fatal(final)
	}
	if queued, _ := h.waiting(); len(queued) != 1 {
		t.Errorf("%d answers", len(queued))
	}
}

// The reflector and others do not share a transaction.
func TestReflectorIsAlone(t *testing.T) {
	h := newHouse(t)
	for _, to := range [][]string{{askAuth, "ana@empresa.test"}, {"ana@empresa.test", askAuth}} {
		rcpt, final := h.talk(stranger(), "a@good.example", to, test("", to[0]))
		if len(rcpt) != 1 || !strings.HasPrefix(rcpt[0], "452 4.5.3 ") || len(final) != 1 || final[0].Code != 250 {
			t.Error(to, rcpt, final)
		}
	}
	if queued, _ := h.waiting(); len(queued) != 1 || len(h.mailIn("ana", "INBOX")) != 1 {
		t.Errorf("%d answers", len(queued))
	}
}

// One sender gets a bounded number of answers; then he is put off.
func TestReflectorIsLimited(t *testing.T) {
	h := newHouse(t)
	h.cfg.Now = func() time.Time { return time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC) }
	for i := range ofSender.Burst + 1 {
		_, final := h.talk(stranger(), "a@good.example", []string{askAuth}, test("", "n"+itoa(i)))
		switch {
		case i < ofSender.Burst && final[0].Code != 250, i == ofSender.Burst && !strings.Contains(final[0].String(), "[rate.sender]"):
			t.Fatal(i, final)
		case i == ofSender.Burst && final[0].Code != 451:
			t.Error(final)
		}
	}
	for i := range ofNetwork.Burst - ofSender.Burst + 1 {
		_, final := h.talk(stranger(), "n"+itoa(i)+"@good.example", []string{askAuth}, test("", "m"+itoa(i)))
		if last := i == ofNetwork.Burst-ofSender.Burst; last != strings.Contains(final[0].String(), "[rate.client]") {
			t.Fatal(i, final)
		}
	}
}

// Switched off, the address does not exist; an account or an alias of that name is
// served before it.
func TestReflectorGivesWay(t *testing.T) {
	h := newHouse(t)
	do := func(name, args string) {
		t.Helper()
		house := &command.House{Store: h.store, Blobs: h.blobs, Directory: h.dir}
		if _, err := command.Do(t.Context(), house, command.Principal{Name: "test", Role: store.Owner}, name, []byte(args)); err != nil {
			t.Fatal(err)
		}
	}
	do("reflector.set", `{"name":"off"}`)
	if rcpt, _ := h.talk(stranger(), "a@good.example", []string{askAuth}, test("", "x")); len(rcpt) != 1 || !strings.HasPrefix(rcpt[0], "550 5.1.1") {
		t.Error("off:", rcpt)
	}
	do("reflector.set", `{"name":"on"}`)
	if !h.dir.View().Reflects(address(t, "Check-Auth@empresa.test")) || h.dir.View().Setting(directory.ReflectorSetting) != "" {
		t.Error("on again")
	}
	do("alias.add", `{"address":"check-auth@empresa.test","targets":["luis@empresa.test"]}`)
	h.talk(stranger(), "a@good.example", []string{askAuth}, test("", "x"))
	if n := len(h.mailIn("luis", "INBOX")); n != 1 {
		t.Error("an alias:", n)
	}
}
