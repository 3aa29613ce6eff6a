package relay

import (
	"context"
	"io"
	"sync"
	"time"

	"posta/internal/smtp"
)

// transaction is MAIL, RCPT, DATA and the message, once (RFC 5321 §3.3).
type transaction struct {
	a        *attempt
	c        *conn
	body     *Content
	rcpts    []int // of the attempt
	accepted []int
	later    bool // the host wants the rest in a transaction of its own
}

// next lists the recipients of the next transaction: those that are not settled
// and were not offered to this host yet.
func (a *attempt) next(c *conn, body *Content) []int {
	var out []int
	most := limit(c.ext.MaxRcpt, MaxRecipients)
	for _, i := range a.pending() {
		switch {
		case a.offered[i] || len(out) == most:
		case !c.ext.UTF8 && !isASCII(a.m.Recipients[i].Address):
			a.offered[i] = true
			a.word(i, c.fail(553, "5.6.7", "The address needs SMTPUTF8, which the host does not offer").Outcome)
		default:
			out = append(out, i)
		}
	}
	return out
}

// run makes the transaction. An error is a connection that is lost; every
// recipient has its outcome then. again asks for another transaction.
func (t *transaction) run(ctx context.Context) (again bool, err error) {
	t.c.dirty = true
	for _, i := range t.rcpts {
		t.a.offered[i] = true
	}
	ready, err := t.envelope()
	if err == nil && ready {
		err = t.data(ctx)
	}
	if err != nil {
		return false, err
	}
	return t.later || len(t.a.next(t.c, t.body)) > 0, nil
}

// envelope says MAIL, RCPT and, unless BDAT follows, DATA; true: the host waits for
// the message.
func (t *transaction) envelope() (ready bool, err error) {
	c, to := t.c, &t.c.r.cfg.Timeouts
	pipelining := c.ext.Pipelining
	c.line.Compose(t.mail)
	if pipelining {
		for _, i := range t.rcpts {
			c.line.Compose(func(b []byte) []byte { return t.rcpt(b, i) })
		}
		if !t.body.Chunks {
			c.line.WriteString("DATA\r\n")
		}
	}
	r, err := c.reply(to.Mail)
	if err != nil {
		return false, t.lost(err, "after MAIL")
	}
	mailOK := r.OK()
	if !mailOK {
		t.refuse(t.rcpts, r)
		if !pipelining || r.Closes() {
			return false, t.closing(r)
		}
	}
	for _, i := range t.rcpts {
		if !pipelining {
			c.line.Compose(func(b []byte) []byte { return t.rcpt(b, i) })
		}
		r, err := c.reply(to.Rcpt)
		if err != nil {
			return false, t.lost(err, "after RCPT")
		}
		if mailOK {
			t.judge(i, r)
		}
	}
	if t.body.Chunks {
		return len(t.accepted) > 0, nil
	}
	if !pipelining {
		if len(t.accepted) == 0 {
			return false, nil
		}
		c.line.WriteString("DATA\r\n")
	}
	return t.go354()
}

// go354 reads the reply to DATA.
func (t *transaction) go354() (ready bool, err error) {
	r, err := t.c.reply(t.c.r.cfg.Timeouts.Data)
	switch {
	case err != nil:
		return false, t.lost(err, "after DATA")
	case r.Code == 354 && len(t.accepted) > 0:
		return true, nil
	case r.Code == 354:
		// RFC 2920 §3.1: a host may say 354 though it took no recipient; then
		// a dot alone ends it. In LMTP nothing would answer that dot.
		if t.c.host.LMTP {
			return false, io.EOF
		}
		t.c.line.WriteString(".\r\n")
		_, err := t.c.reply(t.c.r.cfg.Timeouts.Dot)
		return false, err
	case r.OK():
		// Neither yes nor no: the dialogue is out of step.
		return false, t.lost(smtp.ErrReplySyntax, "after DATA")
	}
	t.refuse(t.accepted, r)
	return false, t.closing(r)
}

// closing is the error of a reply behind which the host closes.
func (t *transaction) closing(r smtp.Reply) error {
	if !r.Closes() {
		return nil
	}
	if r.Temporary() {
		t.a.r.down.set(t.c.addr, time.Now(), t.a.r.cfg.Down, t.c.said(Temporary, r))
	}
	return io.EOF
}

