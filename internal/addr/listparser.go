package addr

import "strings"

type listParser struct {
	s       string
	i       int
	limit   int
	out     []Entry
	err     error
	group   bool
	comment string // the last comment passed over
}

func (p *listParser) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}

// add appends an entry; it keeps one place free for the end of a group.
func (p *listParser) add(e Entry) bool {
	room := p.limit
	if p.group || e.Kind == EntryGroupStart {
		room--
	}
	if e.Kind != EntryGroupEnd && len(p.out) >= room {
		p.fail(ErrListTooLong)
		return false
	}
	p.out = append(p.out, e)
	return true
}

func (p *listParser) list() {
	for {
		p.skipCFWS()
		if p.i >= len(p.s) {
			break
		}
		switch p.s[p.i] {
		case ',': // RFC 5322 §4.4 allows empty members
			p.i++
			continue
		case ';':
			p.i++
			if p.group {
				p.endGroup()
			}
			continue
		}
		if !p.member() {
			break
		}
	}
	if p.group {
		p.fail(ErrSyntax)
		p.endGroup()
	}
}

func (p *listParser) endGroup() {
	p.add(Entry{Kind: EntryGroupEnd})
	p.group = false
}

// member reads one mailbox or the head of a group. It reports false when the
// list is full.
func (p *listParser) member() bool {
	start := p.i
	p.comment = ""
	phrase, local := p.words()
	switch c := p.peek(); {
	case c == ':' && !p.group:
		p.i++
		if !p.add(Entry{Kind: EntryGroupStart, Name: phrase}) {
			return false
		}
		p.group = true
		return true
	case c == '@' && local != "":
		p.i++
		e := Entry{Local: Localpart(local), Host: p.domain()}
		if p.peek() == '<' {
			// An unquoted address as display name, as in a@b <a@b>.
			p.fail(ErrSyntax)
			name := strings.TrimSpace(p.s[start:p.i])
			return p.finish(p.angle(name))
		}
		e.Name = p.comment
		return p.finish(e)
	case c == '<':
		return p.finish(p.angle(phrase))
	case local != "":
		p.fail(ErrNoDomain)
		return p.finish(Entry{Local: Localpart(local), Name: p.comment})
	default:
		// A stray special; drop it and what follows up to the comma.
		p.fail(ErrSyntax)
		p.i++
		p.skipGarbage()
		return true
	}
}

// finish adds the entry and goes to the next separator.
func (p *listParser) finish(e Entry) bool {
	p.skipCFWS()
	if c := p.peek(); c != 0 && c != ',' && c != ';' || c == 0 && p.i < len(p.s) {
		p.fail(ErrSyntax)
		p.skipGarbage()
	}
	if e.Host == "" {
		p.fail(ErrNoDomain)
	}
	return p.add(e)
}

// angle reads "<route:local@domain>" at p.i.
func (p *listParser) angle(name string) Entry {
	e := Entry{Name: name}
	p.i++
	p.skipCFWS()
	if p.peek() == '@' {
		e.Route = p.route()
	}
	_, local := p.words()
	e.Local = Localpart(local)
	if p.peek() == '@' {
		p.i++
		e.Host = p.domain()
	}
	if p.peek() == '>' {
		p.i++
		return e
	}
	p.fail(ErrSyntax)
	for p.i < len(p.s) && p.s[p.i] != '>' && p.s[p.i] != ',' {
		p.i++
	}
	if p.peek() == '>' {
		p.i++
	}
	return e
}

// route reads obs-route "@a,@b:" (RFC 5322 §4.4).
func (p *listParser) route() string {
	var b strings.Builder
	for {
		p.skipCFWS()
		switch p.peek() {
		case '@':
			p.i++
			if b.Len() > 0 {
				b.WriteByte(',')
			}
			b.WriteByte('@')
			b.WriteString(p.domain())
		case ',':
			p.i++
		case ':':
			p.i++
			return b.String()
		default:
			p.fail(ErrSyntax)
			return b.String()
		}
	}
}

// words reads atoms, quoted strings and dots. As phrase they are joined with
// single spaces, as local part with nothing between them. A single word, the
// common case, does not allocate.
func (p *listParser) words() (phrase, local string) {
	var ph, lo []byte
	for n := 0; ; n++ {
		space := p.skipCFWS()
		word, ok := p.word()
		if !ok {
			if n > 1 {
				phrase, local = string(ph), string(lo)
			}
			return phrase, local
		}
		if n == 0 {
			phrase, local = word, word
			continue
		}
		if n == 1 {
			ph, lo = append(ph, phrase...), append(lo, local...)
		}
		if space {
			ph = append(ph, ' ')
		}
		ph, lo = append(ph, word...), append(lo, word...)
	}
}

