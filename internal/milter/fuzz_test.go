package milter

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"posta/internal/message"
)

// Whatever a milter says, Play ends without a panic, and what it wants changed
// leaves a header of fields and an empty line, without a lone CR or LF, and within
// the budget.
func FuzzMilter(f *testing.F) {
	options := packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xf4\x80")
	for _, edits := range [][]byte{
		packet('c', ""),
		append(packet('h', "X-A\x00b\nc\x00"), packet('c', "")...),
		append(packet('m', "\x00\x00\x00\x01Subject\x00\x00"), packet('a', "")...),
		append(packet('i', "\x00\x00\x00\x01X-A\x00\r\n\r\nb\x00"), packet('a', "")...),
		append(packet('b', "a\rb\n\nc"), packet('c', "")...),
		packet('y', "550-5.7.1 a\r\n550 b\x00"),
		append(append(packet('+', "<a@b>\x00"), packet('q', "why\x00")...), packet('d', "")...),
		{0xff, 0xff, 0xff, 0xff, 'c'},
	} {
		f.Add(append(bytes.Clone(options), edits...))
	}
	header := []byte("Received: one\r\nSubject: x\r\n y\r\n\r\n")
	f.Fuzz(func(t *testing.T, said []byte) {
		c, err := New("/scripted", Options{MaxIdle: -1, MaxBody: 1 << 16, Dial: func(context.Context, string, string) (net.Conn, error) {
			return &deaf{Reader: bytes.NewReader(said)}, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		tx := &Transaction{
			Helo: "a", From: Path{Address: "a@example.net"}, To: []Path{{Address: "b@example.org"}},
			Header: header, Body: func() io.Reader { return strings.NewReader("Hello\r\n") },
		}
		var body bytes.Buffer
		r, err := c.Play(t.Context(), tx, func() io.Writer { return &body })
		if err != nil {
			return
		}
		if len(r.Edits) > MaxEdits {
			t.Fatalf("%d edits", len(r.Edits))
		}
		edited := EditHeader(header, r.Edits)
		if h, rest := message.SplitHeader(edited); len(rest) > 0 || !bytes.HasSuffix(h, []byte("\r\n")) {
			t.Fatalf("the header ends before %q", rest)
		}
		noLone(t, edited)
		noLone(t, body.Bytes())
		for line := range bytes.Lines(bytes.TrimSuffix(edited, []byte("\r\n"))) {
			if len(bytes.TrimSpace(line)) == 0 && line[0] == '\r' {
				t.Fatalf("an empty line in the middle of %q", edited)
			}
		}
	})
}

// noLone refuses a CR or LF that is no line ending.
func noLone(t *testing.T, b []byte) {
	t.Helper()
	rest := bytes.ReplaceAll(b, []byte("\r\n"), nil)
	if bytes.ContainsAny(rest, "\r\n") {
		t.Fatalf("a lone CR or LF in %q", b)
	}
}

// deaf is a connection whose other side says what it says, whatever it hears.
type deaf struct{ io.Reader }

func (*deaf) Write(p []byte) (int, error)      { return len(p), nil }
func (*deaf) Close() error                     { return nil }
func (*deaf) LocalAddr() net.Addr              { return nil }
func (*deaf) RemoteAddr() net.Addr             { return nil }
func (*deaf) SetDeadline(time.Time) error      { return nil }
func (*deaf) SetReadDeadline(time.Time) error  { return nil }
func (*deaf) SetWriteDeadline(time.Time) error { return nil }

// A packet that was read is the packet that was written.
func FuzzPacket(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01c"))
	f.Add([]byte("\x00\x00\x00\x03hab"))
	f.Add([]byte("\x00\x04\x00\x01c"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var buf []byte
		code, data, err := readPacket(bufio.NewReader(bytes.NewReader(in)), &buf)
		if cap(buf) > maxPacket {
			t.Fatalf("%d octets of memory", cap(buf))
		}
		if err != nil {
			if code != 0 || data != nil {
				t.Fatal("an error and a packet")
			}
			return
		}
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := errors.Join(writePacket(w, code, data), w.Flush()); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Fatalf("%q became %q", in, out.Bytes())
		}
	})
}
