package imapserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"slices"
	"sync"
	"time"

	"posta/internal/imap"
	"posta/internal/message"
)

// piece is one data item, ready to be written: text as it stands, a text and then
// a range of the message as a literal, or a text and then what a reader gives.
type piece struct {
	text []byte
	from *letter
	at   message.Range // octets of the message, when from is set

	again func() (io.Reader, error) // gives size octets, the head of a literal is in text
	size  int64
}

// prepare makes a data item ready. Whatever can fail fails here.
func (l *letter) prepare(ctx context.Context, it imap.Item) (piece, error) {
	switch it.Attr {
	case imap.AttrBody, imap.AttrRFC822, imap.AttrRFC822Header, imap.AttrRFC822Text:
		return l.body(ctx, it)
	case imap.AttrBinary:
		return l.binary(ctx, it)
	case imap.AttrBinarySize:
		return l.binarySize(ctx, it)
	}
	b := append([]byte(it.Attr.String()), ' ')
	m := l.m
	switch it.Attr {
	case imap.AttrUID:
		b = appendUint(b, uint64(m.UID))
	case imap.AttrFlags:
		b = appendFlags(b, &m.Message)
	case imap.AttrInternalDate:
		b = imap.AppendDateTime(b, m.InternalDate)
	case imap.AttrSize:
		b = appendUint(b, uint64(m.Size))
	case imap.AttrModSeq:
		b = append(appendUint(append(b, '('), uint64(m.ModSeq)), ')')
	case imap.AttrEmailID:
		b = append(appendUint(append(b, "(E"...), uint64(m.Email)), ')')
	case imap.AttrThreadID:
		if m.Thread == 0 {
			b = append(b, "NIL"...)
		} else {
			b = append(appendUint(append(b, "(T"...), uint64(m.Thread)), ')')
		}
	case imap.AttrSaveDate:
		if m.SaveDate.IsZero() {
			b = append(b, "NIL"...)
		} else {
			b = imap.AppendDateTime(b, m.SaveDate)
		}
	case imap.AttrPreview:
		// Never NIL: the store makes the preview before the message is seen. It is
		// UTF-8 whatever the client enabled (RFC 8970 §3.1), so mostly a literal.
		b = imap.AppendString(b, m.Preview, l.c.utf8)
	case imap.AttrEnvelope:
		e, err := l.envelope(ctx)
		if err != nil {
			return piece{}, err
		}
		b = appendEnvelope(b, e, l.c.utf8)
	case imap.AttrBodyStructure, imap.AttrBodyPlain:
		p, err := l.part(ctx)
		if err != nil {
			return piece{}, err
		}
		b = appendStructure(b, p, it.Attr == imap.AttrBodyStructure, l.c.utf8)
	}
	return piece{text: b}, nil
}

// body makes BODY[…] and the RFC822 items ready (RFC 9051 §6.4.5.1).
func (l *letter) body(ctx context.Context, it imap.Item) (piece, error) {
	s := it.Section
	switch it.Attr {
	case imap.AttrRFC822Header:
		s.Text = imap.TextHeader
	case imap.AttrRFC822Text:
		s.Text = imap.TextBody
	}
	out := piece{text: append(imap.AppendItem(nil, it), ' ')}
	if err := l.open(ctx); err != nil {
		return piece{}, err
	}
	r, ok, err := l.section(ctx, s)
	if err != nil {
		return piece{}, err
	}
	if !ok {
		out.text = append(out.text, "NIL"...)
		return out, nil
	}
	if s.Text == imap.TextFields || s.Text == imap.TextFieldsNot {
		h, err := l.header(ctx, r)
		if err != nil {
			return piece{}, err
		}
		out.text = appendBytes(out.text, cut(h.AppendFields(nil, s.Fields, s.Text == imap.TextFieldsNot), s))
		return out, nil
	}
	out.from, out.at = l, cutRange(r, s)
	return out, nil
}

// section finds the range of a section; false when the message has none such.
func (l *letter) section(ctx context.Context, s imap.Section) (message.Range, bool, error) {
	if s.Part == nil && s.Text == imap.TextAll {
		return message.Range{End: l.size()}, true, nil
	}
	p, err := l.part(ctx)
	if err != nil {
		return message.Range{}, false, err
	}
	kind := message.SectionAll
	switch s.Text {
	case imap.TextHeader, imap.TextFields, imap.TextFieldsNot:
		kind = message.SectionHeader
	case imap.TextBody:
		kind = message.SectionText
	case imap.TextMIME:
		kind = message.SectionMIME
	}
	r, ok := p.Section(path(s.Part), kind)
	return r, ok, nil
}

func path(part []uint32) []int {
	if part == nil {
		return nil
	}
	out := make([]int, len(part))
	for i, n := range part {
		out[i] = int(n)
	}
	return out
}

// cut applies a partial range.
func cut(b []byte, s imap.Section) []byte {
	if !s.Partial {
		return b
	}
	from := min(int64(s.Offset), int64(len(b)))
	return b[from:min(from+int64(s.Length), int64(len(b)))]
}

func cutRange(r message.Range, s imap.Section) message.Range {
	if !s.Partial {
		return r
	}
	from := min(r.Start+int64(s.Offset), r.End)
	return message.Range{Start: from, End: min(from+int64(s.Length), r.End)}
}

// appendBytes writes octets as a literal.
func appendBytes(b, octets []byte) []byte {
	return append(imap.AppendLiteralHead(b, int64(len(octets)), false), octets...)
}

