package scan

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"posta/internal/mail"
	"posta/internal/milter"
)

// Member is one scanner of a Runner.
type Member struct {
	Name       string // in traces, replies and findings; unique
	Scanner    Scanner
	Timeout    time.Duration // for one message; 0 is the kind's
	OnFailure  Fallback
	OnTooLarge Fallback
	Parallel   int // messages at a time; 0 is 16
	// Classes are those whose mail it sees; none is everybody's. All strangers
	// (OwnServer, BigProvider) are one: what they are is not known when the first of
	// them is told to a milter.
	Classes []mail.Class
}

// Config is what a Runner is made of.
type Config struct {
	Members []Member // asked in this order
	// Total bounds the time for all members of one message; 0 is 50 s, since the
	// dot must be answered within a minute (DESIGN §2.5).
	Total   time.Duration
	TempDir TempDir // for replaced bodies above 256 KiB
}

// Runner asks scanners in order. It is safe for use by many goroutines.
type Runner struct {
	members []*member
	total   time.Duration
	tmp     TempDir
}

// member is a Member that runs.
type member struct {
	Member
	slots   chan struct{}
	breaker breaker
	counts  counts
}

// sees reports whether mail of a class concerns it.
func (m *member) sees(c mail.Class) bool {
	return len(m.Classes) == 0 || slices.ContainsFunc(m.Classes, func(o mail.Class) bool {
		return o == c || o <= mail.BigProvider && c <= mail.BigProvider
	})
}

// New makes a Runner. It does not connect to anything.
func New(c Config) (*Runner, error) {
	r := &Runner{total: c.Total, tmp: c.TempDir}
	if r.total <= 0 {
		r.total = 50 * time.Second
	}
	seen := map[string]bool{}
	for i, m := range c.Members {
		switch {
		case m.Scanner == nil || m.Name == "":
			return nil, fmt.Errorf("scanner %d: it needs a name and an address", i+1)
		case seen[m.Name]:
			return nil, fmt.Errorf("scanner %q is there twice: give each a name of its own", m.Name)
		}
		seen[m.Name] = true
		r.members = append(r.members, newMember(m))
	}
	return r, nil
}

// newMember fills in the defaults of the kind.
func newMember(m Member) *member {
	d := m.Scanner.Defaults()
	if m.Timeout <= 0 {
		m.Timeout = d.Timeout
	}
	if m.OnFailure == ByKind {
		m.OnFailure = d.OnFailure
	}
	if m.OnTooLarge == ByKind {
		m.OnTooLarge = d.OnTooLarge
	}
	if m.Parallel <= 0 {
		m.Parallel = 16
	}
	return &member{Member: m, slots: make(chan struct{}, m.Parallel)}
}

// Close closes what the scanners keep open.
func (r *Runner) Close() error {
	var errs []error
	for _, m := range r.members {
		errs = append(errs, m.Scanner.Close())
	}
	return errors.Join(errs...)
}

// Len is how many members there are; with none, Run changes nothing and need not
// be called.
func (r *Runner) Len() int { return len(r.members) }

// Sees reports whether mail of a class concerns any member.
func (r *Runner) Sees(c mail.Class) bool {
	return slices.ContainsFunc(r.members, func(m *member) bool { return m.sees(c) })
}

// Listening reports whether a milter wants to hear of a client of a class in the
// session.
func (r *Runner) Listening(c mail.Class) bool {
	return slices.ContainsFunc(r.members, func(m *member) bool {
		_, ok := m.Scanner.(*Milter)
		return ok && m.sees(c)
	})
}

// Run asks every member that it concerns about a message. It blocks for at most Total and ends
// early with ctx; then, as in every doubt, the action is Defer. The caller reads the Outcome's
// message, then closes it.
func (r *Runner) Run(ctx context.Context, f *Facts, m Message) *Outcome {
	return r.run(ctx, f, m, func(i int) Scanner { return r.members[i].Scanner })
}

