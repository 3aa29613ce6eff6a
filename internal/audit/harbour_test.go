package audit

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"posta/internal/certs"
	"posta/internal/memnet"
)

// harbour is all servers of mail of a world, in memory: at ports 25, 587 and 465 of any
// address one that is kept well, elsewhere nobody. It counts who is connected.
type harbour struct {
	name   string                   // that all servers have
	wait   time.Duration            // before each answer
	slow   map[string]time.Duration // before answers to commands that begin so; "" is the greeting
	says   map[string]string        // answers other than usual, by how the command begins
	silent bool                     // all take connections and say nothing
	tls    *tls.Config              // nil: no STARTTLS

	mu         sync.Mutex
	open, most map[string]int // connections by address, now and at most
	heard      []string       // "address command"
}

func newHarbour(t testing.TB, name string, ca *certs.Authority) *harbour {
	t.Helper()
	h := &harbour{name: name, open: map[string]int{}, most: map[string]int{}}
	if ca != nil {
		c, err := ca.Issue(name)
		if err != nil {
			t.Fatal(err)
		}
		h.tls = &tls.Config{Certificates: []tls.Certificate{c}}
	}
	return h
}

func (h *harbour) dial(_ context.Context, _, address string) (net.Conn, error) {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, err
	}
	time.Sleep(h.wait)
	if p := at.Port(); p != 25 && p != 587 && p != 465 && !h.silent {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}
	}
	ours, theirs := memnet.Pipe(memnet.TCPAddr(netip.MustParseAddrPort("192.0.2.1:40000")), memnet.TCPAddr(at))
	h.count(address, 1)
	go func() { // ends when the audit closes its side
		defer h.count(address, -1)
		defer theirs.Close()
		h.serve(theirs, at)
	}()
	return ours, nil
}

func (h *harbour) count(address string, n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.open[address] += n
	h.most[address] = max(h.most[address], h.open[address])
}

func (h *harbour) serve(c net.Conn, at netip.AddrPort) {
	if h.silent {
		io.Copy(io.Discard, c)
		return
	}
	secure := at.Port() == 465
	if secure {
		c = tls.Server(c, h.tls)
	}
	in := bufio.NewReader(c)
	h.pause("")
	io.WriteString(c, "220 "+h.name+" ESMTP\r\n")
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		h.mu.Lock()
		h.heard = append(h.heard, at.String()+" "+line)
		h.mu.Unlock()
		h.pause(line)
		io.WriteString(c, h.answer(line, secure))
		switch {
		case strings.HasPrefix(line, "QUIT"):
			return
		case line == "STARTTLS" && h.tls != nil:
			c, secure = tls.Server(c, h.tls), true
			in = bufio.NewReader(c)
		}
	}
}

func (h *harbour) pause(line string) {
	d := h.wait
	for begins, wait := range h.slow {
		if begins == "" && line == "" || begins != "" && strings.HasPrefix(line, begins) {
			d = wait
		}
	}
	time.Sleep(d)
}

func (h *harbour) answer(line string, secure bool) string {
	for begins, text := range h.says {
		if strings.HasPrefix(line, begins) {
			return text + "\r\n"
		}
	}
	verb, _, _ := strings.Cut(line, " ")
	switch verb {
	case "EHLO":
		last := "REQUIRETLS"
		if !secure && h.tls != nil {
			last = "STARTTLS"
		}
		return fmt.Sprintf("250-%s\r\n250-PIPELINING\r\n250-SIZE 1000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 %s\r\n", h.name, last)
	case "HELP":
		return "214 2.0.0 RFC 5321\r\n"
	case "VRFY":
		return "252 2.1.5 send some mail\r\n"
	case "EXPN":
		return "502 5.5.1 no\r\n"
	case "STARTTLS":
		return "220 2.0.0 go ahead\r\n"
	case "RCPT":
		if strings.HasPrefix(line, "RCPT TO:<postmaster") || strings.HasPrefix(line, "RCPT TO:<abuse") || strings.HasPrefix(line, "RCPT TO:<hostmaster") {
			return "250 2.1.5 ok\r\n"
		}
		return "550 5.1.1 nobody\r\n"
	case "QUIT":
		return "221 2.0.0 bye\r\n"
	case "MAIL", "RSET":
		return "250 2.0.0 ok\r\n"
	}
	return "500 5.5.1 what?\r\n"
}
