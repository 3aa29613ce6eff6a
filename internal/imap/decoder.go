package imap

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"unicode/utf8"
)

// Limits is the budget of one command.
type Limits struct {
	Bytes   int // octets of all its lines and literals
	Literal int // octets of one literal that is read into memory
	Depth   int // nested parentheses, NOT and OR
	Set     int // ranges in one sequence set
	Items   int // elements in one list (flags, fetch items, search keys, patterns)
}

// The budgets before and after login.
var (
	BeforeLogin = Limits{Bytes: 8 << 10, Literal: 4 << 10, Depth: 4, Set: 16, Items: 64}
	AfterLogin  = Limits{Bytes: 64 << 10, Literal: 64 << 10, Depth: 32, Set: 8192, Items: 1024}
)

// Literal is the announcement that ends a line: {n}, {n+} or ~{n} (RFC 9051 §4.3,
// RFC 7888, RFC 3516).
type Literal struct {
	Size    int64
	NonSync bool // the client sends it without waiting for "+"
	Binary  bool // literal8: any octet, NUL too
}

// Source hands over what follows the first line of a command.
type Source interface {
	// Literal reads exactly l.Size octets; when l is synchronizing it asks the
	// client for them first. The decoder has checked the size against its budget.
	// The slice is valid until the next call.
	Literal(l Literal) ([]byte, error)
	// Line reads the line after a literal, without its CRLF. At most max octets
	// are wanted. The slice is valid until the next call.
	Line(max int) ([]byte, error)
}

// ErrSource marks an error of the source (the connection), as against one of the
// client's grammar. After it the stream is lost.
var ErrSource = errors.New("imap: the rest of the command could not be read")

// Decoder reads one command. The zero Decoder is not usable; see [NewDecoder].
// Not for concurrent use.
type Decoder struct {
	// UTF8 says that the client has enabled UTF8=ACCEPT or IMAP4rev2: mailbox
	// names are UTF-8, not modified UTF-7.
	UTF8 bool

	line   []byte
	pos    int
	src    Source
	limits Limits
	left   int
	depth  int
	err    error
}

// NewDecoder reads a command from its first line (without CRLF) on. The decoder
// keeps the line until it pulls the next one.
func NewDecoder(line []byte, src Source, limits Limits) *Decoder {
	d := &Decoder{line: line, src: src, limits: limits, left: limits.Bytes - len(line)}
	if d.left < 0 {
		d.err = Bad("command longer than %d octets", limits.Bytes)
	}
	return d
}

// Err is the first error, nil if there was none: a *Reply, or one that wraps
// ErrSource.
func (d *Decoder) Err() error { return d.err }

// Tail is a literal that the current line announces and nobody has read. A
// non-synchronizing one is on its way and must be skipped before the next command.
func (d *Decoder) Tail() (Literal, bool) {
	if d.pos >= len(d.line) && d.err == nil {
		return Literal{}, false
	}
	l, _, ok := ParseTail(d.line)
	return l, ok
}

// ParseTail looks for the announcement of a literal at the end of a line; at is
// where it begins.
func ParseTail(line []byte) (l Literal, at int, ok bool) {
	n := len(line)
	if n < 3 || line[n-1] != '}' {
		return l, 0, false
	}
	i := n - 2
	if line[i] == '+' {
		l.NonSync = true
		i--
	}
	digits := i
	for i >= 0 && line[i] >= '0' && line[i] <= '9' {
		i--
	}
	if i < 0 || line[i] != '{' || i == digits || digits-i > 18 {
		return Literal{}, 0, false
	}
	for _, c := range line[i+1 : digits+1] {
		l.Size = l.Size*10 + int64(c-'0')
	}
	if i > 0 && line[i-1] == '~' {
		l.Binary = true
		i--
	}
	return l, i, true
}

func (d *Decoder) fail(arg, want string) {
	if d.err != nil {
		return
	}
	switch {
	case d.pos >= len(d.line):
		d.err = Bad("%s: %s expected, the command ends", arg, want)
	default:
		d.err = Bad("%s: %s expected at %q", arg, want, d.near())
	}
}

// Fail records an error of the caller's own, if none stands yet.
func (d *Decoder) Fail(r *Reply) {
	if d.err == nil {
		d.err = r
	}
}

func (d *Decoder) near() string {
	s := d.line[d.pos:]
	if len(s) > 16 {
		s = s[:16]
	}
	return string(s)
}

