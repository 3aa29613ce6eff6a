package intake

import (
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/milter"
	"posta/internal/scan"
	"posta/internal/scan/scantest"
	"posta/internal/smtp"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/trace"
)

// asking is a house that asks one scanner, which does what letters say.
func asking(t *testing.T, kind string, m scan.Member) (*house, *scantest.Server) {
	t.Helper()
	h := newHouse(t)
	return h, h.ask(kind, m)
}

// ask adds a runner with one scanner to a house.
func (h *house) ask(kind string, m scan.Member) *scantest.Server {
	h.t.Helper()
	s, err := scantest.Start(kind)
	if err != nil {
		h.t.Fatal(err)
	}
	m.Name = kind
	switch kind {
	case scantest.Milter:
		m.Scanner, err = scan.NewMilter(s.Address(), milter.Options{})
	case scantest.Rspamd:
		m.Scanner, err = scan.NewRspamd(s.Address(), scan.RspamdOptions{})
	case scantest.ClamAV:
		m.Scanner, err = scan.NewClamAV(s.Address(), scan.ClamAVOptions{})
	}
	if err != nil {
		h.t.Fatal(err)
	}
	r, err := scan.New(scan.Config{Members: []scan.Member{m}, TempDir: scan.TempDir(h.t.TempDir())})
	if err != nil {
		h.t.Fatal(err)
	}
	h.cfg.Scanners = scan.NewLive(r)
	h.t.Cleanup(func() {
		if err := h.cfg.Scanners.Close(); err != nil {
			h.t.Error(err)
		}
		s.Close()
	})
	return s
}

// told is the letter with fields above its others.
func told(fields ...string) string {
	return strings.Join(append(fields, letter), "\r\n")
}

// kept is the trace of the last transaction of the house.
func (h *house) kept(final []smtp.Reply) *trace.Record {
	h.t.Helper()
	text := final[0].String()
	if err := h.store.FlushTraces(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	word := text[strings.LastIndexAny(text, " /")+1:]
	id, err := mail.ParseID(word)
	if err != nil {
		h.t.Fatal(text)
	}
	got, err := h.store.Trace(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	rec, err := trace.Decode(got.TraceRecord)
	if err != nil {
		h.t.Fatal(err)
	}
	return rec
}

// fieldsFrom gives what stands below the fields that we add, from a field on.
func fieldsFrom(t *testing.T, text, from string) string {
	t.Helper()
	i := strings.Index(text, "\r\n"+from)
	if i < 0 {
		t.Fatalf("no field %s in\n%s", from, text)
	}
	return text[i+2:]
}

// blobOf is the one blob that ana's inbox has, as it rests.
func (h *house) blobOf() string {
	h.t.Helper()
	all, err := h.store.ListMailboxes(h.t.Context(), h.ids["ana"])
	if err != nil {
		h.t.Fatal(err)
	}
	for _, m := range all {
		msgs, err := h.store.Fetch(h.t.Context(), m.Account, m.ID, store.FetchQuery{Want: store.WantBytes})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, s := range msgs {
			b, err := blob.ReadAll(h.t.Context(), h.blobs, s.Blob.ID, s.Blob.At)
			if err != nil {
				h.t.Fatal(err)
			}
			return string(b)
		}
	}
	h.t.Fatal("ana has nothing")
	return ""
}

// What a milter edits is what is kept: an edited header beside the bytes that came,
// an edited body in their place.
func TestMilterEdits(t *testing.T) {
	head, body, _ := strings.Cut(letter, "\r\n\r\n")
	long := strings.Repeat("X-Long: "+strings.Repeat("x", 60)+"\r\n", 2000)
	for _, c := range []struct {
		name, sent, from, want string
		blobIsWhatCame         bool
	}{
		{"a field below", letter, "From: a@", head + "\r\nX-Filtered: yes\r\n\r\n" + body, true},
		{"a field above", told("X-Do: insert X-Top: a"), "X-Top: a", "X-Top: a\r\nX-Do: insert X-Top: a\r\n" + head + "\r\nX-Filtered: yes\r\n\r\n" + body, true},
		{"another subject", told("X-Do: change Subject: adiós", "X-Do: delete X-Do"), "From: a@", strings.Replace(head, "hola", "adiós", 1) + "\r\nX-Filtered: yes\r\n\r\n" + body, true},
		{"another body", told("X-Do: body otra cosa"), "X-Do:", "X-Do: body otra cosa\r\n" + head + "\r\nX-Filtered: yes\r\n\r\notra cosa\r\n", false},
		{"a body where there was none", "X-Do: body algo\r\n" + head + "\r\n", "X-Do:", "X-Do: body algo\r\n" + head + "\r\nX-Filtered: yes\r\n\r\nalgo\r\n", false},
		{"another kind of content", told("X-Do: insert Content-Type: multipart/mixed; boundary=b") + "--b\r\n\r\none\r\n--b--\r\n", "Content-Type:",
			"Content-Type: multipart/mixed; boundary=b\r\nX-Do: insert Content-Type: multipart/mixed; boundary=b\r\n" + head + "\r\nX-Filtered: yes\r\n\r\n" + body + "--b\r\n\r\none\r\n--b--\r\n", true},
		{"a header that lies about us", "Authentication-Results: mx.empresa.test; spf=pass\r\n" + letter, "From: a@", head + "\r\nX-Filtered: yes\r\n\r\n" + body, true},
		{"a header above what a prefix may hold", long + letter, "X-Long:", long + head + "\r\nX-Filtered: yes\r\n\r\n" + body, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := asking(t, scantest.Milter, scan.Member{})
			rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, c.sent)
			if len(rcpt) != 0 || final[0].Code != 250 {
				t.Fatal(rcpt, final)
			}
			got := h.mailIn("ana", "INBOX")
			got = append(got, h.mailIn("ana", "Junk")...)
			if len(got) != 1 || fieldsFrom(t, got[0], c.from) != c.want {
				t.Fatalf("kept\n%s\nwant\n%s", got, c.want)
			}
			if strings.Contains(got[0], "spf=pass\r\n") {
				t.Error("the forged field is there")
			}
			if h.blobOf() == c.sent != c.blobIsWhatCame {
				t.Errorf("the blob is what came: %v", !c.blobIsWhatCame)
			}
			rec := h.kept(final)
			if rec.Size != int64(len(c.sent)) || len(rec.Scans) != 1 || rec.Findings.Outcome(finding.ScanRefused) != finding.Pass || rec.Findings.Outcome(finding.ScanDown) != finding.Pass ||
				!slices.Contains(rec.Scans[0].Edits, "add X-Filtered: yes") {
				t.Errorf("%+v", rec)
			}
		})
	}
}

