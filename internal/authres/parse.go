package authres

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

var (
	// ErrSyntax means that a field cannot be read.
	ErrSyntax = errors.New("authres: malformed Authentication-Results")
	// ErrVersion means that a field is of another version than 1.
	ErrVersion = errors.New("authres: unknown version of Authentication-Results")
	// ErrBudget means that a field is over the limits of this package.
	ErrBudget = errors.New("authres: Authentication-Results too long")
	// ErrInstance means that an ARC-Authentication-Results does not start with its
	// instance.
	ErrInstance = errors.New("authres: no instance of 1 to 50 at the start of ARC-Authentication-Results")
)

// Parse reads the value of an Authentication-Results field, that is everything
// after the colon, folded or not. Errors: ErrSyntax, ErrVersion, ErrBudget.
func Parse(value string) (Header, error) {
	p := parser{s: value}
	if len(value) > maxField {
		return Header{}, ErrBudget
	}
	h := Header{ServerID: p.serverID()}
	if p.err != nil {
		return Header{}, p.err
	}
	p.results(&h)
	if p.err != nil {
		return Header{}, p.err
	}
	return h, nil
}

// ParseARC reads the value of an ARC-Authentication-Results field (RFC 8617
// §4.1.1). instance is 0 when the field does not start with an instance of 1 to 50,
// and then the error says so; with an instance the error is one of Parse about what
// follows it.
func ParseARC(value string) (instance int, h Header, err error) {
	p := parser{s: value[:min(len(value), maxField)]}
	p.cfws()
	if p.pos < len(p.s) && p.s[p.pos]|0x20 == 'i' {
		p.pos++
		if p.take('=') {
			p.cfws()
			digits := p.until(" \t\r\n;(")
			n, err := strconv.ParseUint(digits, 10, 8) // no sign
			if err != nil {
				n = 0
			}
			if p.take(';') && p.err == nil && len(digits) <= 2 && n >= 1 && n <= 50 {
				instance = int(n)
			}
		}
	}
	if instance == 0 {
		return 0, Header{}, ErrInstance
	}
	h, err = Parse(value[p.pos:])
	return instance, h, err
}

// Claims reports whether a field that came from outside would be taken for one of
// ours: its authserv-id is one of ids, without regard to case, or cannot be read
// at all. Such a field must be removed at the border (RFC 8601 §5).
func Claims(value string, ids ...string) bool {
	// Far more than an honest authserv-id needs, comments before it included.
	p := parser{s: value[:min(len(value), maxField)]}
	id := p.serverID()
	if p.err != nil && p.err != ErrVersion {
		return true
	}
	for _, own := range ids {
		if strings.EqualFold(id, own) {
			return true
		}
	}
	return false
}

// parser reads a field from left to right; the first error stops it.
type parser struct {
	s   string
	pos int
	err error
}

func (p *parser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
	p.pos = len(p.s)
}

func (p *parser) peek() byte {
	if p.pos < len(p.s) {
		return p.s[p.pos]
	}
	return 0
}

// take consumes c, if it is next, and the CFWS before it.
func (p *parser) take(c byte) bool {
	p.cfws()
	if p.peek() != c || p.pos >= len(p.s) {
		return false
	}
	p.pos++
	return true
}

// serverID reads the authserv-id and the version.
func (p *parser) serverID() string {
	p.cfws()
	id := ""
	if p.peek() == '"' {
		id = p.quoted()
	} else if id = p.until(" \t\r\n;(\""); id == "" {
		p.fail(ErrSyntax)
	}
	id = p.text(id)
	p.cfws()
	if version := p.until(" \t\r\n;("); version != "" && version != "1" {
		if strings.Trim(version, "0123456789") != "" {
			p.fail(ErrSyntax)
		}
		p.fail(ErrVersion)
	}
	p.cfws()
	if p.pos < len(p.s) && p.peek() != ';' {
		p.fail(ErrSyntax)
	}
	return id
}

// results reads what follows: each result begins with a semicolon. A final
// semicolon is forgiven, as is a missing "none".
func (p *parser) results(h *Header) {
	for p.take(';') {
		p.cfws()
		if p.pos == len(p.s) {
			return
		}
		if len(h.Results) == maxResults {
			p.fail(ErrBudget)
			return
		}
		word := p.keyword()
		p.cfws()
		if word == "none" && p.peek() != '=' && p.peek() != '/' && len(h.Results) == 0 {
			if p.pos < len(p.s) {
				p.fail(ErrSyntax)
			}
			return
		}
		h.Results = append(h.Results, p.result(word))
	}
	if p.pos < len(p.s) {
		p.fail(ErrSyntax)
	}
}

