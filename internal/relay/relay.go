package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/netip"
	"time"

	"posta/internal/ratelimit"
	"posta/internal/route"
	"posta/internal/smtp"
)

// Limits of one attempt.
const (
	MaxRecipients = 100 // in one transaction, RFC 5321 §4.5.3.1.8
	MaxSessions   = 3   // hosts that spoke SMTP with us
	MaxConnects   = 8   // addresses that were dialled
)

// Dialer opens a connection; network is "tcp", addr is "192.0.2.1:25".
type Dialer func(ctx context.Context, network, addr string) (net.Conn, error)

// Config of a Relay.
type Config struct {
	Hostname string        // what we say after EHLO: fully qualified
	Dial     Dialer        // nil: the network, from the Local addresses
	Local    []netip.Addr  // source address for each family; none: the system's choice
	Policy   Policy        // nil: opportunistic; see InOrder
	Sessions func(Session) // is told how each connection to a domain's own hosts was protected; must not block; nil: nobody
	TLS      *tls.Config   // roots, client certificate; nil is the system's roots
	PerHost  int           // connections to one address at the same time; 0 means 20
	MaxIdle  int           // idle connections kept; 0 means 128, negative none
	Timeouts Timeouts      // zero fields mean DefaultTimeouts
	Down     time.Duration // how long a host that failed comes last; 0 means 30 s
}

// Timeouts of a connection. Each is for a whole reply, or for one write.
type Timeouts struct {
	Connect  time.Duration // until TCP is established
	Greeting time.Duration // RFC 5321 §4.5.3.2.1: 5 min
	Hello    time.Duration // EHLO, HELO, STARTTLS, AUTH, RSET
	TLS      time.Duration // the handshake
	Mail     time.Duration // §4.5.3.2.2: 5 min
	Rcpt     time.Duration // §4.5.3.2.3: 5 min
	Data     time.Duration // §4.5.3.2.4: 2 min until 354
	Block    time.Duration // §4.5.3.2.5: 3 min for each write of the message
	Dot      time.Duration // §4.5.3.2.6: 10 min, for a shorter one makes duplicates
	Quit     time.Duration // nobody waits for 221 longer than this
	Idle     time.Duration // how long a connection is kept for the next message
}

// DefaultTimeouts are those of RFC 5321 §4.5.3.2.
func DefaultTimeouts() Timeouts {
	return Timeouts{
		Connect: 30 * time.Second, Greeting: 5 * time.Minute, Hello: 5 * time.Minute, TLS: time.Minute,
		Mail: 5 * time.Minute, Rcpt: 5 * time.Minute, Data: 2 * time.Minute, Block: 3 * time.Minute, Dot: 10 * time.Minute,
		Quit: 2 * time.Second, Idle: 30 * time.Second,
	}
}

// orDefault fills what is zero.
func (t Timeouts) orDefault() Timeouts {
	d := DefaultTimeouts()
	for _, f := range []struct{ have, want *time.Duration }{
		{&t.Connect, &d.Connect}, {&t.Greeting, &d.Greeting}, {&t.Hello, &d.Hello}, {&t.TLS, &d.TLS},
		{&t.Mail, &d.Mail}, {&t.Rcpt, &d.Rcpt}, {&t.Data, &d.Data}, {&t.Block, &d.Block}, {&t.Dot, &d.Dot},
		{&t.Quit, &d.Quit}, {&t.Idle, &d.Idle},
	} {
		*f.have = cmp.Or(*f.have, *f.want)
	}
	return t
}

// Message is what is to be delivered.
type Message struct {
	ReversePath string // without brackets, "" is the null reverse-path
	EightBit    bool   // octets over 127 in the body
	Binary      bool   // came with BODY=BINARYMIME: it may have what DATA does not carry
	UTF8        bool   // came with SMTPUTF8
	RequireTLS  bool   // RFC 8689
	// TLSOptional (RFC 8689 §4.1, TLS-Required: No): neither DANE nor MTA-STS holds it up. A
	// route's own level does.
	TLSOptional bool
	EnvID       string // decoded
	Ret         Ret
	Recipients  []Recipient // at most MaxRecipients

	// Open gives the bytes to send in a form that the host can take, or answers
	// ErrNotConvertible. It is called once for each session.
	Open func(ctx context.Context, form Form) (*Content, error)
	// BeforeDot is called when the whole message but its final dot was sent, and
	// must make it durable that a delivery may happen now. After an error the
	// connection is cut without the dot. Nil is nothing to do.
	BeforeDot func(ctx context.Context) error
}

// Form is what a host takes of a message's octets. CR and LF stand in pairs in each.
type Form uint8

// The forms, from all octets to the fewest.
const (
	AnyOctets Form = iota // with BINARYMIME: NUL too, and lines of any length
	EightBits             // with 8BITMIME: lines of at most 998 octets
	SevenBits             // octets below 128
)

