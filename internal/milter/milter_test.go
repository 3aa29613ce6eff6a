package milter

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestParseAddress(t *testing.T) {
	for in, want := range map[string]string{
		"inet:8891@localhost":      "tcp localhost:8891",
		"inet:8891@[192.0.2.1]":    "tcp 192.0.2.1:8891",
		"inet6:8891@::1":           "tcp6 [::1]:8891",
		"inet6:8891@[::1]":         "tcp6 [::1]:8891",
		"inet:localhost:8891":      "tcp localhost:8891",
		"inet:8891":                "tcp localhost:8891",
		"milter.example.org:8891":  "tcp milter.example.org:8891",
		"[2001:db8::1]:8891":       "tcp [2001:db8::1]:8891",
		"unix:/run/opendkim.sock":  "unix /run/opendkim.sock",
		"local:/run/opendkim.sock": "unix /run/opendkim.sock",
		"/run/opendkim.sock":       "unix /run/opendkim.sock",
		"unix:run/opendkim.sock":   "error",
		"inet:0@localhost":         "error",
		"inet:99999@localhost":     "error",
		"inet:8891@":               "error",
		"localhost":                "error",
		"":                         "error",
	} {
		network, address, err := ParseAddress(in)
		got := network + " " + address
		if err != nil {
			got = "error"
		}
		if got != want {
			t.Errorf("%q: %s, want %s (%v)", in, got, want, err)
		}
	}
}

// A header that lacks its empty line, or its last line ending, or has a line of an
// mbox before it, is edited where its fields are.
func TestEditHeaderAtTheEdges(t *testing.T) {
	add := []Edit{{Kind: AddHeader, Name: "X", Value: " y"}}
	insert := []Edit{{Kind: InsertHeader, Name: "X", Value: " y"}}
	for _, c := range []struct {
		header string
		edits  []Edit
		want   string
	}{
		{"A: b\r\n\r\n", []Edit{{Kind: AddRcpt, Path: "<a@b>"}}, "A: b\r\n\r\n"},
		{"A: b\r\n", nil, "A: b\r\n"},
		{"A: b\r\n", add, "A: b\r\nX: y\r\n\r\n"},
		{"A: b", add, "A: b\r\nX: y\r\n\r\n"},
		{"", add, "X: y\r\n\r\n"},
		{"\r\n", add, "X: y\r\n\r\n"},
		{"From a@b Mon\r\nA: b\r\n\r\n", insert, "From a@b Mon\r\nX: y\r\nA: b\r\n\r\n"},
		{"A: b\r\n\r\n", []Edit{{Kind: DeleteHeader, Name: "a", Index: 1}}, "\r\n"},
		{"a: 1\r\nb: 2\r\nA: 3\r\n\r\n", []Edit{{Kind: DeleteHeader, Name: "a"}}, "b: 2\r\n\r\n"},
		{"a: 1\r\nA : 2\r\nb: 3\r\n\r\n", []Edit{{Kind: ChangeHeader, Name: "A", Index: 2, Value: " two"}}, "a: 1\r\nA: two\r\nb: 3\r\n\r\n"},
	} {
		if got := string(EditHeader([]byte(c.header), c.edits)); got != c.want {
			t.Errorf("%q: %q, want %q", c.header, got, c.want)
		}
	}
}

