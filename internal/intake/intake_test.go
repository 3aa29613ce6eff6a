package intake

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/admit"
	"posta/internal/blob"
	"posta/internal/blob/pack"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/resolver"
	"posta/internal/smtp"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/trace"
)

// world is the DNS of these tests: a sender that keeps good order, and one whose
// SPF forbids everybody.
var world = resolver.Static{
	"good.example":        {"MX 10 mx.good.example", "TXT v=spf1 ip4:192.0.2.1 -all", "A 192.0.2.1"},
	"mx.good.example":     {"A 192.0.2.1"},
	"192.0.2.1":           {"PTR mx.good.example"},
	"strict.example":      {"MX 10 mx.good.example", "TXT v=spf1 -all"},
	"198.51.100.9":        {"PTR host.elsewhere.example"},
	"_dmarc.bank.example": {"TXT v=DMARC1; p=reject"},
	"bank.example":        {"MX 10 mx.bank.example", "A 203.0.113.5"},
}

// house is an intake over a real store and packs in memory.
type house struct {
	*Intake
	t     testing.TB
	store store.Store
	blobs blob.Store
	ids   map[string]mailbox.AccountID
}

func newHouse(t testing.TB) *house {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	blobs, err := pack.Open(t.Context(), durable.NewMem(), "blobs", pack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close(); blobs.Close() })
	h := &house{t: t, store: st, blobs: blobs, ids: map[string]mailbox.AccountID{}}
	err = st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := &store.Domain{Name: "empresa.test"}
		if err := tx.PutDomain(d); err != nil {
			return store.Audit{}, err
		}
		for _, name := range []string{"ana", "luis", "llena"} {
			a := &store.Account{Domain: d.ID, Login: name + "@empresa.test"}
			if name == "ana" {
				a.Role = store.Owner
			}
			if name == "llena" {
				a.Quota = 100
			}
			if err := tx.PutAccount(a); err != nil {
				return store.Audit{}, err
			}
			h.ids[name] = a.ID
			if err := tx.PutAddress(store.Address{Domain: d.ID, Local: name, Account: a.ID}); err != nil {
				return store.Audit{}, err
			}
		}
		return store.Audit{}, tx.PutAddress(store.Address{Domain: d.ID, Local: "ventas", Kind: store.ToTargets,
			Targets: []string{"ana@empresa.test", "luis@empresa.test", "fuera@good.example"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h.Intake = New(Config{Hostname: "mx.empresa.test", WhyURL: "https://mx.empresa.test/why/", TempDir: t.TempDir(), Lifetime: 48 * time.Hour},
		dir, st, blobs, world, admit.New(dir, admit.Config{Failure: time.Millisecond}))
	return h
}

// stranger is a good server that sends from its own address.
func stranger() mail.Client {
	return mail.Client{Door: mail.MX, IP: netip.MustParseAddr("192.0.2.1"), Port: 40000, HELO: "mx.good.example", EHLO: true}
}

// talk plays one transaction and gives the refusals of RCPT and the final
// replies.
func (h *house) talk(c mail.Client, from string, to []string, message string) (rcpt []string, final []smtp.Reply) {
	h.t.Helper()
	s, r := h.Open(h.t.Context(), &c)
	if r != nil {
		h.t.Fatal(r)
	}
	defer func() { s.Close(h.t.Context(), smtpserver.CloseReason{}) }()
	return h.converse(s, &c, from, to, message)
}

func (h *house) converse(s smtpserver.Session, c *mail.Client, from string, to []string, message string) (rcpt []string, final []smtp.Reply) {
	h.t.Helper()
	ctx := h.t.Context()
	s.Hello(ctx, c)
	e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: *c, Received: time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)}
	if from != "" {
		e.ReversePath = address(h.t, from)
	}
	if r := s.Mail(ctx, e); r != nil {
		return []string{r.String()}, nil
	}
	for _, a := range to {
		rc := mail.Recipient{Address: address(h.t, a)}
		if r := s.Rcpt(ctx, e, rc); r != nil {
			rcpt = append(rcpt, r.String())
			continue
		}
		e.Recipients = append(e.Recipients, rc)
	}
	if len(e.Recipients) == 0 {
		s.Reset(ctx)
		return rcpt, nil
	}
	sink, r := s.Data(ctx, e)
	if r != nil {
		return append(rcpt, r.String()), nil
	}
	for chunk := range chunks(message, 100) {
		if _, err := io.WriteString(sink, chunk); err != nil {
			h.t.Fatal(err)
		}
	}
	return rcpt, sink.Commit(ctx)
}

