package memnet

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/net/nettest"
)

var (
	here  = netip.MustParseAddrPort("192.0.2.1:1000")
	there = netip.MustParseAddrPort("198.51.100.1:25")
)

// TestConn is the suite that each net.Conn must pass.
func TestConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		a, b := Pipe(TCPAddr(here), TCPAddr(there))
		return a, b, func() { a.Close(); b.Close() }, nil
	})
}

func TestListener(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Listen(there)
		go func() {
			c, err := l.Accept()
			if err != nil {
				t.Error(err)
				return
			}
			if c.RemoteAddr().String() != here.String() || c.LocalAddr().String() != there.String() {
				t.Error(c.RemoteAddr(), c.LocalAddr())
			}
			io.WriteString(c, "hello")
			c.Close()
		}()
		c, err := l.Dial(t.Context(), here)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := io.ReadAll(c); string(b) != "hello" || err != nil {
			t.Errorf("%q %v", b, err)
		}
		if _, err := c.Write([]byte("x")); err == nil {
			t.Error("written to a closed peer")
		}
		c.Close()
		l.Close()
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
		if _, err := l.Dial(t.Context(), here); err == nil {
			t.Error("dialled a closed listener")
		}
	})
}

// The fake clock runs while both ends wait.
func TestDeadlinesOnFakeClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe(TCPAddr(here), TCPAddr(there))
		defer b.Close()
		defer a.Close()
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Hour))
		b.SetWriteDeadline(start.Add(2 * time.Hour))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Hour {
			t.Error(err, time.Since(start))
		}
		n, err := b.Write(make([]byte, Window+1))
		if n != Window || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 2*time.Hour {
			t.Error(n, err, time.Since(start))
		}
		a.SetReadDeadline(time.Time{})
		if n, err := io.ReadFull(a, make([]byte, Window)); n != Window || err != nil {
			t.Error(n, err)
		}
	})
}

func TestHalfClose(t *testing.T) {
	a, b := Pipe(TCPAddr(here), TCPAddr(there))
	defer b.Close()
	defer a.Close()
	io.WriteString(a, "question")
	a.(interface{ CloseWrite() error }).CloseWrite()
	if q, err := io.ReadAll(b); string(q) != "question" || err != nil {
		t.Errorf("%q %v", q, err)
	}
	io.WriteString(b, "answer")
	b.Close()
	if q, err := io.ReadAll(a); string(q) != "answer" || err != nil {
		t.Errorf("%q %v", q, err)
	}
}