// mail appends the MAIL command.
func (t *transaction) mail(b []byte) []byte {
	m, x := t.a.m, &t.c.ext
	b = append(append(append(b, "MAIL FROM:<"...), m.ReversePath...), '>')
	p := smtp.MailParams{UTF8: x.UTF8 && t.needsUTF8(), RequireTLS: x.RequireTLS && m.RequireTLS}
	if x.Size {
		p.Size = int64(len(t.body.Head)) + t.body.Size
	}
	switch {
	case t.body.Chunks:
		p.Body = smtp.BinaryMIME
	case x.EightBit && (m.EightBit || m.Binary):
		p.Body = smtp.EightBit
	}
	if x.DSN {
		p.HasRet, p.RetFull, p.EnvID = m.Ret != 0, m.Ret == RetFull, m.EnvID
	}
	return append(p.Append(b), '\r', '\n')
}

// needsUTF8: a message that came with SMTPUTF8 and uses none of it may go on
// without (RFC 6531 §3.6 forbids only what needs it).
func (t *transaction) needsUTF8() bool {
	m := t.a.m
	if m.UTF8 && t.body.UTF8Header || !isASCII(m.ReversePath) {
		return true
	}
	for _, i := range t.rcpts {
		if !isASCII(m.Recipients[i].Address) {
			return true
		}
	}
	return false
}

// rcpt appends a RCPT command.
func (t *transaction) rcpt(b []byte, i int) []byte {
	r := &t.a.m.Recipients[i]
	b = append(append(append(b, "RCPT TO:<"...), r.Address...), '>')
	if t.c.ext.DSN {
		b = smtp.RcptParams{Notify: r.Notify, Orcpt: r.Original}.Append(b)
	}
	return append(b, '\r', '\n')
}

// judge takes the reply to one RCPT.
func (t *transaction) judge(i int, r smtp.Reply) {
	switch {
	case r.OK():
		t.accepted = append(t.accepted, i)
	case tooMany(r) && len(t.accepted) > 0:
		// RFC 5321 §4.5.3.1.10: the rest goes in further transactions.
		t.a.offered[i], t.later = false, true
	case r.Permanent():
		t.a.final(i, t.c.said(Permanent, r))
	default:
		t.a.word(i, t.c.said(Temporary, r))
	}
}

// tooMany reads 452, and the 552 of RFC 821 which stands for it unless its
// enhanced code speaks of a full mailbox.
func tooMany(r smtp.Reply) bool {
	e := r.Enhanced
	return (r.Code == 452 || r.Code == 552) && (e == smtp.Enhanced{} || e[1] == 5 && e[2] == 3)
}

// refuse gives one reply to several recipients: a 5yz is final, after a 4yz the
// next host is asked.
func (t *transaction) refuse(rcpts []int, r smtp.Reply) {
	s := statusOf(r)
	for _, i := range rcpts {
		if s == Permanent {
			t.a.final(i, t.c.said(s, r))
		} else {
			t.a.word(i, t.c.said(s, r))
		}
	}
}

// lost gives the recipients of a broken transaction their outcome; it returns
// err.
func (t *transaction) lost(err error, when string) error {
	o := t.c.lost(err, when).Outcome
	for _, i := range t.rcpts {
		t.a.word(i, o)
	}
	return err
}

// data sends the message and reads what the host says to its dot.
func (t *transaction) data(ctx context.Context) error {
	if t.body.Chunks {
		return t.chunks(ctx)
	}
	var s smtp.Stuffer
	if err := t.send(s.Append); err != nil {
		return t.interrupted(err)
	}
	return t.end(ctx, s.Finish)
}

