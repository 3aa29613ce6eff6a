package smtpserver

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/gate"
	"posta/internal/mail"
	"posta/internal/memnet"
	"posta/internal/smtp"
)

// bench is a server on a network in memory, for tests with a fake clock.
type bench struct {
	t    *testing.T
	srv  *Server
	rec  *recorder
	l    *memnet.Listener
	done chan error
}

func newBench(t *testing.T, cfg Config, rec *recorder) *bench {
	t.Helper()
	if rec == nil {
		rec = &recorder{}
	}
	return newBenchFor(t, cfg, rec, func(rec *recorder) Backend { return rec })
}

// newBenchFor puts something between the server and the recorder.
func newBenchFor(t *testing.T, cfg Config, rec *recorder, wrap func(*recorder) Backend) *bench {
	t.Helper()
	cfg.Hostname = "mx.example.org"
	b := &bench{t: t, srv: New(cfg, wrap(rec)), rec: rec, l: memnet.Listen(netip.MustParseAddrPort("198.51.100.1:25")), done: make(chan error, 1)}
	go func() { b.done <- b.srv.Serve(t.Context(), b.l) }()
	return b
}

// stop shuts the server down and looks that nothing is left.
func (b *bench) stop() {
	b.t.Helper()
	if err := b.srv.Shutdown(b.t.Context()); err != nil {
		b.t.Error("shutdown:", err)
	}
	if err := <-b.done; !errors.Is(err, ErrShutDown) {
		b.t.Error("serve:", err)
	}
	if b.rec.opens != b.rec.closes || b.srv.Connections() != 0 {
		b.t.Errorf("%d sessions opened, %d closed, %d connections", b.rec.opens, b.rec.closes, b.srv.Connections())
	}
}

// peer is a client of the bench.
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

func (p *peer) send(lines ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p, strings.Join(lines, "\r\n")+"\r\n"); err != nil {
		p.t.Error("write:", err)
	}
}

// expect reads replies and compares their beginnings.
func (p *peer) expect(prefixes ...string) {
	p.t.Helper()
	for _, want := range prefixes {
		for {
			line, err := p.r.ReadString('\n')
			if err != nil || !strings.HasPrefix(line, want) && (len(line) < 4 || line[3] != '-') {
				p.t.Fatalf("read %q, wanted %q: %v", line, want, err)
			}
			if line[3] == ' ' {
				break
			}
		}
	}
}

func (p *peer) end() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.r); err != nil || len(rest) > 0 {
		p.t.Errorf("the server goes on: %q %v", rest, err)
	}
	p.Close()
}

// toData goes up to 354.
func (p *peer) toData() {
	p.t.Helper()
	p.expect("220")
	p.send("EHLO client.example.net")
	p.expect("250")
	p.send("MAIL FROM:<a@example.net>", "RCPT TO:<b@example.org>", "DATA")
	p.expect("250 2.1.0", "250 2.1.5", "354")
}

// took says how long f lasts by the fake clock.
func took(f func()) time.Duration {
	start := time.Now()
	f()
	return time.Since(start)
}

func wantTook(t *testing.T, got, want time.Duration) {
	t.Helper()
	if got < want || got > want+time.Second {
		t.Errorf("took %v, wanted %v", got, want)
	}
}

func TestIdleClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, nil)
		p := b.dial("192.0.2.1:1000")
		p.expect("220")
		wantTook(t, took(func() { p.expect("421 4.4.2") }), 5*time.Minute) // RFC 5321 §4.5.3.2.7
		p.end()

		p = b.dial("192.0.2.1:1001")
		p.toData()
		p.send("half a message")
		wantTook(t, took(func() { p.expect("421 4.4.2") }), 5*time.Minute)
		p.end()
		b.stop()
		if log := b.rec.log(); !strings.Contains(log, "close timed-out\nopen") || !strings.Contains(log, "abort\nreset\nclose timed-out") {
			t.Error(log)
		}
	})
}

