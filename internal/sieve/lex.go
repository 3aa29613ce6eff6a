package sieve

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// tokenKind tells the tokens of RFC 5228 §8.1 apart; the marks are themselves.
type tokenKind uint8

const (
	tokenEnd    tokenKind = iota
	tokenName             // identifier, text is in lower case
	tokenTag              // ":" identifier, text is in lower case without the colon
	tokenNumber           // num
	tokenString           // text is decoded, its line ends are CRLF
	tokenMark             // text is one of ; , ( ) [ ] { }
	tokenBad              // reported already
)

type token struct {
	kind tokenKind
	text string
	num  int64
	pos  pos
}

// pos is a place in a script, both from 1.
type pos struct{ line, col int }

func (t token) is(mark string) bool { return t.kind == tokenMark && t.text == mark }

// String names the token as an error message shows it.
func (t token) String() string {
	switch t.kind {
	case tokenEnd:
		return "the end of the script"
	case tokenTag:
		return ":" + t.text
	case tokenNumber:
		return strconv.FormatInt(t.num, 10)
	case tokenString:
		return shown(t.text)
	}
	return strconv.Quote(t.text)
}

// shown quotes a string for a person, shortened.
func shown(s string) string {
	if len(s) > 60 {
		s = strings.ToValidUTF8(s[:60], "") + "…"
	}
	return strconv.Quote(s)
}

// lexer cuts a script into tokens.
type lexer struct {
	src  string
	at   int
	line int
	bol  int // where the line begins
	max  int // octets of a string
	errs *problems
}

// problems gathers the errors of a script.
type problems struct {
	list  Errors
	total int // with those beyond maxErrors, which are not told
}

func (p *problems) add(at pos, format string, args ...any) {
	p.total++
	if len(p.list) < maxErrors {
		p.list = append(p.list, Error{at.line, at.col, fmt.Sprintf(format, args...)})
	}
}

func (p *problems) full() bool { return len(p.list) >= maxErrors }

func (l *lexer) pos() pos { return pos{l.line, l.at - l.bol + 1} }

// newline notes that the octet at l.at is an LF, and passes it.
func (l *lexer) newline() {
	l.at++
	l.line++
	l.bol = l.at
}

// skip passes white space and comments (§2.2, §2.3).
func (l *lexer) skip() {
	for l.at < len(l.src) {
		switch c := l.src[l.at]; {
		case c == '\n':
			l.newline()
		case c == ' ' || c == '\t' || c == '\r':
			l.at++
		case c == '#':
			if n := strings.IndexByte(l.src[l.at:], '\n'); n >= 0 {
				l.at += n
			} else {
				l.at = len(l.src)
			}
		case strings.HasPrefix(l.src[l.at:], "/*"):
			l.comment()
		default:
			return
		}
	}
}

func (l *lexer) comment() {
	start := l.pos()
	for l.at += 2; l.at < len(l.src); {
		switch {
		case strings.HasPrefix(l.src[l.at:], "*/"):
			l.at += 2
			return
		case l.src[l.at] == '\n':
			l.newline()
		default:
			l.at++
		}
	}
	l.errs.add(start, "this comment has no end: write */ where it ends")
}

// next returns the next token.
func (l *lexer) next() token {
	l.skip()
	t := token{pos: l.pos()}
	if l.at >= len(l.src) {
		return t
	}
	switch c := l.src[l.at]; {
	case letter(c):
		name := l.name()
		if strings.EqualFold(name, "text") && l.at < len(l.src) && l.src[l.at] == ':' {
			return l.multiline(t)
		}
		t.kind, t.text = tokenName, strings.ToLower(name)
	case c == ':' && l.at+1 < len(l.src) && letter(l.src[l.at+1]):
		l.at++
		t.kind, t.text = tokenTag, strings.ToLower(l.name())
	case '0' <= c && c <= '9':
		return l.number(t)
	case c == '"':
		return l.quoted(t)
	case strings.IndexByte(";,()[]{}", c) >= 0:
		t.kind, t.text = tokenMark, l.src[l.at:l.at+1]
		l.at++
	default:
		_, n := utf8.DecodeRuneInString(l.src[l.at:])
		t.kind = tokenBad
		l.errs.add(t.pos, "%q does not belong here: text stands in quotes", l.src[l.at:l.at+n])
		l.at += n
	}
	return t
}

func letter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' }

