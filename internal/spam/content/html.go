package content

import (
	"io"
	"slices"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

const (
	maxToken = 64 << 10 // octets of one tag or comment; what is longer ends the part
	maxDepth = 256      // open elements that are followed
)

// frame is an open element: what it makes of the text within.
type frame struct {
	tag    atom.Atom
	look   look
	anchor int // the link that the text stands on, -1 for none
}

// htmlReader reads one text/html part.
type htmlReader struct {
	w     *reader
	z     *html.Tokenizer
	stack []frame

	anchorText  []byte
	afterLetter bool // the last text ended with a letter
	comment     bool // and a comment followed
}

func (w *reader) html(in io.Reader) error {
	h := htmlReader{w: w, z: html.NewTokenizer(in), stack: make([]frame, 1, 32)}
	h.stack[0] = frame{look: plainLook, anchor: -1}
	h.z.SetMaxBuf(maxToken)
	for {
		switch h.z.Next() {
		case html.ErrorToken:
			h.closeTo(0)
			switch err := h.z.Err(); err {
			case io.EOF:
				return nil
			case html.ErrBufferExceeded:
				w.c.Over = true
				return nil
			default:
				return err
			}
		case html.TextToken:
			h.text(h.z.Text())
		case html.StartTagToken:
			h.open(false)
		case html.SelfClosingTagToken:
			h.open(true)
		case html.EndTagToken:
			name, _ := h.z.TagName()
			h.close(atom.Lookup(name))
		case html.CommentToken:
			h.comment = true
		}
	}
}

func (h *htmlReader) top() *frame { return &h.stack[len(h.stack)-1] }

func (h *htmlReader) text(b []byte) {
	if len(b) == 0 {
		return
	}
	f := h.top()
	switch f.tag {
	case atom.Script, atom.Style, atom.Title, atom.Template, atom.Noscript:
		return
	}
	if f.look.hidden() {
		h.w.hidden.write(b)
		return
	}
	if h.comment && h.afterLetter && isLetter(b[0]) {
		h.w.c.Markup.Comments++
	}
	h.comment, h.afterLetter = false, isLetter(b[len(b)-1])
	h.w.text.write(b)
	if f.anchor >= 0 {
		if room := maxAnchor - len(h.anchorText); room > 0 {
			h.anchorText = append(h.anchorText, b[:min(room, len(b))]...)
		}
	} else {
		h.w.bareLinks(b)
	}
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' || c >= 0x80 }

// open takes a start tag.
func (h *htmlReader) open(selfClosing bool) {
	name, attrs := h.z.TagName()
	tag := atom.Lookup(name)
	m := &h.w.c.Markup
	m.Tags++
	switch tag {
	case atom.Img:
		m.Images++
	case atom.Script:
		m.Scripts++
	case atom.Form:
		m.Forms++
	case atom.P, atom.Li, atom.Td, atom.Th, atom.Tr, atom.Option:
		if h.top().tag == tag { // its end tag may be left out
			h.closeTo(len(h.stack) - 1)
		}
	}
	if !inline(tag) {
		h.w.text.separate('\n')
		h.w.hidden.separate('\n')
		h.afterLetter = false
	}
	f := frame{tag: tag, look: h.top().look, anchor: h.top().anchor}
	for attrs {
		var key, value []byte
		key, value, attrs = h.z.TagAttr()
		h.attribute(&f, string(key), value)
	}
	if !selfClosing && !void(tag) && len(h.stack) < maxDepth {
		h.stack = append(h.stack, f)
	}
}

// attribute takes one attribute of a start tag.
func (h *htmlReader) attribute(f *frame, key string, value []byte) {
	switch key {
	case "href":
		switch f.tag {
		case atom.A:
			h.finishAnchor()
			f.anchor = h.w.link(value, "a")
		case atom.Area:
			h.w.link(value, "area")
		}
	case "src":
		switch f.tag {
		case atom.Img:
			h.w.link(value, "img")
		case atom.Iframe:
			h.w.link(value, "iframe")
		}
	case "action":
		if f.tag == atom.Form {
			h.w.link(value, "form")
		}
	case "style":
		f.look.style(value, h.note)
	case "hidden":
		f.look.gone = true
	case "color", "bgcolor", "size", "face":
		f.look.attribute(f.tag, key, value)
		h.note(key, value)
	}
}

// note keeps a value of fonts and colours for those who count them.
func (h *htmlReader) note(key string, value []byte) {
	m := &h.w.c.Markup
	if len(m.Styles) >= maxStyles {
		return
	}
	s := clip(key+":"+string(lower(trim(value[:min(len(value), 40)]))), 40)
	if !slices.Contains(m.Styles, s) {
		m.Styles = append(m.Styles, s)
	}
}

// close takes an end tag; one that nothing fits is passed over.
func (h *htmlReader) close(tag atom.Atom) {
	if !inline(tag) {
		h.w.text.separate('\n')
		h.w.hidden.separate('\n')
		h.afterLetter = false
	}
	const look = 32 // open elements searched: bounds the cost of stray end tags
	for i := len(h.stack) - 1; i >= max(1, len(h.stack)-look); i-- {
		if h.stack[i].tag == tag {
			h.closeTo(i)
			return
		}
	}
}

func (h *htmlReader) closeTo(n int) {
	was := h.top().anchor
	h.stack = h.stack[:max(n, 1)]
	if was >= 0 && h.top().anchor != was {
		h.finishAnchorOf(was)
	}
}

func (h *htmlReader) finishAnchor() {
	if a := h.top().anchor; a >= 0 {
		h.finishAnchorOf(a)
	}
}

func (h *htmlReader) finishAnchorOf(link int) {
	s := sink{limit: maxAnchor + 8}
	s.write(h.anchorText)
	h.w.c.Links[link].Text = clip(s.b.String(), maxAnchor)
	h.anchorText = h.anchorText[:0]
}

// inline tells the elements that do not separate words.
func inline(tag atom.Atom) bool {
	switch tag {
	case atom.A, atom.B, atom.I, atom.U, atom.Em, atom.Strong, atom.Span, atom.Font, atom.Small, atom.Big,
		atom.Sub, atom.Sup, atom.Code, atom.Wbr, atom.Mark, atom.S, atom.Abbr, atom.Q, 0:
		return true
	}
	return false
}

// void tells the elements that have no end tag.
func void(tag atom.Atom) bool {
	switch tag {
	case atom.Area, atom.Base, atom.Br, atom.Col, atom.Embed, atom.Hr, atom.Img, atom.Input, atom.Link, atom.Meta,
		atom.Param, atom.Source, atom.Track, atom.Wbr:
		return true
	}
	return false
}
