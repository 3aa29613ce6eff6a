package probe

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

const (
	maxOctets      = 256 << 10 // that one connection may send us
	maxLines       = 400       // that one connection may send us
	maxConnections = 24        // of one probe; each question has its own smaller number
)

// Errors of a probe. Those of the network are given as they are.
var (
	ErrBudget      = errors.New("probe: the server says too much")
	ErrConnections = errors.New("probe: no connection is left for this question")
	ErrClosing     = errors.New("probe: the server says that it closes (421)")
	ErrSyntax      = errors.New("probe: not an answer of this protocol")
	ErrAhead       = errors.New("probe: the server answers before it was asked")
	ErrCleartext   = errors.New("probe: cleartext came behind the answer to STARTTLS")
)

// Answer is a question's outcome when silence must not be taken for "no". The zero
// value is Unknown.
type Answer uint8

// The answers.
const (
	Unknown Answer = iota
	No
	Yes
)

// String gives "unknown", "no" or "yes".
func (a Answer) String() string { return [...]string{"unknown", "no", "yes"}[a] }

// MarshalText writes the answer for programs.
func (a Answer) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

func answer(yes bool) Answer {
	if yes {
		return Yes
	}
	return No
}

// Timeouts bound what waits. Zero values stand for the defaults.
type Timeouts struct {
	Connect  time.Duration // 10 s
	Greeting time.Duration // 30 s: tarpits of 20 s are in use and not a fault
	Command  time.Duration // 20 s
	Pause    time.Duration // 200 ms, between two connections without Lanes; negative: none
	Whole    time.Duration // 2 min, for the probe of one address
}

// Config is a probe's surroundings. The zero value works.
type Config struct {
	Hello    string // who we are, in EHLO; empty: the address from which we connect, as a literal
	Dial     func(ctx context.Context, network, address string) (net.Conn, error)
	Roots    *x509.CertPool // whom to trust; nil: the system's
	Now      func() time.Time
	Timeouts Timeouts
	// Lanes bounds the connections to one address that are open at a time. With it the questions after the dialogue are
	// asked side by side, as many as it lets. Nil: one connection after another, in an order that a person can follow.
	Lanes *Lanes
	// Saw is told each line of the dialogue as it happens, one at a time; without Lanes in the order of the questions.
	// Nil: nobody.
	Saw func(Line)
}

// Target is one address of one host.
type Target struct {
	Host     string         `json:"host"` // the name that its certificate must have; an address when there is none
	Addr     netip.AddrPort `json:"addr"`
	Implicit bool           `json:"implicit"` // TLS from the first octet (RFC 8314 §3)
}

// Line is one line of the dialogue.
type Line struct {
	Connection int    `json:"connection"` // from 1
	From       Side   `json:"from"`
	Text       string `json:"text"`           // as it went, without CR LF
	Note       string `json:"note,omitempty"` // key of what it means, see the constants Note…
	Args       []any  `json:"args,omitempty"` // of the note
}

// Side is who speaks.
type Side string

// The sides. Event is neither: a connection, a handshake, an error.
const (
	Us    Side = "us"
	Them  Side = "them"
	Event Side = "event"
)

func (c Config) withDefaults() Config {
	if c.Dial == nil {
		c.Dial = new(net.Dialer).DialContext
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Saw == nil {
		c.Saw = func(Line) {}
	}
	t := &c.Timeouts
	t.Connect = cmp.Or(t.Connect, 10*time.Second)
	t.Greeting = cmp.Or(t.Greeting, 30*time.Second)
	t.Command = cmp.Or(t.Command, 20*time.Second)
	t.Pause = cmp.Or(t.Pause, 200*time.Millisecond)
	t.Whole = cmp.Or(t.Whole, 2*time.Minute)
	return c
}

// prober is the probe of one target. Its further questions may run at the same time
// (see further), each on a connection of its own.
type prober struct {
	cfg    Config
	target Target
	asked  sync.WaitGroup // questions that run beside the dialogue
	later  []func()       // questions that wait for its end

	mu          sync.Mutex
	connections int
	closing     bool // the server said 421: nothing more is asked
}

func newProber(cfg Config, t Target) *prober { return &prober{cfg: cfg.withDefaults(), target: t} }

// further asks a question on connections of its own: with Lanes at once, else when the
// dialogue is over (finish).
func (p *prober) further(question func()) {
	if p.cfg.Lanes != nil {
		p.asked.Go(question)
		return
	}
	p.later = append(p.later, question)
}

// finish asks what has waited, and waits for what is being asked.
func (p *prober) finish() {
	for _, question := range p.later {
		question()
	}
	p.asked.Wait()
}

// saw tells whoever listens.
func (p *prober) saw(l Line) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.Saw(l)
}

// event tells of something that is no line of either side, of the newest connection.
func (p *prober) event(text, note string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cfg.Saw(Line{Connection: p.connections, From: Event, Text: text, Note: note, Args: args})
}

// close notes that the server wants to be left alone.
func (p *prober) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closing = true
}

// next counts a connection, when one is left.
func (p *prober) next() (number int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.closing:
		return 0, ErrClosing
	case p.connections >= maxConnections:
		return 0, ErrConnections
	}
	p.connections++
	return p.connections, nil
}

// lane waits until a further connection may be opened: for a lane, or for the pause
// between two.
func (p *prober) lane(ctx context.Context) (release func(), err error) {
	if p.cfg.Lanes != nil {
		return p.cfg.Lanes.Take(ctx, p.target.Addr)
	}
	return func() {}, p.pause(ctx)
}

// pause waits between two connections.
func (p *prober) pause(ctx context.Context) error {
	if p.connections == 0 || p.cfg.Timeouts.Pause < 0 {
		return ctx.Err()
	}
	t := time.NewTimer(p.cfg.Timeouts.Pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