// Ret is the RET parameter (RFC 3461 §4.3). The zero value: not given.
type Ret uint8

// The values of Ret.
const (
	RetHeaders Ret = 1 + iota
	RetFull
)

// Recipient is one forward-path.
type Recipient struct {
	Address  string // without brackets
	Original string // ORCPT, decoded "type;address"
	Notify   smtp.Notify
}

// Content is a message's bytes: Head, then Body from Offset for Size octets.
type Content struct {
	Head       []byte      // header fields above Body, CRLF lines; may be empty
	Body       io.ReaderAt // the stored message
	Offset     int64
	Size       int64
	UTF8Header bool // octets over 127 in the header
	// Chunks has it sent with BODY=BINARYMIME and BDAT (RFC 3030): it has octets that
	// only the form AnyOctets may have. A bare CR or LF in it ends the attempt.
	Chunks bool
	Close  func() error
}

// Status is what became of a recipient.
type Status uint8

// The statuses. A Busy recipient was not attempted, as all of its hosts have as
// many connections as they may; it counts for nothing.
const (
	Delivered Status = iota
	Temporary
	Permanent
	Busy
)

var statusNames = [...]string{"delivered", "temporary", "permanent", "busy"}

func (s Status) String() string { return statusNames[s] }

// Outcome is what became of one recipient.
type Outcome struct {
	Status  Status
	Reply   smtp.Reply // the host's last word, or our own
	Ours    bool       // Reply is our own: nobody was reached, or the reply was lost
	Unknown bool       // the dot was sent and its reply lost: it may have been delivered
	Host    string     // "mx.example.net", "" if none was reached
	Remote  string     // "mx.example.net [192.0.2.1]:25"
	TLS     string     // "TLS 1.3 TLS_AES_128_GCM_SHA256, trusted"; "" is cleartext
	Note    string     // worth telling beside the reply: "sent in clear: …"
	DSN     bool       // the host has taken over the duty to notify (RFC 3461)
	Ended   time.Time
}

// Relay delivers. It is safe for concurrent use; Close ends its idle
// connections.
type Relay struct {
	cfg  Config
	pool *pool
	down *downs
	open *ratelimit.Gauge[place] // connections by address, idle ones too
	tls  *tls.Config             // the base of each connection's
}

// New makes a Relay.
func New(cfg Config) *Relay {
	cfg.PerHost = cmp.Or(cfg.PerHost, 20)
	cfg.MaxIdle = cmp.Or(cfg.MaxIdle, 128)
	cfg.Down = cmp.Or(cfg.Down, 30*time.Second)
	cfg.Timeouts = cfg.Timeouts.orDefault()
	if cfg.Policy == nil {
		cfg.Policy = InOrder{}
	}
	if cfg.Dial == nil {
		cfg.Dial = netDialer(cfg.Local)
	}
	r := &Relay{cfg: cfg, down: newDowns(), open: ratelimit.NewGauge[place]()}
	r.pool = newPool(cfg.MaxIdle, cfg.Timeouts.Idle)
	if r.tls = cfg.TLS.Clone(); r.tls == nil {
		r.tls = &tls.Config{}
	}
	r.tls.MinVersion = max(r.tls.MinVersion, tls.VersionTLS12)
	if r.tls.ClientSessionCache == nil {
		r.tls.ClientSessionCache = tls.NewLRUClientSessionCache(256)
	}
	return r
}

// Close ends the idle connections; attempts that run are their callers'.
func (r *Relay) Close() error {
	r.pool.close()
	return nil
}

// Idle is how many connections wait for a next message.
func (r *Relay) Idle() int { return r.pool.len() }

// netDialer dials from the local address of the right family.
func netDialer(local []netip.Addr) Dialer {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{KeepAlive: -1} // SMTP's own timeouts are enough
		to, err := netip.ParseAddrPort(addr)
		for _, l := range local {
			if err == nil && l.Unmap().Is4() == to.Addr().Unmap().Is4() {
				d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(l, 0))
			}
		}
		return d.DialContext(ctx, network, addr)
	}
}

// Deliver makes one attempt for all recipients of m and returns an outcome for
// each, in order. It blocks until the attempt is over; when ctx ends, open
// connections are cut, and what was not settled is Temporary.
func (r *Relay) Deliver(ctx context.Context, rt *route.Route, m *Message) []Outcome {
	a := &attempt{r: r, rt: rt, m: m, out: make([]Outcome, len(m.Recipients))}
	a.refuseMalformed()
	a.run(ctx)
	now := time.Now()
	for i := range a.out {
		if a.out[i].Ended.IsZero() {
			a.out[i].Ended = now
		}
	}
	return a.out
}
