package cluster

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/smtp"
	"net/textproto"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
)

// await repeats try until it succeeds, at most 40 s: longer than everything that
// is looked at every 30 s.
func await(t testing.TB, what string, try func() error) time.Duration {
	t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		err := try()
		if err == nil {
			return time.Since(start)
		}
		if time.Since(start) > 40*time.Second {
			t.Fatalf("not within 40 s: %s: %v", what, err)
		}
	}
}

// letter is a message with a subject of its own, CRLF lines, some of which begin
// with a dot.
func letter(to, subject string, size int) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: Eva <eva@example.net>\r\nTo: <%s>\r\nSubject: %s\r\nMessage-ID: <%s@example.net>\r\nDate: Mon, 1 Jun 2026 10:00:00 +0000\r\n\r\n", to, subject, subject)
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, ".línea %d de %s\r\n", i, subject)
	}
	return b.Bytes()
}

// session is a raw SMTP session of a stranger.
type session struct{ *textproto.Conn }

func dial(ctx context.Context, address string) (*session, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if err := nc.SetDeadline(time.Now().Add(90 * time.Second)); err != nil { // longer than a commit may take
		return nil, errors.Join(err, nc.Close())
	}
	s := &session{textproto.NewConn(nc)}
	if _, _, err := s.ReadResponse(220); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.command(250, "EHLO client.example.net"); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// command gives one command; another reply than expected is a *textproto.Error.
func (s *session) command(expect int, format string, a ...any) error {
	if err := s.PrintfLine(format, a...); err != nil {
		return err
	}
	_, _, err := s.ReadResponse(expect)
	return err
}

// send delivers one message; nil means that 250 after the dot was read.
func (s *session) send(to string, msg []byte) error {
	for _, c := range []struct {
		expect int
		text   string
	}{{250, "MAIL FROM:<eva@example.net>"}, {250, "RCPT TO:<" + to + ">"}, {354, "DATA"}} {
		if err := s.command(c.expect, "%s", c.text); err != nil {
			_ = s.command(250, "RSET") // if it is gone, the next command says so
			return err
		}
	}
	w := s.DotWriter()
	if _, err := w.Write(msg); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	_, _, err := s.ReadResponse(250)
	return err
}

// deliver sends one message in a session of its own.
func (n *node) deliver(t testing.TB, to string, msg []byte) {
	t.Helper()
	s, err := dial(t.Context(), n.doors["smtp"])
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := s.send(to, msg); err != nil {
		t.Fatalf("%s: %v", n.name, err)
	}
	if err := s.command(221, "QUIT"); err != nil {
		t.Error(err)
	}
}

// takes asks whether a node would take mail for an address now.
func (n *node) takes(t testing.TB, to string) error {
	t.Helper()
	s, err := dial(t.Context(), n.doors["smtp"])
	if err != nil {
		return err
	}
	defer s.Close()
	if err := s.command(250, "MAIL FROM:<eva@example.net>"); err != nil {
		return err
	}
	return s.command(250, "RCPT TO:<%s>", to)
}

// submit gives a message of a user of ours to the node.
func (n *node) submit(t testing.TB, user, to string, msg []byte) {
	t.Helper()
	if err := n.trySubmit(user, to, msg); err != nil {
		t.Fatal(err)
	}
}

// trySubmit is submit, of a message that may be refused.
func (n *node) trySubmit(user, to string, msg []byte) error {
	nc, err := tls.Dial("tcp", n.doors["submissions"], anyTLS())
	if err != nil {
		return err
	}
	c, err := smtp.NewClient(nc, "127.0.0.1")
	if err != nil {
		return errors.Join(err, nc.Close())
	}
	defer c.Close()
	for _, step := range []func() error{
		func() error { return c.Auth(smtp.PlainAuth("", user, password, "127.0.0.1")) },
		func() error { return c.Mail(user) },
		func() error { return c.Rcpt(to) },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	if _, err := w.Write(msg); err != nil {
		return err
	}
	return errors.Join(w.Close(), c.Quit())
}

// sender is a client that repeats, as every mail server does: one message until
// it reads 250, in one session as long as it lasts, alternating between nodes
// when told to go elsewhere.
type sender struct {
	nodes []*node // tried in turn
	s     *session
	turn  int
}

// attempt tries once.
func (s *sender) attempt(ctx context.Context, to string, msg []byte) error {
	if s.s == nil {
		n := s.nodes[s.turn%len(s.nodes)]
		var err error
		if s.s, err = dial(ctx, n.doors["smtp"]); err != nil {
			s.turn++
			return err
		}
	}
	err := s.s.send(to, msg)
	if _, ok := errors.AsType[*textproto.Error](err); err != nil && !ok {
		s.close()
		s.turn++
	}
	return err
}

func (s *sender) close() {
	if s.s != nil {
		_ = s.s.Close()
		s.s = nil
	}
}

// insist repeats until the message is taken or ctx ends; a refusal for good is
// an error at once. It says how often it was put off.
func (s *sender) insist(ctx context.Context, to string, msg []byte) (putOff int, err error) {
	for {
		err := s.attempt(ctx, to, msg)
		if err == nil {
			return putOff, nil
		}
		if reply, ok := errors.AsType[*textproto.Error](err); ok && reply.Code != 451 && reply.Code != 421 {
			return putOff, fmt.Errorf("expected 451 at worst: %w", err)
		}
		putOff++
		select {
		case <-ctx.Done():
			return putOff, err
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// ledger is what was acknowledged, by subject.
type ledger struct {
	mu   sync.Mutex
	sent map[string][]byte
}

func newLedger() *ledger { return &ledger{sent: map[string][]byte{}} }

func (l *ledger) add(subject string, msg []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sent[subject] = msg
}

// stored is one message as a client finds it.
type stored struct {
	uid     imap.UID
	subject string
	flags   []imap.Flag
	raw     []byte
}

// read reads a whole mailbox on a node by a fresh connection, without setting flags.
func (n *node) read(t testing.TB, user string) []stored {
	t.Helper()
	c, err := n.login(user)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sel, err := c.Select("INBOX", &imap.SelectOptions{ReadOnly: true}).Wait()
	if err != nil {
		t.Fatal(err)
	}
	if sel.NumMessages == 0 {
		return nil
	}
	out, err := fetch(c, imap.SeqSet{imap.SeqRange{Start: 1, Stop: 0}})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func fetch(c *imapclient.Client, which imap.NumSet) ([]stored, error) {
	whole := &imap.FetchItemBodySection{Peek: true}
	got, err := c.Fetch(which, &imap.FetchOptions{UID: true, Flags: true, Envelope: true, BodySection: []*imap.FetchItemBodySection{whole}}).Collect()
	if err != nil {
		return nil, err
	}
	out := make([]stored, len(got))
	for i, m := range got {
		out[i] = stored{m.UID, m.Envelope.Subject, m.Flags, m.FindBodySection(whole)}
	}
	slices.SortFunc(out, func(a, b stored) int { return int(a.uid) - int(b.uid) })
	return out, nil
}

// check compares a mailbox with what was acknowledged: all of it is there once,
// with the bytes that were sent, below what the node has added. Further messages
// are those whose acknowledgement was lost; they too are there at most once.
func (l *ledger) check(t testing.TB, box []stored) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]int{}
	var last imap.UID
	for _, m := range box {
		if m.uid <= last {
			t.Errorf("UID %d after %d", m.uid, last)
		}
		last = m.uid
		seen[m.subject]++
		if want, ok := l.sent[m.subject]; ok && !bytes.HasSuffix(m.raw, want) {
			t.Errorf("%s: other bytes than were sent:\n%q", m.subject, m.raw)
		}
	}
	for subject, n := range seen {
		if n > 1 {
			t.Errorf("%s is there %d times", subject, n)
		}
	}
	for subject := range l.sent {
		if seen[subject] == 0 {
			t.Errorf("%s was acknowledged and is not there", subject)
		}
	}
}
