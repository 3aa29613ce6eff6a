package message

import (
	"bytes"
	"io"
)

const (
	// maxDelimiter bounds a boundary delimiter line in octets, padding
	// included; RFC 2046 §5.1.1 allows boundaries of 70.
	maxDelimiter = 1024
	maxBoundary  = 256
)

// Parser builds the tree of a message that is written to it in pieces of any
// size. It holds the header at hand, the beginning of the line at hand and the
// tree, never a body. The result does not depend on how the bytes were cut.
//
// It is an io.Writer whose Write never fails; it is not safe for concurrent use.
type Parser struct {
	budget Budget
	root   *Part
	stack  []frame
	parts  int

	pos       int64  // offset of the line at hand
	lines     int64  // line endings before pos
	eol       int64  // length of the line ending just before pos
	inHeader  bool   // of the part on top of the stack
	fieldSeen bool   // it has a field already
	src       []byte // the whole message, when it is in memory
	hdrLen    int    // octets of its header so far, within budget
	hdr       []byte // those octets, unless they are in src
	hdrCut    bool   // and it has more
	open      int    // multiparts on the stack that look for their boundary

	partial     []byte // beginning of a line whose end was not written yet
	partialLen  int64
	partialCR   bool // its last octet so far is CR
	partial8Bit bool // it has octets over 127

	crs, crlfs int64
	text       int // octets of values that may still be kept
	env        envelopeCollector
	defects    Defects
}

// frame is one open part.
type frame struct {
	part     *Part
	boundary string // without the leading "--"; empty unless looking for it
	lines    int64  // line endings before the body
	digest   bool   // parent is multipart/digest
	split    bool   // a multipart, looking for parts or past its last
}

// NewParser returns a parser with the budget; the zero Budget has defaults.
func NewParser(b Budget) *Parser {
	b = b.withDefaults()
	p := &Parser{budget: b, parts: 1, inHeader: true, text: b.Text}
	p.root = &Part{}
	p.stack = append(make([]frame, 0, 4), frame{part: p.root})
	return p
}

// ParseBytes returns the tree of a message in memory. It keeps nothing of b.
func ParseBytes(b []byte, budget Budget) *Part {
	p := NewParser(budget)
	p.src = b
	_, _ = p.Write(b) // never fails
	return p.finish()
}

// Parse returns the tree of the first size octets of r, reading it once from
// the beginning. The error is r's.
func Parse(r io.ReaderAt, size int64, budget Budget) (*Part, error) {
	p := NewParser(budget)
	if _, err := io.CopyBuffer(onlyWriter{p}, io.NewSectionReader(r, 0, size), make([]byte, 32<<10)); err != nil {
		return nil, err
	}
	return p.Close()
}

type onlyWriter struct{ io.Writer }

// Close ends the message and returns its tree. The error is always nil.
func (p *Parser) Close() (*Part, error) { return p.finish(), nil }

// Write takes the next octets of the message. It keeps nothing of b.
func (p *Parser) Write(b []byte) (int, error) {
	n := len(b)
	p.note(b)
	for len(b) > 0 {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			p.hold(b)
			break
		}
		line := b[:i+1]
		b = b[i+1:]
		if p.partialLen > 0 {
			p.finishPartial(line)
			continue
		}
		eol := int64(1)
		if i > 0 && line[i-1] == '\r' {
			eol = 2
		}
		p.line(line, int64(len(line)), eol)
	}
	return n, nil
}

// note gathers what concerns octets and not lines.
func (p *Parser) note(b []byte) {
	if p.defects&ContainsNUL == 0 && bytes.IndexByte(b, 0) >= 0 {
		p.defects |= ContainsNUL
	}
	p.crs += int64(bytes.Count(b, []byte{'\r'}))
}

