package intake

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/admit"
	"posta/internal/allowance"
	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/sasl"
	"posta/internal/smtpserver"
	"posta/internal/store"
	"posta/internal/trace"
)

// change makes a change in the directory live.
func (h *house) change(f func(tx store.DirectoryTx, v *store.DirectoryView) error) {
	h.t.Helper()
	err := h.store.ChangeDirectory(h.t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		v, err := tx.View()
		if err != nil {
			return store.Audit{}, err
		}
		return store.Audit{}, f(tx, v)
	})
	if err == nil {
		err = h.dir.Refresh(h.t.Context())
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// account changes an account.
func (h *house) account(name string, f func(*store.Account)) {
	h.t.Helper()
	h.change(func(tx store.DirectoryTx, v *store.DirectoryView) error {
		for i := range v.Accounts {
			if a := &v.Accounts[i]; a.ID == h.ids[name] {
				f(a)
				return tx.PutAccount(a)
			}
		}
		return store.ErrNotFound
	})
}

// submitter is an account at a submission door, logged in.
func (h *house) submitter(name string) mail.Client {
	return mail.Client{
		Door: mail.Submission, Class: mail.Authenticated, IP: netip.MustParseAddr("198.51.100.9"), HELO: "pc", EHLO: true,
		Login: name + "@empresa.test", Account: int64(h.ids[name]),
	}
}

// counting is a house whose accounts may send so many messages a day, with the
// warnings that it gave.
func counting(t *testing.T, perDay int) (h *house, warned *[]string) {
	h = newHouse(t)
	warned = new([]string)
	h.cfg.Sent = allowance.New(h.store, nil)
	h.cfg.NearLimit = func(_ context.Context, id AccountID, a allowance.Answer) {
		*warned = append(*warned, fmt.Sprintf("%d %d/%d", id, a.Sent, a.Limit))
	}
	p := policy.Profile(policy.Strict)
	p.Accounts.MessagesPerDay = perDay
	h.change(func(tx store.DirectoryTx, _ *store.DirectoryView) error {
		return tx.PutSetting(policy.Setting, p.String())
	})
	return h, warned
}

const ours = "From: ana@empresa.test\r\nTo: luis@empresa.test\r\nSubject: hola\r\n\r\nhola %d\r\n"

// A day of 501 messages: five hundred go, the last is put off with the number and the
// time, and goes then. What is not submitted with a password is never counted.
func TestMessagesPerDay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, warned := counting(t, 500)
		n, put := 0, "" // the last message that was put off
		send := func(c mail.Client, from, want string) {
			t.Helper()
			n++
			rcpt, final := h.talk(c, from, []string{"luis@empresa.test"}, fmt.Sprintf(ours, n))
			got := ""
			if len(rcpt) > 0 {
				got, put = rcpt[0], rcpt[0]
			} else {
				got = final[0].String()
			}
			if !strings.HasPrefix(got, want) {
				t.Fatalf("message %d at %v: %s, want %s", n, time.Now().UTC(), got, want)
			}
		}
		ana := h.submitter("ana")
		for range 500 { // an hour and a half
			send(ana, "ana@empresa.test", "250 2.0.0")
			time.Sleep(10 * time.Second)
		}
		const over = "450 4.7.1 <ana@empresa.test>: 500 messages sent in a day, of 500 that may be; the next one may go at 2000-01-02 01:00 UTC [rate.account] https://mx.empresa.test/why/"
		send(ana, "ana@empresa.test", over)
		send(ana, "", over) // a null reverse-path is no way round
		send(h.submitter("luis"), "luis@empresa.test", "250 2.0.0")
		// Whatever does not come with the password of an account is not counted.
		send(mail.Client{Door: mail.Local, Class: mail.Authenticated, Login: "uid:1000"}, "ana@empresa.test", "250 2.0.0")
		send(mail.Client{Door: mail.LMTP, Class: mail.LocalNetwork, HELO: "filter"}, "ana@empresa.test", "250 2.0.0")
		send(stranger(), "a@good.example", "250 2.0.0")
		err := h.Deposit(t.Context(), Deposit{ID: mail.NewID(time.Now()), To: address(t, "ana@empresa.test"), Message: []byte("Subject: DSN\r\n\r\nx\r\n")})
		if err != nil || len(h.mailIn("ana", "INBOX")) != 1 {
			t.Errorf("a notice of ours: %v", err)
		}
		time.Sleep(time.Until(time.Date(2000, 1, 2, 0, 59, 59, 0, time.UTC)))
		send(ana, "ana@empresa.test", over)
		time.Sleep(time.Second)
		send(ana, "ana@empresa.test", "250 2.0.0")
		if want := fmt.Sprintf("[%d 400/500]", h.ids["ana"]); fmt.Sprint(*warned) != want {
			t.Errorf("warned %v, want %s", *warned, want)
		}
		id, err := mail.ParseID(put[len(put)-26:])
		if err != nil {
			t.Fatal(err)
		}
		kept, err := h.store.Trace(t.Context(), id)
		for try := 0; errors.Is(err, store.ErrNotFound) && try < 100; try++ { // refusals are written behind the reply
			time.Sleep(time.Second)
			kept, err = h.store.Trace(t.Context(), id)
		}
		if err != nil {
			t.Fatal(err)
		}
		rec, err := trace.Decode(kept.TraceRecord)
		if err != nil || rec.Stage != trace.AtMail || rec.Login != "ana@empresa.test" || rec.Findings.Outcome(finding.RateAccount) != finding.Fail {
			t.Errorf("the trace of the refusal: %+v, %v", rec, err)
		}
	})
}

