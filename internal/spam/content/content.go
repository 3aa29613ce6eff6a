package content

import (
	"bufio"
	"bytes"
	"io"
	"strings"

	"posta/internal/message"
)

// Budget bounds what reading one message may cost. A zero field means its
// default.
type Budget struct {
	Header int // octets of the message's header, 64 KiB
	Part   int // octets of decoded text looked at in one part, 128 KiB
	Texts  int // text parts looked at, 20
	Text   int // octets of visible text kept, 64 KiB; of hidden text a quarter of it
	Links  int // links kept, 1,000; all are counted
	Files  int // files kept, 200; all are counted

	// LinksOnly: the header, and text that is not HTML, are looked at and not kept.
	LinksOnly bool
}

func (b Budget) withDefaults() Budget {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&b.Header, 64<<10)
	set(&b.Part, 128<<10)
	set(&b.Texts, 20)
	set(&b.Text, 64<<10)
	set(&b.Links, 1000)
	set(&b.Files, 200)
	return b
}

// Octets kept of one value.
const (
	maxURL    = 2000
	maxAnchor = 200
	maxName   = 255
	maxStyles = 64
)

// Link is an address in the message.
type Link struct {
	URL  string // as written, at most 2,000 octets
	Text string // the words on it in HTML, at most 200 octets
	In   string // the element that holds it ("a", "area", "form", "iframe", "img"); empty for a URL in text
}

// File is a part that is not shown as text: an attachment, or a picture.
type File struct {
	Part *message.Part
	Name string // as the sender gave it, decoded; at most 255 octets
}

// Markup counts what HTML parts contain.
type Markup struct {
	Parts                        int // text/html parts
	Tags, Images, Scripts, Forms int
	Comments                     int      // within a word: "V<!-- -->iagra"
	Styles                       []string // fonts and colours as "color:red", at most 64 different ones
}

// Content is what reading found. All text is UTF-8.
type Content struct {
	Root   *message.Part
	Header message.Header // the message's own, cut to the budget

	Text   string // visible, white space collapsed; line breaks between blocks
	Hidden string // what HTML keeps from being seen
	Plain  int    // text/plain parts that were read

	Disguised bool // a page of HTML came as text/plain

	Links    []Link
	AllLinks int // with those over budget
	Files    []File
	AllFiles int

	Markup Markup
	Over   bool // something was left out
}

// Read reads the message in r whose tree is root. The error is r's; what was
// read so far comes with it.
func Read(r io.ReaderAt, root *message.Part, b Budget) (*Content, error) {
	b = b.withDefaults()
	c := &Content{Root: root}
	n := min(root.Body-root.Start, int64(b.Header))
	c.Over = n < root.Body-root.Start || root.Defects.Has(message.OverBudget)
	if !b.LinksOnly {
		h := make([]byte, n)
		if _, err := r.ReadAt(h, root.Start); err != nil && err != io.EOF {
			return c, err
		}
		c.Header = h
	}
	w := reader{c: c, b: b, src: r, text: sink{limit: b.Text}, hidden: sink{limit: b.Text / 4}}
	var err error
	root.Walk(func(p *message.Part) bool {
		err = w.part(p)
		return err == nil
	})
	c.Text, c.Hidden = w.text.b.String(), w.hidden.b.String()
	c.Over = c.Over || w.text.over || w.hidden.over
	return c, err
}

// reader walks the parts of one message.
type reader struct {
	c            *Content
	b            Budget
	src          io.ReaderAt
	text, hidden sink
	texts        int
}

func (w *reader) part(p *message.Part) error {
	switch {
	case p.Multipart() || p.Message != nil:
		return nil
	case p.Type == "text" && !p.Attachment() && (p.Subtype == "html" || p.Subtype == "plain" || p.Subtype == "enriched"):
		if w.texts++; w.texts > w.b.Texts {
			w.c.Over = true
			return nil
		}
		return w.textPart(p)
	}
	w.c.AllFiles++
	if len(w.c.Files) >= w.b.Files {
		w.c.Over = true
		return nil
	}
	w.c.Files = append(w.c.Files, File{Part: p, Name: clip(p.Filename(), maxName)})
	return nil
}

func (w *reader) textPart(p *message.Part) error {
	in := &limited{r: w.open(p), left: w.b.Part}
	w.text.separate('\n')
	br := bufio.NewReaderSize(in, 4096)
	disguised := p.Subtype != "html" && looksHTML(br)
	w.c.Disguised = w.c.Disguised || disguised
	var err error
	if p.Subtype == "html" || disguised {
		w.c.Markup.Parts++
		err = w.html(br)
	} else {
		w.c.Plain++
		err = w.plain(br)
	}
	w.c.Over = w.c.Over || in.cut
	return err
}

// open is message.OpenText, but leaves faulty UTF-8 for the sink to replace, and
// takes as it stands what is plain ASCII, which saves a pass.
func (w *reader) open(p *message.Part) io.Reader {
	ascii := strings.EqualFold(p.Charset(), "us-ascii") && !w.c.Root.Defects.Has(message.EightBitBody) &&
		p.Encoding != "base64" && p.Encoding != "quoted-printable"
	if ascii || strings.EqualFold(p.Charset(), "utf-8") {
		if body, err := message.Open(w.src, p); err == nil {
			return body
		}
	}
	return message.OpenText(w.src, p)
}

// looksHTML tells whether text/plain is a page of HTML: some mail readers show it
// as one.
func looksHTML(br *bufio.Reader) bool {
	b, _ := br.Peek(256) // an error comes again with the text
	b = lower(trim(b))
	return bytes.HasPrefix(b, []byte("<html")) || bytes.HasPrefix(b, []byte("<!doctype html"))
}

// plain reads text/plain by lines, in which it looks for URLs.
func (w *reader) plain(br *bufio.Reader) error {
	for {
		line, err := br.ReadSlice('\n') // a longer line comes in pieces
		w.bareLinks(line)
		if !w.b.LinksOnly {
			w.text.write(line)
		}
		if err != nil && err != bufio.ErrBufferFull {
			if err == io.EOF {
				return nil
			}
			return err
		}
	}
}

// link keeps a link and returns its place, -1 when the budget is spent.
func (w *reader) link(url []byte, in string) int {
	w.c.AllLinks++
	if len(w.c.Links) >= w.b.Links {
		w.c.Over = true
		return -1
	}
	w.c.Links = append(w.c.Links, Link{URL: clip(string(url[:min(len(url), maxURL+4)]), maxURL), In: in})
	return len(w.c.Links) - 1
}

// limited ends after a number of octets, and tells whether there were more.
type limited struct {
	r    io.Reader
	left int
	cut  bool
}

func (l *limited) Read(p []byte) (int, error) {
	if l.left <= 0 {
		var one [1]byte
		n, err := l.r.Read(one[:])
		l.cut = l.cut || n > 0
		if n > 0 {
			err = io.EOF
		}
		return 0, err
	}
	n, err := l.r.Read(p[:min(len(p), l.left)])
	l.left -= n
	return n, err
}