// Structure and envelope are those of the edited bytes.
func TestEditedStructure(t *testing.T) {
	for _, do := range []string{"insert Content-Type: multipart/mixed; boundary=b", "change Subject: x", "body nuevo"} {
		h, _ := asking(t, scantest.Milter, scan.Member{})
		_, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, told("X-Do: "+do)+"--b\r\n\r\none\r\n--b--\r\n")
		if final[0].Code != 250 {
			t.Fatal(final)
		}
		got := h.mailIn("ana", "INBOX")
		tree := message.ParseBytes([]byte(got[0]), message.Budget{})
		want := "text/plain"
		if strings.HasPrefix(do, "insert") {
			want = "multipart/mixed text/plain"
		}
		h.sameStructure(tree, want)
	}
}

// A filter can refuse in the session and after the dot, in its own words, and makes no
// open relay; postmaster@ stays open.
func TestMilterRefuses(t *testing.T) {
	h, s := asking(t, scantest.Milter, scan.Member{})
	why := " [scan.refused] https://mx.empresa.test/why/"
	for _, c := range []struct {
		name, from, to, letter string
		rcpt, final            string // the beginning of the reply; "" is acceptance
	}{
		{"MAIL", "filtered@good.example", "ana@empresa.test", letter, "550 5.7.1 <ana@empresa.test>: not past this filter" + why, ""},
		{"MAIL, to postmaster", "filtered@good.example", "postmaster@empresa.test", letter, "", "250 "},
		{"RCPT", "a@good.example", "filtered@empresa.test", letter, "550 5.1.1 ", ""}, // unknown to us: the filter is not asked
		{"relay", "a@good.example", "x@elsewhere.example", letter, "554 5.7.1 <x@elsewhere.example>: Relay access denied", ""},
		{"the message", "a@good.example", "ana@empresa.test", told("X-Do: reply 554 5.6.0 no macros here"), "", "554 5.6.0 no macros here" + why},
		{"for now", "a@good.example", "ana@empresa.test", told("X-Do: reply 451 4.3.2 come again"), "", "451 4.3.2 come again" + why},
		{"the connection is not a filter's to close", "a@good.example", "ana@empresa.test", told("X-Do: reply 421 4.3.2 go away"), "", "451 4.3.2 go away" + why},
		{"the message, to postmaster", "a@good.example", "postmaster@empresa.test", told("X-Do: reply 554 5.6.0 no"), "", "250 "},
	} {
		rcpt, final := h.talk(stranger(), c.from, []string{c.to}, c.letter)
		if c.rcpt != "" && (len(rcpt) != 1 || !strings.HasPrefix(rcpt[0], c.rcpt)) || c.rcpt == "" && (len(rcpt) != 0 || !strings.HasPrefix(final[0].String(), c.final)) {
			t.Errorf("%s: %q %v", c.name, rcpt, final)
		}
	}
	if got := strings.Join(s.Heard(), "\n"); strings.Contains(got, "elsewhere") || strings.Contains(got, "rcpt <filtered") {
		t.Errorf("the filter was told of whom we refuse:\n%s", got)
	}
	if n := len(h.mailIn("ana", "INBOX")); n != 2 { // both to postmaster
		t.Errorf("ana has %d", n)
	}
	// A recipient who exists, and whom the filter does not want.
	h.alias("filtered", []string{"ana@empresa.test"})
	rcpt, final := h.talk(stranger(), "a@good.example", []string{"filtered@empresa.test", "luis@empresa.test"}, letter)
	if len(rcpt) != 1 || !strings.HasPrefix(rcpt[0], "550 5.7.1 <filtered@empresa.test>: not past this filter"+why) || final[0].Code != 250 {
		t.Error(rcpt, final)
	}
}

