package smtpserver

import (
	"context"

	"posta/internal/smtp"
)

// data takes a message up to CR LF "." CR LF.
func data(ctx context.Context, c *conn, _ []byte) {
	if c.envelope.Binary {
		c.wrong(smtp.DataBinary.Reply())
		return
	}
	if r, ok := c.open(ctx); !ok {
		c.endTransaction()
		c.wrong(r)
		return
	}
	c.say(smtp.DataStart.Reply())
	b := c.budget()
	c.line.SetTimeouts(b.Block, b.Write)
	c.borrow()
	for done := false; !done; {
		block, err := c.line.Block()
		if err != nil {
			c.dataFailed(err)
			return
		}
		var content []byte
		var n int
		content, n, done = c.unstuff.Append(c.lent.out[:0], block)
		c.lent.out = content[:0]
		c.line.Consume(n)
		c.deliver(b, content)
		if c.size > b.MessageBytes+b.SkipBytes {
			// It would go on for ever; the client reads this if it looks.
			c.refuseMessage(smtp.DataTooLarge.With(b.MessageBytes), true)
			c.ended, c.cause = true, Exhausted
			return
		}
	}
	c.complete(ctx, b)
}