// A client that sends an octet now and then keeps no line open for longer than
// the time of one line, and no connection for longer than its total.
func TestSlowClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Budget: Budget{Total: time.Hour}}, nil)
		p := b.dial("192.0.2.1:1000")
		p.expect("220")
		slow := p
		go func() {
			for range 1000 {
				if _, err := slow.Write([]byte("x")); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		}()
		wantTook(t, took(func() { p.expect("421 4.4.2") }), 5*time.Minute)
		p.end()

		p = b.dial("192.0.2.1:1001")
		p.expect("220")
		wantTook(t, took(func() {
			for range 14 {
				p.send("NOOP")
				p.expect("250")
				time.Sleep(4 * time.Minute)
			}
			p.send("NOOP")
			p.expect("250", "421 4.7.0 This connection has lasted too long")
		}), time.Hour)
		p.end()
		b.stop()
	})
}

func TestCommandBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Budget: Budget{Commands: 10, Unknown: 2}, WhyURL: "https://mx.example.org/why/"}, nil)
		p := b.dial("192.0.2.1:1000")
		p.toData() // 4 commands
		p.send("x", ".")
		p.expect("250")
		for range 10 { // counted anew after a message
			p.send("NOOP")
			p.expect("250")
		}
		p.send("NOOP")
		p.expect("421 4.7.0 Too many commands without a message [smtp.budget] https://mx.example.org/why/smtp.budget")
		p.end()

		p = b.dial("192.0.2.1:1000")
		p.expect("220")
		p.send("A", "BEE", "SEA")
		p.expect("500", "500", "500", "421")
		p.end()
		b.stop()
	})
}

func TestMessagesBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Budget: Budget{Messages: 1}}, nil)
		p := b.dial("192.0.2.1:1000")
		p.toData()
		p.send("x", ".")
		p.expect("250")
		p.send("MAIL FROM:<>")
		p.expect("421 4.7.0 Enough messages")
		p.end()
		b.stop()
	})
}

func TestLineLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{Budget: Budget{Errors: 100}}, nil)
		p := b.dial("192.0.2.1:1000")
		p.expect("220")
		p.send("NOOP " + strings.Repeat("x", 505))
		p.expect("250")
		p.send("NOOP " + strings.Repeat("x", 506))
		p.expect("500 5.5.2 Command line too long")
		p.send(strings.Repeat("y", 60_000), "EHLO x")
		p.expect("500 5.5.2 Command line too long", "250")
		p.send("MAIL FROM:<a@example.net> ENVID=" + strings.Repeat("x", 100) + strings.Repeat(" ", 1800))
		p.expect("250")
		p.send("MAIL FROM:<a@example.net>" + strings.Repeat(" ", 2022))
		p.expect("500 5.5.2 Command line too long")
		io.WriteString(p, strings.Repeat("z", 200_000))
		p.expect("500 5.5.2 Command line too long")
		p.end()
		b.stop()
	})
}

func TestEarlyTalker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{GreetDelay: 3 * time.Second}, nil)
		p := b.dial("192.0.2.1:1000")
		p.send("HELO spam.example")
		p.expect("220", "250")
		p.send("QUIT")
		p.expect("221")
		p.end()
		p = b.dial("192.0.2.1:1000")
		wantTook(t, took(func() { p.expect("220") }), 3*time.Second)
		p.Close()
		synctest.Wait()
		b.stop()
		if log := b.rec.log(); strings.Count(log, "notice early-talker") != 1 {
			t.Error(log)
		}
	})
}

func TestLoadTightensStrangers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var busy atomic.Bool
		load := func() float64 {
			if busy.Load() {
				return 0.9
			}
			return 0.1
		}
		friend := netip.MustParseAddr("203.0.113.9")
		b := newBench(t, Config{Load: load, Trusted: func(ip netip.Addr) bool { return ip == friend }}, nil)
		p := b.dial("192.0.2.1:1000")
		p.expect("220")
		busy.Store(true)
		p.send("NOOP")
		p.expect("250")
		wantTook(t, took(func() { p.expect("421") }), 10*time.Second)
		p.end()
		p = b.dial("203.0.113.9:1000")
		p.expect("220")
		wantTook(t, took(func() { p.expect("421") }), 5*time.Minute)
		p.end()
		b.stop()
	})
}

func TestCommitDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{onCommit: func(ctx context.Context) []smtp.Reply {
			<-ctx.Done()
			return nil
		}}
		b := newBench(t, Config{}, rec)
		p := b.dial("192.0.2.1:1000")
		p.toData()
		p.send("x", ".")
		wantTook(t, took(func() { p.expect("451 4.3.0 The message could not be stored in time") }), time.Minute)
		p.send("QUIT")
		p.expect("221")
		p.end()
		b.stop()
		if log := rec.log(); !strings.Contains(log, "commit 3 octets for 1\nreset\n") {
			t.Error(log)
		}
	})
}

// After an acceptance, only what the client sends later shows that it read the
// reply (RFC 1047).
func TestUnconfirmed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, nil)
		p := b.dial("192.0.2.1:1000")
		p.toData()
		p.send("x", ".")
		synctest.Wait()
		p.Close() // without reading
		synctest.Wait()
		p = b.dial("192.0.2.1:1000")
		p.toData()
		p.send("x", ".")
		p.expect("250")
		p.send("RSET")
		p.expect("250")
		p.Close()
		synctest.Wait()
		b.stop()
		log := b.rec.log()
		if !strings.Contains(log, "commit 3 octets for 1\nclose dropped unconfirmed\n") || !strings.Contains(log, "delivered\nclose dropped\n") {
			t.Error(log)
		}
	})
}

func TestShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, nil)
		idle, sending := b.dial("192.0.2.1:1000"), b.dial("192.0.2.2:1000")
		idle.expect("220")
		sending.toData()
		sending.send("half")
		synctest.Wait()
		var wg sync.WaitGroup
		wg.Go(b.stop)
		idle.expect("421 4.3.2")
		idle.end()
		time.Sleep(time.Minute)
		if _, err := b.l.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.3:1")); err == nil {
			t.Error("still listening")
		}
		sending.send("the other half", ".")
		sending.expect("250", "421 4.3.2")
		sending.end()
		wg.Wait()
	})
}

func TestShutdownCutsOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{}, nil)
		p := b.dial("192.0.2.2:1000")
		p.toData()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := b.srv.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		p.end()
		b.stop()
	})
}

func TestPanicIsCaught(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rec := &recorder{onMail: func() { panic("our own bug") }}
		b := newBench(t, Config{}, rec)
		p := b.dial("192.0.2.1:1000")
		p.expect("220")
		p.send("HELO x", "MAIL FROM:<>")
		p.expect("250", "421 4.3.0 Internal error")
		p.end()
		b.stop()
		if log := rec.log(); !strings.Contains(log, "close failed\n") {
			t.Error(log)
		}
	})
}

func TestConnectionLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		friend := netip.MustParsePrefix("10.0.0.0/8")
		b := newBench(t, Config{
			Limits:  gate.Limits{Connections: 7, PerNetwork: 3, PerHost: 2},
			Trusted: func(ip netip.Addr) bool { return friend.Contains(ip) },
		}, nil)
		var open []*peer
		for _, from := range []string{"192.0.2.1:1", "192.0.2.1:2", "192.0.2.2:1"} {
			p := b.dial(from)
			p.expect("220")
			open = append(open, p)
		}
		for _, from := range []string{"192.0.2.1:3", "192.0.2.3:1"} { // its host, its network
			p := b.dial(from)
			p.expect("421 4.7.0 Too many connections from your network")
			p.end()
		}
		synctest.Wait()
		for i := range 10 { // no limit for friends
			p := b.dial(fmt.Sprintf("10.0.0.1:%d", i+1))
			p.expect("220")
			open = append(open, p)
		}
		p := b.dial("203.0.113.1:1")
		p.expect("421 4.3.2 Too many connections")
		p.end()
		for _, p := range open {
			p.Close()
		}
		synctest.Wait()
		p = b.dial("192.0.2.1:9")
		p.expect("220")
		p.Close()
		synctest.Wait()
		b.stop()
	})
}

