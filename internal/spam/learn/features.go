package learn

import (
	"math/bits"
	"strconv"
	"strings"

	"posta/internal/message"
	"posta/internal/spam/content"
)

// Features is what can be learned of a message: words, and where they stood. The
// names are kept, so that a verdict can be explained.
type Features struct{ set *set }

// Extract takes the features of a message, which should be as it was received:
// fields that Posta put above it would be learned too. It takes time linear in
// what content kept of it; there are at most 3,000 features.
func Extract(c *content.Content) Features {
	s := newSet()
	takeHeader(s, c.Header)
	takeStructure(s, c)
	for i := range c.Links {
		takeLink(s, &c.Links[i])
	}
	if letters, capitals := takeWords(s, "", c.Text, true); letters > 20 {
		s.add("capitals:", strconv.Itoa(capitals*10/letters)) // in tenths
	}
	takeWords(s, "hidden:", c.Hidden, false)
	return Features{s}
}

// Len is how many different features there are.
func (f Features) Len() int { return len(f.set.list) }

// Hashes are the features as a tally knows them.
func (f Features) Hashes() []uint64 {
	out := make([]uint64, len(f.set.list))
	for i := range f.set.list {
		out[i] = f.set.list[i].hash
	}
	return out
}

// size is a number as a power of two: sizes count by their magnitude.
func size(n int) string { return strconv.Itoa(bits.Len(uint(n))) }

// takeStructure takes what the message is made of.
func takeStructure(s *set, c *content.Content) {
	left := 40 // parts that are looked at
	s.add("mime:", takePart(s, c.Root, &left))
	for d := range c.Root.Defects.Names() {
		s.add("defect:", d)
	}
	for i := range c.Files {
		f := &c.Files[i]
		if dot := strings.LastIndexByte(f.Name, '.'); dot >= 0 {
			s.addLower("file:", f.Name[dot:])
		}
		takeWords(s, "file:", f.Name, false)
	}
	s.add("length:", size(len(c.Text)))
	s.add("links:", size(c.AllLinks))
	if c.Markup.Parts > 0 {
		takeMarkup(s, c)
	}
}

// takePart takes the types of a part and what is in it, and returns their tree
// in words: "mixed(alternative(plain,html),pdf)".
func takePart(s *set, p *message.Part, left *int) string {
	if *left--; *left < 0 {
		return "…"
	}
	s.add("type:", p.Type+"/"+p.Subtype)
	s.add("encoding:", p.Encoding)
	if p.Type == "text" {
		s.addLower("charset:", p.Charset())
	}
	if len(p.Children) == 0 {
		return p.Subtype
	}
	var b strings.Builder
	b.WriteString(p.Subtype)
	sep := byte('(')
	for _, k := range p.Children {
		b.WriteByte(sep)
		b.WriteString(takePart(s, k, left))
		sep = ','
		if *left < 0 {
			break
		}
	}
	b.WriteByte(')')
	return b.String()
}

func takeMarkup(s *set, c *content.Content) {
	m := &c.Markup
	s.add("html-tags:", size(m.Tags))
	s.add("html-images:", size(m.Images))
	mark := func(on bool, what string) {
		if on {
			s.add("html:", what)
		}
	}
	mark(m.Scripts > 0, "script")
	mark(m.Forms > 0, "form")
	mark(m.Comments > 0, "comment within a word")
	mark(c.Plain == 0, "no plain text")
	mark(c.Disguised, "as text/plain")
	mark(c.Hidden != "", "hidden text")
	for _, x := range m.Styles {
		s.add("style:", x)
	}
}

// takeLink takes the host of a link by its domains, and the words of its path.
func takeLink(s *set, l *content.Link) {
	scheme, rest, ok := strings.Cut(l.URL, ":")
	if !ok {
		scheme, rest = "", l.URL
	}
	if strings.EqualFold(scheme, "mailto") {
		address, _, _ := strings.Cut(rest, "?")
		_, domain, _ := strings.Cut(address, "@")
		takeDomain(s, "mailto:", domain)
		return
	}
	rest = strings.TrimLeft(rest, "/")
	host, path := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		host, path = rest[:i], rest[i:]
	}
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		s.add("link:", "user@")
		host = host[i+1:]
	}
	host, port, ok := strings.Cut(host, ":")
	if ok {
		s.add("link:", ":"+port)
	}
	takeHost(s, "link:", host)
	const most = 8 // words of a path
	for n := 0; n < most && path != ""; {
		i := strings.IndexAny(path, "/?&=.-_%+#")
		word := path
		if i >= 0 {
			word, path = path[:i], path[i+1:]
		} else {
			path = ""
		}
		if word != "" && len(word) < 20 {
			s.addLower("path:", word)
			n++
		}
	}
}