// binary makes BINARY[…] ready: the part without its transfer encoding. Its size
// must be known before it is written, so a large part is decoded twice.
func (l *letter) binary(ctx context.Context, it imap.Item) (piece, error) {
	out := piece{text: append(imap.AppendItem(nil, it), ' ')}
	if it.Section.Part == nil {
		it.Attr = imap.AttrBody
		whole, err := l.body(ctx, it)
		whole.text = out.text
		return whole, err
	}
	r, err := l.decoded(ctx, it.Section)
	if err != nil {
		return piece{}, err
	}
	if r == nil {
		out.text = append(out.text, "NIL"...)
		return out, nil
	}
	m := &measure{cut: it.Section}
	if _, err := io.Copy(m, r); err != nil {
		return piece{}, err
	}
	out.text = imap.AppendLiteralHead(out.text, m.size, m.nul)
	if m.size <= maxBinary {
		out.text = append(out.text, m.kept...)
		return out, nil
	}
	out.size = m.size
	out.again = func() (io.Reader, error) {
		r, err := l.decoded(ctx, it.Section)
		if err == nil && it.Section.Partial {
			_, err = io.CopyN(io.Discard, r, int64(it.Section.Offset))
		}
		return r, err
	}
	return out, nil
}

// maxBinary is the largest decoded part that is held in memory; a larger one is
// decoded twice, to know its size and to write it.
const maxBinary = 1 << 20

// measure counts the octets of a partial range, looks for NUL in them and keeps
// them while they are few.
type measure struct {
	cut  imap.Section
	at   int64 // octets seen
	size int64
	nul  bool
	kept []byte
}

func (m *measure) Write(p []byte) (int, error) {
	n, some := len(p), p
	if m.cut.Partial {
		from, to := int64(m.cut.Offset), int64(m.cut.Offset)+int64(m.cut.Length)
		some = p[min(max(from-m.at, 0), int64(n)):min(max(to-m.at, 0), int64(n))]
	}
	m.at += int64(n)
	m.size += int64(len(some))
	m.nul = m.nul || bytes.IndexByte(some, 0) >= 0
	if m.size <= maxBinary {
		m.kept = append(m.kept, some...)
	} else {
		m.kept = nil
	}
	return n, nil
}

func (l *letter) binarySize(ctx context.Context, it imap.Item) (piece, error) {
	out := piece{text: append(imap.AppendItem(nil, it), ' ')}
	if it.Section.Part == nil {
		out.text = appendUint(out.text, uint64(l.size()))
		return out, nil
	}
	r, err := l.decoded(ctx, it.Section)
	if err != nil {
		return piece{}, err
	}
	var n int64
	if r != nil {
		if n, err = io.Copy(io.Discard, r); err != nil {
			return piece{}, err
		}
	}
	out.text = appendUint(out.text, uint64(n))
	return out, nil
}

// decoded reads a part without its transfer encoding; nil when there is none
// such.
func (l *letter) decoded(ctx context.Context, s imap.Section) (io.Reader, error) {
	root, err := l.part(ctx)
	if err != nil {
		return nil, err
	}
	p, ok := root.Lookup(path(s.Part))
	if !ok {
		return nil, nil
	}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	r, err := message.Open(l, p)
	if err != nil { // RFC 3516 §4.3
		return nil, imap.No("UNKNOWN-CTE", "a transfer encoding that nobody knows")
	}
	return r, nil
}

// large is the size from which a range is streamed past the write buffer.
const large = 16 << 10

// buffers are lent to streams.
var buffers = sync.Pool{New: func() any { b := make([]byte, 64<<10); return &b }}

// write writes an item; its text first, then its octets in pieces.
func (p piece) write(c *conn) error {
	if p.from == nil {
		c.compose(func(b []byte) []byte { return append(b, p.text...) })
		if p.again == nil {
			return nil
		}
		r, err := p.again()
		if err != nil {
			return err
		}
		return c.stream(p.size, func(b []byte, _ int64) error {
			_, err := io.ReadFull(r, b)
			return err
		})
	}
	size := p.at.Len()
	c.compose(func(b []byte) []byte { return imap.AppendLiteralHead(append(b, p.text...), size, false) })
	if size >= large {
		return c.stream(size, func(b []byte, off int64) error { return readFull(p.from, b, p.at.Start+off) })
	}
	var err error
	c.compose(func(b []byte) []byte {
		at := len(b)
		b = slices.Grow(b, int(size))[:at+int(size)]
		err = readFull(p.from, b[at:], p.at.Start)
		return b
	})
	return err
}

// stream writes size octets past the write buffer, each block with a deadline of
// its own. read fills a block with the octets from off on.
func (c *conn) stream(size int64, read func(b []byte, off int64) error) error {
	if err := c.io.Flush(); err != nil {
		return err
	}
	buf := buffers.Get().(*[]byte)
	defer buffers.Put(buf)
	nc := c.io.NetConn()
	for off := int64(0); off < size; {
		block := (*buf)[:min(int64(len(*buf)), size-off)]
		if err := read(block, off); err != nil {
			return err
		}
		if err := nc.SetWriteDeadline(time.Now().Add(c.limits.Literal)); err != nil {
			return err
		}
		if _, err := nc.Write(block); err != nil {
			return err
		}
		off += int64(len(block))
	}
	return nil
}

func readFull(r io.ReaderAt, p []byte, off int64) error {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
