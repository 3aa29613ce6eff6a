package edit

import "posta/internal/message"

// IsMIME reports whether a header field belongs to the MIME structure of a message
// (RFC 2045 §3): it goes with the body when that is replaced.
func IsMIME(f message.Field) bool {
	const content = "content-"
	name := f.NameBytes()
	return f.Is("mime-version") || len(name) > len(content) && equalFold(name[:len(content)], content)
}

func equalFold(b []byte, lower string) bool {
	for i := range b {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// Rehead returns the tree of a message whose header alone was exchanged. old is its
// tree before, header the new one with its empty line. What the parts are is known
// then, unless the header has other MIME fields than before: the result is nil for
// that, and the message has to be parsed. Of the root's Defects none is forgotten, as
// old does not tell which of them stood in the header.
func Rehead(old *message.Part, before, header message.Header) *message.Part {
	if !sameMIME(before, header) {
		return nil
	}
	top := message.ParseBytes(header, message.Budget{})
	root := clone(old)
	root.Shift(int64(len(header)) - old.Body)
	root.Envelope = top.Envelope
	root.Defects |= top.Defects & (message.BareCR | message.BareLF | message.ContainsNUL | message.LongLine | message.OverBudget)
	root.Defects &^= message.NoHeaderEnd | message.MalformedHeader
	return root
}

func sameMIME(a, b message.Header) bool {
	var x, y []byte
	for f := range a.Fields() {
		if IsMIME(f) {
			x = append(x, f.Raw()...)
		}
	}
	for f := range b.Fields() {
		if IsMIME(f) {
			y = append(y, f.Raw()...)
		}
	}
	return string(x) == string(y)
}

func clone(p *message.Part) *message.Part {
	c := *p
	if p.Message != nil {
		c.Message = clone(p.Message)
	}
	if p.Children != nil {
		c.Children = make([]*message.Part, len(p.Children))
		for i, child := range p.Children {
			c.Children[i] = clone(child)
		}
	}
	return &c
}
