package smtpserver

import (
	"context"
	"errors"
	"os"

	"posta/internal/mail"
	"posta/internal/smtp"
)

// blockSize is how much message data is read and handed on at once.
const blockSize = 32 << 10

// buffers are lent to a connection while it sends message data.
type buffers struct{ in, out []byte }

func newBuffers() *buffers {
	return &buffers{in: make([]byte, blockSize), out: make([]byte, 0, blockSize+2)}
}

// borrow gives the connection large buffers.
func (c *conn) borrow() {
	if c.lent != nil {
		return
	}
	c.lent = c.srv.buffers.Get().(*buffers)
	c.small, _ = c.line.Use(c.lent.in) // it fits: no line is longer than a block
}

// giveBack returns them, as soon as what the client sent ahead fits the small one.
func (c *conn) giveBack() {
	if c.lent == nil {
		return
	}
	if _, ok := c.line.Use(c.small); ok {
		c.srv.buffers.Put(c.lent)
		c.lent, c.small = nil, nil
	}
}

// open asks the session for a sink.
func (c *conn) open(ctx context.Context) (smtp.Reply, bool) {
	sink, r := c.session.Data(ctx, c.envelope)
	if r != nil {
		return *r, false
	}
	c.sink = sink
	c.unstuff = smtp.Unstuffer{Normalise: !c.strange()}
	return smtp.Reply{}, true
}

// deliver hands content to the sink, unless the message is refused already.
func (c *conn) deliver(b *Budget, content []byte) {
	c.size += int64(len(content))
	if len(content) == 0 || c.sinkErr != nil || c.size > b.MessageBytes || c.unstuff.Bare && !c.unstuff.Normalise {
		return
	}
	_, c.sinkErr = c.sink.Write(content)
}

// flaw says why a message that was read cannot be accepted.
func (c *conn) flaw(b *Budget) (r smtp.Reply, found bool) {
	switch {
	case c.unstuff.Bare && !c.unstuff.Normalise:
		return smtp.DataBareNewline.Reply(), true
	case c.size > b.MessageBytes:
		return smtp.DataTooLarge.With(b.MessageBytes), true
	case c.sinkErr != nil:
		if r, ok := errors.AsType[smtp.Reply](c.sinkErr); ok && !r.OK() && r.Code >= 400 {
			return r, true
		}
		c.log.ErrorContext(c.ctx, "smtp sink failed", "id", c.envelope.ID, "err", c.sinkErr)
		return smtp.CommitFailed.Reply(), true
	}
	return smtp.Reply{}, false
}

// complete ends a message that was read to its end: it is committed or refused.
func (c *conn) complete(ctx context.Context, b *Budget) {
	if r, found := c.flaw(b); found {
		c.refuseMessage(r, true)
		return
	}
	e, sink := c.envelope, c.sink
	c.sink = nil // from here on it is not ours to abort
	ctx, cancel := context.WithTimeout(ctx, b.Commit)
	replies := sink.Commit(ctx)
	late := ctx.Err() != nil
	cancel()

	want := 1
	if c.client.Door == mail.LMTP {
		want = len(e.Recipients)
	}
	if len(replies) != want {
		r := smtp.CommitFailed.Reply()
		if late {
			r = smtp.CommitLate.Reply()
		}
		replies = make([]smtp.Reply, want)
		for i := range replies {
			replies[i] = r
		}
	}
	accepted := false
	for _, r := range replies {
		accepted = accepted || r.OK()
	}
	if accepted {
		c.forget()
		c.used.messages++
		c.used.commands = 0
	} else {
		c.endTransaction()
	}
	for _, r := range replies {
		c.say(r)
	}
	if accepted {
		// Not left to the next read: what stands behind in the pipeline may
		// take long, and the client shall know that its letter is safe.
		c.line.Flush()
		c.unconfirmed, c.repliedAt = true, c.line.Fills()
	}
}

// refuseMessage speaks the refusal of a message and ends the transaction; when
// its end was read, LMTP has a reply for each recipient (RFC 2033 §4.2).
func (c *conn) refuseMessage(r smtp.Reply, atEnd bool) {
	bare := c.unstuff.Bare && !c.unstuff.Normalise
	n := 1
	if atEnd && c.client.Door == mail.LMTP {
		n = len(c.envelope.Recipients)
	}
	if bare {
		c.notice(BareNewline, "message data")
	}
	c.endTransaction()
	c.used.errors++
	for range n {
		c.say(r)
	}
	if bare {
		c.ended, c.cause = true, Abused
	}
}

// dataFailed ends the connection when the rest of a message does not come.
func (c *conn) dataFailed(err error) {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		c.end(smtp.DataTimeout.Reply(), TimedOut)
		return
	}
	c.ended, c.cause = true, Dropped
}
