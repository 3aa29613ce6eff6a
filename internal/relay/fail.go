package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"posta/internal/smtp"
)

// ErrNotConvertible is what Message.Open answers when the message cannot be sent
// without octets over 127.
var ErrNotConvertible = errors.New("relay: the message cannot be converted to 7 bits")

// statusOf is what a reply that is no success means.
func statusOf(r smtp.Reply) Status {
	if r.Permanent() {
		return Permanent
	}
	return Temporary // a reply out of place (354 to MAIL) is no word about the message
}

func (t target) remote() string {
	if t.addr.socket != "" {
		return t.addr.String()
	}
	return fmt.Sprintf("%s [%s]:%d", t.host.Name, t.addr.Addr(), t.addr.Port())
}

// ours is an outcome in our own words, beginning with a code of class 4 or 5.
func (t target) ours(code int, enhanced, text string) Outcome {
	r := smtp.New(code, enhanced, text)
	return Outcome{Status: statusOf(r), Reply: r, Ours: true, Host: t.host.Name, Remote: t.remote(), Ended: time.Now()}
}

func (c *conn) target() target { return target{c.host, c.addr} }

// fail is a failure in our own words.
func (c *conn) fail(code int, enhanced, text string) *failure {
	o := c.target().ours(code, enhanced, text)
	o.TLS = c.tls
	return &failure{Outcome: o, seen: c.seen}
}

// lost is the failure of a connection that broke.
func (c *conn) lost(err error, when string) *failure {
	return c.fail(451, "4.4.2", "Lost the connection "+when+": "+plain(err))
}

// refused is the failure that a reply tells of.
func (c *conn) refused(r smtp.Reply) *failure { return &failure{Outcome: c.said(statusOf(r), r)} }

// said is an outcome in the host's words.
func (c *conn) said(s Status, r smtp.Reply) Outcome {
	r.Text = bounded(r.Text)
	return Outcome{Status: s, Reply: r, Host: c.host.Name, Remote: c.target().remote(), TLS: c.tls, Note: c.note, DSN: c.ext.DSN, Ended: time.Now()}
}

// maxReplyText is how much of a reply is kept, in octets.
const maxReplyText = 1000

func bounded(s string) string {
	if len(s) <= maxReplyText {
		return s
	}
	return strings.ToValidUTF8(s[:maxReplyText], "") + "…"
}

// plain tells an error of the network in few words, without what the Outcome
// tells already.
func plain(err error) string {
	var timeout net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return "interrupted"
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded), errors.As(err, &timeout) && timeout.Timeout():
		return "timed out"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the host closed it"
	case errors.Is(err, net.ErrClosed):
		return "closed"
	}
	for _, e := range []syscall.Errno{syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EPIPE, syscall.ENETUNREACH, syscall.EHOSTUNREACH} {
		if errors.Is(err, e) {
			return e.Error()
		}
	}
	return bounded(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, err.Error()))
}

// lines walks the finished lines of b without their CRLF.
func lines(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for {
			line, rest, ok := bytes.Cut(b, []byte{'\n'})
			if !ok || !yield(bytes.TrimSuffix(line, []byte{'\r'})) {
				return
			}
			b = rest
		}
	}
}