// hold keeps the beginning of an incomplete line, no more than is needed to
// tell what the line is.
func (p *Parser) hold(b []byte) {
	keep := maxDelimiter
	if p.inHeader {
		keep = max(keep, p.budget.HeaderBytes-p.hdrLen)
	}
	if room := keep - len(p.partial); room > 0 {
		p.partial = append(p.partial, b[:min(room, len(b))]...)
	}
	p.partialLen += int64(len(b))
	p.partialCR = b[len(b)-1] == '\r'
	p.partial8Bit = p.partial8Bit || has8Bit(b)
}

func (p *Parser) finishPartial(rest []byte) {
	eol := int64(1)
	if len(rest) >= 2 && rest[len(rest)-2] == '\r' || len(rest) == 1 && p.partialCR {
		eol = 2
	}
	p.hold(rest)
	p.endPartial(eol)
}

func (p *Parser) endPartial(eol int64) {
	p.line(p.partial, p.partialLen, eol)
	p.partial, p.partialLen, p.partial8Bit = p.partial[:0], 0, false
}

// line takes one line of n octets that ends with eol octets of line ending.
// line is the whole of it, or at least maxDelimiter octets.
func (p *Parser) line(line []byte, n, eol int64) {
	switch eol {
	case 2:
		p.crlfs++
	case 1:
		p.defects |= BareLF
	}
	if n-eol > maxLineOctets {
		p.defects |= LongLine
	}
	isDelimiter := p.open > 0 && len(line) > 2 && line[0] == '-' && line[1] == '-' && p.delimiter(line, n)
	if !isDelimiter && p.inHeader {
		p.headerLine(line, n)
	}
	if p.src == nil && p.defects&EightBitBody == 0 && (len(p.stack) > 1 || !p.inHeader) && (p.partial8Bit || has8Bit(line)) {
		p.defects |= EightBitBody
	}
	p.pos += n
	p.eol = eol
	if eol > 0 {
		p.lines++
	}
}

// headerLine takes a line while the part on top is in its header.
func (p *Parser) headerLine(line []byte, n int64) {
	if blankLine(line) > 0 && int64(blankLine(line)) == n {
		p.endHeader(p.pos+n, p.lines+1)
		return
	}
	first := p.pos == p.top().part.Start
	isField := false
	switch {
	case first && isMboxLine(line):
		isField = true
		if len(p.stack) == 1 {
			p.defects |= MboxFrom
		}
	case line[0] == ' ' || line[0] == '\t':
		isField = p.fieldSeen
	default:
		_, colon := fieldName(line)
		isField = colon >= 0
		p.fieldSeen = p.fieldSeen || isField
	}
	if !isField {
		if len(p.stack) == 1 {
			p.defects |= MalformedHeader
		}
		p.endHeader(p.pos, p.lines)
		return
	}
	if p.hdrCut {
		return
	}
	room := p.budget.HeaderBytes - p.hdrLen
	if n > int64(room) {
		p.hdrCut = true
		p.defects |= OverBudget
	}
	line = line[:min(len(line), room)]
	p.hdrLen += len(line)
	if p.src == nil {
		p.hdr = append(p.hdr, line...)
	}
}

func (p *Parser) top() *frame { return &p.stack[len(p.stack)-1] }

// push opens a part whose header begins at start.
func (p *Parser) push(part *Part, start int64, digest bool) {
	part.Start = start
	p.parts++
	p.stack = append(p.stack, frame{part: part, digest: digest})
	p.inHeader, p.fieldSeen = true, false
}

// endHeader ends the header on top of the stack; the body begins at body,
// after lines line endings.
func (p *Parser) endHeader(body, lines int64) {
	f := p.top()
	f.part.Body, f.lines = body, lines
	p.inHeader = false
	p.readHeader(f)
	p.hdr, p.hdrLen, p.hdrCut = p.hdr[:0], 0, false

	part := f.part
	switch {
	case part.Type == "multipart":
		b := part.Params.boundary()
		if b == "" || len(b) > maxBoundary {
			p.makeOpaque(part, BadBoundary)
		} else if len(p.stack) >= p.budget.Depth {
			p.makeOpaque(part, OverBudget)
		} else {
			f.boundary, f.split = b, true
			p.open++
		}
	case part.Type == "message" && (part.Subtype == "rfc822" || part.Subtype == "global"):
		switch {
		case part.Encoding == "base64" || part.Encoding == "quoted-printable":
			p.makeOpaque(part, 0)
		case len(p.stack) >= p.budget.Depth || p.parts >= p.budget.Parts-1:
			p.makeOpaque(part, OverBudget)
		default:
			part.Message = &Part{}
			p.push(part.Message, body, false)
		}
	}
}