// chunks cuts a text into pieces of n octets.
func chunks(s string, n int) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for len(s) > 0 {
			m := min(n, len(s))
			if !yield(s[:m]) {
				return
			}
			s = s[m:]
		}
	}
}

func address(t testing.TB, s string) addr.Address {
	t.Helper()
	a, err := addr.ParseAddress(s)
	if err != nil {
		t.Fatal(s, err)
	}
	return a
}

// mailIn reads every message of an account's mailbox, whole.
func (h *house) mailIn(account, box string) []string {
	h.t.Helper()
	ctx := h.t.Context()
	all, err := h.store.ListMailboxes(ctx, h.ids[account])
	if err != nil {
		h.t.Fatal(err)
	}
	var out []string
	for _, m := range all {
		if m.Name != box {
			continue
		}
		msgs, err := h.store.Fetch(ctx, m.Account, m.ID, store.FetchQuery{Want: store.WantBytes})
		if err != nil {
			h.t.Fatal(err)
		}
		for _, s := range msgs {
			b, err := blob.ReadAll(ctx, h.blobs, s.Blob.ID, s.Blob.At)
			if err != nil {
				h.t.Fatal(err)
			}
			whole := string(s.Prefix) + string(b[s.Skip:])
			if int64(len(whole)) != s.Size {
				h.t.Errorf("size %d of a message of %d octets", s.Size, len(whole))
			}
			out = append(out, whole)
		}
	}
	return out
}

const letter = "From: a@good.example\r\nTo: ana@empresa.test\r\nSubject: hola\r\nDate: Sat, 21 Nov 2026 10:00:00 +0000\r\nMessage-ID: <1@good.example>\r\n\r\nhola\r\n"

// A stranger's letter is delivered with our fields above it and its own bytes
// below, unchanged.
func TestDelivered(t *testing.T) {
	h := newHouse(t)
	rcpt, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, letter)
	if len(rcpt) != 0 || len(final) != 1 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	got := h.mailIn("ana", "INBOX")
	if len(got) != 1 || !strings.HasSuffix(got[0], "\r\n"+letter) {
		t.Fatalf("%q", got)
	}
	prefix := strings.TrimSuffix(got[0], letter)
	for _, want := range []string{
		"Return-Path: <a@good.example>\r\n",
		"Authentication-Results: mx.empresa.test;",
		"iprev=pass policy.iprev=192.0.2.1", "spf=pass smtp.mailfrom=a@good.example", "dkim=none",
		"Received: from mx.good.example (mx.good.example [192.0.2.1])\r\n\tby mx.empresa.test (Posta) with ESMTP id ",
		"\r\n\tfor <ana@empresa.test>;\r\n\tSat, 21 Nov 2026 10:00:00 +0000\r\n",
	} {
		if !strings.Contains(prefix, want) {
			t.Errorf("missing %q in\n%s", want, prefix)
		}
	}
}

