package message

import (
	"bufio"
	"io"
	"strings"
	"unicode"

	"golang.org/x/net/html"
)

// Bounds of the text functions, in octets of decoded text.
const (
	previewInput = 32 << 10
	maxHTMLToken = 64 << 10
)

// Preview returns the beginning of what a person reads in the message, in one
// line of at most n characters: of the first text/plain, or the first text/html
// without its markup when there is no plain text or it is blank. It reads at
// most a few tens of KiB. The error is r's; a preview so far comes with it.
func Preview(r io.ReaderAt, root *Part, n int) (string, error) {
	var plain, rich *Part
	root.firstTexts(&plain, &rich)
	for _, p := range []*Part{plain, rich} {
		if p == nil {
			continue
		}
		out := textSink{limit: n}
		err := writeText(&out, r, root, p, previewInput)
		if out.b.Len() > 0 || err != nil {
			return out.b.String(), err
		}
	}
	return "", nil
}

// firstTexts finds the first text/plain and the first text/html that a reader
// shows; it does not look into messages that are attached.
func (p *Part) firstTexts(plain, rich **Part) {
	for _, c := range p.Children {
		c.firstTexts(plain, rich)
	}
	switch {
	case p.Attachment() || p.Size() == 0:
	case *plain == nil && p.Is("text/plain"):
		*plain = p
	case *rich == nil && p.Is("text/html"):
		*rich = p
	}
}

// Text returns the readable text of the message for searching: all text parts,
// HTML without markup, white space collapsed, parts separated by a space, at
// most limit characters. The error is r's.
func Text(r io.ReaderAt, root *Part, limit int) (string, error) {
	out := textSink{limit: limit}
	var err error
	root.Walk(func(p *Part) bool {
		if p.Type == "text" && err == nil {
			out.space = true
			err = writeText(&out, r, root, p, int64(limit)*4)
		}
		return err == nil && !out.full()
	})
	return out.b.String(), err
}

func writeText(out *textSink, r io.ReaderAt, root, p *Part, maxInput int64) error {
	in := io.LimitReader(openLoose(r, root, p), maxInput)
	if p.Subtype == "html" {
		return stripHTML(out, in)
	}
	br := bufio.NewReaderSize(in, 1024)
	for !out.full() {
		c, _, err := br.ReadRune()
		if err != nil {
			return notEOF(err)
		}
		out.rune(c)
	}
	return nil
}

// openLoose is OpenText, but leaves faulty UTF-8 for the reader of runes to
// replace, and takes as it stands what is plain ASCII throughout, which saves a
// pass and its buffers.
func openLoose(r io.ReaderAt, root, p *Part) io.Reader {
	plain := !root.Defects.Has(EightBitBody) && strings.EqualFold(p.Charset(), "us-ascii") &&
		(p.Encoding == "7bit" || p.Encoding == "8bit" || p.Encoding == "")
	if plain || strings.EqualFold(p.Charset(), "utf-8") {
		if body, err := Open(r, p); err == nil {
			return body
		}
	}
	return OpenText(r, p)
}

func notEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}

// stripHTML writes the text between tags, leaving out what is not shown.
func stripHTML(out *textSink, r io.Reader) error {
	z := html.NewTokenizer(r)
	z.SetMaxBuf(maxHTMLToken)
	hidden := "" // the element whose content is left out
	for !out.full() {
		switch z.Next() {
		case html.ErrorToken:
			if err := z.Err(); err != html.ErrBufferExceeded {
				return notEOF(err)
			}
			return nil
		case html.TextToken:
			if hidden == "" {
				out.string(string(z.Text()))
			}
		case html.StartTagToken:
			name, _ := z.TagName()
			if hidden == "" {
				hidden = hiddenElement(name)
			}
			out.space = out.space || !inlineElement(name)
		case html.SelfClosingTagToken:
			name, _ := z.TagName()
			out.space = out.space || !inlineElement(name)
		case html.EndTagToken:
			name, _ := z.TagName()
			if string(name) == hidden {
				hidden = ""
			}
			out.space = out.space || !inlineElement(name)
		}
	}
	return nil
}

func hiddenElement(name []byte) string {
	switch string(name) {
	case "style":
		return "style"
	case "script":
		return "script"
	case "title":
		return "title"
	case "template":
		return "template"
	}
	return ""
}

// inlineElement tells the elements that do not separate words.
func inlineElement(name []byte) bool {
	switch string(name) {
	case "a", "b", "i", "u", "em", "strong", "span", "font", "small", "big", "sub", "sup", "code", "wbr", "mark", "s", "abbr", "q":
		return true
	}
	return false
}

// textSink collects characters in one line.
type textSink struct {
	b     strings.Builder
	n     int // characters written
	limit int
	space bool // white space came before the next character
}

func (t *textSink) full() bool { return t.n >= t.limit }

func (t *textSink) string(s string) {
	for _, c := range s {
		if t.full() {
			return
		}
		t.rune(c)
	}
}

func (t *textSink) rune(c rune) {
	if unicode.IsSpace(c) {
		t.space = true
		return
	}
	if unicode.IsControl(c) || isInvisible(c) {
		return
	}
	if t.space && t.n > 0 {
		if t.n+2 > t.limit { // no space at the end
			t.n = t.limit
			return
		}
		t.b.WriteByte(' ')
		t.n++
	}
	t.space = false
	t.b.WriteRune(c)
	t.n++
}

// isInvisible tells the characters with which newsletters fill their preview.
func isInvisible(c rune) bool {
	switch c {
	case '\u00ad', '\u034f', '\u200b', '\u200c', '\u200e', '\u200f', '\u2060', '\u2800', '\ufeff':
		return true
	}
	return false
}