// Held, dropped, junked, and what rspamd would rather see again.
func TestMilderWishes(t *testing.T) {
	h, _ := asking(t, scantest.Milter, scan.Member{})
	send := func(text string) *trace.Record {
		t.Helper()
		_, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, text)
		if final[0].Code != 250 {
			t.Fatal(final)
		}
		return h.kept(final)
	}
	if rec := send(told("X-Do: quarantine odd")); rec.To[0].Action != "quarantine" || rec.Filter != "quarantine" || rec.To[0].Check != "scan.refused" {
		t.Errorf("%+v", rec.To)
	}
	if rec := send(told("X-Do: discard")); rec.To[0].Action != "discard" || rec.Filter != "discard" || len(h.mailIn("ana", "INBOX")) != 0 {
		t.Errorf("%+v", rec.To)
	}
	h2, _ := asking(t, scantest.Rspamd, scan.Member{})
	h = h2
	if rec := send(told("X-Score: 7")); rec.To[0].Action != "junk" || rec.To[0].Check != "spam.score" || rec.Scans[0].Score != 7 || !slices.Equal(rec.Scans[0].Symbols, []string{"X_SCORE 7"}) {
		t.Errorf("%+v %+v", rec.To, rec.Scans)
	}
	if got := h.mailIn("ana", "Junk"); len(got) != 1 || !strings.Contains(got[0], "\r\nX-Spam-Score: 7\r\n\r\nhola") {
		t.Errorf("%q", got)
	}
	// Without a memory of strangers nobody could be known again.
	if rec := send(told("X-Score: 5")); rec.To[0].Action != "accept" || !rec.Scans[0].Greylist {
		t.Errorf("%+v", rec.Scans)
	}
	if _, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, told("X-Score: 16")); !strings.HasPrefix(final[0].String(), "550 5.7.1 A filter of this server refused the message") {
		t.Error(final)
	}
}

