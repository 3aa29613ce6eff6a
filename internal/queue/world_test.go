package queue

import (
	"bytes"
	"context"
	"io"
	"log"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	gosmtp "github.com/emersion/go-smtp"

	"posta/internal/dsn"
	"posta/internal/memnet"
	"posta/internal/message"
	"posta/internal/relay"
	"posta/internal/resolver"
	"posta/internal/route"
	"posta/internal/store"
)

// bench is a queue with its world: a store in memory, DNS, and hosts on a
// network in memory.
type bench struct {
	*memStore
	t       *testing.T
	hosts   map[string]*host // "192.0.2.1:25"
	zone    resolver.Static
	relay   *relay.Relay
	queue   *Queue
	notices []notice
	noWay   bool // deposits are undeliverable

	stop context.CancelFunc
	done chan struct{}
}

// notice is a DSN that was deposited.
type notice struct {
	at time.Time
	to string
	*dsn.Parsed
	text string
}

func newBench(t *testing.T, change ...func(*Config)) *bench {
	b := &bench{memStore: newMemStore(), t: t, hosts: map[string]*host{}, zone: resolver.Static{}}
	b.relay = relay.New(relay.Config{Hostname: "mail.posta.test", Dial: b.dial})
	b.queue = b.newQueue(change...)
	b.start(b.queue)
	t.Cleanup(b.end)
	return b
}

func (b *bench) newQueue(change ...func(*Config)) *Queue {
	cfg := Config{
		Store: b.memStore, Blobs: b.memStore, Relay: b.relay, Depositor: b, Hostname: "mail.posta.test",
		Router: route.New(route.Config{Own: []string{"mail.posta.test"}}, b.zone),
		Jitter: func() float64 { return 0.5 },
	}
	if testing.Verbose() {
		cfg.Log = slog.New(slog.NewTextHandler(b.t.Output(), nil))
	}
	for _, f := range change {
		f(&cfg)
	}
	return New(cfg)
}

func (b *bench) start(q *Queue) {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	b.stop, b.done = stop, done
	go func() {
		defer close(done)
		q.Run(ctx)
	}()
}

// end stops the queue and its world.
func (b *bench) end() {
	b.stop()
	<-b.done
	b.relay.Close()
	for _, h := range b.hosts {
		h.end()
	}
	time.Sleep(time.Hour) // hosts that sleep in a handler come to their end
}

func (b *bench) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	b.mu.Lock()
	h := b.hosts[addr]
	b.mu.Unlock()
	if h == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	return h.listener.Dial(ctx, netip.MustParseAddrPort("198.51.100.1:40000"))
}

// Deposit keeps the notice and commits its outcomes.
func (b *bench) Deposit(ctx context.Context, d Deposit) error {
	if b.noWay {
		return ErrUndeliverable
	}
	if err := b.FinishQueue(ctx, *d.Finish); err != nil {
		return err
	}
	r := bytes.NewReader(d.Message)
	p, err := dsn.Parse(r, message.ParseBytes(d.Message, message.Budget{}))
	if err != nil {
		b.t.Errorf("the notice cannot be read: %v\n%s", err, d.Message)
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notices = append(b.notices, notice{time.Now(), d.To.String(), p, string(d.Message)})
	return nil
}

// deposited are the notices so far.
func (b *bench) deposited() []notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]notice(nil), b.notices...)
}

// told lists the notices as "to: action status address".
func (b *bench) told() (out []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, n := range b.notices {
		for _, r := range n.Recipients {
			out = append(out, n.to+": "+string(r.Action)+" "+r.Status+" "+r.Final.Value)
		}
	}
	return out
}

// host is a server by go-smtp that keeps what it took.
type host struct {
	listener *memnet.Listener
	srv      *gosmtp.Server
	served   chan struct{}

	mu       sync.Mutex
	rcpt     func(to string) error // nil takes all
	data     func() error
	open     int
	peak     int // the most sessions with a transaction at the same time
	sessions int
	got      []letter
}

type letter struct {
	at   time.Time
	from string
	to   []string
	data string
}

// host makes a host at an address, which is the MX of the domains.
func (b *bench) host(ip string, domains ...string) *host {
	h := &host{listener: memnet.Listen(netip.AddrPortFrom(netip.MustParseAddr(ip), 25)), served: make(chan struct{})}
	h.srv = gosmtp.NewServer(h)
	h.srv.Domain, h.srv.ErrorLog = "mx."+domains[0], log.New(io.Discard, "", 0)
	b.mx(ip, domains...)
	b.mu.Lock()
	b.hosts[ip+":25"] = h
	b.mu.Unlock()
	go func() {
		defer close(h.served)
		h.srv.Serve(h.listener)
	}()
	return h
}

// mx gives domains an MX at an address where nobody need be.
func (b *bench) mx(ip string, domains ...string) {
	for _, d := range domains {
		b.zone[d] = append(b.zone[d], "MX 10 mx."+d)
		b.zone["mx."+d] = []string{"A " + ip}
	}
}

func (h *host) end() {
	h.srv.Close()
	h.listener.Close()
	<-h.served
}

func (h *host) letters() []letter {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]letter(nil), h.got...)
}

// most is how many transactions there were at the same time.
func (h *host) most() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.peak
}

func (h *host) connections() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.sessions
}

func (h *host) NewSession(*gosmtp.Conn) (gosmtp.Session, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.sessions++
	return &hostSession{h: h}, nil
}

type hostSession struct {
	h  *host
	in bool
	l  letter
}

func (s *hostSession) Mail(from string, _ *gosmtp.MailOptions) error {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.in = true
	s.h.open++
	s.h.peak = max(s.h.peak, s.h.open)
	s.l = letter{from: from}
	return nil
}

func (s *hostSession) Rcpt(to string, _ *gosmtp.RcptOptions) error {
	s.h.mu.Lock()
	judge := s.h.rcpt
	s.h.mu.Unlock()
	if judge != nil {
		if err := judge(to); err != nil {
			return err
		}
	}
	s.l.to = append(s.l.to, to)
	return nil
}

func (s *hostSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.h.mu.Lock()
	judge := s.h.data
	s.h.mu.Unlock()
	if judge != nil {
		if err := judge(); err != nil {
			return err
		}
	}
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	s.l.at, s.l.data = time.Now(), string(b)
	s.h.got = append(s.h.got, s.l)
	return nil
}

func (s *hostSession) Reset() {
	s.h.mu.Lock()
	defer s.h.mu.Unlock()
	if s.in {
		s.in = false
		s.h.open--
	}
}

func (s *hostSession) Logout() error {
	s.Reset()
	return nil
}

func refusal(code int, enhanced [3]int, text string) error {
	return &gosmtp.SMTPError{Code: code, EnhancedCode: gosmtp.EnhancedCode(enhanced), Message: text}
}

// to lists recipients.
func to(addresses ...string) (out []store.QueueTo) {
	for _, a := range addresses {
		_, domain, _ := strings.Cut(a, "@")
		out = append(out, store.QueueTo{Address: a, Domain: domain})
	}
	return out
}

// mailTo is a message of a stranger's making that came through a door.
func mailTo(addresses ...string) store.Enqueue {
	return store.Enqueue{ReversePath: "ana@posta.test", Prefix: []byte("Received: from x by mail.posta.test\r\n"), Recipients: to(addresses...)}
}

const aLetter = "From: ana@posta.test\r\nTo: luis@quick.test\r\nSubject: hola\r\n\r\nBuenos días\r\n"