// TestSmuggling plays CVE-2023-51764 and its kin against the whole server, at
// DATA and at BDAT: no smuggled command is executed, no part is accepted.
func TestSmuggling(t *testing.T) {
	for _, end := range []string{
		"\n.\n", "\n.\r", "\r.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r.\r\n", "\r\n.\r",
		"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\r\n",
	} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, Config{}, nil)
			p := b.dial("192.0.2.1:1000")
			p.toData()
			evil := "MAIL FROM:<evil@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nevil"
			io.WriteString(p, "outer"+end+evil+"\r\n.\r\n"+evil+"\r\n.\r\n")
			if strings.Contains(end, "\x00") { // no lone CR or LF: it is all one message
				p.expect("250 2.0.0 Accepted", "250", "250", "354", "250 2.0.0 Accepted")
				p.Close()
			} else {
				p.expect("550 5.6.11")
				p.end()
			}
			b.stop()
			log := b.rec.log()
			if want := strings.Count(end, "\x00") * 2; strings.Count(log, "commit") != want || strings.Count(log, "mail <evil") != want/2 {
				t.Errorf("%q:\n%s", end, log)
			}

			b = newBench(t, Config{}, nil)
			p = b.dial("192.0.2.1:1000")
			p.expect("220")
			chunk := "outer" + end + evil
			io.WriteString(p, "EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n"+
				fmt.Sprintf("BDAT %d LAST\r\n%s", len(chunk), chunk))
			p.expect("250", "250", "250")
			if strings.Contains(end, "\x00") {
				p.expect("250 2.0.0 Accepted")
				p.Close()
			} else {
				p.expect("550 5.6.11")
				p.end()
			}
			b.stop()
			if log := b.rec.log(); strings.Contains(log, "mail <evil") {
				t.Errorf("%q:\n%s", end, log)
			}
		})
	}
}

func TestTLSUnavailable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, Config{TLS: func() *tls.Config { return nil }}, nil)
		p := b.dial("192.0.2.1:1000")
		p.expect("220")
		p.send("STARTTLS")
		p.expect("454 4.7.0 TLS is not available")
		p.send("QUIT")
		p.expect("221")
		p.end()
		b.stop()

		b = newBench(t, Config{TLS: testTLS}, nil)
		p = b.dial("192.0.2.1:1000")
		p.expect("220")
		p.send("STARTTLS")
		p.expect("220")
		p.send("EHLO not TLS at all")
		io.ReadAll(p.r) // an alert
		p.Close()
		synctest.Wait()
		p = b.dial("192.0.2.1:1000")
		p.expect("220")
		p.send("STARTTLS")
		p.expect("220")
		wantTook(t, took(p.end), 30*time.Second) // says nothing
		b.stop()
		if log := b.rec.log(); strings.Count(log, "close tls-failed") != 2 {
			t.Error(log)
		}
	})
}

func TestProxy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan mail.Client, 9)
		b := newBenchFor(t, Config{ProxyFrom: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}}, &recorder{},
			func(rec *recorder) Backend { return watch{rec, seen} })
		for _, header := range []string{
			"PROXY TCP4 192.0.2.7 198.51.100.9 4242 25\r\n",
			"\r\n\r\n\x00\r\nQUIT\n" + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x09\x10\x92\x00\x19",
		} {
			p := b.dial("10.0.0.1:1")
			io.WriteString(p, header+"QUIT\r\n")
			p.expect("220", "221")
			p.end()
			c := <-seen
			if c.IP.String() != "192.0.2.7" || c.Port != 4242 || c.Local.String() != "198.51.100.9:25" {
				t.Errorf("%+v", c)
			}
		}
		p := b.dial("10.0.0.1:1")
		io.WriteString(p, "HELO not.a.proxy\r\n")
		p.expect("421 4.7.0 PROXY")
		p.end()
		p = b.dial("10.0.0.1:1") // says nothing
		wantTook(t, took(p.end), 30*time.Second)
		b.stop()
	})
}

// watch tells of clients as they are when a session opens.
type watch struct {
	*recorder
	seen chan mail.Client
}

func (w watch) Open(ctx context.Context, c *mail.Client) (Session, *smtp.Reply) {
	w.seen <- *c
	return w.recorder.Open(ctx, c)
}
