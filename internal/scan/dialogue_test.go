package scan

import (
	"net"
	"strings"
	"sync"
	"testing"

	gomilter "github.com/d--j/go-milter"

	"posta/internal/mail"
	"posta/internal/milter"
)

// guard is a milter on a library of others: it refuses MAIL from bad@, discards
// what comes from spam@, refuses the recipient nobody@, and adds a field that
// tells how many fields it saw.
type guard struct {
	gomilter.NoOpMilter
	name   string
	fields int
}

func (g *guard) MailFrom(from, _ string, _ gomilter.Modifier) (*gomilter.Response, error) {
	g.fields = 0
	switch {
	case strings.HasPrefix(from, "bad@"):
		return gomilter.RejectWithCodeAndReason(553, "5.1.8 not you")
	case strings.HasPrefix(from, "spam@"):
		return gomilter.RespDiscard, nil
	}
	return gomilter.RespContinue, nil
}

func (g *guard) RcptTo(to, _ string, _ gomilter.Modifier) (*gomilter.Response, error) {
	if strings.HasPrefix(to, "nobody@") {
		return gomilter.RejectWithCodeAndReason(550, "5.1.1 nobody")
	}
	return gomilter.RespContinue, nil
}

func (g *guard) Header(string, string, gomilter.Modifier) (*gomilter.Response, error) {
	g.fields++
	return gomilter.RespContinue, nil
}

func (g *guard) EndOfMessage(m gomilter.Modifier) (*gomilter.Response, error) {
	return gomilter.RespContinue, m.InsertHeader(0, "X-"+g.name, strings.Repeat("+", g.fields)+m.Get(gomilter.MacroQueueId)[:2])
}

// guards runs a milter; stop ends it with all its connections.
func guards(t *testing.T, name string) (s *Milter, stop func()) {
	t.Helper()
	server := gomilter.NewServer(
		gomilter.WithMilter(func() gomilter.Milter { return &guard{name: name} }),
		gomilter.WithActions(gomilter.OptAddHeader), gomilter.WithProtocols(gomilter.OptNoBody),
	)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.Serve(l) // it ends with stop
	}()
	stop = sync.OnceFunc(func() {
		l.Close()
		server.Close()
		<-done
	})
	t.Cleanup(stop)
	s, err = NewMilter(l.Addr().String(), milter.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s, stop
}

func from(t *testing.T, s string) *Facts {
	f := facts(t)
	f.Envelope.ReversePath = address(t, s)
	return f
}

// Two milters hear a session: MAIL and RCPT are refused as it goes on, what is
// accepted passes through both and the scanner behind them.
func TestDialogue(t *testing.T) {
	one, _ := guards(t, "One")
	two, _ := guards(t, "Two")
	r := runner(t, Member{Name: "one", Scanner: one}, Member{Name: "two", Scanner: two}, Member{Name: "spam", Scanner: says(Report{Action: mail.Junk}, nil)})
	d := r.Listen()
	defer d.Close()
	ctx, f := t.Context(), facts(t)
	expect := func(a Answer, want mail.Action, reply string) {
		t.Helper()
		if a.Action != want || want == mail.Reject && a.Reply.String() != reply || a.Err != nil {
			t.Errorf("%+v, want %v %s", a, want, reply)
		}
	}
	expect(d.Connect(ctx, f), mail.Accept, "")
	expect(d.Helo(ctx, f), mail.Accept, "")
	expect(d.Mail(ctx, from(t, "bad@example.net")), mail.Reject, "553 5.1.8 not you")
	for range 2 {
		expect(d.Mail(ctx, f), mail.Accept, "")
		expect(d.Rcpt(ctx, mail.Recipient{Address: address(t, "nobody@example.org")}), mail.Reject, "550 5.1.1 nobody")
		for _, to := range f.Envelope.Recipients {
			expect(d.Rcpt(ctx, to), mail.Accept, "")
		}
		d.Reset(ctx)
		expect(d.Mail(ctx, f), mail.Accept, "")
		expect(d.Rcpt(ctx, f.Envelope.Recipients[0]), mail.Accept, "")
		o := d.Run(ctx, f, text(header, "Hello\r\n"))
		if o.Action != mail.Junk || o.By != "spam" || whole(t, o.Message) != "X-Two: +++++00\r\nX-One: ++++00\r\n"+header+"Hello\r\n" {
			t.Errorf("%v %v\n%s", o.Action, o.Results, o.Message.Header)
		}
		o.Close()
	}
	expect(d.Mail(ctx, from(t, "spam@example.net")), mail.Accept, "")
	expect(d.Rcpt(ctx, f.Envelope.Recipients[0]), mail.Accept, "")
	if o := d.Run(ctx, f, text(header, "")); o.Action != mail.Discard || o.By != "one" {
		t.Error(o.Action, o.Results)
	}
}

// A milter that dies in the session defers or passes from then on, at every stage
// and after the dot; one that was down from the start does so too.
func TestDialogueWithTheDead(t *testing.T) {
	for set, want := range map[Fallback]mail.Action{Defer: mail.Defer, Pass: mail.Accept} {
		for _, when := range []string{"before connect", "before MAIL", "before the message"} {
			t.Run(set.String()+" "+when, func(t *testing.T) {
				s, stop := guards(t, "One")
				d := runner(t, Member{Scanner: s, OnFailure: set}).Listen()
				defer d.Close()
				ctx, f := t.Context(), facts(t)
				dead := false
				stage := func(name string, a Answer) {
					t.Helper()
					if dead && (a.Action != want || set == Defer && a.Cause != Down) || !dead && (a.Action != mail.Accept || a.Err != nil) {
						t.Errorf("%s: %+v", name, a)
					}
				}
				kill := func(now string) {
					if now == when {
						stop()
						dead = true
					}
				}
				kill("before connect")
				stage("connect", d.Connect(ctx, f))
				stage("HELO", d.Helo(ctx, f))
				kill("before MAIL")
				stage("MAIL", d.Mail(ctx, f))
				stage("RCPT", d.Rcpt(ctx, f.Envelope.Recipients[0]))
				kill("before the message")
				d.Reset(ctx)
				o := d.Run(ctx, f, text(header, "Hello\r\n"))
				if o.Action != want || o.Results[0].Cause != Down || whole(t, o.Message) != header+"Hello\r\n" {
					t.Error(o.Action, o.Results)
				}
			})
		}
	}
}

// Who forgets to tell of the client is put off, whatever is set.
func TestDialogueOutOfOrder(t *testing.T) {
	s, _ := guards(t, "One")
	d := runner(t, Member{Scanner: s, OnFailure: Pass}).Listen()
	defer d.Close()
	if a := d.Mail(t.Context(), facts(t)); a.Action != mail.Defer || a.Cause != Local {
		t.Errorf("%+v", a)
	}
	if o := d.Run(t.Context(), facts(t), text(header, "")); o.Action != mail.Defer {
		t.Error(o.Results)
	}
}