// header returns the header at hand, as far as the budget goes.
func (p *Parser) header() Header {
	if p.src == nil {
		return p.hdr
	}
	start := p.top().part.Start
	return p.src[start : start+int64(p.hdrLen)]
}

// makeOpaque turns a part into a leaf that nobody looks into.
func (p *Parser) makeOpaque(part *Part, why Defects) {
	part.Opaque = true
	part.Type, part.Subtype, part.Params = "application", "octet-stream", nil
	p.defects |= why
}

// delimiter handles a line of n octets that begins with "--" and reports
// whether it is a boundary delimiter of an open multipart.
func (p *Parser) delimiter(line []byte, n int64) bool {
	if n > maxDelimiter {
		return false
	}
	text := line[2:]
	for len(text) > 0 && isSpace(text[len(text)-1]) {
		text = text[:len(text)-1]
	}
	for i := len(p.stack) - 1; i >= 0; i-- {
		b := p.stack[i].boundary
		if b == "" || len(text) < len(b) || string(text[:len(b)]) != b {
			continue
		}
		switch string(text[len(b):]) {
		case "":
			p.closeTo(i+1, p.pos-p.eol)
			p.nextPart(p.pos + n)
			return true
		case "--":
			p.closeTo(i+1, p.pos-p.eol)
			p.stack[i].boundary = ""
			p.open--
			return true
		}
	}
	return false
}

// nextPart opens a part of the multipart on top of the stack. When the budget
// of parts is spent, the part is opaque and takes the rest of the message.
func (p *Parser) nextPart(start int64) {
	f := p.top()
	part := new(Part)
	f.part.Children = append(f.part.Children, part)
	exhausted := p.parts >= p.budget.Parts-1
	p.push(part, start, f.part.Subtype == "digest")
	if !exhausted {
		return
	}
	part.Body, part.Encoding = start, "7bit"
	p.top().lines = p.lines + 1
	p.makeOpaque(part, OverBudget)
	p.inHeader = false
	for i := range p.stack {
		p.stack[i].boundary = ""
	}
	p.open = 0
}

// closeTo ends the parts on the stack from the top down to place n. Their
// bodies end at end, or where they begin if that is later: then a delimiter
// came within or right after a header.
func (p *Parser) closeTo(n int, end int64) {
	for p.inHeader && len(p.stack) > n {
		p.endHeader(p.pos, p.lines) // may open the message of a message/rfc822
	}
	for len(p.stack) > n {
		f := p.top()
		part := f.part
		end = max(end, part.Body)
		lines := p.lines
		if end < p.pos {
			lines-- // the last line ending belongs to the delimiter
		}
		part.End, part.Lines = end, lines-f.lines
		if f.boundary != "" {
			p.open--
			p.defects |= UnclosedMultipart
		}
		if f.split && len(part.Children) == 0 {
			p.makeOpaque(part, BadBoundary)
		}
		p.stack = p.stack[:len(p.stack)-1]
	}
}

// finish ends the message.
func (p *Parser) finish() *Part {
	if len(p.stack) == 0 {
		return p.root // closed before
	}
	if p.partialLen > 0 {
		p.endPartial(0)
	}
	if p.inHeader && len(p.stack) == 1 {
		p.defects |= NoHeaderEnd
	}
	p.closeTo(0, p.pos)
	if p.src != nil && has8Bit(p.src[p.root.Body:]) {
		p.defects |= EightBitBody
	}
	p.src = nil
	if p.crs != p.crlfs {
		p.defects |= BareCR
	}
	p.root.Defects = p.defects
	return p.root
}
