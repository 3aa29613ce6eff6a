package lineio

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/memnet"
)

func pipe() (client net.Conn, c *Conn) {
	a := memnet.TCPAddr(netip.MustParseAddrPort("192.0.2.1:1"))
	client, server := memnet.Pipe(a, a)
	return client, New(server, nil)
}

func TestReadLine(t *testing.T) {
	type result struct {
		line string
		bare bool
		err  error
	}
	long := strings.Repeat("x", 100)
	tests := []struct {
		name, in string
		want     []result
	}{
		{"lines", "a\r\nb\n\r\n", []result{{"a", false, nil}, {"b", true, nil}, {"", false, nil}, {"", false, io.EOF}}},
		{"a CR inside is kept", "a\rb\r\n", []result{{"a\rb", false, nil}}},
		{"as long as allowed", long[:50] + "\r\n", []result{{long[:50], false, nil}}},
		{"too long, then fine", long + "\r\nok\r\n", []result{{"", false, ErrTooLong}, {"ok", false, nil}}},
		{"far too long, then fine", strings.Repeat(long, 600) + "\nok\r\n", []result{{"", true, ErrTooLong}, {"ok", false, nil}}},
		{"without end", strings.Repeat(long, 1000), []result{{"", false, ErrFlood}}},
		{"begun", "abc", []result{{"", false, io.ErrUnexpectedEOF}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, buffer := range []int{1, 7, 52, 4096} {
				client, c := pipe()
				c.buf = make([]byte, buffer)
				go func() {
					io.WriteString(client, tt.in)
					client.Close()
				}()
				for _, want := range tt.want {
					line, err := c.ReadLine(50)
					if string(line) != want.line || !errors.Is(err, want.err) || c.BareLF() != want.bare && err == nil {
						t.Fatalf("buffer %d: %q %v bare=%v, wanted %+v", buffer, line, err, c.BareLF(), want)
					}
				}
				if len(c.buf) > 4096 {
					t.Errorf("the buffer grew to %d", len(c.buf))
				}
				c.Close()
			}
		})
	}
}

// FuzzReadLine: lines come out as they are defined, however the connection
// cuts them.
func FuzzReadLine(f *testing.F) {
	f.Add([]byte("a\r\nb\nccccccccccccccccc\r\n\r\nd"), uint8(3))
	f.Add([]byte("\r\r\n\n\n"), uint8(1))
	f.Fuzz(func(t *testing.T, in []byte, size uint8) {
		const max = 10
		c := New(&chunked{data: in, size: int(size%16) + 1}, make([]byte, 4))
		rest := in
		for {
			line, err := c.ReadLine(max)
			i := bytes.IndexByte(rest, '\n')
			if i < 0 {
				if err == nil {
					t.Fatalf("a line %q out of %q", line, rest)
				}
				return
			}
			want := bytes.TrimSuffix(rest[:i], []byte("\r"))
			rest = rest[i+1:]
			switch {
			case len(want) > max && err == ErrTooLong:
			case len(want) <= max && err == nil && bytes.Equal(line, want):
			case errors.Is(err, ErrFlood) && len(in) > maxSkip:
				return
			default:
				t.Fatalf("%q %v, wanted %q", line, err, want)
			}
		}
	})
}

// chunked is a connection that gives its data in pieces.
type chunked struct {
	net.Conn
	data []byte
	size int
}

func (c *chunked) Read(p []byte) (int, error) {
	if len(c.data) == 0 {
		return 0, io.EOF
	}
	n := copy(p, c.data[:min(c.size, len(c.data))])
	c.data = c.data[n:]
	return n, nil
}

func (c *chunked) SetReadDeadline(time.Time) error { return nil }

// Replies wait until there is nothing left to read.
func TestFlushWhenIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe()
		go func() {
			for {
				line, err := c.ReadLine(100)
				if err != nil {
					return
				}
				c.WriteString("<" + string(line) + ">")
			}
		}()
		io.WriteString(client, "a\r\nb\r\nc")
		synctest.Wait()
		buf := make([]byte, 100)
		if n, err := client.Read(buf); string(buf[:n]) != "<a><b>" || err != nil {
			t.Errorf("%q %v", buf[:n], err)
		}
		client.Close()
	})
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe()
		defer client.Close()
		c.SetTimeouts(time.Minute, time.Minute)
		start := time.Now()
		c.SetLast(start.Add(90 * time.Second))
		go func() { // a drip does not help
			for range 5 {
				client.Write([]byte("x"))
				time.Sleep(20 * time.Second)
			}
		}()
		if _, err := c.ReadLine(100); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != time.Minute || c.LastPassed() {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		if _, err := c.ReadLine(100); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(start) != 90*time.Second || !c.LastPassed() {
			t.Errorf("%v after %v", err, time.Since(start))
		}
		c.Write(make([]byte, memnet.Window+1)) // nobody reads
		if err := c.Flush(); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if _, err := c.Write(nil); err == nil {
			t.Error("a broken writer writes")
		}
		time.Sleep(time.Minute)
	})
}

func TestInterrupt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, c := pipe()
		defer client.Close()
		got := make(chan error, 2)
		go func() {
			_, err := c.ReadLine(100)
			got <- err
			b, err := c.Block() // data is not interrupted
			if string(b) != "data" {
				t.Errorf("%q", b)
			}
			got <- err
		}()
		synctest.Wait()
		c.Interrupt()
		if err := <-got; err != ErrInterrupted {
			t.Error(err)
		}
		io.WriteString(client, "data")
		if err := <-got; err != nil {
			t.Error(err)
		}
	})
}

func TestUpgradeForgetsClearText(t *testing.T) {
	client, c := pipe()
	defer client.Close()
	io.WriteString(client, "STARTTLS\r\ninjected\r\n")
	if line, err := c.ReadLine(100); string(line) != "STARTTLS" || err != nil {
		t.Fatalf("%q %v", line, err)
	}
	if c.Buffered() != len("injected\r\n") || string(c.Peek()) != "injected\r\n" {
		t.Errorf("%q", c.Peek())
	}
	other, next := pipe()
	n, err := c.Upgrade(next.NetConn())
	if n != len("injected\r\n") || err != nil {
		t.Error(n, err)
	}
	io.WriteString(other, "ok\r\n")
	if line, err := c.ReadLine(100); string(line) != "ok" || err != nil {
		t.Errorf("%q %v", line, err)
	}
}

func TestUse(t *testing.T) {
	client, c := pipe()
	defer client.Close()
	io.WriteString(client, "abcdef\r\n")
	if b, err := c.Block(); len(b) != 8 || err != nil {
		t.Fatal(b, err)
	}
	c.Consume(2)
	if _, ok := c.Use(make([]byte, 5)); ok {
		t.Error("six octets went into five")
	}
	if old, ok := c.Use(make([]byte, 6)); !ok || len(old) != DefaultBuffer {
		t.Error(len(old), ok)
	}
	if line, err := c.ReadLine(10); string(line) != "cdef" || err != nil {
		t.Errorf("%q %v", line, err)
	}
}

func BenchmarkReadLine(b *testing.B) {
	in := bytes.Repeat([]byte("RCPT TO:<someone@example.org>\r\n"), 100)
	src := &chunked{size: 4096}
	c := New(src, nil)
	b.ReportAllocs()
	for b.Loop() {
		src.data = in
		for range 100 {
			if _, err := c.ReadLine(510); err != nil {
				b.Fatal(err)
			}
		}
	}
}