// result reads one result after its method name.
func (p *parser) result(method string) Result {
	r := Result{Method: method}
	if p.take('/') {
		p.cfws()
		if v := p.until(" \t\r\n=;("); strings.Trim(v, "0123456789") != "" || v == "" {
			p.fail(ErrSyntax)
		}
	}
	if !p.take('=') {
		p.fail(ErrSyntax)
		return r
	}
	p.cfws()
	r.Value = p.keyword()
	r.Comment = p.comments()
	for p.err == nil && p.pos < len(p.s) && p.peek() != ';' {
		p.property(&r)
	}
	return r
}

// property reads reason=value or ptype.property=value. Something else with a value
// is passed over: the largest of providers writes action=none.
func (p *parser) property(r *Result) {
	word := p.keyword()
	if word == "reason" && p.take('=') {
		p.cfws()
		r.Reason = p.text(p.value())
		p.cfws()
		return
	}
	if !p.take('.') {
		if !p.take('=') {
			p.fail(ErrSyntax)
		}
		p.cfws()
		p.text(p.value())
		p.cfws()
		return
	}
	p.cfws()
	prop := Property{Type: word, Name: p.keyword()}
	if !p.take('=') {
		p.fail(ErrSyntax)
		return
	}
	p.cfws()
	prop.Value = p.text(p.value())
	p.cfws()
	if len(r.Props) == maxProps {
		p.fail(ErrBudget)
		return
	}
	r.Props = append(r.Props, prop)
}

// keyword reads a keyword in lower case.
func (p *parser) keyword() string {
	word := p.until(" \t\r\n=;(./\"")
	if !isKeyword(word) {
		p.fail(ErrSyntax)
		return ""
	}
	return strings.ToLower(word)
}

// value reads a quoted-string, perhaps as the local part of an address, or
// anything up to white space, semicolon or comment.
func (p *parser) value() string {
	if p.peek() != '"' {
		return p.until(" \t\r\n;(\"")
	}
	start := p.pos
	s := p.quoted()
	if p.peek() == '@' {
		return p.s[start:p.pos] + p.until(" \t\r\n;(\"")
	}
	return s
}

// until reads up to any of the stop characters.
func (p *parser) until(stops string) string {
	start := p.pos
	if i := strings.IndexAny(p.s[p.pos:], stops); i >= 0 {
		p.pos += i
	} else {
		p.pos = len(p.s)
	}
	return p.s[start:p.pos]
}

// quoted reads a quoted-string, unfolded and without its quotes.
func (p *parser) quoted() string {
	p.pos++
	var b strings.Builder
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		p.pos++
		switch {
		case c == '"':
			return b.String()
		case c == '\\' && p.pos < len(p.s):
			b.WriteByte(p.s[p.pos])
			p.pos++
		case c != '\r' && c != '\n':
			b.WriteByte(c)
		}
	}
	p.fail(ErrSyntax)
	return ""
}

// comments reads the first of the comments that follow; a long one is cut, as
// what people are told decides nothing.
func (p *parser) comments() string {
	c := clean(p.cfws())
	if !utf8.ValidString(c) {
		p.fail(ErrSyntax)
	}
	return c
}

// cfws skips white space and comments and returns the content of the first
// comment.
func (p *parser) cfws() string {
	first, seen := "", false
	for p.pos < len(p.s) {
		switch p.s[p.pos] {
		case ' ', '\t', '\r', '\n':
			p.pos++
		case '(':
			c := p.comment()
			if !seen {
				first, seen = c, true
			}
		default:
			return first
		}
	}
	return first
}

// comment reads a comment, unfolded, without its parentheses and quoted pairs.
func (p *parser) comment() string {
	var b strings.Builder
	depth := 0
	for p.pos < len(p.s) {
		c := p.s[p.pos]
		p.pos++
		switch c {
		case '(':
			if depth++; depth == 1 {
				continue
			}
			if depth > maxDepth {
				p.fail(ErrBudget)
				return ""
			}
		case ')':
			if depth--; depth == 0 {
				return b.String()
			}
		case '\\':
			if p.pos < len(p.s) {
				c = p.s[p.pos]
				p.pos++
			}
		case '\r', '\n':
			continue
		}
		b.WriteByte(c)
	}
	p.fail(ErrSyntax)
	return ""
}

// text checks the budget of one text and makes it what Append would write.
func (p *parser) text(s string) string {
	if len(s) > maxText {
		p.fail(ErrBudget)
		return ""
	}
	s = clean(s)
	if !utf8.ValidString(s) || len(s) > maxText {
		p.fail(ErrSyntax)
	}
	return s
}
