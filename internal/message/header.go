package message

import (
	"bytes"
	"iter"
	"strings"
)

// maxName bounds a field name in octets; a longer one is no field.
const maxName = 256

// Header is the raw header block of a message or part, with or without the
// empty line that ends it. The walker stops at that line, or before a line that
// is not a field. Nothing is copied.
type Header []byte

// Field is one header field in place. The zero value is no field.
type Field struct {
	// Start is the offset of the field in its header block.
	Start int
	raw   []byte
	name  int // length of the name
	colon int
}

// Raw returns the field with all its lines and line endings; it aliases the header.
func (f Field) Raw() []byte { return f.raw }

// End returns the offset after the field in its header block.
func (f Field) End() int { return f.Start + len(f.raw) }

// NameBytes returns the name as written; it aliases the header.
func (f Field) NameBytes() []byte { return f.raw[:f.name] }

// Name returns the name as written.
func (f Field) Name() string { return string(f.raw[:f.name]) }

// Is reports whether the field has the name, in any case. It does not allocate.
func (f Field) Is(name string) bool {
	return f.name == len(name) && foldEqual(f.raw[:f.name], name)
}

// RawValue returns everything after the colon, with folding and the final line
// ending; it aliases the header.
func (f Field) RawValue() []byte {
	if f.raw == nil {
		return nil
	}
	return f.raw[f.colon+1:]
}

// Value returns the value unfolded (line endings removed, RFC 5322 §2.2.3) and
// trimmed of white space at both ends. Encoded words stay encoded.
func (f Field) Value() string {
	v := trimSpace(f.RawValue())
	if bytes.IndexByte(v, '\n') < 0 && bytes.IndexByte(v, '\r') < 0 {
		return string(v)
	}
	return string(appendUnfolded(make([]byte, 0, len(v)), v))
}

func appendUnfolded(dst, v []byte) []byte {
	for len(v) > 0 {
		i := bytes.IndexByte(v, '\n')
		if i < 0 {
			i = len(v)
		}
		line := v[:i]
		if bytes.IndexByte(line, '\r') < 0 {
			dst = append(dst, line...)
		} else {
			for _, c := range line {
				if c != '\r' {
					dst = append(dst, c)
				}
			}
		}
		v = v[min(i+1, len(v)):]
	}
	return dst
}

// Fields walks the fields in order.
func (h Header) Fields() iter.Seq[Field] {
	return func(yield func(Field) bool) {
		pos := mboxLine(h)
		for {
			f, ok := nextField(h, pos)
			if !ok || !yield(f) {
				return
			}
			pos += len(f.raw)
		}
	}
}

// Find returns the first field with the name.
func (h Header) Find(name string) (Field, bool) {
	pos := mboxLine(h)
	for {
		f, ok := nextField(h, pos)
		if !ok {
			return Field{}, false
		}
		if f.Is(name) {
			return f, true
		}
		pos += len(f.raw)
	}
}

// Get returns the unfolded value of the first field with the name, "" if there
// is none.
func (h Header) Get(name string) string {
	f, ok := h.Find(name)
	if !ok {
		return ""
	}
	return f.Value()
}

// Has reports whether there is a field with the name.
func (h Header) Has(name string) bool {
	_, ok := h.Find(name)
	return ok
}

// All walks the fields with the name, from the top.
func (h Header) All(name string) iter.Seq[Field] {
	return func(yield func(Field) bool) {
		for f := range h.Fields() {
			if f.Is(name) && !yield(f) {
				return
			}
		}
	}
}

// SplitHeader finds the header at the start of a message or part. The header
// includes its empty line, so body begins where it ends. In a message without
// an empty line the header ends before the first line that is not a field, or
// with the bytes.
func SplitHeader(b []byte) (h Header, body []byte) {
	pos := mboxLine(b)
	for {
		f, ok := nextField(b, pos)
		if !ok {
			break
		}
		pos += len(f.raw)
	}
	pos += blankLine(b[pos:])
	return Header(b[:pos]), b[pos:]
}

