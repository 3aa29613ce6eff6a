package reflector

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"posta/internal/words"
)

// width is where lines are broken: a mail reader shows plain text as it is.
const width = 72

// page is plain text in the making.
type page struct {
	strings.Builder
	lang words.Lang
}

func (p *page) line(s string) { p.WriteString(s + "\n") }

// head begins a part.
func (p *page) head(key string) {
	if p.Len() > 0 && !strings.HasSuffix(p.String(), "\n\n") {
		p.line("")
	}
	title := p.lang.Say(key)
	p.line(title)
	p.line(strings.Repeat("-", utf8.RuneCountInString(title)))
}

// paragraph is text, broken at words, with an empty line behind it.
func (p *page) paragraph(text string) {
	p.wrapped(text, "", "")
	p.line("")
}

// indented is a paragraph of a list's entry.
func (p *page) indented(text string) { p.wrapped(text, "  ", "    ") }

// row is a line of a table, by the key of its name; nothing when there is nothing to
// say.
func (p *page) row(key, value string) { p.field(p.lang.Say(key), value) }

func (p *page) field(name, value string) {
	if value == "" {
		return
	}
	const column = 12
	name += strings.Repeat(" ", max(1, column-utf8.RuneCountInString(name)))
	p.wrapped(name+value, "  ", strings.Repeat(" ", column+2))
}

// wrapped breaks text at its spaces. What a stranger wrote cannot begin a line of
// its own: controls become blanks.
func (p *page) wrapped(text, first, rest string) {
	text = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, text)
	indent, column := first, 0
	for {
		word, more, found := strings.Cut(text, " ")
		n := utf8.RuneCountInString(word)
		switch {
		case column == 0:
			p.WriteString(indent + word)
			column = len(indent) + n
		case column+1+n > width && strings.TrimSpace(word) != "":
			p.WriteString("\n" + rest + word)
			column = len(rest) + n
		default:
			p.WriteString(" " + word)
			column += 1 + n
		}
		if !found {
			p.line("")
			return
		}
		text = more
	}
}