// rspamd's wish to see a message later puts strangers off once, as greylisting does.
// Nobody of ours is put off, nor one who came again. A table by which filters refuse
// nothing hears of no wish.
func TestScannerWishesToGreylist(t *testing.T) {
	h, now := strangersHouse(t, nil)
	h.ask(scantest.Rspamd, scan.Member{})
	cfg := h.cfg
	h.Intake = New(cfg, h.dir, h.Intake.store, h.Intake.blobs, strangers, h.login)
	ana := []string{"ana@empresa.test"}
	const wait = "451 4.7.1 Not known here yet, try again in a few minutes [greylist.wait] https://"
	good := from("192.0.2.1", "mx.good.example")
	luis := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"]), HELO: "x", EHLO: true, IP: netip.MustParseAddr("192.0.2.77")}
	for _, tt := range []struct {
		what   string
		client mail.Client
		from   string
		to     []string
		score  string
		later  time.Duration
		want   string
	}{
		{"a score that is no reason", good, "a@good.example", ana, "3", 0, "250 "},
		{"the wish", good, "a@good.example", ana, "5", 0, wait},
		{"too soon", good, "a@good.example", ana, "5", time.Minute, wait},
		{"one of our own", luis, "luis@empresa.test", ana, "5", 0, "250 "},
		{"the local network", from("127.0.0.1", "x"), "a@good.example", ana, "5", 0, "250 "},
		{"postmaster@ hears everybody", good, "a@good.example", []string{"postmaster@empresa.test"}, "5", 0, "250 "},
		{"it came again", good, "a@good.example", ana, "5", 5 * time.Minute, "250 "},
		{"and is known", good, "other@good.example", ana, "5.5", 0, "250 "},
	} {
		now.t = now.t.Add(tt.later)
		_, final := h.talk(tt.client, tt.from, tt.to, told("X-Score: "+tt.score))
		if !strings.HasPrefix(final[0].String(), tt.want) {
			t.Errorf("%s: %s", tt.what, final[0])
		}
		rec := h.kept(final)
		f, put := rec.Findings.Find(finding.Greylisted)
		if put != (tt.want == wait) || put && !strings.Contains(f.String(), "because of: scan.refused") {
			t.Errorf("%s: %v", tt.what, f)
		}
		if put && (len(rec.Notes) == 0 || rec.Notes[0] != (finding.Fact{What: "a scanner would like it to come again later", Seen: "rspamd: score 5 of 15"})) {
			t.Errorf("%s: %+v", tt.what, rec.Notes)
		}
		if tt.what == "it came again" && !rec.Greylisted {
			t.Errorf("%s: %+v", tt.what, rec)
		}
	}
	setPolicy(t, h, "level = 'strict'\n[rules]\n'scan.refused' = 'junk'\n")
	if _, final := h.talk(from("203.0.113.20", "gw.nat.example"), "a@nat.example", ana, told("X-Score: 5")); final[0].Code != 250 {
		t.Error(final)
	}
}

// A virus is refused for everybody, with the name of what was found.
func TestVirus(t *testing.T) {
	h, _ := asking(t, scantest.ClamAV, scan.Member{})
	own := mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:0", HELO: "localhost", EHLO: true}
	for _, c := range []mail.Client{stranger(), own} {
		_, final := h.talk(c, "a@good.example", []string{"ana@empresa.test"}, letter+scantest.EICAR+"\r\n")
		if !strings.HasPrefix(final[0].String(), "550 5.7.1 A scanner found a virus in the message (Eicar-Signature) [scan.virus] ") {
			t.Fatal(final)
		}
		if f, ok := h.kept(final).Findings.Find(finding.ScanVirus); !ok || f.Subject != "Eicar-Signature" {
			t.Errorf("%+v", f)
		}
	}
}

// A scanner that is down, or goes away in the middle, puts the message off or lets it
// pass, as it is set. It comes once.
func TestScannerFails(t *testing.T) {
	for _, kind := range []string{scantest.Milter, scantest.Rspamd, scantest.ClamAV} {
		for _, set := range []scan.Fallback{scan.Defer, scan.Pass} {
			for _, manner := range []scantest.Manner{scantest.Down, scantest.Dying} {
				t.Run(kind+" "+set.String(), func(t *testing.T) {
					h, s := asking(t, kind, scan.Member{OnFailure: set})
					s.Set(manner)
					rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test", "luis@empresa.test"}, letter)
					told := rcpt
					for _, r := range final {
						told = append(told, r.String())
					}
					if set == scan.Pass {
						if len(told) != 1 || !strings.HasPrefix(told[0], "250 ") {
							t.Fatal(told)
						}
						rec := h.kept(final)
						if rec.Findings.Outcome(finding.ScanDown) != finding.Unverified || rec.Scans[0].Cause != "down" || rec.To[0].Action != "accept" {
							t.Errorf("%+v", rec)
						}
					} else {
						for _, r := range told {
							if !strings.HasPrefix(r, "451 4.3.0 ") || !strings.Contains(r, "A scanner of this server does not answer") || !strings.Contains(r, "[scan.down] https://mx.empresa.test/why/") {
								t.Fatal(told)
							}
						}
						if len(told) == 0 || len(h.mailIn("ana", "INBOX")) != 0 {
							t.Fatal(told)
						}
						s.Set(scantest.Up)
						if rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test", "luis@empresa.test"}, letter); len(rcpt) != 0 || final[0].Code != 250 {
							t.Fatal(rcpt, final)
						}
					}
					if a, l := len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "INBOX")); a != 1 || l != 1 {
						t.Errorf("ana has %d, luis %d", a, l)
					}
				})
			}
		}
	}
}

