package gate

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/memnet"
)

// parrot is a protocol: it greets with who the client is, and says each line
// again. "panic" is our own fault.
type parrot struct {
	mu    sync.Mutex
	calls []string // what was called of each talk at its end
	onEnd func()
}

func (p *parrot) Refuse(c *Conn, why Refusal) {
	c.WriteString([...]string{Full: "full", Crowded: "crowded", NotProxy: "no proxy"}[why] + "\r\n")
}

func (p *parrot) Talk(c *Conn) Talk { return &repetition{p: p, c: c} }

type repetition struct {
	p     *parrot
	c     *Conn
	calls string
}

func (r *repetition) Run(ctx context.Context) {
	r.calls = "run"
	_, secure := r.c.TLS()
	fmt.Fprintf(r.c, "%v to %v trusted=%v tls=%v\r\n", r.c.Remote, r.c.Local, r.c.Trusted, secure)
	for {
		r.c.SetTimeouts(time.Hour, time.Minute)
		line, err := r.c.ReadLine(100)
		switch {
		case err != nil:
			r.calls += " " + err.Error()
			if r.c.Interrupted() {
				r.c.WriteString("going down\r\n")
			}
			return
		case string(line) == "panic":
			panic("our own bug")
		case string(line) == "wait":
			<-ctx.Done()
			return
		}
		r.c.WriteString(string(line) + "\r\n")
	}
}

func (r *repetition) Fault() {
	r.calls += " fault"
	r.c.WriteString("our fault\r\n")
}

func (r *repetition) End(context.Context) {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.p.calls = append(r.p.calls, r.calls+" end")
	if r.p.onEnd != nil {
		r.p.onEnd()
	}
}

var here = netip.MustParseAddrPort("198.51.100.1:25")

// bench is a gate on a network in memory.
type bench struct {
	t    *testing.T
	gate *Gate
	door *parrot
	l    *memnet.Listener
	done chan error
}

func newBench(t *testing.T, cfg Config) *bench {
	t.Helper()
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	b := &bench{t: t, gate: New(cfg), door: &parrot{}, l: memnet.Listen(here), done: make(chan error, 1)}
	go func() { b.done <- b.gate.Serve(t.Context(), b.l, b.door) }()
	return b
}

// stop shuts the gate and looks that nothing is left.
func (b *bench) stop() {
	b.t.Helper()
	if err := b.gate.Shutdown(b.t.Context()); err != nil {
		b.t.Error("Shutdown:", err)
	}
	if err := <-b.done; !errors.Is(err, ErrShutDown) {
		b.t.Error("Serve:", err)
	}
	if n := b.gate.Connections(); n > 0 {
		b.t.Error(n, "connections are left")
	}
}

type peer struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func (b *bench) dial(from string) *peer {
	b.t.Helper()
	c, err := b.l.Dial(b.t.Context(), netip.MustParseAddrPort(from))
	if err != nil {
		b.t.Fatal(err)
	}
	return &peer{b.t, c, bufio.NewReader(c)}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if line, err := p.r.ReadString('\n'); strings.TrimRight(line, "\r\n") != want {
		p.t.Errorf("read %q, wanted %q: %v", line, want, err)
	}
}

// end: the gate says nothing more and closes.
func (p *peer) end() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Errorf("the gate goes on: %q %v", rest, err)
	}
	p.Close()
}

// proxySample is version 2 of "TCP4 192.0.2.7 198.51.100.9 4242 25".
const proxySample = proxySignature + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x09\x10\x92\x00\x19"

func TestProxy(t *testing.T) {
	for _, tt := range []struct{ name, from, sent, read string }{
		{"version 1", "10.0.0.1:1", "PROXY TCP4 192.0.2.7 198.51.100.9 4242 25\r\n", "192.0.2.7:4242 to 198.51.100.9:25 trusted=false tls=false"},
		{"version 2", "10.0.0.1:1", proxySample, "192.0.2.7:4242 to 198.51.100.9:25 trusted=false tls=false"},
		{"IPv6", "10.0.0.1:1", "PROXY TCP6 2001:db8::7 2001:db8::9 4242 25\r\n", "[2001:db8::7]:4242 to [2001:db8::9]:25 trusted=false tls=false"},
		{"a health check", "10.0.0.1:1", "PROXY UNKNOWN\r\n", "10.0.0.1:1 to 198.51.100.1:25 trusted=false tls=false"},
		{"the client is trusted, not its proxy", "10.0.0.1:1", "PROXY TCP4 192.0.2.99 198.51.100.9 4242 25\r\n", "192.0.2.99:4242 to 198.51.100.9:25 trusted=true tls=false"},
		{"no header", "10.0.0.1:1", "HELO not.a.proxy\r\n", "no proxy"},
		{"not asked from elsewhere", "192.0.2.1:1", "", "192.0.2.1:1 to 198.51.100.1:25 trusted=false tls=false"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t, Config{
					ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
					Trusted:   func(ip netip.Addr) bool { return ip == netip.MustParseAddr("192.0.2.99") },
				})
				p := b.dial(tt.from)
				io.WriteString(p, tt.sent)
				p.expect(tt.read)
				p.Close()
				synctest.Wait()
				b.stop()
			})
		})
	}
}

