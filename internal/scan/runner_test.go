package scan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/milter"
	"posta/internal/smtp"
)

// fake is a scanner whose opinion a test writes.
type fake struct {
	kind Defaults
	scan func(ctx context.Context, f *Facts, m Message, tmp TempDir) (Report, error)
}

func (s *fake) Scan(ctx context.Context, f *Facts, m Message, tmp TempDir) (Report, error) {
	return s.scan(ctx, f, m, tmp)
}
func (s *fake) Ping(context.Context) (string, error) { return "fake 1", nil }
func (s *fake) Defaults() Defaults {
	if s.kind.Timeout == 0 {
		s.kind = Defaults{Kind: "fake", Timeout: 10 * time.Second, OnFailure: Defer, OnTooLarge: Pass}
	}
	return s.kind
}
func (s *fake) Close() error { return nil }

// says is a scanner that always says the same.
func says(r Report, err error) *fake {
	return &fake{scan: func(context.Context, *Facts, Message, TempDir) (Report, error) { return r, err }}
}

func address(t testing.TB, s string) addr.Address {
	t.Helper()
	a, err := addr.ParseAddress(s)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// facts are those of a message from ana to bea and carl.
func facts(t testing.TB) *Facts {
	return &Facts{
		Hostname: "mx.example.org", Name: "mx.example.net", PTR: "mx.example.net",
		Envelope: &mail.Envelope{
			ID: mail.NewID(time.Unix(0, 0)), ReversePath: address(t, "ana@example.net"), Size: 100,
			Client: mail.Client{IP: netip.MustParseAddr("192.0.2.7"), Port: 4711, HELO: "mx.example.net", EHLO: true},
			Recipients: []mail.Recipient{
				{Address: address(t, "bea@example.org")}, {Address: address(t, "carl@example.org"), Notify: mail.NotifyNever},
			},
		},
	}
}

const header = "Received: by mx.example.net\r\nFrom: Ana <ana@example.net>\r\nSubject: Hello\r\nMessage-ID: <1@example.net>\r\n\r\n"

func text(header, body string) Message {
	return Message{Header: []byte(header), Body: blob.Bytes([]byte(body))}
}

func whole(t testing.TB, m Message) string {
	t.Helper()
	b, err := io.ReadAll(m.Reader())
	if err != nil {
		t.Fatal(err)
	}
	if int64(len(b)) != m.Size() {
		t.Errorf("%d octets, but the size says %d", len(b), m.Size())
	}
	return string(b)
}

func runner(t testing.TB, members ...Member) *Runner {
	t.Helper()
	for i := range members {
		if members[i].Name == "" {
			members[i].Name = fmt.Sprintf("s%d", i+1)
		}
	}
	r, err := New(Config{Members: members, TempDir: TempDir(t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// What several opinions come to: the hardest counts, and refusal ends the run.
func TestActions(t *testing.T) {
	junk := Report{Action: mail.Junk, Reason: "spam"}
	reject := Report{Action: mail.Reject, Reply: smtp.New(554, "5.7.1", "no"), Reason: "no"}
	for _, c := range []struct {
		name  string
		says  []Report
		want  mail.Action
		by    string
		asked int
	}{
		{"nobody", nil, mail.Accept, "", 0},
		{"all accept", []Report{{}, {}}, mail.Accept, "", 2},
		{"the harder counts", []Report{junk, {Action: mail.Quarantine}, junk}, mail.Quarantine, "s2", 3},
		{"a refusal ends it", []Report{junk, reject, {}}, mail.Reject, "s2", 2},
		{"a deferral ends it", []Report{{Action: mail.Defer}, reject}, mail.Defer, "s1", 1},
		{"so does discarding", []Report{{Action: mail.Discard}, reject}, mail.Discard, "s1", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var members []Member
			for _, r := range c.says {
				members = append(members, Member{Scanner: says(r, nil)})
			}
			o := runner(t, members...).Run(t.Context(), facts(t), text(header, "Hello\r\n"))
			defer o.Close()
			if o.Action != c.want || o.By != c.by || len(o.Results) != c.asked {
				t.Errorf("%v by %q of %d", o.Action, o.By, len(o.Results))
			}
			if o.HeaderEdited || o.BodyEdited || whole(t, o.Message) != header+"Hello\r\n" {
				t.Error("the message was changed")
			}
		})
	}
}

// A scanner that has no opinion defers or passes as it is set, and never loses
// anything: the message is as it was, and the others are asked when it passes.
func TestFailures(t *testing.T) {
	kinds := map[string]error{
		"down":      errors.New("connection refused"),
		"nonsense":  fmt.Errorf("%w: huh", milter.ErrProtocol),
		"too large": fmt.Errorf("%w: a field", milter.ErrTooLarge),
		"slow":      context.DeadlineExceeded,
		"refused":   failed(Refused, "out of memory"),
	}
	for cause, err := range kinds {
		for _, set := range []Fallback{ByKind, Defer, Pass} {
			t.Run(cause+" "+set.String(), func(t *testing.T) {
				s := says(Report{Action: mail.Reject, Edits: []milter.Edit{{Kind: milter.AddHeader, Name: "X", Value: " y"}}}, err)
				r := runner(t, Member{Scanner: s, OnFailure: set, OnTooLarge: set}, Member{Scanner: says(Report{Action: mail.Junk}, nil)})
				o := r.Run(t.Context(), facts(t), text(header, "Hello\r\n"))
				defer o.Close()
				// By kind, this one defers failures and passes what is too large.
				defers := set == Defer || set == ByKind && cause != "too large"
				want, asked := mail.Junk, 2
				if defers {
					want, asked = mail.Defer, 1
				}
				if o.Action != want || len(o.Results) != asked || o.Results[0].Cause.String() != cause {
					t.Errorf("%v, %v", o.Action, o.Results)
				}
				if whole(t, o.Message) != header+"Hello\r\n" {
					t.Error("the message was changed")
				}
			})
		}
	}
	t.Run("a failure of ours always defers", func(t *testing.T) {
		s := says(Report{}, &milter.LocalError{Err: errors.New("disk full")})
		o := runner(t, Member{Scanner: s, OnFailure: Pass, OnTooLarge: Pass}).Run(t.Context(), facts(t), text(header, ""))
		if o.Action != mail.Defer || o.Results[0].Cause != Local {
			t.Error(o.Action, o.Results)
		}
	})
}

// Each scanner sees what those before it left, and the outcome is what the last
// one saw.
func TestEditsInOrder(t *testing.T) {
	var seen []string
	look := func(r Report) *fake {
		return &fake{scan: func(_ context.Context, f *Facts, m Message, tmp TempDir) (Report, error) {
			var to []string
			for _, r := range f.Envelope.Recipients {
				to = append(to, r.Address.String())
			}
			seen = append(seen, whole(t, m), f.Envelope.ReversePath.String()+" → "+strings.Join(to, " "))
			if len(seen) == 6 { // the third replaces the body, by way of a file
				r.body = &spool{dir: tmp}
				if _, err := io.WriteString(r.body, strings.Repeat("0123456789\r\n", 30_000)); err != nil {
					return Report{}, err
				}
			}
			return r, nil
		}}
	}
	f := facts(t)
	o := runner(t,
		Member{Scanner: look(Report{Edits: []milter.Edit{
			{Kind: milter.InsertHeader, Name: "X-One", Value: " 1"},
			{Kind: milter.AddRcpt, Path: "<dora@example.org>"},
			{Kind: milter.AddRcpt, Path: "BEA@example.org"}, // is there already, but for the case
			{Kind: milter.DelRcpt, Path: "<carl@example.org>"},
			{Kind: milter.ChangeFrom, Path: "<>"},
		}})},
		Member{Scanner: look(Report{
			Rcpt:  []RcptReport{{Index: 0, Action: mail.Reject, Reply: smtp.New(550, "5.1.1", "no bea")}},
			Edits: []milter.Edit{{Kind: milter.ChangeHeader, Index: 1, Name: "subject", Value: " two"}},
		})},
		Member{Scanner: look(Report{})},
		Member{Scanner: look(Report{})},
	).Run(t.Context(), f, text(header, "Hello\r\n"))
	defer o.Close()
	second := "X-One: 1\r\n" + header
	third := strings.Replace(second, "Subject: Hello", "subject: two", 1)
	long := third + strings.Repeat("0123456789\r\n", 30_000)
	want := []string{
		header + "Hello\r\n", "ana@example.net → bea@example.org carl@example.org",
		second + "Hello\r\n", " → bea@example.org dora@example.org",
		third + "Hello\r\n", " → dora@example.org",
		long, " → dora@example.org",
	}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	if whole(t, o.Message) != long || !o.HeaderEdited || !o.BodyEdited {
		t.Error("the outcome is not what the last one saw")
	}
	if o.Rcpt[0].By != "s2" || o.Rcpt[0].Action != mail.Reject || o.Rcpt[1].Action != mail.Discard || o.Rcpt[1].By != "s1" {
		t.Errorf("%+v", o.Rcpt)
	}
	if len(o.Added) != 1 || o.Added[0].Address != address(t, "dora@example.org") || o.Action != mail.Accept {
		t.Errorf("%+v %v", o.Added, o.Action)
	}
	if len(f.Envelope.Recipients) != 2 || f.Envelope.ReversePath.IsZero() {
		t.Error("the envelope that was given was changed")
	}
}

// When nobody is left, the mildest fate answers for all.
func TestNobodyLeft(t *testing.T) {
	refuse := func(actions ...mail.Action) Report {
		var r Report
		for i, a := range actions {
			r.Rcpt = append(r.Rcpt, RcptReport{Index: i, Action: a, Reply: smtp.New(550, "5.1.1", a.String())})
		}
		return r
	}
	for _, c := range []struct {
		r    Report
		want mail.Action
	}{
		{refuse(mail.Reject, mail.Reject), mail.Reject},
		{refuse(mail.Reject, mail.Defer), mail.Defer},
		{Report{Edits: []milter.Edit{{Kind: milter.DelRcpt, Path: "<bea@example.org>"}, {Kind: milter.DelRcpt, Path: "<carl@example.org>"}}}, mail.Discard},
		{refuse(mail.Reject), mail.Accept},
	} {
		o := runner(t, Member{Scanner: says(c.r, nil)}, Member{Scanner: says(Report{}, nil)}).Run(t.Context(), facts(t), text(header, ""))
		asked := 1
		if c.want == mail.Accept {
			asked = 2
		}
		if o.Action != c.want || len(o.Results) != asked {
			t.Errorf("%v of %d, want %v", o.Action, len(o.Results), c.want)
		}
	}
}

// An envelope that cannot be is nonsense, and nothing of that report counts.
func TestImpossibleEdits(t *testing.T) {
	for _, r := range []Report{
		{Rcpt: []RcptReport{{Index: 2, Action: mail.Reject}}},
		{Edits: []milter.Edit{{Kind: milter.AddHeader, Name: "X", Value: " y"}, {Kind: milter.AddRcpt, Path: "<>"}}},
		{Edits: []milter.Edit{{Kind: milter.DelRcpt, Path: "<bea@example.org>"}, {Kind: milter.ChangeFrom, Path: "<a b@c>"}}},
		{Edits: slices.Repeat([]milter.Edit{{Kind: milter.AddRcpt, Path: "<x@>"}}, 2)},
	} {
		o := runner(t, Member{Scanner: says(r, nil), OnFailure: Pass}).Run(t.Context(), facts(t), text(header, ""))
		if o.Action != mail.Accept || o.Results[0].Cause != Nonsense || o.HeaderEdited || len(o.Envelope.Recipients) != 2 || o.Rcpt[0].By != "" {
			t.Errorf("%v %v", o.Action, o.Results)
		}
	}
}

// hang never answers.
func hang() *fake {
	return &fake{scan: func(ctx context.Context, _ *Facts, _ Message, _ TempDir) (Report, error) {
		<-ctx.Done()
		return Report{}, ctx.Err()
	}}
}

// A scanner that hangs costs three messages its time; then it rests, costs
// nothing, and is tried again with one message at a time.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dead, calls := true, 0
		s := hang()
		inner := s.scan
		s.scan = func(ctx context.Context, f *Facts, m Message, tmp TempDir) (Report, error) {
			if calls++; !dead {
				return Report{}, nil
			}
			return inner(ctx, f, m, tmp)
		}
		r := runner(t, Member{Scanner: s, OnFailure: Pass})
		ask := func() (Cause, time.Duration) {
			began := time.Now()
			o := r.Run(t.Context(), facts(t), text(header, ""))
			return o.Results[0].Cause, time.Since(began)
		}
		expect := func(want Cause, took time.Duration) {
			t.Helper()
			if c, d := ask(); c != want || d != took {
				t.Errorf("%v after %v, want %v after %v", c, d, want, took)
			}
		}
		for range restAfter {
			expect(Slow, 10*time.Second)
		}
		expect(Resting, 0)
		h := r.Health(t.Context())[0]
		if h.Resting.IsZero() || h.Last == nil {
			t.Error("it does not say that it rests", h)
		}
		time.Sleep(restFirst)
		done := make(chan Cause)
		go func() { c, _ := ask(); done <- c }() // one tries,
		synctest.Wait()
		expect(Resting, 0) // the others do not wait for it
		if c := <-done; c != Slow {
			t.Error(c)
		}
		time.Sleep(restFirst)
		expect(Resting, 0) // the second rest is longer
		time.Sleep(restFirst)
		dead = false
		before := calls
		expect(NoCause, 0)
		expect(NoCause, 0)
		if calls != before+2 {
			t.Error("it still rests")
		}
		if h := r.Health(t.Context())[0]; !h.Resting.IsZero() {
			t.Error("it says that it rests", h)
		}
	})
}

// Who waits for a place waits within his time; the whole run has its own.
func TestPlacesAndTotal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runner(t, Member{Scanner: hang(), Parallel: 1, OnFailure: Pass, Timeout: 30 * time.Second})
		r.members[0].slots <- struct{}{} // a message that never ends
		began := time.Now()
		o := r.Run(t.Context(), facts(t), text(header, ""))
		if took := time.Since(began); took != 30*time.Second || o.Results[0].Cause != Busy {
			t.Error(took, o.Results)
		}

		r = runner(t, Member{Scanner: hang(), Timeout: 40 * time.Second, OnFailure: Pass}, Member{Scanner: hang(), Timeout: 40 * time.Second, OnFailure: Pass})
		began = time.Now()
		o = r.Run(t.Context(), facts(t), text(header, ""))
		if took := time.Since(began); took != 50*time.Second || len(o.Results) != 2 {
			t.Error(took, o.Results)
		}
	})
}

