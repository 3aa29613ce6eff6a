package smtpserver

import (
	"context"

	"posta/internal/smtp"
)

// bdat takes one chunk. After any refusal the transaction is over, and chunks
// that the client has sent ahead are read and refused (RFC 3030 §2, §4.3).
func bdat(ctx context.Context, c *conn, arg []byte) {
	size, last, err := smtp.BDATArg(arg)
	if err != nil {
		c.badChunk()
		return
	}
	b := c.budget()
	if c.used.chunks++; c.used.chunks > b.Chunks {
		c.overBudget(smtp.BdatTooMany.Reply(), "chunks")
		return
	}
	if c.state == inRcpt {
		if r, ok := c.open(ctx); !ok {
			if c.skip(b, size) {
				c.refuseMessage(r, last)
			}
			return
		}
		c.unstuff.Plain = true
		c.state = inChunks
	}
	if c.size+size > b.MessageBytes { // size is below 10^18: no overflow
		if c.skip(b, size) {
			c.refuseMessage(smtp.DataTooLarge.With(b.MessageBytes), last)
		}
		return
	}
	if !c.chunk(b, size) {
		return
	}
	if last {
		c.deliver(b, c.unstuff.Finish(nil))
		c.complete(ctx, b)
		return
	}
	if r, found := c.flaw(b); found {
		c.refuseMessage(r, false)
		return
	}
	c.used.commands-- // counted as a chunk
	c.say(smtp.BdatOK.With(size))
}

// chunk reads size octets into the sink.
func (c *conn) chunk(b *Budget, size int64) bool {
	c.line.SetTimeouts(b.Block, b.Write)
	if size > 0 {
		c.borrow()
	}
	for size > 0 {
		block, err := c.line.Block()
		if err != nil {
			c.dataFailed(err)
			return false
		}
		block = block[:min(int64(len(block)), size)]
		size -= int64(len(block))
		content := block
		if !c.envelope.Binary {
			content, _, _ = c.unstuff.Append(c.lent.out[:0], block)
			c.lent.out = content[:0]
		}
		c.line.Consume(len(block))
		c.deliver(b, content)
	}
	return true
}

// skip reads the octets of a chunk that is refused, so that they are not taken
// for commands. It gives up, and closes, where that would cost too much.
func (c *conn) skip(b *Budget, size int64) bool {
	if c.used.skipped += size; c.used.skipped > b.SkipBytes {
		c.overBudget(smtp.BdatTooLarge.Reply(), "skipped octets")
		return false
	}
	c.line.SetTimeouts(b.Block, b.Write)
	for size > 0 {
		block, err := c.line.Block()
		if err != nil {
			c.dataFailed(err)
			return false
		}
		n := min(int64(len(block)), size)
		c.line.Consume(int(n))
		size -= n
	}
	return true
}

// refuseChunk reads a chunk that may not be sent now, then says why. It is not
// counted as an error: a client that pipelines has many on the way when the
// first is refused.
func (c *conn) refuseChunk(arg []byte, r smtp.Reply) {
	size, _, err := smtp.BDATArg(arg)
	if err != nil {
		c.badChunk()
		return
	}
	if c.skip(c.budget(), size) {
		c.say(r)
	}
}

// badChunk ends the connection: where the chunk ends is not known, and its
// octets must not be taken for commands.
func (c *conn) badChunk() {
	c.used.errors++
	c.end(smtp.BdatSyntax.Reply(), Abused)
}
