package milter

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"posta/internal/message"
)

// chunks are the buffers through which bodies go.
var chunks = sync.Pool{New: func() any { b := make([]byte, maxData); return &b }}

// Message tells of the header and the body, and takes verdict and edits. header
// may end with its empty line. A replaced body is written, in CRLF lines, to what
// replaced returns, which is called once at most; nil means that a body cannot be
// replaced, and a milter that does so fails.
//
// There are edits only where the verdict is Continue or Accept.
func (s *Session) Message(ctx context.Context, header []byte, body io.Reader, replaced func() io.Writer) (Verdict, []Edit, error) {
	for f := range message.Header(header).Fields() {
		v, err := s.tell(ctx, &evHeader, s.headerData(f))
		if v, err := s.hold(ctx, v, err); err != nil || v.Final() {
			return v, nil, err
		}
	}
	v, err := s.tell(ctx, &evEOH, nil)
	if v, err := s.hold(ctx, v, err); err != nil || v.Final() {
		return v, nil, err
	}
	if v, err := s.body(ctx, body); err != nil || v.Final() {
		return v, nil, err
	}
	return s.end(ctx, replaced)
}

// headerData is a field as milters read it: folded lines are parted by LF, and
// without LeadingSpace one space after the colon is left out.
func (s *Session) headerData(f message.Field) []byte {
	value := bytes.TrimRight(f.RawValue(), "\r\n")
	if s.steps&LeadingSpace == 0 && len(value) > 0 && value[0] == ' ' {
		value = value[1:]
	}
	b := make([]byte, 0, len(f.Raw())+2)
	b = append(append(b, f.NameBytes()...), 0)
	for i, c := range value {
		switch {
		case c == 0:
			c = '?'
		case c == '\r' && i+1 < len(value) && value[i+1] == '\n':
			continue
		}
		b = append(b, c)
	}
	return append(b, 0)
}

// body sends the body in chunks until it ends or the milter has heard enough.
func (s *Session) body(ctx context.Context, body io.Reader) (Verdict, error) {
	if s.steps&NoBody != 0 {
		return Verdict{}, nil
	}
	p := chunks.Get().(*[]byte)
	defer chunks.Put(p)
	for s.skip != cmdBody {
		n, err := io.ReadFull(body, *p)
		if n > 0 {
			v, err := s.tell(ctx, &evBody, (*p)[:n])
			if v, err := s.hold(ctx, v, err); err != nil || v.Final() {
				return v, err
			}
		}
		if err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return Verdict{}, s.fail(ctx, &LocalError{fmt.Errorf("reading the message: %w", err)})
		}
	}
	return Verdict{}, nil
}

// end tells that the message is complete, and takes edits and verdict.
func (s *Session) end(ctx context.Context, replaced func() io.Writer) (Verdict, []Edit, error) {
	if s.err != nil {
		return Verdict{}, nil, s.err
	}
	if v, over := s.decided(); over {
		return v, nil, nil
	}
	defer s.guard(ctx)()
	if err := s.send(&evEnd, nil); err != nil {
		return Verdict{}, nil, s.fail(ctx, err)
	}
	c := collector{s: s, open: replaced, left: s.client.o.MaxBody}
	v, err := s.receive(&evEnd, s.client.o.Timeouts.End, c.take)
	if err == nil {
		err = c.close()
	}
	s.inMessage = false // libmilter begins anew by itself
	s.mayKeep = err == nil && v.Action == Continue
	if err != nil {
		return Verdict{}, nil, s.fail(ctx, err)
	}
	if v.Action != Continue && v.Action != Accept {
		return v, nil, nil
	}
	return v, c.list.edits, nil
}

// collector gathers what a milter wants changed.
type collector struct {
	s    *Session
	list editList
	open func() io.Writer
	body *message.CRLFWriter
	last lastByte
	left int64 // of the body
}

// take reads one request.
func (c *collector) take(code byte, data []byte) error {
	if c.s.actions&editActions[code] == 0 {
		return protocolError("request %q, which was not negotiated", code)
	}
	if code == replyReplaceBody {
		return c.replace(data)
	}
	e, err := parseEdit(code, data, c.s.steps&LeadingSpace != 0)
	if err != nil {
		return err
	}
	return c.list.add(e)
}

// replace takes a part of the new body.
func (c *collector) replace(data []byte) error {
	if c.body == nil {
		if c.open == nil {
			return protocolError("a replaced body, which nobody takes")
		}
		c.last.w = c.open()
		c.body = message.NewCRLFWriter(&c.last)
		if err := c.list.add(Edit{Kind: ReplaceBody}); err != nil {
			return err
		}
	}
	if c.left -= int64(len(data)); c.left < 0 {
		return fmt.Errorf("%w: the replaced body has more than %d octets", ErrTooLarge, c.s.client.o.MaxBody)
	}
	_, err := c.body.Write(data)
	return local(err)
}

// close ends the new body with a line ending, as SMTP will have it.
func (c *collector) close() error {
	if c.body == nil {
		return nil
	}
	if err := c.body.Close(); err != nil {
		return local(err)
	}
	if c.last.b != 0 && c.last.b != '\n' {
		_, err := io.WriteString(&c.last, "\r\n")
		return local(err)
	}
	return nil
}

// lastByte remembers the last octet that passed.
type lastByte struct {
	w io.Writer
	b byte
}

func (l *lastByte) Write(p []byte) (int, error) {
	if len(p) > 0 {
		l.b = p[len(p)-1]
		if l.b == 0 {
			l.b = 1 // any octet that is no line ending
		}
	}
	return l.w.Write(p)
}
