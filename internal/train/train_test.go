package train

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/admit"
	"posta/internal/blob/pack"
	"posta/internal/directory"
	"posta/internal/durable"
	"posta/internal/intake"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/reputation"
	"posta/internal/resolver"
	"posta/internal/smtpserver"
	"posta/internal/spam/learn"
	"posta/internal/spam/tally"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// house is a store with its way in, and a trainer whose jobs are done when the test
// says so.
type house struct {
	t       *testing.T
	store   *sqlstore.Store
	in      *intake.Intake
	memory  *reputation.Memory
	learner *learn.Learner
	trainer *Trainer
	watch   *Watch
	ids     map[string]mailbox.AccountID
	boxes   map[string]mailbox.ID // of ana and luis: "ana INBOX"
}

func newHouse(t *testing.T) *house {
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
	h := &house{t: t, store: st, learner: learn.New(new(tally.Memory)), ids: map[string]mailbox.AccountID{}, boxes: map[string]mailbox.ID{}}
	err = st.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		d := &store.Domain{Name: "empresa.test"}
		if err := tx.PutDomain(d); err != nil {
			return store.Audit{}, err
		}
		for _, name := range []string{"ana", "luis"} {
			a := &store.Account{Domain: d.ID, Login: name + "@empresa.test"}
			if err := tx.PutAccount(a); err != nil {
				return store.Audit{}, err
			}
			h.ids[name] = a.ID
			if err := tx.PutAddress(store.Address{Domain: d.ID, Local: name, Account: a.ID}); err != nil {
				return store.Audit{}, err
			}
		}
		return store.Audit{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	h.memory = reputation.New(st, reputation.Grey{}, nil)
	h.trainer = New(Config{Store: st, Blobs: blobs, Learner: h.learner, Senders: corrector{h}, Node: "node"})
	h.watch = h.trainer.Watch()
	world := resolver.Static{
		"good.example": {"A 192.0.2.1", "MX 10 mx.good.example", "TXT v=spf1 ip4:192.0.2.1 -all"}, "mx.good.example": {"A 192.0.2.1"}, "1.2.0.192.in-addr.arpa": {"PTR mx.good.example"},
	}
	h.in = intake.New(intake.Config{Hostname: "mx.empresa.test", TempDir: t.TempDir(), Memory: h.memory, Answers: h.trainer},
		dir, st, blobs, world, admit.New(dir, admit.Config{Failure: time.Millisecond}))
	for who, id := range h.ids {
		for _, b := range h.list(id) {
			h.boxes[who+" "+b.Name] = b.ID
		}
		b, err := st.CreateMailbox(t.Context(), id, "Clientes", mailbox.None)
		if err != nil {
			t.Fatal(err)
		}
		h.boxes[who+" Clientes"] = b.ID
	}
	return h
}

// corrector is the intake of a house, as app joins the two.
type corrector struct{ h *house }

func (c corrector) Correct(ctx context.Context, id mail.ID, was, is tally.Label) error {
	return c.h.in.Correct(ctx, id, was, is)
}

func (h *house) list(id mailbox.AccountID) []mailbox.Mailbox {
	h.t.Helper()
	all, err := h.store.ListMailboxes(h.t.Context(), id)
	if err != nil {
		h.t.Fatal(err)
	}
	return all
}

func address(t *testing.T, s string) addr.Address {
	t.Helper()
	a, err := addr.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// good is a stranger's server; ana is our user at hers.
func good() mail.Client {
	return mail.Client{Door: mail.MX, IP: netip.MustParseAddr("192.0.2.1"), Port: 40000, HELO: "mx.good.example", EHLO: true}
}

func (h *house) ana() mail.Client {
	return mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "ana@empresa.test", Account: int64(h.ids["ana"]), HELO: "x", EHLO: true, IP: netip.MustParseAddr("192.0.2.77")}
}

// send plays a transaction that must be accepted.
func (h *house) send(c mail.Client, from, text string, to ...string) {
	h.t.Helper()
	ctx := h.t.Context()
	s, refused := h.in.Open(ctx, &c)
	if refused != nil {
		h.t.Fatal(refused)
	}
	defer s.Close(ctx, smtpserver.CloseReason{})
	s.Hello(ctx, &c)
	e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: c, ReversePath: address(h.t, from)}
	if r := s.Mail(ctx, e); r != nil {
		h.t.Fatal(r)
	}
	for _, a := range to {
		r := mail.Recipient{Address: address(h.t, a)}
		if refused := s.Rcpt(ctx, e, r); refused != nil {
			h.t.Fatal(refused)
		}
		e.Recipients = append(e.Recipients, r)
	}
	k, refused := s.Data(ctx, e)
	if refused != nil {
		h.t.Fatal(refused)
	}
	if _, err := k.Write([]byte(text)); err != nil {
		h.t.Fatal(err)
	}
	if got := k.Commit(ctx); got[0].Code != 250 {
		h.t.Fatal(got)
	}
}

