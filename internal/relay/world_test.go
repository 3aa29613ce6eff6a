package relay

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"

	"posta/internal/memnet"
	"posta/internal/route"
)

// world is a network in memory with servers at addresses.
type world struct {
	mu        sync.Mutex
	listeners map[string]*memnet.Listener
	dials     []string
}

func newWorld() *world { return &world{listeners: map[string]*memnet.Listener{}} }

func (w *world) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	w.mu.Lock()
	w.dials = append(w.dials, addr)
	l := w.listeners[addr]
	w.mu.Unlock()
	if l == nil {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	return l.Dial(ctx, netip.MustParseAddrPort("198.51.100.1:40000"))
}

func (w *world) dialled() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.dials)
}

// listen opens an address for the time of the test.
func (w *world) listen(t testing.TB, addr string) net.Listener {
	l := memnet.Listen(netip.MustParseAddrPort(addr))
	w.mu.Lock()
	w.listeners[addr] = l
	w.mu.Unlock()
	t.Cleanup(func() { l.Close() })
	return l
}

// script is a server that follows a dialogue: lines "S: …" are sent, lines
// "C: …" must come, "C: *" takes lines up to the final dot, "CUT" closes. A
// further script is for the next connection. What the client said is kept.
type script struct {
	t     testing.TB
	mu    sync.Mutex
	heard bytes.Buffer
	conns int
	wg    sync.WaitGroup
}

func (w *world) script(t testing.TB, addr string, dialogues ...string) *script {
	s := &script{t: t}
	l := w.listen(t, addr)
	s.wg.Go(func() {
		for _, d := range dialogues {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns++
			s.mu.Unlock()
			s.wg.Go(func() { s.follow(c, d) })
		}
		l.Close() // refuses more
	})
	t.Cleanup(func() { l.Close(); s.wg.Wait() })
	return s
}

func (s *script) follow(c net.Conn, dialogue string) {
	defer c.Close()
	r := bufio.NewReader(c)
	for line := range strings.Lines(strings.TrimSpace(dialogue)) {
		line = strings.TrimSpace(line)
		switch {
		case line == "CUT":
			return
		case strings.HasPrefix(line, "S: "):
			fmt.Fprintf(c, "%s\r\n", line[3:])
		case strings.HasPrefix(line, "C: "):
			if !s.expect(r, line[3:]) {
				return
			}
		}
	}
	rest, _ := io.ReadAll(r)
	s.mu.Lock()
	s.heard.Write(rest)
	s.mu.Unlock()
}

// soFar is what the client has said.
func (s *script) soFar() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.heard.String()
}

func (s *script) expect(r *bufio.Reader, want string) bool {
	for {
		got, err := r.ReadString('\n')
		s.mu.Lock()
		s.heard.WriteString(got)
		s.mu.Unlock()
		got = strings.TrimSuffix(got, "\r\n")
		switch {
		case err != nil:
			s.t.Errorf("the client left, wanted %q", want)
			return false
		case want == "*" && got == ".":
			return true
		case want == "*":
			continue
		case got != want:
			s.t.Errorf("heard %q, want %q", got, want)
			return false
		}
		return true
	}
}

// routeTo is a route to hosts given as "name=192.0.2.1".
func routeTo(hosts ...string) *route.Route {
	rt := &route.Route{Domain: "example.net"}
	for i, h := range hosts {
		name, ip, _ := strings.Cut(h, "=")
		rt.Hosts = append(rt.Hosts, route.Host{Name: name, Addrs: []netip.Addr{netip.MustParseAddr(ip)}, Port: 25, Preference: uint16(10 * (i + 1))})
	}
	return rt
}

// letter is a message in memory.
func letter(body string, to ...string) *Message {
	m := &Message{ReversePath: "ana@example.org"}
	for _, a := range to {
		m.Recipients = append(m.Recipients, Recipient{Address: a})
	}
	m.Open = func(context.Context, Form) (*Content, error) {
		return &Content{Head: []byte("X-Head: 1\r\n"), Body: strings.NewReader(body), Size: int64(len(body))}, nil
	}
	return m
}

func newRelay(t testing.TB, w *world, change ...func(*Config)) *Relay {
	cfg := Config{Hostname: "mail.posta.test", Dial: w.dial}
	for _, f := range change {
		f(&cfg)
	}
	r := New(cfg)
	t.Cleanup(func() { r.Close() })
	return r
}