// A letter of this machine's own programs is stored well-formed (RFC 5322 §2.1),
// and the blob holds the bytes that came.
func TestOwnLettersAreWellFormed(t *testing.T) {
	near := mail.Client{Door: mail.MX, IP: netip.MustParseAddr("127.0.0.1"), HELO: "x"}
	root := mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:0", HELO: "localhost", EHLO: true}
	const mime = "Content-Type: multipart/mixed; boundary=b\r\n"
	for _, tt := range []struct {
		name   string
		client mail.Client
		sent   string
		header string // the end of the stored header, with the empty line
		body   string
		mime   string // the structure
	}{
		{"text below a field", near, "Subject: x\r\nHola\r\n", "\r\nSubject: x\r\n\r\n", "Hola\r\n", "text/plain"},
		{"sendmail -t", root, "Subject: x\r\nTo: ana@empresa.test\r\nHola, Ana\r\n\r\nB: C\r\n", "\r\nTo: ana@empresa.test\r\n\r\n", "Hola, Ana\r\n\r\nB: C\r\n", "text/plain"},
		{"Bcc above the text, not in it", root, "Bcc: luis@empresa.test\r\nSubject: x\r\nHola\r\nBcc: no field\r\n\r\n", "\r\nSubject: x\r\n\r\n", "Hola\r\nBcc: no field\r\n\r\n", "text/plain"},
		{"a boundary below a field", near, mime + "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", "\r\n" + mime + "\r\n", "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", "multipart/mixed text/plain text/plain"},
		{"our own results, forged", near, "Authentication-Results: mx.empresa.test; spf=pass\r\nSubject: x\r\nHola\r\n", "\r\nSubject: x\r\n\r\n", "Hola\r\n", "text/plain"},
		{"fields alone", near, "Subject: x\r\n", "\r\nSubject: x\r\n", "", "text/plain"},
		{"text alone", near, "Hola\r\n", "\r\n\r\n", "Hola\r\n", "text/plain"},
		{"as it should be", near, "Subject: x\r\n\r\nHola\r\n", "\r\nSubject: x\r\n\r\n", "Hola\r\n", "text/plain"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := newHouse(t)
			rcpt, final := h.talk(tt.client, "a@good.example", []string{"ana@empresa.test"}, tt.sent)
			if len(rcpt) != 0 || len(final) != 1 || final[0].Code != 250 {
				t.Fatal(rcpt, final)
			}
			got := h.mailIn("ana", "INBOX")
			if len(got) != 1 {
				t.Fatalf("%q", got)
			}
			tree := message.ParseBytes([]byte(got[0]), message.Budget{})
			head, body := got[0][:tree.Body], got[0][tree.Body:]
			if tree.Defects.Has(message.MalformedHeader) || !strings.HasSuffix(head, tt.header) || body != tt.body ||
				strings.Contains(head, "Bcc") || strings.Contains(head, "spf=pass") {
				t.Errorf("header %q\nbody %q", head, body)
			}
			if blob := h.sameStructure(tree, tt.mime); blob != tt.sent && !strings.Contains(tt.sent, "Bcc: luis") {
				t.Errorf("the blob is not what came: %q", blob)
			}
		})
	}
}

// sameStructure: what is stored of ana's one letter is what its bytes give. It
// returns the blob.
func (h *house) sameStructure(tree *message.Part, want string) string {
	h.t.Helper()
	all, err := h.store.ListMailboxes(h.t.Context(), h.ids["ana"])
	if err != nil {
		h.t.Fatal(err)
	}
	inbox := all[slices.IndexFunc(all, func(m mailbox.Mailbox) bool { return m.Role == mailbox.Inbox })]
	found, err := h.store.Fetch(h.t.Context(), inbox.Account, inbox.ID, store.FetchQuery{Want: store.WantBytes | store.WantStructure})
	if err != nil || len(found) != 1 {
		h.t.Fatal(found, err)
	}
	stored := new(message.Part)
	if err := stored.UnmarshalBinary(found[0].Structure); err != nil {
		h.t.Fatal(err)
	}
	stored.Shift(int64(len(found[0].Prefix)) - found[0].Skip)
	describe := func(p *message.Part) (types string, places []int64) {
		var all []string
		p.Walk(func(p *message.Part) bool {
			all = append(all, p.Type+"/"+p.Subtype)
			places = append(places, p.Start, p.Body, p.End)
			return true
		})
		return strings.Join(all, " "), places
	}
	types, places := describe(stored)
	if _, real := describe(tree); types != want || !slices.Equal(places, real) {
		h.t.Errorf("stored structure %s %v, wanted %s %v", types, places, want, real)
	}
	b, err := blob.ReadAll(h.t.Context(), h.blobs, found[0].Blob.ID, found[0].Blob.At)
	if err != nil {
		h.t.Fatal(err)
	}
	return string(b)
}