// letter is mail from outside with its number in its id and its text.
func letter(n int) string {
	return strings.ReplaceAll(fmt.Sprintf("From: Eva <eva@good.example>\nTo: ana@empresa.test\nSubject: offer %d\nDate: Tue, 1 Dec 2026 10:00:00 +0000\nMessage-ID: <%d@good.example>\n\nhola number%d\n", n, n, n), "\n", "\r\n")
}

// work does what is noted, jobs and correspondents.
func (h *house) work() {
	h.t.Helper()
	ctx, cancel := context.WithCancel(h.t.Context())
	cancel()
	h.in.Run(ctx) // writes down what waits, and tells of answers
	for h.trainer.worker.Turn(h.t.Context()) == 0 {
	}
}

// learned is what the models of ana and of all have learned.
func (h *house) learned() string {
	h.t.Helper()
	var out []string
	for _, m := range []tally.Model{tally.Account(int64(h.ids["ana"])), tally.Account(int64(h.ids["luis"])), tally.Shared} {
		c, err := h.learner.Counts(h.t.Context(), m)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, fmt.Sprintf("%d/%d", c.Spam, c.Ham))
	}
	return "ana " + out[0] + ", luis " + out[1] + ", all " + out[2]
}

// standing is what is remembered of the sender of the letters.
func (h *house) standing() string {
	h.t.Helper()
	if err := h.memory.Flush(h.t.Context()); err != nil {
		h.t.Fatal(err)
	}
	s, err := h.memory.Standing(h.t.Context(), reputation.Sender{Domain: "good.example", IP: netip.MustParseAddr("192.0.2.1"), Proven: true})
	if err != nil {
		h.t.Fatal(err)
	}
	c := s.Counts(time.Now())
	return fmt.Sprintf("%d wanted, %d junk, %d refused", c.Wanted, c.Junk, c.Refused)
}

// step is one thing that a user does, and what has been learned and is remembered by
// then, spam/ham.
type step struct {
	what     string
	do       func(h *house)
	learned  string
	standing string // "" is not looked at
}

func play(t *testing.T, h *house, steps []step) {
	t.Helper()
	for _, s := range steps {
		s.do(h)
		h.work()
		if got := h.learned(); got != s.learned {
			t.Errorf("%s: learned %s, want %s", s.what, got, s.learned)
		}
		if got := h.standing(); s.standing != "" && got != s.standing {
			t.Errorf("%s: remembered %s, want %s", s.what, got, s.standing)
		}
	}
}

func (h *house) account(box string) mailbox.AccountID {
	who, _, _ := strings.Cut(box, " ")
	return h.ids[who]
}

func move(from string, uid mailbox.UID, to string) func(*house) {
	return func(h *house) {
		h.t.Helper()
		if _, moved, err := h.watch.Move(h.t.Context(), h.account(from), h.boxes[from], []mailbox.UID{uid}, h.boxes[to]); err != nil || len(moved) != 1 {
			h.t.Fatal(moved, err)
		}
	}
}

func copied(from string, uid mailbox.UID, to string) func(*house) {
	return func(h *house) {
		h.t.Helper()
		if _, made, err := h.watch.Copy(h.t.Context(), h.account(from), h.boxes[from], []mailbox.UID{uid}, h.boxes[to]); err != nil || len(made) != 1 {
			h.t.Fatal(made, err)
		}
	}
}