// end sends what ends the message, when it is recorded that it may have been
// delivered by then, and reads what the host says.
func (t *transaction) end(ctx context.Context, last func([]byte) []byte) error {
	c := t.c
	if t.a.m.BeforeDot != nil {
		if err := t.a.m.BeforeDot(ctx); err != nil {
			o := c.fail(451, "4.3.0", "The attempt could not be recorded here").Outcome
			for _, i := range t.accepted {
				t.a.final(i, o)
			}
			return err
		}
	}
	c.line.Compose(last)
	if c.host.LMTP {
		return t.each()
	}
	r, err := c.reply(c.r.cfg.Timeouts.Dot)
	if err != nil {
		return t.unknown(t.accepted, err)
	}
	c.messages++
	c.dirty = false
	if !r.OK() {
		t.refuse(t.accepted, r)
		return t.closing(r)
	}
	o := c.said(Delivered, r)
	for _, i := range t.accepted {
		t.a.final(i, o)
	}
	return nil
}

// unknown is the outcome of recipients whose reply to the message was lost; it returns err.
func (t *transaction) unknown(rcpts []int, err error) error {
	o := t.c.lost(err, "after the message; it may have been delivered").Outcome
	o.Unknown = true
	for _, i := range rcpts {
		t.a.final(i, o)
	}
	return err
}

// each reads the replies of LMTP to the message: one for each recipient that was
// accepted, in their order (RFC 2033 §4.2).
func (t *transaction) each() error {
	for n, i := range t.accepted {
		r, err := t.c.reply(t.c.r.cfg.Timeouts.Dot)
		switch {
		case err != nil:
			return t.unknown(t.accepted[n:], err)
		case r.OK():
			t.a.final(i, t.c.said(Delivered, r))
			continue
		}
		t.refuse([]int{i}, r)
		if err := t.closing(r); err != nil {
			return t.unknown(t.accepted[n+1:], err)
		}
	}
	t.c.messages++
	t.c.dirty = false
	return nil
}

const blockSize = 32 << 10

// blocks are the buffers of messages on their way.
var blocks = sync.Pool{New: func() any { return new([blockSize]byte) }}

// readError is a message that could not be read: not the host's fault.
type readError struct{ error }

// send writes the message without its end; put appends a piece as it is sent.
func (t *transaction) send(put func(dst, piece []byte) []byte) error {
	c, b := t.c, t.body
	block := blocks.Get().(*[blockSize]byte)
	defer blocks.Put(block)
	piece := b.Head
	stuff := func(dst []byte) []byte { return put(dst, piece) }
	if err := c.line.Compose(stuff); err != nil {
		return err
	}
	for at, end := b.Offset, b.Offset+b.Size; at < end; {
		piece = block[:min(int64(len(block)), end-at)]
		n, err := b.Body.ReadAt(piece, at)
		if n < len(piece) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return readError{err}
		}
		at += int64(n)
		if err := c.line.Compose(stuff); err != nil {
			return err
		}
	}
	return c.line.Flush()
}

// interrupted is the end of a transaction in the middle of the message: no dot
// was sent, so nothing was delivered. The host may have said why it hung up.
func (t *transaction) interrupted(err error) error {
	c := t.c
	if _, ok := err.(readError); ok {
		o := c.fail(451, "4.3.0", "The message cannot be read here").Outcome
		for _, i := range t.accepted {
			t.a.final(i, o)
		}
		return err
	}
	if r, ok := c.lastWords(); ok && !r.OK() {
		t.refuse(t.accepted, r)
		return err
	}
	o := c.lost(err, "while sending the message").Outcome
	for _, i := range t.accepted {
		t.a.word(i, o)
	}
	return err
}

// lastWords reads what a host said before it broke the connection, from below
// the line reader, which is of no more use after an error of writing.
func (c *conn) lastWords() (smtp.Reply, bool) {
	said := append([]byte(nil), c.line.Peek()...)
	net := c.line.NetConn()
	net.SetReadDeadline(time.Now().Add(time.Second))
	for len(said) < 4096 {
		b := make([]byte, 1024)
		n, err := net.Read(b)
		said = append(said, b[:n]...)
		if r, ok := firstReply(said); ok || err != nil {
			return r, ok
		}
	}
	return smtp.Reply{}, false
}

// firstReply reads a whole reply at the start of b.
func firstReply(b []byte) (smtp.Reply, bool) {
	var p smtp.ReplyParser
	for line := range lines(b) {
		if r, done, err := p.Line(line); err != nil || done {
			return r, err == nil
		}
	}
	return smtp.Reply{}, false
}