// What leaves has the empty line too.
func TestOwnLetterLeavesWellFormed(t *testing.T) {
	h := newHouse(t)
	root := mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:0", HELO: "localhost", EHLO: true}
	if rcpt, final := h.talk(root, "a@empresa.test", []string{"x@good.example"}, "Subject: x\r\nHola\r\n"); len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	q, err := h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
	if err != nil || len(q) != 1 {
		t.Fatal(q, err)
	}
	b, err := blob.ReadAll(t.Context(), h.blobs, q[0].Blob.ID, q[0].Blob.At)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(q[0].Prefix) + string(b[q[0].Skip:]); !strings.HasSuffix(got, "\r\nSubject: x\r\n\r\nHola\r\n") {
		t.Errorf("%q", got)
	}
}

// What each refusal reads: code, enhanced code, sentence, check, link.
func TestRefusals(t *testing.T) {
	h := newHouse(t)
	elsewhere := stranger()
	elsewhere.IP, elsewhere.HELO = netip.MustParseAddr("198.51.100.9"), "host.elsewhere.example"
	self := stranger()
	self.HELO = "mx.empresa.test"
	submission := mail.Client{Door: mail.Submission, IP: netip.MustParseAddr("192.0.2.77"), HELO: "[192.168.1.5]", EHLO: true}
	near := submission
	near.IP = netip.MustParseAddr("127.0.0.1")
	logged := submission
	logged.Class, logged.Login, logged.Account = mail.Authenticated, "luis@empresa.test", int64(h.ids["luis"])
	for _, c := range []struct {
		name, from, to, want string
		client               mail.Client
	}{
		{"relaying", "a@good.example", "test@example.com", "554 5.7.1 <test@example.com>: Relay access denied [relay.denied] https://mx.empresa.test/why/", stranger()},
		{"a route in the local part", "a@good.example", "x%example.com@empresa.test", "554 5.7.1 <x%example.com@empresa.test>: Relay access denied", stranger()},
		{"unknown", "a@good.example", "nadie@empresa.test", "550 5.1.1 <nadie@empresa.test>: no such recipient here [rcpt.unknown]", stranger()},
		{"SPF fail", "x@strict.example", "ana@empresa.test", "550 5.7.23 <ana@empresa.test>: The domain's SPF record forbids this address to send (strict.example) [spf.fail]", stranger()},
		{"no such sender domain", "x@nowhere.example", "ana@empresa.test", "550 5.1.8 <ana@empresa.test>: The sender's domain does not exist", stranger()},
		{"our own name in HELO", "a@good.example", "ana@empresa.test", "550 5.7.1 <ana@empresa.test>: HELO says our own name or address", self},
		{"submission without login", "luis@empresa.test", "ana@empresa.test", "530 5.7.0 Log in first [auth.required]", submission},
		{"submission of this machine without login", "luis@empresa.test", "ana@empresa.test", "530 5.7.0 Log in first [auth.required]", near},
		{"as somebody else", "ana@empresa.test", "x@example.com", "553 5.7.1 <ana@empresa.test>: not an address of luis@empresa.test [sender.foreign]", logged},
	} {
		rcpt, final := h.talk(c.client, c.from, []string{c.to}, letter)
		got := fmt.Sprint(rcpt, final)
		if len(rcpt) == 1 {
			got = rcpt[0]
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s: got %s\nwant %s…", c.name, got, c.want)
		}
	}
	if n := len(h.mailIn("ana", "INBOX")) + len(h.mailIn("ana", "Junk")); n != 0 {
		t.Errorf("%d messages came in all the same", n)
	}
}