// run asks the scanners that pick gives, in order, until one of them ends it.
func (r *Runner) run(ctx context.Context, f *Facts, m Message, pick func(i int) Scanner) *Outcome {
	o := newOutcome(f, m)
	limit, cancel := context.WithTimeout(ctx, r.total)
	defer cancel()
	for i, mb := range r.members {
		if !mb.sees(f.Envelope.Client.Class) {
			continue
		}
		began := time.Now()
		rep, err := mb.ask(limit, &o.facts, o.Message, r.tmp, pick(i))
		if err == nil {
			err = o.take(mb.Name, &rep)
		}
		res := Result{Name: mb.Name, Kind: mb.Scanner.Defaults().Kind, Duration: time.Since(began)}
		if err != nil {
			rep.body.free()
			res.fail(ctx, mb, err)
		} else {
			res.Report = rep
		}
		mb.counts.add(&res)
		if o.add(res) {
			break
		}
	}
	return o
}

// ask gives a message to the scanner, unless that rests or has no place free.
func (m *member) ask(ctx context.Context, f *Facts, msg Message, tmp TempDir, s Scanner) (Report, error) {
	var rep Report
	err := m.use(ctx, func(ctx context.Context) (err error) {
		rep, err = s.Scan(ctx, f, msg, tmp)
		return err
	})
	return rep, err
}

// use runs one exchange with the scanner, within its time and in a place of its
// own, and learns from what comes of it whether the scanner works.
func (m *member) use(parent context.Context, exchange func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(parent, m.Timeout)
	defer cancel()
	select {
	case m.slots <- struct{}{}:
	case <-ctx.Done():
		return failed(Busy, "%d messages are with it", cap(m.slots))
	}
	defer func() { <-m.slots }()
	if ok, last := m.breaker.enter(time.Now()); !ok {
		return failed(Resting, "after failures in a row, the last %w", last)
	}
	err := exchange(ctx)
	switch {
	case err == nil || causeOf(err) == Local:
	case errors.Is(ctx.Err(), context.Canceled):
		err = failed(Cancelled, "%w", err)
	case ctx.Err() != nil:
		err = failed(Slow, "no answer in time: %w", err)
	}
	c := causeOf(err)
	// When the time of the whole run is over, that says nothing of this scanner.
	known := err == nil || parent.Err() == nil && c != Cancelled && c != Local && c != TooLarge
	m.breaker.leave(time.Now(), err, known)
	return err
}

// causeOf classes an error.
func causeOf(err error) Cause {
	if err == nil {
		return NoCause
	}
	if f, ok := errors.AsType[*Failure](err); ok {
		return f.Cause
	}
	_, local := errors.AsType[*milter.LocalError](err)
	switch {
	case local:
		return Local
	case errors.Is(err, context.Canceled):
		return Cancelled
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return Slow
	case errors.Is(err, milter.ErrTooLarge):
		return TooLarge
	case errors.Is(err, milter.ErrProtocol):
		return Nonsense
	}
	return Down
}

// fail makes of an error the action that the member is set to.
func (r *Result) fail(ctx context.Context, m *member, err error) {
	r.Err, r.Cause = err, causeOf(err)
	if ctx.Err() != nil {
		r.Cause = Cancelled
	}
	fallback := m.OnFailure
	switch r.Cause {
	case TooLarge:
		fallback = m.OnTooLarge
	case Cancelled, Local:
		fallback = Defer
	}
	r.Reason = clean(err.Error())
	if fallback == Defer {
		r.Action = mail.Defer
	}
}

// Health is what is known of one member.
type Health struct {
	Name, Kind string
	Version    string // as the program gives it
	Err        error  // why it cannot be asked now
	OnFailure  Fallback
	// Resting until then, after failures in a row of which the last is Last.
	Resting time.Time
	Last    error
}

// Health asks every member whether it is there. It blocks for at most 5 s.
func (r *Runner) Health(ctx context.Context) []Health {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	out := make([]Health, len(r.members))
	var wg sync.WaitGroup
	for i, m := range r.members {
		wg.Go(func() {
			h := Health{Name: m.Name, Kind: m.Scanner.Defaults().Kind, OnFailure: m.OnFailure}
			h.Resting, h.Last = m.breaker.resting()
			h.Version, h.Err = m.Scanner.Ping(ctx)
			out[i] = h
		})
	}
	wg.Wait()
	return out
}
