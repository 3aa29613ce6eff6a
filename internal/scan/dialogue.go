package scan

import (
	"context"
	"errors"
	"io"
	"net/netip"

	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/milter"
	"posta/internal/smtp"
)

// Dialogue asks the milters of a Runner while a session goes on, so that they can
// refuse at connect, HELO, MAIL and RCPT; other scanners are asked by Run only.
// Its methods are for one goroutine. A milter that fails is not asked again in
// this session: its member says whether everything is put off from then on, or goes
// on without it.
//
// A milter hears of the envelope as the client gives it; what an earlier milter
// changes in it is changed after the dot, as with sendmail.
type Dialogue struct {
	r         *Runner
	listeners []*listener // by member; nil: not a milter
}

// Answer is what the milters say to one stage. Reply is zero where the words are
// left to us. Only the actions Accept, Defer and Reject are used: who wants to discard
// is heard by Run.
type Answer struct {
	Action mail.Action
	Reply  smtp.Reply
	By     string
	Cause  Cause // why By has no opinion, if Action is its member's setting
	Err    error
}

// Listen begins a Dialogue. It does not connect. The caller closes it.
func (r *Runner) Listen() *Dialogue {
	d := &Dialogue{r: r, listeners: make([]*listener, len(r.members))}
	for i, m := range r.members {
		if s, ok := m.Scanner.(*Milter); ok {
			d.listeners[i] = &listener{Milter: s, member: m}
		}
	}
	return d
}

// listener is one milter that listens.
type listener struct {
	*Milter
	member  *member
	session *milter.Session // nil before connect and after a failure
	err     error           // the failure
}

// Connect opens the milters and tells of the client. Of the envelope in f only
// the client is looked at; its class says which milters it concerns.
func (d *Dialogue) Connect(ctx context.Context, f *Facts) Answer {
	for i, l := range d.listeners {
		if l != nil && !l.member.sees(f.Envelope.Client.Class) {
			d.listeners[i] = nil
		}
	}
	return d.tell(ctx, func(ctx context.Context, l *listener) (milter.Verdict, error) {
		s, err := l.client.Open(ctx)
		if err != nil {
			return milter.Verdict{}, err
		}
		l.session, s.Macros = s, connectionMacros(f)
		c := &f.Envelope.Client
		return s.Connect(ctx, f.Name, netip.AddrPortFrom(c.IP, c.Port))
	})
}

// Helo tells of HELO or EHLO, each time that the client says one.
func (d *Dialogue) Helo(ctx context.Context, f *Facts) Answer {
	return d.each(ctx, func(ctx context.Context, l *listener) (milter.Verdict, error) {
		l.define(connectionMacros(f))
		return l.session.Helo(ctx, f.Envelope.Client.HELO)
	})
}

// Mail begins a transaction.
func (d *Dialogue) Mail(ctx context.Context, f *Facts) Answer {
	p := mailPath(f.Envelope)
	return d.each(ctx, func(ctx context.Context, l *listener) (milter.Verdict, error) {
		l.define(macros(f, nil))
		return l.session.Mail(ctx, p.Address, p.Params)
	})
}

// Rcpt tells of a recipient that we would accept.
func (d *Dialogue) Rcpt(ctx context.Context, r mail.Recipient) Answer {
	p := rcptPath(r)
	return d.each(ctx, func(ctx context.Context, l *listener) (milter.Verdict, error) {
		return l.session.Rcpt(ctx, p.Address, p.Params)
	})
}

// Reset ends a transaction that came to nothing.
func (d *Dialogue) Reset(ctx context.Context) {
	d.each(ctx, func(ctx context.Context, l *listener) (milter.Verdict, error) {
		return milter.Verdict{}, l.session.Abort(ctx)
	})
}