// postmaster@ is open to clients that are refused elsewhere (S53).
func TestPostmasterStaysOpen(t *testing.T) {
	h := newHouse(t)
	rcpt, final := h.talk(stranger(), "x@strict.example", []string{"postmaster@empresa.test"}, letter)
	if len(rcpt) != 0 || final[0].Code != 250 || len(h.mailIn("ana", "INBOX")) != 1 {
		t.Error(rcpt, final)
	}
}

// SIZE is reserved at RCPT against the quota, and given back.
func TestQuota(t *testing.T) {
	h := newHouse(t)
	c := stranger()
	s, _ := h.Open(t.Context(), &c)
	defer s.Close(t.Context(), smtpserver.CloseReason{})
	s.Hello(t.Context(), &c)
	ask := func(size int64) string {
		e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: c, ReversePath: address(t, "a@good.example"), Size: size}
		s.Mail(t.Context(), e)
		defer s.Reset(t.Context())
		if r := s.Rcpt(t.Context(), e, mail.Recipient{Address: address(t, "llena@empresa.test")}); r != nil {
			return r.String()
		}
		return "ok"
	}
	for _, size := range []int64{80, 80, 101} {
		want := "ok"
		if size > 100 {
			want = "452 4.2.2 <llena@empresa.test>: the mailbox is full [rcpt.full] https://mx.empresa.test/why/"
		}
		if got := ask(size); !strings.HasPrefix(got, want) {
			t.Errorf("SIZE=%d: %s", size, got)
		}
	}
}

// An alias with a remote member: local copies once each, the remote one queued,
// all in one commit.
func TestAlias(t *testing.T) {
	h := newHouse(t)
	_, final := h.talk(stranger(), "a@good.example", []string{"ventas@empresa.test", "ana@empresa.test"}, letter)
	if final[0].Code != 250 {
		t.Fatal(final)
	}
	if a, l := len(h.mailIn("ana", "INBOX")), len(h.mailIn("luis", "INBOX")); a != 1 || l != 1 {
		t.Errorf("ana has %d, luis %d", a, l)
	}
	q, err := h.store.ListQueue(t.Context(), store.QueueFilter{})
	if err != nil || len(q) != 1 || q[0].QueueTo.Address != "fuera@good.example" || q[0].ReversePath != "a@good.example" {
		t.Errorf("queue: %+v %v", q, err)
	}
	if left := time.Until(q[0].Expires); left < 47*time.Hour || left > 48*time.Hour {
		t.Errorf("it expires in %v, want the 48 h of the configuration", left)
	}
}

// RFC 1047: the client went away before it read our 250 and sends again. It
// reads 250, and there is one copy.
func TestRepeatAfterLostReply(t *testing.T) {
	h := newHouse(t)
	c := stranger()
	s, _ := h.Open(t.Context(), &c)
	_, final := h.converse(s, &c, "a@good.example", []string{"ana@empresa.test"}, letter)
	if final[0].Code != 250 {
		t.Fatal(final)
	}
	s.Close(t.Context(), smtpserver.CloseReason{Cause: smtpserver.Dropped, Unconfirmed: true})
	if _, final = h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, letter); final[0].Code != 250 {
		t.Fatal(final)
	}
	if n := len(h.mailIn("ana", "INBOX")); n != 1 {
		t.Errorf("%d copies", n)
	}
	// To another recipient it is a new message.
	h.talk(stranger(), "a@good.example", []string{"luis@empresa.test"}, letter)
	if n := len(h.mailIn("luis", "INBOX")); n != 1 {
		t.Errorf("luis has %d", n)
	}
}

// A header that claims Authentication-Results of ours is kept without it; the
// rest of the message is what came.
func TestForgedAuthenticationResults(t *testing.T) {
	h := newHouse(t)
	forged := "Authentication-Results: mx.empresa.test; spf=pass; dkim=pass\r\n" + letter
	if _, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, forged); final[0].Code != 250 {
		t.Fatal(final)
	}
	got := h.mailIn("ana", "INBOX")[0]
	if strings.Count(got, "Authentication-Results:") != 1 || strings.Contains(got, "dkim=pass") || !strings.HasSuffix(got, letter) {
		t.Errorf("%s", got)
	}
}

