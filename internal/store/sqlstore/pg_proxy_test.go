package sqlstore

import (
	"bytes"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
)

// cut says where a proxy breaks a connection.
type cut struct {
	word    string // in what the client sends
	forward bool   // the server still gets it; its reply is lost
}

// cutProxy stands between a store and PostgreSQL and breaks connections.
type cutProxy struct {
	l  net.Listener
	to string
	wg sync.WaitGroup

	mu    sync.Mutex
	next  []cut // each breaks one connection, in order
	conns map[net.Conn]bool
}

func newCutProxy(t *testing.T, port int) *cutProxy {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &cutProxy{l: l, to: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), conns: map[net.Conn]bool{}}
	p.wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.wg.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(p.close)
	return p
}

func (p *cutProxy) port() int { return p.l.Addr().(*net.TCPAddr).Port }

// arm adds cuts.
func (p *cutProxy) arm(cuts ...cut) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.next = append(p.next, cuts...)
}

// due takes the next cut if data has its word.
func (p *cutProxy) due(data []byte) (cut, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.next) == 0 || !bytes.Contains(data, []byte(p.next[0].word)) {
		return cut{}, false
	}
	c := p.next[0]
	p.next = p.next[1:]
	return c, true
}

func (p *cutProxy) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("tcp", p.to)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	p.wg.Go(func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if c, ok := p.due(buf[:n]); ok {
			_ = client.Close()
			if c.forward {
				_, _ = server.Write(buf[:n])
			}
			return
		}
		if _, err := server.Write(buf[:n]); err != nil {
			return
		}
	}
}

func (p *cutProxy) close() {
	_ = p.l.Close()
	p.mu.Lock()
	for c := range p.conns {
		_ = c.Close()
	}
	p.mu.Unlock()
	p.wg.Wait()
}