// The client's leaving ends a run at once, is not held against the scanner, and
// never passes.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := runner(t, Member{Scanner: hang(), OnFailure: Pass})
		for range restAfter + 1 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			o := r.Run(ctx, facts(t), text(header, ""))
			if o.Action != mail.Defer || o.Results[0].Cause != Cancelled {
				t.Error(o.Action, o.Results)
			}
		}
	})
}

func TestNewRefuses(t *testing.T) {
	s := says(Report{}, nil)
	for _, members := range [][]Member{{{Name: "a"}}, {{Scanner: s}}, {{Name: "a", Scanner: s}, {Name: "a", Scanner: s}}} {
		if _, err := New(Config{Members: members}); err == nil {
			t.Errorf("%+v is taken", members)
		}
	}
}

// A member sees the mail of its classes only, in the session and after the dot,
// and what came of it is counted.
func TestClasses(t *testing.T) {
	listens, stop := guards(t, "One")
	defer stop()
	r := runner(t,
		Member{Name: "users", Scanner: listens, Classes: []mail.Class{mail.Authenticated}},
		Member{Name: "strangers", Scanner: says(Report{Action: mail.Junk}, nil), Classes: []mail.Class{mail.OwnServer}},
		Member{Name: "down", Scanner: says(Report{}, failed(Down, "gone")), OnFailure: Pass})
	for class, want := range map[mail.Class]string{
		mail.OwnServer:     "strangers down",
		mail.BigProvider:   "strangers down",
		mail.LocalNetwork:  "down",
		mail.Authenticated: "users down",
	} {
		f := facts(t)
		f.Envelope.Client.Class = class
		d := r.Listen()
		for _, a := range []Answer{d.Connect(t.Context(), f), d.Helo(t.Context(), f), d.Mail(t.Context(), f), d.Rcpt(t.Context(), f.Envelope.Recipients[0])} {
			if a.Action != mail.Accept {
				t.Errorf("%v: %+v", class, a)
			}
		}
		o := d.Run(t.Context(), f, text(header, "Hello\r\n"))
		var asked []string
		for _, res := range o.Results {
			asked = append(asked, res.Name)
		}
		if got := strings.Join(asked, " "); got != want || !r.Sees(class) {
			t.Errorf("%v: asked %q, want %q", class, got, want)
		}
		o.Close()
		d.Close()
	}
	s := r.Stats()
	if s[0].Answers[mail.Accept] != 1 || s[1].Answers[mail.Junk] != 2 || s[2].Failures[Down] != 3 || s[2].Failures[Resting] != 1 || !s[2].Resting || s[2].Answers[mail.Accept] != 0 {
		t.Errorf("%+v", s)
	}
	only := runner(t, Member{Scanner: says(Report{}, nil), Classes: []mail.Class{mail.Authenticated}})
	if only.Sees(mail.OwnServer) {
		t.Error("a scanner of our users sees strangers")
	}
}