// A proxy that says nothing is let go; at a door for proxies only, so is who is
// none.
func TestProxySilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}, ProxyOnly: true, Handshake: 7 * time.Second})
		start := time.Now()
		b.dial("10.0.0.1:1").end()
		if d := time.Since(start); d != 7*time.Second {
			t.Error("closed after", d)
		}
		b.dial("192.0.2.1:1").end()
		b.stop()
		if len(b.door.calls) > 0 {
			t.Error(b.door.calls)
		}
	})
}

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		friends := netip.MustParsePrefix("10.0.0.0/8")
		b := newBench(t, Config{Limits: Limits{Connections: 6, PerNetwork: 3, PerHost: 2}, Trusted: friends.Contains})
		open := func(from, want string) *peer {
			t.Helper()
			p := b.dial(from)
			p.expect(want)
			return p
		}
		hello := func(from string) *peer {
			t.Helper()
			return open(from, fmt.Sprintf("%s to %v trusted=%v tls=false", from, here, strings.HasPrefix(from, "10.")))
		}
		held := []*peer{hello("192.0.2.1:1"), hello("192.0.2.1:2"), hello("192.0.2.2:1")}
		open("192.0.2.1:3", "crowded").end() // its host
		open("192.0.2.3:1", "crowded").end() // its network
		synctest.Wait()
		for i := range 10 {
			held = append(held, hello(fmt.Sprintf("10.0.0.1:%d", i+1)))
		}
		open("203.0.113.1:1", "full").end()
		for _, p := range held {
			p.Close()
		}
		synctest.Wait()
		hello("192.0.2.1:9").Close() // the places are free again
		synctest.Wait()
		b.stop()
		b.gate.mu.Lock()
		defer b.gate.mu.Unlock()
		for _, network := range []string{"192.0.2.0/24", "192.0.2.1/32", "10.0.0.0/24"} {
			if n := b.gate.places.Count(netip.MustParsePrefix(network)); n != 0 {
				t.Errorf("%d still counted in %s", n, network)
			}
		}
	})
}

// An own fault ends one connection, wherever it happens; End is called all the same.
func TestPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		p := b.dial("192.0.2.1:1")
		p.r.ReadString('\n')
		io.WriteString(p, "again\r\npanic\r\n")
		p.expect("again")
		p.expect("our fault")
		p.end()

		b.door.onEnd = func() { panic("at the end too") }
		p = b.dial("192.0.2.1:1")
		p.r.ReadString('\n')
		p.Close()
		synctest.Wait()
		b.stop()
		if want := []string{"run fault end", "run EOF end"}; !slices.Equal(b.door.calls, want) {
			t.Errorf("%q, wanted %q", b.door.calls, want)
		}
	})
}

func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{})
		idle, busy := b.dial("192.0.2.1:1"), b.dial("192.0.2.1:2")
		idle.r.ReadString('\n')
		busy.r.ReadString('\n')
		io.WriteString(busy, "wait\r\n")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		done := make(chan error, 1)
		go func() { done <- b.gate.Shutdown(ctx) }()
		idle.expect("going down")
		idle.end()
		if _, err := b.l.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.3:1")); err == nil {
			t.Error("still listening")
		}
		start := time.Now()
		busy.end() // cut off
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Minute {
			t.Error(err, time.Since(start))
		}
		b.stop()
		if err := b.gate.Serve(t.Context(), memnet.Listen(here), b.door); !errors.Is(err, ErrShutDown) {
			t.Error(err)
		}
	})
}

// failing is a listener out of descriptors, for a while.
type failing struct {
	net.Listener
	times int
	at    []time.Time
}