// peek is the next octet, 0 at the end of the line or after an error. (NUL may
// not stand in a line, so 0 is no octet of a command.)
func (d *Decoder) peek() byte {
	if d.err != nil || d.pos >= len(d.line) {
		return 0
	}
	return d.line[d.pos]
}

// More reports whether the line goes on.
func (d *Decoder) More() bool { return d.err == nil && d.pos < len(d.line) }

// Accept takes one octet if it is next.
func (d *Decoder) Accept(c byte) bool {
	if d.err == nil && d.pos < len(d.line) && d.line[d.pos] == c {
		d.pos++
		return true
	}
	return false
}

// Expect takes one octet that must be next; arg names what is being read.
func (d *Decoder) Expect(c byte, arg string) {
	if !d.Accept(c) {
		d.fail(arg, fmt.Sprintf("%q", string(rune(c))))
	}
}

// SP takes the one space before an argument.
func (d *Decoder) SP(arg string) {
	if !d.Accept(' ') {
		d.fail(arg, "a space")
	}
}

// End wants the end of the command. Spaces before it are let pass: several old
// clients leave one.
func (d *Decoder) End() error {
	if d.err == nil {
		for d.Accept(' ') {
		}
		if d.pos < len(d.line) {
			d.fail("arguments", "the end of the command")
		}
	}
	return d.err
}

// enter and leave count the depth of nesting.
func (d *Decoder) enter(arg string) bool {
	d.depth++
	if d.err == nil && d.depth > d.limits.Depth {
		d.err = Bad("%s: nested deeper than %d", arg, d.limits.Depth)
	}
	return d.err == nil
}

func (d *Decoder) leave() { d.depth-- }

// List reads "(" item *(SP item) ")", calling item for each; an empty list is
// taken when empty is true.
func (d *Decoder) List(arg string, empty bool, item func()) {
	d.Expect('(', arg)
	if !d.enter(arg) {
		return
	}
	defer d.leave()
	if empty && d.Accept(')') {
		return
	}
	for n := 1; d.err == nil; n++ {
		if n > d.limits.Items {
			d.err = Bad("%s: more than %d elements", arg, d.limits.Items)
			return
		}
		item()
		if d.Accept(')') {
			return
		}
		d.SP(arg)
	}
}

func (d *Decoder) run(class uint8) []byte {
	if d.err != nil {
		return nil
	}
	start := d.pos
	for d.pos < len(d.line) && classes[d.line[d.pos]]&class != 0 {
		d.pos++
	}
	return d.line[start:d.pos]
}

// Tag reads a command's tag: 1*<any ASTRING-CHAR except "+">.
func (d *Decoder) Tag() string {
	s := d.run(tagChar)
	if len(s) == 0 || len(s) > 64 {
		d.fail("tag", "1 to 64 tag characters")
		return ""
	}
	return string(s)
}

// Atom reads an atom as it stands.
func (d *Decoder) Atom(arg string) string {
	s := d.run(atomChar)
	if len(s) == 0 {
		d.fail(arg, "an atom")
	}
	return string(s)
}

// Word reads an atom in upper case: a keyword of the grammar.
func (d *Decoder) Word(arg string) string { return strings.ToUpper(d.Atom(arg)) }

// PeekWord is the atom that comes next, in upper case, without taking it.
func (d *Decoder) PeekWord() string {
	at := d.pos
	w := d.run(atomChar)
	d.pos = at
	return strings.ToUpper(string(w))
}

// Number reads number: a 32-bit value without sign.
func (d *Decoder) Number(arg string) uint32 {
	return uint32(d.number(arg, math.MaxUint32))
}

// NzNumber reads nz-number: 1 to 2^32-1.
func (d *Decoder) NzNumber(arg string) uint32 {
	n := d.Number(arg)
	if n == 0 && d.err == nil {
		d.err = Bad("%s: 0 is not allowed here", arg)
	}
	return n
}

// Number64 reads number64 or mod-sequence-value: 0 to 2^63-1.
func (d *Decoder) Number64(arg string) uint64 { return d.number(arg, math.MaxInt64) }

func (d *Decoder) number(arg string, limit uint64) uint64 {
	s := d.run(digit)
	if len(s) == 0 {
		d.fail(arg, "a number")
		return 0
	}
	var n uint64
	for _, c := range s {
		v := uint64(c - '0')
		if n > (limit-v)/10 {
			d.err = Bad("%s: number too great", arg)
			return 0
		}
		n = n*10 + v
	}
	return n
}

