package smtpserver

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"

	"posta/internal/mail"
	"posta/internal/sasl"
	"posta/internal/smtp"
)

// recorder is a backend that writes down what it was told and keeps messages in
// memory. Rules refuse by the text of a call: "rcpt <x@example.org>".
type recorder struct {
	mu       sync.Mutex
	calls    []string
	messages []string
	opens    int
	closes   int

	class    mail.Class
	rules    map[string]smtp.Reply
	password map[string]string
	onCommit func(ctx context.Context) []smtp.Reply // nil: accepted
	onMail   func()
	writeErr error
}

func (r *recorder) note(format string, args ...any) (*smtp.Reply, string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	call := fmt.Sprintf(format, args...)
	r.calls = append(r.calls, call)
	if reply, ok := r.rules[call]; ok {
		return &reply, call
	}
	return nil, call
}

func (r *recorder) log() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.calls, "\n") + "\n"
}

func (r *recorder) kept() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.messages)
}

func (r *recorder) Open(_ context.Context, c *mail.Client) (Session, *smtp.Reply) {
	reply, _ := r.note("open")
	if reply != nil {
		return nil, reply
	}
	r.mu.Lock()
	r.opens++
	r.mu.Unlock()
	c.Class = max(c.Class, r.class)
	return &recording{r: r}, nil
}

// recording is one session of a recorder. It checks the order of the calls.
type recording struct {
	r      *recorder
	open   bool // a transaction
	closed bool
}

func (s *recording) alive() {
	if s.closed {
		panic("a call after Close")
	}
}

func (s *recording) Hello(_ context.Context, c *mail.Client) *smtp.Reply {
	s.alive()
	reply, _ := s.r.note("hello %s %s", c.HELO, map[bool]string{true: "extended", false: "plain"}[c.EHLO])
	return reply
}

func (s *recording) Authenticate(_ context.Context, c *mail.Client, a sasl.Credentials) *smtp.Reply {
	s.alive()
	if reply, _ := s.r.note("authenticate %s", a); reply != nil {
		return reply
	}
	if want, ok := s.r.password[a.User]; !ok || want != a.Password {
		reply := smtp.AuthFailed.Reply()
		return &reply
	}
	c.Login, c.Account, c.Class = a.User, 1, mail.Authenticated
	return nil
}

func (s *recording) Mail(_ context.Context, e *mail.Envelope) *smtp.Reply {
	s.alive()
	if s.open {
		panic("Mail in a transaction")
	}
	if s.r.onMail != nil {
		s.r.onMail()
	}
	var more string
	for _, p := range []struct {
		on   bool
		text string
	}{
		{e.Size > 0, "size=" + strconv.FormatInt(e.Size, 10)}, {e.EnvID != "", "envid=" + e.EnvID}, {e.RetFull, "ret=full"},
		{e.EightBit, "8bit"}, {e.Binary, "binary"}, {e.UTF8, "utf8"}, {e.RequireTLS, "requiretls"},
	} {
		if p.on {
			more += " " + p.text
		}
	}
	reply, _ := s.r.note("mail <%s>%s", e.ReversePath, more)
	s.open = reply == nil
	return reply
}

func (s *recording) Rcpt(_ context.Context, e *mail.Envelope, rcpt mail.Recipient) *smtp.Reply {
	s.alive()
	var more string
	if rcpt.Notify != 0 {
		more += " notify=" + smtp.Notify(rcpt.Notify).String()
	}
	if rcpt.Original != "" {
		more += " orcpt=" + rcpt.Original
	}
	reply, _ := s.r.note("rcpt <%s>%s", rcpt.Address, more)
	return reply
}

func (s *recording) Data(_ context.Context, e *mail.Envelope) (Sink, *smtp.Reply) {
	s.alive()
	if len(e.Recipients) == 0 {
		panic("Data without recipients")
	}
	if reply, _ := s.r.note("data"); reply != nil {
		return nil, reply
	}
	return &memorySink{s: s, e: e}, nil
}

func (s *recording) Notice(n Notice) {
	s.alive()
	s.r.note("notice %s", n.Kind)
}

func (s *recording) Delivered() {
	s.alive()
	s.r.note("delivered")
}

func (s *recording) Reset(context.Context) {
	s.alive()
	if !s.open {
		panic("Reset without a transaction")
	}
	s.open = false
	s.r.note("reset")
}

func (s *recording) Close(_ context.Context, why CloseReason) {
	s.alive()
	if s.open {
		panic("Close in a transaction")
	}
	s.closed = true
	more := ""
	if why.Unconfirmed {
		more = " unconfirmed"
	}
	s.r.note("close %s%s", why.Cause, more)
	s.r.mu.Lock()
	s.r.closes++
	s.r.mu.Unlock()
}

// memorySink keeps a message.
type memorySink struct {
	s    *recording
	e    *mail.Envelope
	buf  bytes.Buffer
	done bool
}

func (k *memorySink) Write(p []byte) (int, error) {
	if k.done {
		panic("Write after the end")
	}
	if k.s.r.writeErr != nil {
		return 0, k.s.r.writeErr
	}
	return k.buf.Write(p)
}

func (k *memorySink) end() {
	if k.done {
		panic("a sink ended twice")
	}
	k.done = true
}

func (k *memorySink) Commit(ctx context.Context) []smtp.Reply {
	k.end()
	k.s.r.note("commit %d octets for %d", k.buf.Len(), len(k.e.Recipients))
	var replies []smtp.Reply
	switch {
	case k.s.r.onCommit != nil:
		replies = k.s.r.onCommit(ctx)
	case k.e.Client.Door == mail.LMTP:
		for _, rcpt := range k.e.Recipients {
			reply := smtp.New(250, "2.1.5", "stored for "+rcpt.Address.String())
			if r, ok := k.s.r.rules["commit <"+rcpt.Address.String()+">"]; ok {
				reply = r
			}
			replies = append(replies, reply)
		}
	default:
		replies = []smtp.Reply{smtp.Accepted.With("ID")}
	}
	for _, reply := range replies {
		if reply.OK() {
			k.s.r.mu.Lock()
			k.s.r.messages = append(k.s.r.messages, k.buf.String())
			k.s.r.mu.Unlock()
			k.s.open = false
			break
		}
	}
	return replies
}

func (k *memorySink) Abort() {
	k.end()
	k.s.r.note("abort")
}
