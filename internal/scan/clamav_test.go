package scan

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"

	"posta/internal/mail"
	"posta/internal/memnet"
)

// clamd is a scanning daemon that a test writes: it reads a command and, for
// INSTREAM, the stream up to limit octets, then does what the test says.
type clamd struct {
	t     *testing.T
	limit int
	heard string // the stream
	then  func(conn net.Conn)
}

func (c *clamd) dial(context.Context, string, string) (net.Conn, error) {
	a := memnet.TCPAddr(netip.MustParseAddrPort("127.0.0.1:3310"))
	ours, theirs := memnet.Pipe(a, a)
	go func() {
		defer theirs.Close()
		r := bufio.NewReader(theirs)
		command, err := r.ReadString(0)
		if err != nil {
			c.t.Error(err)
			return
		}
		switch command {
		case "zPING\x00":
			io.WriteString(theirs, "PONG\x00")
		case "zVERSION\x00":
			io.WriteString(theirs, "ClamAV 1.4.6/27000/Mon\x00")
		case "zINSTREAM\x00":
			c.stream(r)
			c.then(theirs)
		default:
			c.t.Errorf("command %q", command)
		}
	}()
	return ours, nil
}

func (c *clamd) stream(r io.Reader) {
	for len(c.heard) <= c.limit {
		var n uint32
		if err := binary.Read(r, binary.BigEndian, &n); err != nil || n == 0 {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		c.heard += string(b)
	}
}

func replies(s string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, s) } }

// hangs waits until the other side goes away.
func hangs(c net.Conn) { io.Copy(io.Discard, c) }

func TestClamAVReplies(t *testing.T) {
	long := strings.Repeat("0123456789\r\n", 20_000)
	for _, c := range []struct {
		name   string
		limit  int
		then   func(net.Conn)
		action mail.Action // for a member that passes what is too large and defers the rest
		cause  Cause
		reason string
	}{
		{"clean", 1 << 20, replies("stream: OK\x00"), mail.Accept, NoCause, ""},
		{"found", 1 << 20, replies("stream: Eicar-Test-Signature FOUND\x00"), mail.Reject, NoCause, "Eicar-Test-Signature"},
		{"a name with a line end", 1 << 20, replies("stream: A\r\nb\x1b FOUND\x00"), mail.Reject, NoCause, "A  b?"},
		{"an error of its own", 1 << 20, replies("stream: Can't allocate memory ERROR\x00"), mail.Defer, Refused, "refused: stream: Can't allocate memory ERROR"},
		{"too large, said at the end", 1 << 20, replies("INSTREAM size limit exceeded. ERROR\x00"), mail.Accept, TooLarge, "too large: INSTREAM size limit exceeded. ERROR"},
		{"too large, said in the middle", 100_000, replies("INSTREAM size limit exceeded. ERROR\x00"), mail.Accept, TooLarge, "too large: INSTREAM size limit exceeded. ERROR"},
		{"not all was looked at", 1 << 20, replies("stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND\x00"), mail.Accept, TooLarge, "too large: Heuristics.Limits.Exceeded.MaxFileSize"},
		{"killed before the reply", 1 << 20, replies(""), mail.Defer, Down, "down: broke off before its reply: EOF"},
		{"killed in the reply", 1 << 20, replies("stream: O"), mail.Defer, Down, "down: broke off before its reply: EOF"},
		{"killed in the stream", 100_000, replies(""), mail.Defer, Down, "down: broke off while it was reading: broken pipe"},
		{"garbage", 1 << 20, replies("HTTP/1.1 400 Bad Request\r\n\x00"), mail.Defer, Nonsense, `nonsense: "HTTP/1.1 400 Bad Request"`},
		{"no name", 1 << 20, replies("stream:  FOUND\x00"), mail.Defer, Nonsense, `nonsense: "stream:  FOUND"`},
		{"a giant reply", 1 << 20, replies(strings.Repeat("x", 1<<20)), mail.Defer, Nonsense, "nonsense: a reply of more than 4096 octets"},
		{"hangs", 1 << 20, hangs, mail.Defer, Slow, "slow: no answer in time: context deadline exceeded"},
		{"hangs in the middle", 100_000, func(c net.Conn) { <-t.Context().Done() }, mail.Defer, Slow, "slow: no answer in time: context deadline exceeded"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &clamd{t: t, limit: c.limit, then: c.then}
				if c.name == "hangs in the middle" {
					d.then = func(net.Conn) { <-t.Context().Done() }
				}
				s, err := NewClamAV("unix:/run/clamav/clamd.ctl", ClamAVOptions{Dial: d.dial})
				if err != nil {
					t.Fatal(err)
				}
				o := runner(t, Member{Scanner: s}).Run(t.Context(), facts(t), text(header, long))
				defer o.Close()
				res := o.Results[0]
				if res.Action != c.action || res.Cause != c.cause || res.Reason != c.reason {
					t.Errorf("%v %v %q", res.Action, res.Cause, res.Reason)
				}
				if c.cause == NoCause && d.heard != header+long {
					t.Errorf("it heard %d octets", len(d.heard))
				}
			})
		})
	}
}

func TestClamAVOptions(t *testing.T) {
	d := &clamd{t: t, limit: 1 << 20, then: replies("stream: X FOUND\x00")}
	s, err := NewClamAV("127.0.0.1:3310", ClamAVOptions{Dial: d.dial, MaxBytes: 1000, OnFound: mail.Quarantine})
	if err != nil {
		t.Fatal(err)
	}
	r := runner(t, Member{Scanner: s, OnTooLarge: Defer})
	if o := r.Run(t.Context(), facts(t), text(header, "")); o.Action != mail.Quarantine || o.Reason != "X" {
		t.Error(o.Results)
	}
	d.heard = ""
	o := r.Run(t.Context(), facts(t), text(header, strings.Repeat("x", 1000)))
	if o.Action != mail.Defer || o.Results[0].Cause != TooLarge || d.heard != "" {
		t.Error(o.Results)
	}
	if h := r.Health(t.Context())[0]; h.Err != nil || h.Version != "ClamAV 1.4.6/27000/Mon" {
		t.Error(h)
	}
	if _, err := NewClamAV("clamd", ClamAVOptions{}); err == nil {
		t.Error("an address without port is taken")
	}
}

// Whatever clamd says, it is clean, a name, or an error; only "stream: OK" is clean.
func FuzzClamd(f *testing.F) {
	for _, s := range []string{"stream: OK", "stream: Eicar FOUND", "stream: x ERROR", "INSTREAM size limit exceeded. ERROR", "", "stream: Heuristics.Limits.Exceeded FOUND"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		name, err := parseClamd(s)
		_, failure := errors.AsType[*Failure](err)
		switch {
		case err == nil && name == "" && strings.TrimSpace(s) != "stream: OK":
			t.Errorf("%q is clean", s)
		case err != nil && (name != "" || !failure):
			t.Errorf("%q: %q, %v", s, name, err)
		case len(name) > maxText || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r > '~' }):
			t.Errorf("%q is not fit to be shown", name)
		}
	})
}
