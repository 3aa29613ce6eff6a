package imapclient

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Bounds of what a server may say.
const (
	maxLine      = 1 << 20 // octets of a response without its literals
	maxTokens    = 200_000 // of a response: a SEARCH of a large mailbox
	maxDepth     = 20
	maxResponses = 100_000 // to one command
	maxLiteral   = 150 << 20
)

// Errors of a server that does not speak IMAP.
var (
	errTooMuch = errors.New("imapclient: the server says more than is read")
	errSyntax  = errors.New("imapclient: the server's response cannot be read")
)

// value is a word, a string or a list of a response.
type value struct {
	text   string // of a word or quoted string
	octets []byte // of a literal
	list   []value
	isList bool
	long   int64 // octets of a literal that was skipped, being too long
}

// response is one response in its parts: ("*", "1", "FETCH", (...)). Of a status
// response the text stands in words, as it is.
type response []value

// word is a part in capitals; "" if it is missing or no word.
func (r response) word(i int) string { return strings.ToUpper(r.text(i)) }

// text is a part as it was written, a literal too.
func (r response) text(i int) string {
	if i >= len(r) {
		return ""
	}
	return r[i].string()
}

func (v value) string() string {
	if v.octets != nil {
		return string(v.octets)
	}
	return v.text
}

// String shows the beginning of a response for people.
func (r response) String() string {
	var words []string
	for i := range r {
		words = append(words, r.text(i))
	}
	s := strings.ToValidUTF8(strings.Join(words, " "), "?")
	return fmt.Sprintf("%.200q", s)
}

// reader reads responses.
type reader struct {
	in     *bufio.Reader
	octets int // of the response at hand, without literals
	tokens int
}

// response reads one response with its literals.
func (r *reader) response() (response, error) {
	r.octets, r.tokens = 0, 0
	first, err := r.in.Peek(1)
	if err != nil {
		return nil, err
	}
	if first[0] == '+' {
		line, err := r.line()
		return response{{text: "+"}, {text: strings.TrimSpace(strings.TrimPrefix(line, "+"))}}, err
	}
	out, err := r.sequence(0, '\n')
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, errSyntax
	}
	return out, nil
}

// line reads the rest of a line.
func (r *reader) line() (string, error) {
	var out []byte
	for {
		b, err := r.next()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return strings.TrimSuffix(string(out), "\r"), nil
		}
		out = append(out, b)
	}
}

func (r *reader) next() (byte, error) {
	if r.octets++; r.octets > maxLine {
		return 0, errTooMuch
	}
	b, err := r.in.ReadByte()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}

// sequence reads values up to the octet that ends them.
func (r *reader) sequence(depth int, end byte) ([]value, error) {
	if depth > maxDepth {
		return nil, errTooMuch
	}
	var out []value
	for {
		b, err := r.next()
		if err != nil {
			return nil, err
		}
		switch b {
		case end:
			return out, nil
		case ' ', '\r':
			continue
		case '\n':
			return nil, errSyntax
		}
		v, err := r.value(depth, b)
		if err != nil {
			return nil, err
		}
		if r.tokens++; r.tokens > maxTokens {
			return nil, errTooMuch
		}
		out = append(out, v)
		// A status response ends in text that is not in parts: "* OK [CODE] it's done".
		if depth == 0 && len(out) == 2 && free(out) {
			text, err := r.line()
			return append(out, value{text: strings.TrimSpace(text)}), err
		}
	}
}

// free reports whether the rest of the line is text for people.
func free(head []value) bool {
	switch strings.ToUpper(head[1].text) {
	case "OK", "NO", "BAD", "BYE", "PREAUTH":
		return true
	}
	return false
}

func (r *reader) value(depth int, b byte) (value, error) {
	switch b {
	case '(':
		list, err := r.sequence(depth+1, ')')
		return value{list: list, isList: true}, err
	case '"':
		s, err := r.quoted()
		return value{text: s}, err
	case '{', '~':
		return r.literal(b)
	}
	return r.atom(b)
}

// quoted reads up to the quotation mark that is not behind a backslash.
func (r *reader) quoted() (string, error) {
	var out []byte
	for {
		b, err := r.next()
		if err == nil && b == '\\' {
			b, err = r.next()
		} else if b == '"' {
			return string(out), err
		}
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return "", errSyntax
		}
		out = append(out, b)
	}
}

// atom reads a word; brackets and what is within them belong to it: BODY[HEADER.FIELDS (A B)].
func (r *reader) atom(b byte) (value, error) {
	out := []byte{b}
	brackets := 0
	if b == '[' {
		brackets++
	}
	for {
		next, err := r.in.Peek(1)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return value{}, err
		}
		switch b := next[0]; {
		case b == '\r' || b == '\n', brackets == 0 && (b == ' ' || b == '(' || b == ')'):
			return value{text: string(out)}, nil
		case b == '[':
			brackets++
		case b == ']' && brackets > 0:
			brackets--
		}
		if b, err = r.next(); err != nil {
			return value{}, err
		}
		out = append(out, b)
	}
}

// literal reads "{n}" CRLF and n octets; "~{n}" is a literal8 (RFC 3516). One that is
// too long is skipped.
func (r *reader) literal(b byte) (value, error) {
	if b == '~' {
		next, err := r.in.Peek(1)
		if err != nil || next[0] != '{' {
			return r.atom(b)
		}
		if _, err := r.next(); err != nil {
			return value{}, err
		}
	}
	head, err := r.line()
	if err != nil {
		return value{}, err
	}
	digits, ok := strings.CutSuffix(head, "}")
	n, err := strconv.ParseInt(strings.TrimSuffix(digits, "+"), 10, 64)
	if !ok || err != nil || n < 0 {
		return value{}, errSyntax
	}
	if n > maxLiteral {
		_, err := io.CopyN(io.Discard, r.in, n)
		return value{long: n}, err
	}
	// The size is only believed as the octets come.
	out, err := io.ReadAll(io.LimitReader(r.in, n))
	if err == nil && int64(len(out)) < n {
		err = io.ErrUnexpectedEOF
	}
	if out == nil {
		out = []byte{}
	}
	return value{octets: out}, err
}