// Run asks every member about the message, as [Runner.Run] does; the milters have
// heard the envelope already.
func (d *Dialogue) Run(ctx context.Context, f *Facts, m Message) *Outcome {
	return d.r.run(ctx, f, m, func(i int) Scanner {
		if l := d.listeners[i]; l != nil {
			return l
		}
		return d.r.members[i].Scanner
	})
}

// Close says good-bye to the milters.
func (d *Dialogue) Close() {
	for _, l := range d.listeners {
		if l != nil && l.session != nil {
			l.session.Close()
			l.session = nil
		}
	}
}

// errNotConnected is a fault of the caller.
var errNotConnected = &Failure{Local, errors.New("the milter was not told of the client")}

// define adds macros to those that the milter may hear.
func (l *listener) define(m milter.Macros) {
	for k, v := range m {
		l.session.Macros[k] = v
	}
}

// Scan tells of the message. It implements Scanner for Run.
func (l *listener) Scan(ctx context.Context, _ *Facts, m Message, tmp TempDir) (Report, error) {
	if l.err != nil {
		return Report{}, l.err
	}
	if l.session == nil {
		return Report{}, errNotConnected
	}
	rep, err := l.scan(ctx, m, tmp)
	if err != nil {
		l.fail(err)
	}
	return rep, err
}

func (l *listener) scan(ctx context.Context, m Message, tmp TempDir) (Report, error) {
	l.session.Macros["msg_id"] = message.Header(m.Header).Get("Message-ID")
	v, err := l.session.Data(ctx)
	if err != nil || v.Final() {
		return milterReport(milter.Result{Verdict: v}, nil), err
	}
	var body *spool
	v, edits, err := l.session.Message(ctx, m.Header, m.body(), func() io.Writer { return renew(&body, tmp) })
	if err != nil {
		body.free()
		return Report{}, err
	}
	return milterReport(milter.Result{Verdict: v, Edits: edits}, body), nil
}

// fail ends the milter's part in this session.
func (l *listener) fail(err error) {
	l.err = err
	if l.session != nil {
		l.session.Close()
		l.session = nil
	}
}

// each tells one stage to every milter that was told of the client.
func (d *Dialogue) each(ctx context.Context, stage func(context.Context, *listener) (milter.Verdict, error)) Answer {
	return d.tell(ctx, func(ctx context.Context, l *listener) (milter.Verdict, error) {
		if l.session == nil {
			return milter.Verdict{}, errNotConnected
		}
		return stage(ctx, l)
	})
}

// tell tells one stage to every milter that still listens, until one of them
// refuses.
func (d *Dialogue) tell(ctx context.Context, stage func(context.Context, *listener) (milter.Verdict, error)) Answer {
	limit, cancel := context.WithTimeout(ctx, d.r.total)
	defer cancel()
	for _, l := range d.listeners {
		if l == nil {
			continue
		}
		if a := l.ask(ctx, limit, stage); a.Action == mail.Defer || a.Action == mail.Reject {
			return a
		}
	}
	return Answer{}
}

// ask tells one stage to one milter. ctx is the caller's, limit ends with it or when
// the time of all is over.
func (l *listener) ask(ctx, limit context.Context, stage func(context.Context, *listener) (milter.Verdict, error)) Answer {
	var v milter.Verdict
	err := l.err
	if err == nil {
		err = l.member.use(limit, func(ctx context.Context) (err error) {
			v, err = stage(ctx, l)
			return err
		})
	}
	if err == nil {
		a := Answer{Action: actionOf(v), Reply: v.Reply, By: l.member.Name}
		if a.Action >= mail.Defer {
			l.member.counts.add(&Result{Report: Report{Action: a.Action}})
		}
		return a
	}
	l.fail(err)
	var r Result
	r.fail(ctx, l.member, err)
	if r.Action == mail.Defer { // else it is heard of again, and counted, after the dot
		l.member.counts.add(&r)
	}
	return Answer{Action: r.Action, By: l.member.Name, Cause: r.Cause, Err: err}
}