// A milter is asked as things happen: it refuses one MAIL, and in the next
// transaction one recipient; RSET in between is an abort.
func TestStages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &scripted{t: t, lines: strings.Split(strings.TrimSpace(`
C: O "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xf7\xff"
M: O "\x00\x00\x00\x06\x00\x00\x00\x00\x00\x00\x00\x00"
C: C "localhost\x00U"
M: c
C: H "a\x00"
M: c
C: D "M{mail_addr}\x00x\x00"
C: M "<x>\x00"
M: r
C: A ""
C: D "M{mail_host}\x00b\x00{mail_addr}\x00a@b\x00"
C: M "<a@b>\x00"
M: c
C: A ""
C: D "M{mail_host}\x00b\x00{mail_addr}\x00a@b\x00"
C: M "<a@b>\x00"
M: c
C: D "R{rcpt_host}\x00d\x00{rcpt_addr}\x00c@d\x00"
C: R "<c@d>\x00"
M: t
C: D "R{rcpt_host}\x00d\x00{rcpt_addr}\x00e@d\x00"
C: R "<e@d>\x00"
M: c
C: T ""
M: a
C: A ""
C: Q ""`), "\n")}
		c, err := New("inet:1@scripted.test", Options{Dial: s.dial})
		if err != nil {
			t.Fatal(err)
		}
		m, err := c.Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		ctx := t.Context()
		expect := func(want Action) func(Verdict, error) {
			return func(v Verdict, err error) {
				t.Helper()
				if err != nil || v.Action != want {
					t.Errorf("%v %v, want %v", v.Action, err, want)
				}
			}
		}
		expect(Continue)(m.Connect(ctx, "", netip.AddrPort{}))
		expect(Continue)(m.Helo(ctx, "a"))
		expect(Reject)(m.Mail(ctx, "x", nil))
		expect(Reject)(m.Rcpt(ctx, "c@d", nil)) // not sent
		expect(Continue)(m.Mail(ctx, "a@b", nil))
		if err := m.Abort(ctx); err != nil {
			t.Error(err)
		}
		expect(Continue)(m.Mail(ctx, "a@b", nil))
		expect(TempFail)(m.Rcpt(ctx, "c@d", nil))
		expect(Continue)(m.Rcpt(ctx, "e@d", nil))
		expect(Accept)(m.Data(ctx))
		v, edits, err := m.Message(ctx, []byte("A: b\r\n\r\n"), strings.NewReader(""), nil) // not sent
		if v.Action != Accept || len(edits) > 0 || err != nil {
			t.Error(v, edits, err)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
		if _, err := m.Helo(ctx, "b"); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		s.finish()
	})
}

// The context ends a wait at once, and its cause is the error.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		why := errors.New("the client went away")
		ctx, cancel := context.WithCancelCause(t.Context())
		c, err := New("inet:1@scripted.test", Options{Dial: func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := net.Pipe()
			go func() {
				io.Copy(io.Discard, theirs)
				theirs.Close()
			}()
			return ours, nil
		}})
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(time.Second, func() { cancel(why) })
		if _, err := c.Open(ctx); !errors.Is(err, why) {
			t.Error(err)
		}
	})
}

// A field that does not fit a packet cannot be shown, so it is not passed over.
func TestFieldTooLong(t *testing.T) {
	said := append(packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xf4\x80"), packet('c', "")...)
	c, err := New("/scripted", Options{MaxIdle: -1, Dial: func(context.Context, string, string) (net.Conn, error) {
		return &deaf{bytes.NewReader(said)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	tx := &Transaction{Header: []byte("X: " + strings.Repeat("a", maxData) + "\r\n\r\n"), Body: func() io.Reader { return strings.NewReader("") }}
	if _, err := c.Play(t.Context(), tx, nil); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}

// What cannot be read or kept is our own failure, not the milter's.
func TestLocalErrors(t *testing.T) {
	full := errors.New("disk full")
	said := append(packet('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x1f\xf4\x80"), packet('b', "new")...)
	said = append(said, packet('c', "")...)
	c, err := New("/scripted", Options{MaxIdle: -1, Dial: func(context.Context, string, string) (net.Conn, error) {
		return &deaf{bytes.NewReader(said)}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	tx := &Transaction{Header: []byte("\r\n"), Body: func() io.Reader { return failing{full} }}
	_, err = c.Play(t.Context(), tx, nil)
	if l, ok := errors.AsType[*LocalError](err); !ok || !errors.Is(l, full) {
		t.Error("reading:", err)
	}
	tx.Body = func() io.Reader { return strings.NewReader("") }
	_, err = c.Play(t.Context(), tx, func() io.Writer { return failing{full} })
	if l, ok := errors.AsType[*LocalError](err); !ok || !errors.Is(l, full) {
		t.Error("writing:", err)
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error)  { return 0, f.err }
func (f failing) Write([]byte) (int, error) { return 0, f.err }