// Our own user's Bcc is cut out before anything is stored; Date and Message-ID
// are supplied (RFC 6409 §8).
func TestSubmission(t *testing.T) {
	h := newHouse(t)
	c := mail.Client{Door: mail.Submission, IP: netip.MustParseAddr("192.0.2.77"), HELO: "[192.168.1.5]", EHLO: true,
		Class: mail.Authenticated, Login: "luis@empresa.test", Account: int64(h.ids["luis"])}
	msg := "To: ana@empresa.test\r\nBcc: secreto@example.com\r\nSubject: x\r\n\r\ncuerpo\r\n"
	rcpt, final := h.talk(c, "luis@empresa.test", []string{"ana@empresa.test", "secreto@example.com"}, msg)
	if len(rcpt) != 0 || final[0].Code != 250 {
		t.Fatal(rcpt, final)
	}
	got := h.mailIn("ana", "INBOX")[0]
	for _, want := range []string{"with ESMTPA id", "\r\nFrom: luis@empresa.test\r\n", "\r\nDate: ", "\r\nMessage-ID: <", "\r\nTo: ana@empresa.test\r\nSubject: x\r\n\r\ncuerpo\r\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in\n%s", want, got)
		}
	}
	if strings.Contains(got, "secreto") {
		t.Errorf("Bcc was shown:\n%s", got)
	}
}

// A loop ends at fifty hops, for our own users too.
func TestLoop(t *testing.T) {
	h := newHouse(t)
	msg := strings.Repeat("Received: from a by b; Sat, 21 Nov 2026 10:00:00 +0000\r\n", 51) + letter
	_, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, msg)
	if got := final[0].String(); !strings.HasPrefix(got, "550 5.4.6 The message goes round in a loop [loop.hops]") {
		t.Error(got)
	}
}

// DMARC: the author's domain asks for refusal of what it did not authenticate,
// though SPF of another domain passes (S36).
func TestDMARC(t *testing.T) {
	h := newHouse(t)
	msg := strings.Replace(letter, "From: a@good.example", "From: cuentas@bank.example", 1)
	_, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, msg)
	if got := final[0].String(); !strings.HasPrefix(got, "550 5.7.26 The visible sender's domain disowns the message (bank.example) [dmarc.fail]") {
		t.Error(got)
	}
}

// LMTP answers for each recipient (RFC 2033 §4.2).
func TestLMTP(t *testing.T) {
	h := newHouse(t)
	c := mail.Client{Door: mail.LMTP, IP: netip.MustParseAddr("127.0.0.1"), HELO: "localhost", EHLO: true}
	rcpt, final := h.talk(c, "a@good.example", []string{"ana@empresa.test", "nadie@empresa.test", "luis@empresa.test"}, letter)
	if len(rcpt) != 1 || len(final) != 2 || final[0].Code != 250 || final[1].Code != 250 {
		t.Error(rcpt, final)
	}
}

// A recipient that LMTP refused is not part of the accept whose reply was lost:
// when it is sent again it is refused again, never taken for delivered.
func TestLMTPRefusedIsNotRepeated(t *testing.T) {
	h := newHouse(t)
	c := stranger()
	c.Door = mail.LMTP
	msg := strings.Replace(letter, "From: a@good.example", "From: cuentas@bank.example", 1)
	s, _ := h.Open(t.Context(), &c)
	to := []string{"postmaster@empresa.test", "luis@empresa.test"}
	_, final := h.converse(s, &c, "a@good.example", to, msg)
	if len(final) != 2 || final[0].Code != 250 || final[1].Code != 550 {
		t.Fatal(final)
	}
	s.Close(t.Context(), smtpserver.CloseReason{Cause: smtpserver.Dropped, Unconfirmed: true})
	if _, final = h.talk(c, "a@good.example", to, msg); len(final) != 2 || final[0].Code != 250 || final[1].Code != 550 {
		t.Error("sent again:", final)
	}
	if n := len(h.mailIn("ana", "INBOX")); n != 1 {
		t.Errorf("postmaster@ has %d copies", n)
	}
}