func (l *lexer) name() string {
	start := l.at
	for l.at < len(l.src) && (letter(l.src[l.at]) || '0' <= l.src[l.at] && l.src[l.at] <= '9') {
		l.at++
	}
	return l.src[start:l.at]
}

// number reads digits and a quantifier (§2.4.1).
func (l *lexer) number(t token) token {
	t.kind = tokenNumber
	start := l.at
	for l.at < len(l.src) && '0' <= l.src[l.at] && l.src[l.at] <= '9' {
		l.at++
	}
	n, err := strconv.ParseInt(l.src[start:l.at], 10, 64)
	shift := 0
	if l.at < len(l.src) {
		switch l.src[l.at] | 0x20 {
		case 'k':
			shift = 10
		case 'm':
			shift = 20
		case 'g':
			shift = 30
		}
	}
	if shift > 0 {
		l.at++
	}
	if err != nil || n > (1<<63-1)>>shift {
		l.errs.add(t.pos, "the number is too large")
		n = 0
	}
	if l.at < len(l.src) && letter(l.src[l.at]) {
		l.errs.add(t.pos, "a number is followed by K, M, G or nothing, not by %q", l.name())
	}
	t.num = n << shift
	return t
}

// quoted reads a quoted string (§2.4.2): a backslash makes the next octet itself.
func (l *lexer) quoted(t token) token {
	t.kind = tokenString
	var b strings.Builder
	for l.at++; l.at < len(l.src); {
		switch c := l.src[l.at]; c {
		case '"':
			l.at++
			t.text = l.checked(t.pos, b.String())
			return t
		case '\\':
			l.at++
		}
		if l.at < len(l.src) {
			l.octet(&b)
		}
	}
	l.errs.add(t.pos, "this string has no end: a quotation mark is missing")
	t.kind = tokenBad
	return t
}

// octet copies the octet at hand, a line end in any form as CRLF.
func (l *lexer) octet(b *strings.Builder) {
	switch c := l.src[l.at]; c {
	case '\n':
		b.WriteString("\r\n")
		l.newline()
		return
	case '\r':
		if !strings.HasPrefix(l.src[l.at:], "\r\n") {
			b.WriteString("\r\n")
		}
	default:
		b.WriteByte(c)
	}
	l.at++
}

// multiline reads what follows "text:" (§2.4.2): lines up to one with a dot alone,
// of which a doubled dot at the beginning is one.
func (l *lexer) multiline(t token) token {
	t.kind = tokenString
	l.at++
	for l.at < len(l.src) && (l.src[l.at] == ' ' || l.src[l.at] == '\t') {
		l.at++
	}
	if l.at < len(l.src) && l.src[l.at] == '#' {
		n := strings.IndexByte(l.src[l.at:]+"\n", '\n')
		l.at += n
	}
	l.at += len(l.src[l.at:]) - len(strings.TrimPrefix(l.src[l.at:], "\r"))
	if l.at >= len(l.src) || l.src[l.at] != '\n' {
		l.errs.add(t.pos, "after text: the line ends, and the text begins on the next")
		t.kind = tokenBad
		return t
	}
	l.newline()
	var b strings.Builder
	for l.at < len(l.src) {
		line, _, ended := strings.Cut(l.src[l.at:], "\n")
		next := l.at + len(line)
		line = strings.TrimSuffix(line, "\r")
		if line == "." {
			l.at = next
			if ended {
				l.newline()
			}
			t.text = l.checked(t.pos, b.String())
			return t
		}
		if strings.HasPrefix(line, "..") {
			line = line[1:]
		}
		b.WriteString(strings.ReplaceAll(line, "\r", "\r\n"))
		b.WriteString("\r\n")
		l.at = next
		if ended {
			l.newline()
		}
	}
	l.errs.add(t.pos, "this text has no end: write a line with a dot alone behind it")
	t.kind = tokenBad
	return t
}

// checked tells what a string must not be.
func (l *lexer) checked(at pos, s string) string {
	switch {
	case len(s) > l.max:
		l.errs.add(at, "this string has more than %d octets", l.max)
		return ""
	case strings.IndexByte(s, 0) >= 0:
		l.errs.add(at, "this string holds a NUL")
		return ""
	case !utf8.ValidString(s):
		l.errs.add(at, "this string is not UTF-8: save the script in UTF-8")
		return ""
	}
	return s
}
