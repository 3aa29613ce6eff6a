package sieve

import (
	"io"
	"slices"
	"strings"

	"posta/internal/message"
)

// bodyTests are RFC 5173.
func bodyTests() []spec {
	return []spec{{
		name: "body", test: true, caps: []string{"body"}, match: true, args: []kind{strs}, eval: evalBody,
		tags: []tag{
			{name: "raw", group: "body transform"},
			{name: "content", args: []kind{strs}, group: "body transform"},
			{name: "text", group: "body transform"},
		},
	}}
}

// decoded is one part of the body, its transfer encoding and charset undone.
type decoded struct {
	mediaType, subtype string

	part     *message.Part
	whole    shape
	plain    shape // of HTML, without markup
	stripped bool
}

// shape is text, and once it is asked for in lower case.
type shape struct {
	text, folded string
	isFolded     bool
}

func (s *shape) lower(c comparator) string {
	if c != asciiCasemap {
		return ""
	}
	if !s.isFolded {
		s.folded, s.isFolded = fold(s.text), true
	}
	return s.folded
}

func evalBody(r *run, k *call) bool {
	t := r.begin(k)
	if k.has("raw") {
		root := r.view.root()
		raw := r.read(io.NewSectionReader(r.msg, root.Body, root.End-root.Body), r.limits.Body)
		if t.try(raw, "") {
			return true
		}
		return t.end()
	}
	args, content := k.tag("content")
	types := []string{"text"} // :text, the default (§5.3)
	if content {
		types = r.texts(args[0])
	}
	r.loadBody()
	for i := range r.view.text {
		d := &r.view.text[i]
		if !slices.ContainsFunc(types, d.is) {
			continue
		}
		shape := &d.whole
		if !content && d.subtype == "html" {
			r.plain(d)
			shape = &d.plain
		}
		if t.try(shape.text, shape.lower(k.match.cmp)) {
			return true
		}
	}
	return t.end()
}

// plain makes the text of a part of HTML without its markup.
func (r *run) plain(d *decoded) {
	if !d.stripped {
		d.stripped = true
		var err error
		d.plain.text, err = message.Text(r.msg, d.part, int(r.limits.Body))
		if r.readable(err) {
			r.spend(len(d.whole.text))
		}
	}
}

// is holds a part against a content type of :content (§5.2): "" is any, "text" every
// text, "text/html" that; what can be no type is none.
func (d *decoded) is(want string) bool {
	major, minor, whole := strings.Cut(fold(want), "/")
	switch {
	case want == "":
		return true
	case major == "" || whole && (minor == "" || strings.Contains(minor, "/")):
		return false
	case !whole:
		return d.mediaType == major
	}
	return d.mediaType == major && d.subtype == minor
}

// loadBody decodes the parts of the message, up to the limit all together.
func (r *run) loadBody() {
	if r.view.body {
		return
	}
	r.view.body = true
	left := r.limits.Body
	root := r.view.root()
	r.readable(r.view.err)
	root.Walk(func(p *message.Part) bool {
		d := decoded{mediaType: p.Type, subtype: p.Subtype, part: p}
		switch {
		case p.Multipart(): // §5.2: what stands before the first part and behind the last
			d.whole.text = r.around(p, left)
		case p.Message != nil: // the header of the message inside, as it stands
			d.whole.text = r.read(io.NewSectionReader(r.msg, p.Message.Start, p.Message.Body-p.Message.Start), left)
		case p.Type == "text":
			d.whole.text = r.read(message.OpenText(r.msg, p), left)
		default:
			if in, err := message.Open(r.msg, p); err == nil {
				d.whole.text = r.read(in, left)
			}
		}
		left -= int64(len(d.whole.text))
		r.view.text = append(r.view.text, d)
		return left > 0 && r.flow == goOn
	})
}

// around is the prologue and epilogue of a multipart.
func (r *run) around(p *message.Part, limit int64) string {
	head := p.Children[0].Start - p.Body
	tail := p.End - p.Children[len(p.Children)-1].End
	return r.read(io.MultiReader(
		io.NewSectionReader(r.msg, p.Body, head),
		io.NewSectionReader(r.msg, p.End-tail, tail),
	), limit)
}

// read reads up to limit octets, which count as work.
func (r *run) read(in io.Reader, limit int64) string {
	var b strings.Builder
	n, err := io.Copy(&b, io.LimitReader(in, limit))
	if r.readable(err) {
		r.spend(int(n))
	}
	return b.String()
}