// The trace of a refusal is found by sender, recipient, domain, IP and id, and
// says which check decided.
func TestTrace(t *testing.T) {
	h := newHouse(t)
	h.talk(stranger(), "x@strict.example", []string{"ana@empresa.test"}, letter)
	h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, letter)
	if err := h.store.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]int{"x@strict.example": 1, "@strict.example": 1, "ana@empresa.test": 2, "192.0.2.1": 2, "<1@good.example>": 0, "1@good.example": 1} {
		ids, err := h.store.FindTraces(t.Context(), key, 10)
		if err != nil || len(ids) != want {
			t.Errorf("%s: %d traces, want %d (%v)", key, len(ids), want, err)
		}
	}
	ids, _ := h.store.FindTraces(t.Context(), "x@strict.example", 1)
	st, err := h.store.Trace(t.Context(), ids[0])
	if err != nil {
		t.Fatal(err)
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil || rec.Stage != trace.AtRcpt || rec.To[0].Check != "spf.fail" || rec.PTR != "mx.good.example" {
		t.Errorf("%+v %v", rec, err)
	}
}

// A DSN that answers queue work is filed and ends that work in one transaction;
// one that leads nowhere ends it all the same.
func TestDeposit(t *testing.T) {
	h := newHouse(t)
	for _, to := range []string{"ana@empresa.test", "nadie@empresa.test"} {
		h.talk(mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:0", HELO: "localhost", EHLO: true}, "ana@empresa.test", []string{"x@example.com"}, letter)
		q, err := h.store.ClaimQueue(t.Context(), "n", 10, 10, time.Minute)
		if err != nil || len(q) != 1 {
			t.Fatal(q, err)
		}
		err = h.Deposit(t.Context(), Deposit{
			ID: mail.NewID(time.Now()), To: address(t, to), Message: []byte(letter),
			Finish: &store.Finish{Attempts: []store.Attempt{{Entry: q[0].ID, Fence: q[0].Fence, State: store.Failed}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if left, _ := h.store.ListQueue(t.Context(), store.QueueFilter{States: []store.QueueState{store.Ready, store.Held}}); len(left) != 0 {
			t.Errorf("%s: still queued", to)
		}
	}
	if n := len(h.mailIn("ana", "INBOX")); n != 1 {
		t.Errorf("ana has %d", n)
	}
}

// Append keeps exactly what a mail program stores, and refuses over quota.
func TestAppend(t *testing.T) {
	h := newHouse(t)
	m := Stored{Account: h.ids["ana"], Target: store.Target{Role: mailbox.Sent}, Flags: mailbox.Seen, Size: int64(len(letter))}
	p, err := h.Append(t.Context(), m, strings.NewReader(letter))
	if err != nil || p.UID != 1 {
		t.Fatal(p, err)
	}
	if got := h.mailIn("ana", "Sent"); len(got) != 1 || got[0] != letter {
		t.Errorf("%q", got)
	}
	m.Account = h.ids["llena"]
	if _, err := h.Append(t.Context(), m, strings.NewReader(letter)); err == nil {
		t.Error("over quota was stored")
	}
	m.Size++
	if _, err := h.Append(context.Background(), m, strings.NewReader(letter)); err == nil {
		t.Error("a body that ends early was stored")
	}
}

// A message above a megabyte goes by way of a file, and comes back whole.
func TestLarge(t *testing.T) {
	h := newHouse(t)
	big := letter + strings.Repeat(strings.Repeat("x", 70)+"\r\n", 30_000)
	if _, final := h.talk(stranger(), "a@good.example", []string{"ana@empresa.test"}, big); final[0].Code != 250 {
		t.Fatal(final)
	}
	if got := h.mailIn("ana", "INBOX"); len(got) != 1 || !strings.HasSuffix(got[0], big) {
		t.Error("not what was sent")
	}
}