// A milter that failed is asked again by the next transaction of the same connection.
func TestMilterComesBack(t *testing.T) {
	h, s := asking(t, scantest.Milter, scan.Member{})
	c := stranger()
	sess, _ := h.Open(t.Context(), &c)
	defer func() { sess.Close(t.Context(), smtpserver.CloseReason{}) }()
	s.Set(scantest.Dying)
	if _, final := h.converse(sess, &c, "a@good.example", []string{"ana@empresa.test"}, letter); final[0].Code != 451 {
		t.Fatal(final)
	}
	sess.Reset(t.Context())
	s.Set(scantest.Up)
	for range 2 {
		if _, final := h.converse(sess, &c, "a@good.example", []string{"ana@empresa.test"}, letter); final[0].Code != 250 {
			t.Fatal(final)
		}
	}
	connects := slices.DeleteFunc(s.Heard(), func(l string) bool { return !strings.HasPrefix(l, "connect ") })
	if want := []string{"connect mx.good.example", "connect mx.good.example"}; !slices.Equal(connects, want) {
		t.Errorf("%q", connects)
	}
}

// Recipients and reverse-path change as far as local policy goes.
func TestMilterChangesTheEnvelope(t *testing.T) {
	own := mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:0", HELO: "localhost", EHLO: true, IP: netip.Addr{}}
	for _, c := range []struct {
		name      string
		client    mail.Client
		do        []string
		ana, luis int
		queued    string // "from → to"
		note      string
	}{
		{"one of ours is added", stranger(), []string{"rcpt luis@empresa.test"}, 1, 1, "", ""},
		{"one is deleted", stranger(), []string{"drop ana@empresa.test"}, 0, 0, "", ""},
		{"one for another", stranger(), []string{"drop ana@empresa.test", "rcpt luis@empresa.test"}, 0, 1, "", ""},
		{"no open relay, and nobody lost", stranger(), []string{"drop ana@empresa.test", "rcpt x@good.example"}, 1, 0, "", "not allowed: the recipient <x@good.example>; no recipient is deleted"},
		{"nobody whom we do not know", stranger(), []string{"rcpt nadie@empresa.test"}, 1, 0, "", "not allowed: the recipient <nadie@empresa.test>; no recipient is deleted"},
		{"our own users may", own, []string{"rcpt x@good.example"}, 1, 0, "a@good.example → x@good.example", ""},
		{"a reverse-path of ours", own, []string{"rcpt x@good.example", "from luis@empresa.test"}, 1, 0, "luis@empresa.test → x@good.example", ""},
		{"no stranger's reverse-path", own, []string{"rcpt x@good.example", "from y@bank.example"}, 1, 0, "a@good.example → x@good.example", "not allowed: the reverse-path <y@bank.example>"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, _ := asking(t, scantest.Milter, scan.Member{})
			var fields []string
			for _, d := range c.do {
				fields = append(fields, "X-Do: "+d)
			}
			_, final := h.talk(c.client, "a@good.example", []string{"ana@empresa.test"}, told(fields...))
			if final[0].Code != 250 {
				t.Fatal(final)
			}
			if a, l := len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "INBOX")); a != c.ana || l != c.luis {
				t.Errorf("ana has %d, luis %d", a, l)
			}
			q, err := h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
			if err != nil {
				t.Fatal(err)
			}
			queued := ""
			for _, e := range q {
				queued += e.ReversePath + " → " + e.Address
			}
			rec := h.kept(final)
			if queued != c.queued || c.note != "" && !slices.Contains(rec.Scans[0].Edits, c.note) {
				t.Errorf("queued %q\n%+v", queued, rec.Scans)
			}
			if rec.From != "a@good.example" {
				t.Error(rec.From)
			}
		})
	}
}

// A repeat of an accept (RFC 1047) is known by the bytes that came, whatever filters
// made of them, and adds nobody a second time.
func TestRepeatOfEdited(t *testing.T) {
	h, _ := asking(t, scantest.Milter, scan.Member{})
	text := told("X-Do: body otra cosa", "X-Do: rcpt luis@empresa.test")
	for range 2 {
		c := stranger()
		s, _ := h.Open(t.Context(), &c)
		_, final := h.converse(s, &c, "a@good.example", []string{"ana@empresa.test"}, text)
		if final[0].Code != 250 {
			t.Fatal(final)
		}
		s.Close(t.Context(), smtpserver.CloseReason{Unconfirmed: true})
	}
	if a, l := len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "INBOX")); a != 1 || l != 1 {
		t.Errorf("ana has %d, luis %d", a, l)
	}
}

