// Package attach looks into the files of a message for what mail should not carry:
// programs, by name and by content; names made to deceive; office documents with
// macros; archives that are encrypted or that cannot be looked into.
//
// It opens zip (and what is built on it: OOXML, jar), tar, gzip and bzip2, within
// one another, and recognises rar, 7z, cab, xz, zstd, ace, arj and lzh without
// opening them. It runs nothing and trusts no type or size that is declared.
//
// Limits: Budget, for all files of the message together. What lies beyond is the
// finding [Opaque] or [Unopened], and the message is judged by what was seen. Macros
// are found by where office programs keep them; whether they do harm is not judged.
package attach

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"posta/internal/message"
	"posta/internal/spam/content"
)

// Rule is something that is wrong with a file.
type Rule string

// The rules.
const (
	Executable Rule = "executable" // a program, script, shortcut or disk image
	Disguised  Rule = "disguised"  // a name that deceives about what the file is
	Macro      Rule = "macro"      // an office document with macros
	Encrypted  Rule = "encrypted"  // nobody but the recipient can look into it
	Opaque     Rule = "opaque"     // an archive made to resist: nested too deep, unpacking to too much, broken
	Unopened   Rule = "unopened"   // it was not looked into: a format that is not opened, or too large
)

// Budget bounds what looking into the files of one message may cost. A zero field
// means its default.
type Budget struct {
	File    int // octets of one file, decoded, that are held in memory, 16 MiB
	Bytes   int // octets decoded and unpacked in all, 32 MiB; of a bzip2 at most 4 MiB, as it is slow
	Entries int // entries of archives in all, 1,000
	Depth   int // archives within archives, 4
	Ratio   int // an entry of more than 1 MiB that grows more often than this is a bomb, 250
}

func (b Budget) withDefaults() Budget {
	set := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	set(&b.File, 16<<20)
	set(&b.Bytes, 32<<20)
	set(&b.Entries, 1000)
	set(&b.Depth, 4)
	set(&b.Ratio, 250)
	return b
}

// Hit is a rule that was broken, how often, and the first cases: the path of the
// file through the archives, and what it is.
type Hit struct {
	Rule  Rule
	Count int
	Seen  []string
}

const maxSeen = 5

// Report is what was found.
type Report struct {
	Hits  []Hit // at most one for each rule, in the order of the rules
	Files int   // files looked at, with those in archives
}

// Inspect looks into the files of the message in r. The error is r's; the report so
// far comes with it.
func Inspect(r io.ReaderAt, c *content.Content, b Budget) (Report, error) {
	b = b.withDefaults()
	s := search{b: b, bytes: b.Bytes, entries: b.Entries}
	var err error
	for i := range c.Files {
		f := &c.Files[i]
		if err = s.part(r, f.Part, f.Name); err != nil {
			break
		}
	}
	order := []Rule{Executable, Disguised, Macro, Encrypted, Opaque, Unopened}
	slices.SortFunc(s.report.Hits, func(a, b Hit) int { return slices.Index(order, a.Rule) - slices.Index(order, b.Rule) })
	return s.report, err
}

// search is one message's files being looked into.
type search struct {
	b       Budget
	bytes   int // left of Budget.Bytes
	entries int // left of Budget.Entries
	report  Report
}

// file is a file at hand.
type file struct {
	path  string // through the archives, for evidence
	name  string
	data  []byte // its beginning; all of it unless cut
	cut   bool
	depth int // archives around it
}

func (s *search) hit(rule Rule, f *file, what string) {
	i := slices.IndexFunc(s.report.Hits, func(h Hit) bool { return h.Rule == rule })
	if i < 0 {
		i = len(s.report.Hits)
		s.report.Hits = append(s.report.Hits, Hit{Rule: rule})
	}
	h := &s.report.Hits[i]
	h.Count++
	if len(h.Seen) < maxSeen {
		h.Seen = append(h.Seen, f.path+": "+what)
	}
}

// errSpent ends a search whose budget of octets is spent.
var errSpent = errors.New("attach: over budget")

// part decodes a part of the message: its beginning, and all of it if that is of a
// kind that is looked into.
func (s *search) part(r io.ReaderAt, p *message.Part, name string) error {
	body, err := message.Open(r, p)
	if err != nil { // an encoding that nobody knows
		s.hit(Unopened, &file{path: shown(name)}, "transfer encoding "+clip(p.Encoding, 40))
		return nil
	}
	src := &source{r: body}
	f := file{path: shown(name), name: name}
	err = s.look(src, &f)
	if errors.Is(err, errSpent) {
		s.hit(Unopened, &f, "not looked into: over the budget of this message")
		return nil
	}
	if src.err != nil {
		return src.err
	}
	return nil
}

// source remembers an error of the message itself: it is told from those of a
// faulty archive.
type source struct {
	r   io.Reader
	err error
}

func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.err = err
	}
	return n, err
}

// look reads a file and applies the rules. Errors of r end what is read: a file
// that breaks off is judged by what there is of it.
func (s *search) look(r io.Reader, f *file) error {
	s.report.Files++
	head, ended, err := s.read(r, headBytes)
	if err != nil {
		return err
	}
	f.data, f.cut = head, !ended
	k := kindOf(head)
	s.byName(f, k)
	if k.inside == asNothing {
		s.byKind(f, k)
		return nil
	}
	if !ended {
		rest, ended, err := s.read(r, max(0, s.b.File-len(head)))
		if err != nil {
			return err
		}
		f.data, f.cut = append(head, rest...), !ended
	}
	return s.open(f, k.inside)
}

// read takes up to n octets within the budget; ended tells that there are no more.
func (s *search) read(r io.Reader, n int) (b []byte, ended bool, err error) {
	if s.bytes <= 0 {
		return nil, false, errSpent
	}
	n = min(n, s.bytes)
	b, err = io.ReadAll(io.LimitReader(r, int64(n)))
	s.bytes -= max(len(b), 512) // what is empty costs too
	return b, len(b) < n || err != nil, nil
}

// byKind applies the rules to what is not looked into.
func (s *search) byKind(f *file, k kind) {
	switch {
	case k.program:
		s.hit(Executable, f, k.name)
	case k.archive:
		if encryptedRAR(f.data) {
			s.hit(Encrypted, f, k.name)
		} else {
			s.hit(Unopened, f, k.name)
		}
	}
}

// enter begins an archive's entry: false when the budget or the depth is spent.
func (s *search) enter(f *file) bool {
	if s.entries--; s.entries < 0 {
		if s.entries == -1 {
			s.hit(Unopened, f, fmt.Sprintf("more than %d entries", s.b.Entries))
		}
		return false
	}
	return true
}

// tooDeep tells, as a finding, that an archive is not opened.
func (s *search) tooDeep(f *file) bool {
	if f.depth < s.b.Depth {
		return false
	}
	s.hit(Opaque, f, fmt.Sprintf("archives nested deeper than %d", s.b.Depth))
	return true
}

// inner is an entry of an archive.
func (f *file) inner(name string) *file {
	return &file{path: clip(f.path, 300) + " / " + shown(name), name: name, depth: f.depth + 1}
}

// shown is a name as it can be shown safely: characters that cannot be seen or turn
// the direction stand as their numbers.
func shown(name string) string {
	if name == "" {
		return "(no name)"
	}
	var b strings.Builder
	for _, r := range clip(name, 120) {
		if unicode.IsPrint(r) {
			b.WriteRune(r)
		} else {
			fmt.Fprintf(&b, "[U+%04X]", r)
		}
	}
	return b.String()
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