// A message that is not accepted takes nothing from the day: refused, reset, or cut
// off in the middle.
func TestNotAcceptedNotCounted(t *testing.T) {
	h, _ := counting(t, 3)
	ana := h.submitter("ana")
	sent := func(want int) {
		t.Helper()
		got, err := h.cfg.Sent.Sent(t.Context(), ana.Account)
		if err != nil || got[0] != want {
			t.Errorf("%d are counted, want %d (%v)", got[0], want, err)
		}
	}
	for range 10 {
		if rcpt, _ := h.talk(ana, "ana@empresa.test", []string{"nadie@empresa.test"}, ""); !strings.HasPrefix(rcpt[0], "550") {
			t.Fatal(rcpt)
		}
	}
	sent(0)
	for range 10 { // the client goes away in the middle of the message
		s, _ := h.Open(t.Context(), &ana)
		e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: ana, ReversePath: address(t, "ana@empresa.test")}
		if r := s.Mail(t.Context(), e); r != nil {
			t.Fatal(r)
		}
		sent(1) // while it lasts
		rc := mail.Recipient{Address: address(t, "luis@empresa.test")}
		if r := s.Rcpt(t.Context(), e, rc); r != nil {
			t.Fatal(r)
		}
		e.Recipients = append(e.Recipients, rc)
		sink, r := s.Data(t.Context(), e)
		if r != nil {
			t.Fatal(r)
		}
		fmt.Fprint(sink, "Subject: x\r\n\r\n")
		sink.Abort()
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		s.Close(gone, smtpserver.CloseReason{Cause: smtpserver.Dropped})
	}
	sent(0)
	// Sessions at once cannot have more than the day holds.
	var open []smtpserver.Session
	for i := range 5 {
		s, _ := h.Open(t.Context(), &ana)
		defer s.Close(t.Context(), smtpserver.CloseReason{})
		e := &mail.Envelope{ID: mail.NewID(time.Now()), Client: ana, ReversePath: address(t, "ana@empresa.test")}
		if r := s.Mail(t.Context(), e); (r == nil) != (i < 3) {
			t.Errorf("session %d: %v", i, r)
		}
		open = append(open, s)
	}
	sent(3)
	for _, s := range open {
		s.Reset(t.Context())
	}
	sent(0)
}