func (f *failing) Accept() (net.Conn, error) {
	if f.times--; f.times >= 0 {
		f.at = append(f.at, time.Now())
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return f.Listener.Accept()
}

func TestAcceptErrorsBackOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, l := New(Config{}), memnet.Listen(here)
		f := &failing{Listener: l, times: 12}
		done := make(chan error, 1)
		ctx, cancel := context.WithCancel(t.Context())
		go func() { done <- g.Serve(ctx, f, &parrot{}) }()
		c, err := l.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		if line, err := bufio.NewReader(c).ReadString('\n'); err != nil || !strings.HasPrefix(line, "192.0.2.1:1 to") {
			t.Error(line, err)
		}
		gaps := make([]time.Duration, len(f.at)-1)
		for i := range gaps {
			gaps[i] = f.at[i+1].Sub(f.at[i])
		}
		if gaps[0] != 5*time.Millisecond || slices.Max(gaps) != time.Second || !slices.IsSorted(gaps) {
			t.Error(gaps)
		}
		cancel() // cuts everything off
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if rest, err := io.ReadAll(c); err != nil || len(rest) > 0 {
			t.Errorf("%q %v", rest, err)
		}
	})
}

func testTLS(t *testing.T) *tls.Config {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	cert := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, pub, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

// TLS from the first octet comes behind the PROXY header, and a client that is
// refused hears nothing.
func TestImplicitTLS(t *testing.T) {
	cfg := testTLS(t)
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{
			TLS: func() *tls.Config { return cfg }, ImplicitTLS: true, Limits: Limits{PerHost: 1},
			ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")},
		})
		p := b.dial("10.0.0.1:1")
		io.WriteString(p, proxySample)
		c := tls.Client(p.Conn, &tls.Config{InsecureSkipVerify: true})
		r := bufio.NewReader(c)
		if line, err := r.ReadString('\n'); line != "192.0.2.7:4242 to 198.51.100.9:25 trusted=false tls=true\r\n" {
			t.Errorf("%q %v", line, err)
		}
		q := b.dial("10.0.0.2:1")
		io.WriteString(q, proxySample) // the same client again
		q.end()
		c.Close()
		q = b.dial("192.0.2.1:1")
		io.WriteString(q, "not TLS at all\r\n")
		io.ReadAll(q.r) // an alert
		q.Close()
		start := time.Now()
		b.dial("192.0.2.1:1").end() // says nothing
		if d := time.Since(start); d != 30*time.Second {
			t.Error("closed after", d)
		}
		b.stop()
		if len(b.door.calls) != 1 {
			t.Errorf("%q", b.door.calls)
		}
	})
}

// What is sent in clear ahead of the handshake is not read as sent in TLS.
func TestStartTLSForgetsCleartext(t *testing.T) {
	cfg := testTLS(t)
	synctest.Test(t, func(t *testing.T) {
		g, l := New(Config{TLS: func() *tls.Config { return cfg }}), memnet.Listen(here)
		done := make(chan error, 1)
		go func() { done <- g.Serve(t.Context(), l, upgrading{t}) }()
		client, err := l.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(client, "starttls\r\ninjected\r\n")
		answer := make([]byte, len("now\r\n"))
		if _, err := io.ReadFull(client, answer); err != nil {
			t.Fatal(err)
		}
		c := tls.Client(client, &tls.Config{InsecureSkipVerify: true})
		io.WriteString(c, "encrypted\r\n")
		if said, err := io.ReadAll(c); string(said) != "encrypted\r\n" || err != nil {
			t.Errorf("%q %v", said, err)
		}
		l.Close()
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	})
}

// upgrading reads a line, begins TLS, and says the next one again.
type upgrading struct{ t *testing.T }

func (upgrading) Refuse(*Conn, Refusal) {}
func (u upgrading) Talk(c *Conn) Talk   { return &upgrade{u.t, c} }

type upgrade struct {
	t *testing.T
	c *Conn
}

func (u *upgrade) Run(ctx context.Context) {
	u.c.SetTimeouts(time.Minute, time.Minute)
	u.c.ReadLine(100)
	u.c.WriteString("now\r\n")
	if err := u.c.StartTLS(ctx, time.Minute); err != nil {
		u.t.Error(err)
		return
	}
	line, err := u.c.ReadLine(100)
	if err != nil {
		u.t.Error(err)
	}
	u.c.WriteString(string(line) + "\r\n")
}

func (u *upgrade) Fault()              { u.t.Error("a panic") }
func (u *upgrade) End(context.Context) {}
