package milter

import (
	"bufio"
	"context"
	"net"
	"sync"
	"time"
)

// Timeouts bound the waits of a dialogue. The zero value of each is its default.
// Sendmail's F=T letters and Postfix's parameters are named beside.
type Timeouts struct {
	Connect time.Duration // connecting, and again negotiating; 10 s (C:, milter_connect_timeout)
	Command time.Duration // a command until its reply, sending included; 10 s (S: and R:, milter_command_timeout)
	End     time.Duration // the end of the message until the verdict; 40 s (E:, milter_content_timeout)
}

// The defaults are shorter than sendmail's five minutes, because a client waits
// for our reply, and the dot must be answered within a minute (DESIGN §2.5). A
// milter that needs longer says so with SMFIR_PROGRESS, which begins a wait anew.
var defaults = Timeouts{Connect: 10 * time.Second, Command: 10 * time.Second, End: 40 * time.Second}

// Options are what a Client may be told. The zero value is usable.
type Options struct {
	Timeouts Timeouts
	MaxBody  int64 // octets that a milter may put in the place of the body; 0 is 64 MiB
	MaxIdle  int   // connections kept for the next message (SMFIC_QUIT_NC); 0 is 4, less than 0 none
	// Dial connects; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// idleFor is how long a connection waits for the next message. libmilter gives
// up after two hours, other libraries sooner.
const idleFor = 30 * time.Second

// Client speaks to one milter. It is safe for use by many goroutines.
type Client struct {
	network, address string
	o                Options

	mu     sync.Mutex
	idle   []*Session // the most recent last
	closed bool
}

// New makes a client for an address as ParseAddress reads it. It does not
// connect.
func New(address string, o Options) (*Client, error) {
	network, addr, err := ParseAddress(address)
	if err != nil {
		return nil, err
	}
	c := &Client{network: network, address: addr, o: o}
	fill(&c.o.Timeouts.Connect, defaults.Connect)
	fill(&c.o.Timeouts.Command, defaults.Command)
	fill(&c.o.Timeouts.End, defaults.End)
	if o.MaxBody <= 0 {
		c.o.MaxBody = 64 << 20
	}
	if o.MaxIdle == 0 {
		c.o.MaxIdle = 4
	}
	if o.Dial == nil {
		c.o.Dial = new(net.Dialer).DialContext
	}
	return c, nil
}

func fill(d *time.Duration, value time.Duration) {
	if *d <= 0 {
		*d = value
	}
}

// Open connects and negotiates. It blocks for at most twice Timeouts.Connect.
// The caller closes the Session.
func (c *Client) Open(ctx context.Context) (*Session, error) {
	dial, cancel := context.WithTimeout(ctx, c.o.Timeouts.Connect)
	defer cancel()
	conn, err := c.o.Dial(dial, c.network, c.address)
	if err != nil {
		return nil, err
	}
	s := &Session{
		client: c, conn: conn, Macros: Macros{},
		r: bufio.NewReaderSize(conn, 4<<10), w: bufio.NewWriterSize(conn, 16<<10),
	}
	if err := s.negotiate(ctx); err != nil {
		conn.Close()
		return nil, err
	}
	return s, nil
}

// reuse gives an idle session, or nil.
func (c *Client) reuse() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.idle) > 0 {
		s := c.idle[len(c.idle)-1]
		c.idle = c.idle[:len(c.idle)-1]
		if time.Since(s.since) < idleFor {
			return s
		}
		s.conn.Close()
	}
	return nil
}

// room reports whether one more connection may be kept.
func (c *Client) room() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !c.closed && len(c.idle) < c.o.MaxIdle
}

// keep puts a session aside for the next message; false if there is no room.
func (c *Client) keep(s *Session) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed || len(c.idle) >= c.o.MaxIdle {
		return false
	}
	s.since = time.Now()
	c.idle = append(c.idle, s)
	return true
}

// keepNone: this milter does not take up kept connections.
func (c *Client) keepNone() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.o.MaxIdle = -1
	for _, s := range c.idle {
		s.conn.Close()
	}
	c.idle = nil
}

// Close closes the idle connections. Sessions that are open stay so; their
// connections are not kept any more.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	for _, s := range c.idle {
		s.conn.Close()
	}
	c.idle = nil
	return nil
}