// What our own users submit is complete, and without Bcc, when filters see it: so a
// filter that signs signs what is sent.
func TestFiltersSeeWhatIsSent(t *testing.T) {
	h, s := asking(t, scantest.Milter, scan.Member{Classes: []mail.Class{mail.Authenticated}})
	root := mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:0", HELO: "localhost", EHLO: true}
	_, final := h.talk(root, "a@empresa.test", []string{"x@good.example"}, "Subject: x\r\nBcc: luis@empresa.test\r\nHola\r\n")
	if final[0].Code != 250 {
		t.Fatal(final)
	}
	q, err := h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
	if err != nil || len(q) != 1 {
		t.Fatal(q, err)
	}
	b, err := blob.ReadAll(t.Context(), h.blobs, q[0].Blob.ID, q[0].Blob.At)
	if err != nil {
		t.Fatal(err)
	}
	sent := string(q[0].Prefix) + string(b[q[0].Skip:])
	heard := s.Heard()
	saw := heard[len(heard)-1]
	if !strings.Contains(saw, "Date: ") || !strings.Contains(saw, "Message-ID: <") || strings.Contains(saw, "Bcc") {
		t.Errorf("the filter saw\n%s", saw)
	}
	if want := strings.Replace(saw, "\r\n\r\nHola", "\r\nX-Filtered: yes\r\n\r\nHola", 1); !strings.HasSuffix(sent, want) || strings.Contains(string(b), "Bcc") {
		t.Errorf("sent\n%s\nthe filter saw\n%s", sent, saw)
	}
	// It does not concern strangers.
	if _, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, letter); final[0].Code != 250 || len(s.Heard()) != len(heard) {
		t.Error(final, s.Heard()[len(heard):])
	}
}

// Text between the header and its end does not slip past a filter that hears header
// and body apart.
func TestNothingBetweenHeaderAndBody(t *testing.T) {
	h, s := asking(t, scantest.Milter, scan.Member{})
	_, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, "From: a@good.example\r\nSubject: x\r\nno field\r\nTo: b\r\n\r\nbody\r\n")
	heard := s.Heard()
	if final[0].Code != 250 || heard[len(heard)-1] != "From: a@good.example\r\nSubject: x\r\n\r\nno field\r\nTo: b\r\n\r\nbody\r\n" {
		t.Errorf("%v %q", final, heard)
	}
}

// The refusal that LMTP gives each recipient is the filter's too.
func TestFilterOverLMTP(t *testing.T) {
	h, _ := asking(t, scantest.Milter, scan.Member{})
	c := mail.Client{Door: mail.LMTP, IP: netip.MustParseAddr("127.0.0.1"), HELO: "x", EHLO: true}
	_, final := h.talk(c, "a@good.example", []string{"ana@empresa.test", "postmaster@empresa.test"}, told("X-Do: reply 554 5.6.0 no"))
	if len(final) != 2 || !strings.HasPrefix(final[0].String(), "554 5.6.0 ") || final[1].Code != 250 {
		t.Error(final)
	}
}

// A scanner's own disk trouble, or a session that ends, leaves nothing behind: the
// sink is closed in any case.
func TestSessionEndsWhileAMilterListens(t *testing.T) {
	h, s := asking(t, scantest.Milter, scan.Member{})
	c := stranger()
	sess, _ := h.Open(t.Context(), &c)
	sess.Hello(t.Context(), &c)
	e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: c, ReversePath: address(t, "a@good.example")}
	if r := sess.Mail(t.Context(), e); r != nil {
		t.Fatal(r)
	}
	rc := mail.Recipient{Address: address(t, "ana@empresa.test")}
	if r := sess.Rcpt(t.Context(), e, rc); r != nil {
		t.Fatal(r)
	}
	e.Recipients = append(e.Recipients, rc)
	sink, _ := sess.Data(t.Context(), e)
	if _, err := io.WriteString(sink, letter); err != nil {
		t.Fatal(err)
	}
	sink.Abort()
	sess.Close(t.Context(), smtpserver.CloseReason{Cause: smtpserver.Dropped})
	if want := []string{"connect mx.good.example", "helo mx.good.example", "mail <a@good.example>", "rcpt <ana@empresa.test>"}; !slices.Equal(s.Heard(), want) {
		t.Errorf("%q", s.Heard())
	}
}