// AppendFields appends the raw fields that have one of the names (or, with
// not, none of them) and an empty line: IMAP's HEADER.FIELDS (RFC 9051 §6.4.5).
func (h Header) AppendFields(dst []byte, names []string, not bool) []byte {
	for f := range h.Fields() {
		listed := false
		for _, name := range names {
			if f.Is(name) {
				listed = true
				break
			}
		}
		if listed == not {
			continue
		}
		dst = append(dst, f.raw...)
		if n := len(f.raw); f.raw[n-1] != '\n' {
			dst = append(dst, "\r\n"...)
		}
	}
	return append(dst, "\r\n"...)
}

// nextField reads the field at pos with its continuation lines. It reports
// false at an empty line, at the end and at a line that is no field.
func nextField(b []byte, pos int) (Field, bool) {
	rest := b[pos:]
	name, colon := fieldName(rest)
	if colon < 0 {
		return Field{}, false
	}
	end := colon + 1
	for {
		i := bytes.IndexByte(rest[end:], '\n')
		if i < 0 {
			end = len(rest)
			break
		}
		end += i + 1
		if end == len(rest) || rest[end] != ' ' && rest[end] != '\t' {
			break
		}
	}
	return Field{Start: pos, raw: rest[:end:end], name: name, colon: colon}, true
}

// fieldName returns the length of the field name at the start of a line and
// the place of its colon, which is negative if the line is no field. White
// space before the colon is the obsolete syntax of RFC 5322 §4.5.8.
func fieldName(line []byte) (name, colon int) {
	for i := 0; i < len(line) && i <= maxName; i++ {
		switch c := line[i]; {
		case c == ':':
			if i == 0 {
				return 0, -1
			}
			return i, i
		case c == ' ' || c == '\t':
			name := i
			for i < len(line) && i <= maxName && (line[i] == ' ' || line[i] == '\t') {
				i++
			}
			if name == 0 || i >= len(line) || line[i] != ':' {
				return 0, -1
			}
			return name, i
		case c < '!' || c > '~':
			return 0, -1
		}
	}
	return 0, -1
}

// blankLine returns the length of the empty line at the start of b, else 0.
func blankLine(b []byte) int {
	if len(b) >= 1 && b[0] == '\n' {
		return 1
	}
	if len(b) >= 2 && b[0] == '\r' && b[1] == '\n' {
		return 2
	}
	return 0
}

// mboxLine returns the length of a "From " line of an mbox at the start of b.
func mboxLine(b []byte) int {
	if !isMboxLine(b) {
		return 0
	}
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	return len(b)
}

func isMboxLine(b []byte) bool {
	return len(b) >= 6 && (b[0] == 'F' && string(b[:5]) == "From " || b[0] == '>' && string(b[:6]) == ">From ")
}

// foldEqual compares b with the name, ignoring ASCII case.
func foldEqual(b []byte, name string) bool {
	if len(b) != len(name) {
		return false
	}
	for i := 0; i < len(b); i++ {
		if b[i] != name[i] && lower(b[i]) != lower(name[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimSpace(b []byte) []byte {
	for len(b) > 0 && isSpace(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isSpace(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// MessageID returns the first message identifier in a value, with its angle
// brackets and without white space inside them; "" if there is none.
func MessageID(value string) string {
	for id := range MessageIDs(value) {
		return id
	}
	return ""
}

// MessageIDs walks the identifiers "<left@right>" of a Message-ID, In-Reply-To
// or References value (RFC 5322 §3.6.4), passing over anything between them.
func MessageIDs(value string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for {
			i := strings.IndexByte(value, '<')
			if i < 0 {
				return
			}
			value = value[i:]
			end := strings.IndexByte(value, '>')
			if end < 0 {
				return
			}
			id := value[:end+1]
			if strings.ContainsAny(id, " \t\r\n") {
				id = strings.Join(strings.Fields(id), "")
			}
			if len(id) > 2 && !yield(id) {
				return
			}
			value = value[end+1:]
		}
	}
}
