package access

import (
	"bytes"
	"cmp"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
)

// Budgets of a file.
const (
	maxLine     = 1024
	maxProblems = 1000 // told one by one
)

// Problem is what is wrong with one line.
type Problem struct {
	Line int    // from 1
	Text string // the key, or the beginning of the line
	What string // what is wrong and what to write instead
}

// String gives the problem as "line 3: x: what".
func (p Problem) String() string { return fmt.Sprintf("line %d: %s: %s", p.Line, p.Text, p.What) }

// Problems is the error of a file: everything that is wrong in it.
type Problems struct {
	List []Problem
	More int // beyond those in List
}

// Error gives each problem on a line of its own.
func (p *Problems) Error() string {
	var b strings.Builder
	for i, one := range p.List {
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(one.String())
	}
	if p.More > 0 {
		fmt.Fprintf(&b, "\nand %d more", p.More)
	}
	return b.String()
}

func (p *Problems) add(line int, text, what string) {
	if len(p.List) == maxProblems {
		p.More++
		return
	}
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:60], "") + "…"
	}
	p.List = append(p.List, Problem{line, strings.Clone(text), what})
}

// Parse reads a file: one entry a line, the key, white space, the value. A line
// whose first octet other than white space is "#" is a comment.
//
// It always gives the map of the lines that are right. When some are not, the
// error is a *Problems with all of them; of a key that is repeated the first
// line holds, as makemap has it.
func Parse(file []byte) (*Map, error) {
	p := parser{seed: maphash.MakeSeed(), texts: map[string]string{}}
	p.entries = make([]entry, 0, min(bytes.Count(file, []byte{'\n'})+1, MaxEntries))
	n := 0
	for line := range strings.SplitSeq(string(file), "\n") {
		n++
		p.line(n, line)
	}
	m := p.build()
	if len(p.problems.List) > 0 {
		return m, &p.problems
	}
	return m, nil
}

type parser struct {
	seed     maphash.Seed
	entries  []entry
	texts    map[string]string // each text once
	last     string            // the value before, since most lines of a long file have the same one
	lastOf   Value
	problems Problems
}

// line reads one line. Names may be parts of the file until the map is built.
func (p *parser) line(n int, line string) {
	line = strings.TrimRight(line, " \t\r")
	text := strings.TrimLeft(line, " \t")
	switch {
	case text == "" || text[0] == '#':
		return
	case len(line) > maxLine:
		p.problems.add(n, line, fmt.Sprintf("the line has more than %d octets", maxLine))
		return
	case len(text) < len(line):
		p.problems.add(n, text, "the line begins with white space: begin with the key; a value stands on one line")
		return
	}
	key, rest := cutKey(line)
	k, err := ParseKey(key)
	if err != nil {
		p.problems.add(n, key, err.Error())
		return
	}
	v, err := p.value(rest)
	if err == nil {
		err = checkValue(k, v)
	}
	if err == nil && len(p.entries) >= MaxEntries {
		err = fmt.Errorf("a map has at most %d entries", MaxEntries)
	}
	if err != nil {
		p.problems.add(n, key, err.Error())
		return
	}
	e := entryOf(p.seed, k, v)
	e.line = uint32(n)
	p.entries = append(p.entries, e)
}

// cutKey parts a line after the key; white space may stand in a quoted local part.
func cutKey(s string) (key, rest string) {
	quoted := false
	for i := range len(s) {
		switch s[i] {
		case '"':
			quoted = !quoted
		case '\\':
			if quoted && i+1 < len(s) && s[i+1] == '"' {
				quoted = false // the next octet turns it on again
			}
		case ' ', '\t':
			if !quoted {
				return s[:i], strings.TrimLeft(s[i:], " \t")
			}
		}
	}
	return s, ""
}

func (p *parser) value(s string) (Value, error) {
	if s == p.last && s != "" {
		return p.lastOf, nil
	}
	v, err := ParseValue(s)
	if err != nil {
		return v, err
	}
	if v.Text != "" {
		if known, ok := p.texts[v.Text]; ok {
			v.Text = known
		} else {
			v.Text = strings.Clone(v.Text)
			p.texts[v.Text] = v.Text
		}
	}
	p.last, p.lastOf = s, v
	return v, nil
}

// build sorts the entries, tells of repeated keys and makes the map.
func (p *parser) build() *Map {
	slices.SortFunc(p.entries, func(a, b entry) int {
		if c := a.compare(b); c != 0 {
			return c
		}
		return cmp.Compare(a.line, b.line)
	})
	kept := p.entries[:0]
	for _, e := range p.entries {
		if n := len(kept); n > 0 && e.compare(kept[n-1]) == 0 {
			what := fmt.Sprintf("the key stands in line %d already (%s), which holds: remove one of them", kept[n-1].line, kept[n-1].value)
			p.problems.add(int(e.line), Key{e.tag, e.raw}.String(), what)
			continue
		}
		kept = append(kept, e)
	}
	slices.SortStableFunc(p.problems.List, func(a, b Problem) int { return cmp.Compare(a.Line, b.Line) })
	return buildSorted(p.seed, kept)
}