// An account's own limit holds in place of the policy's; without any limit nothing is
// counted.
func TestOwnLimit(t *testing.T) {
	for _, c := range []struct{ policy, own, went, counted int }{
		{2, 0, 2, 2}, {2, 4, 4, 4}, {2, store.NoLimit, 6, 0}, {0, 0, 6, 0}, {0, 3, 3, 3},
	} {
		h, _ := counting(t, c.policy)
		h.account("ana", func(a *store.Account) { a.MessagesPerDay = c.own })
		ana := h.submitter("ana")
		went := 0
		for i := range 6 {
			if rcpt, _ := h.talk(ana, "ana@empresa.test", []string{"luis@empresa.test"}, fmt.Sprintf(ours, i)); len(rcpt) == 0 {
				went++
			}
		}
		sent, err := h.cfg.Sent.Sent(t.Context(), ana.Account)
		if err != nil || went != c.went || sent[0] != c.counted {
			t.Errorf("policy %d, own %d: %d went and %d are counted, want %d and %d (%v)", c.policy, c.own, went, sent[0], c.went, c.counted, err)
		}
	}
}

// Who asks what would happen takes nothing from the day, and is told when it is used up.
func TestExplainTakesNothing(t *testing.T) {
	h, warned := counting(t, 1)
	q := command.Question{IP: "198.51.100.9", HELO: "pc", Login: "ana@empresa.test", From: "ana@empresa.test", To: []string{"luis@empresa.test"}}
	for range 3 {
		out, err := h.Explain(t.Context(), q)
		if err != nil || out.MailReply != "" {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	sent, err := h.cfg.Sent.Sent(t.Context(), int64(h.ids["ana"]))
	if err != nil || sent[0] != 0 || len(*warned) != 0 {
		t.Errorf("%d are counted and %v warned after asking, %v", sent[0], *warned, err)
	}
	h.talk(h.submitter("ana"), "ana@empresa.test", []string{"luis@empresa.test"}, fmt.Sprintf(ours, 1))
	out, err := h.Explain(t.Context(), q)
	if err != nil || !strings.Contains(out.MailReply, "[rate.account]") {
		t.Errorf("%+v, %v", out, err)
	}
}

// SMTP AUTH with a password that is right and too old: permanent, with the check, what
// to do and the page; with a wrong one the usual words.
func TestExpiredPassword(t *testing.T) {
	h := newHouse(t)
	h.account("ana", func(a *store.Account) {
		a.Password, a.PasswordSet = admit.HashPassword("correcta"), time.Now().Add(-31*24*time.Hour)
	})
	h.login = admit.New(h.dir, admit.Config{Failure: time.Millisecond, Term: func() store.PasswordTerm { return policy.Profile(policy.Guia).Accounts.Term("") }})
	c := mail.Client{Door: mail.Submission, IP: netip.MustParseAddr("198.51.100.9"), HELO: "pc", EHLO: true}
	s, _ := h.Open(t.Context(), &c)
	defer s.Close(t.Context(), smtpserver.CloseReason{})
	for _, tt := range []struct{ password, want string }{
		{"otra", "535 5.7.8 Address or password is wrong"},
		{"correcta", "525 5.7.13 The password is too old: ask your administrator for a new one [auth.expired] https://mx.empresa.test/why/"},
	} {
		r := s.Authenticate(t.Context(), &c, sasl.Credentials{User: "ana@empresa.test", Password: tt.password})
		if r == nil || !strings.HasPrefix(r.String(), tt.want) {
			t.Errorf("%s: %v, want %s", tt.password, r, tt.want)
		}
		if c.Account != 0 || c.Class == mail.Authenticated {
			t.Errorf("%s: logged in as %d", tt.password, c.Account)
		}
	}
	h.cfg.PasswordPage = "https://mx.empresa.test/account/password"
	want := "525 5.7.13 The password is too old: change it at https://mx.empresa.test/account/password [auth.expired] "
	if r := s.Authenticate(t.Context(), &c, sasl.Credentials{User: "ana@empresa.test", Password: "correcta"}); r == nil || !strings.HasPrefix(r.String(), want) {
		t.Errorf("where there is a page: %v, want %s", r, want)
	}
	h.account("ana", func(a *store.Account) { a.PasswordSet = time.Now() })
	if r := s.Authenticate(t.Context(), &c, sasl.Credentials{User: "ana@empresa.test", Password: "correcta"}); r != nil || c.Login != "ana@empresa.test" {
		t.Errorf("with a new password: %v", r)
	}
}
