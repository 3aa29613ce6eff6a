package imapserver

import (
	"context"
	"fmt"
	"io"

	"posta/internal/imap"
	"posta/internal/store"
)

// append streams a message into the store. What is wrong before the octets are
// read is answered at once, and the octets that are on their way are skipped.
func (c *conn) append(ctx context.Context, d *imap.Decoder) error {
	args, err := d.Append()
	if err != nil {
		return err
	}
	m, refusal := c.mayAppend(ctx, args)
	if refusal != nil {
		if args.Literal.NonSync {
			return c.drain(d, args, refusal)
		}
		return refusal
	}
	if !args.Literal.NonSync {
		c.cont("go ahead")
	}
	if args.Literal.Size > restBuffer {
		c.io.Use(make([]byte, appendBuffer))
		c.large = true
	}
	body := &bodyReader{c: c, left: args.Literal.Size, end: func() error { return d.AppendEnd(args) }}
	placed, err := c.srv.Appender.Append(ctx, m, body)
	if !body.ended {
		// The store gave up early: read past the rest, so that the dialogue can go on.
		if _, skipErr := io.Copy(io.Discard, body); err == nil {
			err = skipErr
		}
	}
	if body.err != nil {
		return body.err
	}
	if err == store.ErrNotFound { // deleted meanwhile
		return imap.No("TRYCREATE", "no such mailbox")
	}
	if err != nil {
		return err
	}
	if placed.UID == 0 { // stored, but the database's answer was lost
		return nil
	}
	return &imap.Reply{Status: imap.OK, Code: fmt.Sprintf("APPENDUID %d %d", placed.UIDValidity, placed.UID), Text: "APPEND completed"}
}

// mayAppend finds the mailbox and looks at the limits.
func (c *conn) mayAppend(ctx context.Context, args imap.Append) (m Appending, refusal error) {
	if args.Literal.Size > c.limits.Message {
		return m, imap.No("TOOBIG", fmt.Sprintf("a message can have %d octets", c.limits.Message))
	}
	if args.Literal.Size == 0 { // RFC 9051 §6.3.12: how a client cancels
		return m, imap.No("", "empty message, nothing stored")
	}
	if args.UTF8 && !c.utf8 {
		return m, imap.Bad("UTF8: UTF8=ACCEPT must be enabled first") // RFC 6855 §4
	}
	flags, words, err := c.keywords(args.Flags)
	if err != nil {
		return m, err
	}
	box, err := c.target(ctx, args.Mailbox)
	if err != nil {
		return m, err
	}
	octets, _, quota, err := c.srv.Store.Usage(ctx, c.account)
	if err != nil {
		return m, err
	}
	if quota > 0 && octets+args.Literal.Size > quota {
		return m, store.ErrQuota
	}
	m = Appending{Account: c.account, Mailbox: box.ID, Name: box.Name, Flags: flags, Keywords: words, InternalDate: args.Date, Size: args.Literal.Size}
	if m.InternalDate.IsZero() {
		m.InternalDate = c.srv.now()
	}
	return m, nil
}

// drain skips a message that is refused but on its way. One that is longer than
// any message may be ends the connection instead.
func (c *conn) drain(d *imap.Decoder, args imap.Append, refusal error) error {
	if args.Literal.Size > c.limits.Message {
		c.status("*", &imap.Reply{Status: imap.BYE, Code: "TOOBIG", Text: "message too long"})
		return errBye
	}
	if _, err := io.CopyN(io.Discard, c.io, args.Literal.Size); err != nil {
		return lost(err)
	}
	if err := d.AppendEnd(args); err != nil {
		return err
	}
	return refusal
}

// bodyReader gives the octets of a literal. The last of them it gives only when the
// rest of the command was read too and is right: nothing is stored of a command in
// error, however the reader counts.
type bodyReader struct {
	c     *conn
	left  int64
	end   func() error
	ended bool
	err   error // of the connection (errLost) or of the rest of the command
}

func (r *bodyReader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if r.left == 0 {
		return 0, io.EOF
	}
	n, err := r.c.io.Read(p[:min(int64(len(p)), r.left)])
	r.left -= int64(n)
	switch {
	case err == io.EOF:
		r.err = lost(io.ErrUnexpectedEOF)
	case err != nil:
		r.err = lost(err)
	case r.left == 0:
		r.err = r.end()
	}
	r.ended = r.left == 0 || r.err != nil
	if r.err != nil {
		return 0, r.err
	}
	return n, nil
}