// Astring reads astring: an atom (where "]" may stand too) or a string.
func (d *Decoder) Astring(arg string) string {
	if d.atString() {
		return d.String(arg)
	}
	s := d.run(astringChar)
	if len(s) == 0 {
		d.fail(arg, "an atom or string")
	}
	return string(s)
}

// atString reports whether a string begins here. "~" alone begins an atom, such
// as the name "~/mail".
func (d *Decoder) atString() bool {
	switch d.peek() {
	case '"', '{':
		return true
	case '~':
		return d.pos+1 < len(d.line) && d.line[d.pos+1] == '{'
	}
	return false
}

// NString reads nstring; ok is false for NIL.
func (d *Decoder) NString(arg string) (s string, ok bool) {
	if c := d.peek(); c == '"' || c == '{' {
		return d.String(arg), true
	}
	if d.Word(arg) != "NIL" {
		d.fail(arg, "a string or NIL")
	}
	return "", false
}

// String reads string: quoted or literal. A literal8 is taken where a literal
// may stand.
func (d *Decoder) String(arg string) string {
	switch d.peek() {
	case '"':
		return d.quoted(arg)
	case '{', '~':
		return d.literal(arg)
	}
	d.fail(arg, "a string")
	return ""
}

// quoted reads DQUOTE *QUOTED-CHAR DQUOTE. UTF-8 may stand in it (RFC 9051 §4.3),
// and is taken from clients that did not ask for it; other 8-bit is refused.
func (d *Decoder) quoted(arg string) string {
	d.pos++
	start, escaped, high := d.pos, false, false
	for ; d.pos < len(d.line); d.pos++ {
		switch c := d.line[d.pos]; {
		case c == '"':
			raw := d.line[start:d.pos]
			d.pos++
			if high && !utf8.Valid(raw) {
				d.err = Bad("%s: 8-bit text that is not UTF-8", arg)
				return ""
			}
			if escaped {
				return unescape(raw)
			}
			return string(raw)
		case c == '\\':
			d.pos++
			escaped = true
			if c := d.peek(); c != '"' && c != '\\' {
				d.fail(arg, `\" or \\`)
				return ""
			}
		case c >= 0x80:
			high = true
		}
	}
	d.fail(arg, "a closing quote")
	return ""
}

func unescape(raw []byte) string {
	out := make([]byte, 0, len(raw))
	for i := 0; i < len(raw); i++ {
		if raw[i] == '\\' {
			i++
		}
		out = append(out, raw[i])
	}
	return string(out)
}

// literal reads a literal into memory, within the command's budget.
func (d *Decoder) literal(arg string) string {
	l := d.LiteralHead(arg)
	if d.err != nil {
		return ""
	}
	if most := min(d.left, d.limits.Literal); l.Size > int64(most) {
		d.err = &Reply{Status: BAD, Code: "TOOBIG", Text: fmt.Sprintf("%s: literal of %d octets; there is room for %d", arg, l.Size, most)}
		return ""
	}
	d.left -= int(l.Size)
	b, err := d.src.Literal(l)
	if err != nil {
		d.err = fmt.Errorf("%w: %w", ErrSource, err)
		return ""
	}
	s := string(b)
	d.NextLine()
	if d.err == nil && !l.Binary && strings.IndexByte(s, 0) >= 0 {
		d.err = Bad("%s: NUL in a literal", arg)
		return ""
	}
	return s
}

// LiteralHead reads the announcement of a literal, which must end the line, and
// leaves the octets to the caller (APPEND streams them). The caller reads them
// from where the source does, and then calls NextLine.
func (d *Decoder) LiteralHead(arg string) Literal {
	if d.err != nil {
		return Literal{}
	}
	l, at, ok := ParseTail(d.line)
	if !ok || at != d.pos {
		d.fail(arg, "a literal")
		return Literal{}
	}
	d.pos = len(d.line)
	return l
}

// NextLine goes on with the line after a literal.
func (d *Decoder) NextLine() {
	if d.err != nil {
		return
	}
	d.line, d.pos = nil, 0
	line, err := d.src.Line(max(d.left, 0))
	if err != nil {
		d.err = fmt.Errorf("%w: %w", ErrSource, err)
		return
	}
	d.line = line
	if d.left -= len(line); d.left < 0 {
		d.err = Bad("command longer than %d octets", d.limits.Bytes)
	}
}