func flag(box string, uid mailbox.UID, op store.FlagOp) func(*house) {
	return func(h *house) {
		h.t.Helper()
		if changed, _, err := h.watch.SetFlags(h.t.Context(), h.account(box), h.boxes[box], []mailbox.UID{uid}, op, 0); err != nil || len(changed) != 1 {
			h.t.Fatal(changed, err)
		}
	}
}

func add(f mailbox.Flags) store.FlagOp { return store.FlagOp{Mode: store.Add, Flags: f} }

func letters(n int) func(*house) {
	return func(h *house) {
		h.t.Helper()
		for i := range n {
			h.send(good(), "eva@good.example", letter(i+1), "ana@empresa.test")
		}
	}
}

// What people answer, flag and file was wanted; what they only read, or nobody sent
// them, tells nothing; each message counts once.
func TestSigns(t *testing.T) {
	play(t, newHouse(t), []step{
		{"five letters", letters(5), "ana 0/0, luis 0/0, all 0/0", "5 wanted, 0 junk, 0 refused"},
		{"one is read", flag("ana INBOX", 1, add(mailbox.Seen)), "ana 0/0, luis 0/0, all 0/0", ""},
		{"and deleted", flag("ana INBOX", 1, add(mailbox.Deleted)), "ana 0/0, luis 0/0, all 0/0", ""},
		{"one is answered", flag("ana INBOX", 2, add(mailbox.Answered)), "ana 0/1, luis 0/0, all 0/1", ""},
		{"and flagged", flag("ana INBOX", 2, add(mailbox.Flagged)), "ana 0/1, luis 0/0, all 0/1", ""},
		{"and no more", flag("ana INBOX", 2, store.FlagOp{Mode: store.Remove, Flags: mailbox.Flagged}), "ana 0/1, luis 0/0, all 0/1", ""},
		{"and filed", move("ana INBOX", 2, "ana Clientes"), "ana 0/1, luis 0/0, all 0/1", ""},
		{"another is filed", copied("ana INBOX", 3, "ana Clientes"), "ana 0/2, luis 0/0, all 0/2", ""},
		{"one is thrown away", move("ana INBOX", 4, "ana Trash"), "ana 0/2, luis 0/0, all 0/2", ""},
		{"and flagged there", flag("ana Trash", 1, add(mailbox.Flagged)), "ana 0/2, luis 0/0, all 0/2", ""},
		{"a draft is flagged", move("ana INBOX", 5, "ana Drafts"), "ana 0/2, luis 0/0, all 0/2", ""},
		{"what a client stored is no letter from outside", func(h *house) {
			text := letter(6)
			placed, err := h.in.Append(t.Context(), intake.Stored{Account: h.ids["ana"], Target: store.Target{ID: h.boxes["ana INBOX"]}, Size: int64(len(text))}, strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			flag("ana INBOX", placed.UID, add(mailbox.Flagged))(h)
		}, "ana 0/2, luis 0/0, all 0/2", ""},
		{"nor what a colleague submitted", func(h *house) {
			h.send(h.ana(), "ana@empresa.test", letter(7), "luis@empresa.test")
			flag("luis INBOX", 1, add(mailbox.Flagged))(h)
		}, "ana 0/2, luis 0/0, all 0/2", "5 wanted, 0 junk, 0 refused"},
	})
}

// A word outweighs every sign, before it and after it, and corrects the sender's
// standing, once for each message.
func TestWords(t *testing.T) {
	play(t, newHouse(t), []step{
		{"a letter to two", func(h *house) {
			h.send(good(), "eva@good.example", letter(1), "ana@empresa.test", "luis@empresa.test")
		}, "ana 0/0, luis 0/0, all 0/0", "1 wanted, 0 junk, 0 refused"},
		{"is flagged", flag("ana INBOX", 1, add(mailbox.Flagged)), "ana 0/1, luis 0/0, all 0/1", "1 wanted, 0 junk, 0 refused"},
		{"then it is spam", move("ana INBOX", 1, "ana Junk"), "ana 1/0, luis 0/0, all 1/0", "0 wanted, 1 junk, 0 refused"},
		{"for the other too", move("luis INBOX", 1, "luis Junk"), "ana 1/0, luis 1/0, all 1/0", "0 wanted, 1 junk, 0 refused"},
		{"a flag there unsays nothing", flag("ana Junk", 1, add(mailbox.Answered)), "ana 1/0, luis 1/0, all 1/0", "0 wanted, 1 junk, 0 refused"},
		{"nor does the way over the Trash", func(h *house) {
			move("ana Junk", 1, "ana Trash")(h)
			move("ana Trash", 1, "ana Clientes")(h)
		}, "ana 1/0, luis 1/0, all 1/0", "0 wanted, 1 junk, 0 refused"},
		{"a word does", flag("ana Clientes", 1, store.FlagOp{Mode: store.Add, Keywords: []string{"$NotJunk"}}), "ana 0/1, luis 1/0, all 0/1", "1 wanted, 0 junk, 0 refused"},
		{"out of Junk", move("luis Junk", 1, "luis INBOX"), "ana 0/1, luis 0/1, all 0/1", "1 wanted, 0 junk, 0 refused"},
		{"and in again", move("luis INBOX", 2, "luis Junk"), "ana 0/1, luis 1/0, all 1/0", "0 wanted, 1 junk, 0 refused"},
		{"no other flag counts beside the keyword", flag("ana Clientes", 1, store.FlagOp{Mode: store.Add, Flags: mailbox.Flagged, Keywords: []string{"$Junk"}}), "ana 1/0, luis 1/0, all 1/0", "0 wanted, 1 junk, 0 refused"},
	})
}

// Mail that ana submits shows that she wanted what it answers, if it goes to one whom
// that names.
func TestAnswers(t *testing.T) {
	reply := func(refs, to string) func(*house) {
		return func(h *house) {
			h.t.Helper()
			h.send(h.ana(), "ana@empresa.test", "From: ana@empresa.test\r\nSubject: Re: offer\r\n"+refs+"\r\n\r\nsi\r\n", to)
		}
	}
	play(t, newHouse(t), []step{
		{"four letters", letters(4), "ana 0/0, luis 0/0, all 0/0", ""},
		{"new mail to the sender", reply("X-Nothing: <1@good.example>", "eva@good.example"), "ana 0/0, luis 0/0, all 0/0", ""},
		{"an answer", reply("In-Reply-To: <1@good.example>", "Eva@good.example"), "ana 0/1, luis 0/0, all 0/1", ""},
		{"another to the same", reply("In-Reply-To: <1@good.example>", "eva@good.example"), "ana 0/1, luis 0/0, all 0/1", ""},
		{"in a conversation", reply("References: <0@elsewhere.example>\r\n <2@good.example>", "eva@good.example"), "ana 0/2, luis 0/0, all 0/2", ""},
		{"sent on to an abuse desk", reply("In-Reply-To: <3@good.example>", "abuse@provider.example"), "ana 0/2, luis 0/0, all 0/2", ""},
		{"of what lies in Junk", func(h *house) {
			move("ana INBOX", 4, "ana Junk")(h)
			reply("In-Reply-To: <4@good.example>", "eva@good.example")(h)
		}, "ana 1/2, luis 0/0, all 1/2", "3 wanted, 1 junk, 0 refused"},
		{"of what was filed", func(h *house) {
			move("ana INBOX", 3, "ana Clientes")(h)
			reply("In-Reply-To: <3@good.example>", "eva@good.example")(h)
		}, "ana 1/3, luis 0/0, all 1/3", ""},
	})
}

// What is answered is looked for among the newest, so that an answer costs no more in a
// large mailbox.
func TestWindows(t *testing.T) {
	for _, tt := range []struct {
		next mailbox.UID
		most int
		want string
	}{
		{1, 4, "[]"}, {2, 4, "[{1 1}]"}, {501, 4, "[{1 500}]"}, {502, 4, "[{2 501} {1 1}]"},
		{10_001, 4, "[{9501 10000} {9001 9500} {8501 9000} {8001 8500}]"}, {10_001, 1, "[{9501 10000}]"}, {10_001, 0, "[]"},
	} {
		if got := fmt.Sprint(windows(tt.next, tt.most)); got != tt.want {
			t.Errorf("%d, %d: %s, want %s", tt.next, tt.most, got, tt.want)
		}
	}
}

// The origin of a message is what our own trace field says, and nothing that came.
func TestOrigin(t *testing.T) {
	const id = "06h2yx3n0y3jcbbdmqeanbxs9m"
	ours := func(with string) string {
		return "Return-Path: <a@good.example>\r\nReceived: from x ([192.0.2.1])\r\n\tby mx.empresa.test (Posta) with " + with + " id " + id + "\r\n\ttls TLS_AES_128_GCM_SHA256 (TLS 1.3)\r\n\tfor <ana@empresa.test>;\r\n\tTue, 1 Dec 2026 10:00:00 +0000\r\n"
	}
	for _, tt := range []struct {
		what, prefix string
		known        bool
		others       bool
	}{
		{"received", ours("ESMTPS"), true, true},
		{"submitted", ours("ESMTPSA"), true, false},
		{"without a reason to break the line", "Received: from x by mx.empresa.test (Posta) with SMTP id " + id + "; Tue, 1 Dec 2026 10:00:00 +0000\r\n", true, true},
		{"nothing above it", "", false, false},
		{"another's field", "Received: from x by mx.good.example (Postfix) with ESMTP id 4F2\r\n", false, false},
		{"another's above ours", "Received: from x by mx.good.example (Postfix) with ESMTP id 4F2\r\n" + ours("ESMTP"), false, false},
		{"an id that is none", "Received: from x by mx (Posta) with ESMTP id 4F2;\r\n", false, false},
		{"cut short", "Received: from x by mx (Posta) with\r\n", false, false},
	} {
		got := originOf([]byte(tt.prefix))
		if got.id.IsZero() == tt.known || got.others != tt.others || tt.known && got.id.String() != id {
			t.Errorf("%s: %+v", tt.what, got)
		}
	}
}

// Whatever stands above a message, an origin is either whole or nothing.
func FuzzOrigin(f *testing.F) {
	f.Add([]byte("Received: from x by mx (Posta) with ESMTP id 06h2yx3n0y3jcbbdmqeanbxs9m;\r\n"))
	f.Add([]byte("Received: (Posta) with A id\r\n"))
	f.Add([]byte("Received: (Posta) with 0 id 00000000000000000000000000")) // no accept has it
	f.Fuzz(func(t *testing.T, prefix []byte) {
		got := originOf(prefix)
		if got.id.IsZero() && got != (origin{}) {
			t.Fatalf("%+v", got)
		}
		if !got.id.IsZero() && !bytes.Contains(prefix, []byte("(Posta)")) {
			t.Fatalf("%+v of %q", got, prefix)
		}
	})
}

// An answer concerns a message that names one of its recipients, however it writes him.
func TestConcerns(t *testing.T) {
	for _, tt := range []struct {
		e    message.Envelope
		to   string
		want bool
	}{
		{message.Envelope{From: `"Eva" <EVA@Good.example>`}, "EVA@good.example", true},
		{message.Envelope{From: "a@x.example", ReplyTo: "list@good.example"}, "list@good.example", true},
		{message.Envelope{From: "a@x.example", Cc: "b@x.example, Team: c@x.example, d@x.example;"}, "d@x.example", true},
		{message.Envelope{From: "a@x.example", Subject: "d@x.example"}, "d@x.example", false},
		{message.Envelope{From: "no address <"}, "a@x.example", false},
		{message.Envelope{}, "a@x.example", false},
	} {
		a := answer{To: []string{address(t, tt.to).Fold().String()}}
		if got := a.concerns(&tt.e); got != tt.want {
			t.Errorf("%+v to %s: %v", tt.e, tt.to, got)
		}
	}
}