// word reads one quoted string, or a run of everything that is neither
// special nor space. Dots belong to the run: "John Q. Public" is obs-phrase.
func (p *listParser) word() (string, bool) {
	if p.i >= len(p.s) {
		return "", false
	}
	if p.s[p.i] == '"' {
		return p.quoted(), true
	}
	start := p.i
	for p.i < len(p.s) && !isListSpecial(p.s[p.i]) {
		p.i++
	}
	return p.s[start:p.i], p.i > start
}

func isListSpecial(c byte) bool {
	switch c {
	case '(', ')', '<', '>', '@', ',', ';', ':', '"', '[', ']', ' ', '\t', '\r', '\n':
		return true
	}
	return false
}

// quoted reads a quoted string at p.i; an unclosed one ends with the field.
func (p *listParser) quoted() string {
	p.i++
	start := p.i
	plain := true
	for p.i < len(p.s) && p.s[p.i] != '"' {
		switch p.s[p.i] {
		case '\\':
			plain = false
			p.i++
		case '\r', '\n':
			plain = false
		}
		p.i++
	}
	end := min(p.i, len(p.s))
	if p.i >= len(p.s) {
		p.fail(ErrSyntax)
	}
	p.i = min(p.i+1, len(p.s))
	if plain {
		return p.s[start:end]
	}
	return unescape(p.s[start:end])
}

// unescape resolves quoted pairs and drops the line breaks of folding.
func unescape(s string) string {
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			b = append(b, s[i])
		case s[i] != '\r' && s[i] != '\n':
			b = append(b, s[i])
		}
	}
	return string(b)
}

// domain reads dot-atom, obs-domain or literal after the @, and the CFWS that
// follows.
func (p *listParser) domain() string {
	p.skipCFWS()
	if p.peek() == '[' {
		return p.literal()
	}
	var parts []byte
	first := ""
	for {
		start := p.i
		for p.i < len(p.s) && !isListSpecial(p.s[p.i]) {
			p.i++
		}
		piece := p.s[start:p.i]
		if first == "" {
			first = piece
		} else {
			if parts == nil {
				parts = append(parts, first...)
			}
			parts = append(parts, piece...)
		}
		p.skipCFWS()
		// obs-domain: CFWS may stand around the dots, nowhere else.
		more := p.i < len(p.s) && !isListSpecial(p.s[p.i])
		if piece == "" || !more || piece[len(piece)-1] != '.' && p.s[p.i] != '.' {
			break
		}
	}
	if parts != nil {
		return string(parts)
	}
	return first
}

func (p *listParser) literal() string {
	start := p.i
	end := strings.IndexAny(p.s[p.i:], "]>,")
	if end < 0 || p.s[p.i+end] != ']' {
		p.fail(ErrLiteral)
		p.i++
		return ""
	}
	p.i += end + 1
	lit := p.s[start:p.i]
	p.skipCFWS()
	return lit
}

// peek returns the octet at hand, 0 at the end.
func (p *listParser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// skipCFWS passes spaces and comments and reports whether there were any.
func (p *listParser) skipCFWS() bool {
	start := p.i
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ' ', '\t', '\r', '\n':
			p.i++
		case '(':
			p.skipComment()
		default:
			return p.i > start
		}
	}
	return p.i > start
}

// skipComment passes a comment, counting its depth instead of recursing.
func (p *listParser) skipComment() {
	start, depth := p.i+1, 0
	for ; p.i < len(p.s); p.i++ {
		switch p.s[p.i] {
		case '\\':
			p.i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				p.comment = strings.TrimSpace(unescape(p.s[start:p.i]))
				p.i++
				return
			}
		}
	}
	p.i = len(p.s)
	p.fail(ErrSyntax)
}

// skipGarbage goes to the next comma or semicolon outside quotes and comments.
func (p *listParser) skipGarbage() {
	for p.i < len(p.s) {
		switch p.s[p.i] {
		case ',', ';':
			return
		case '"':
			p.quoted()
		case '(':
			p.skipComment()
		default:
			p.i++
		}
	}
}
