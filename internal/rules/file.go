package rules

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
)

// Bounds of a file.
const (
	MaxLine     = MaxValue
	MaxProblems = 1000 // told one by one
	maxInclude  = 5    // files within files
)

// Format is the form of a file.
type Format string

// The formats that are read. The keys of all but Aliases and Globs end at white space.
const (
	Aliases      Format = "aliases" // aliases(5): name: target, target
	Virtual      Format = "virtual" // Postfix virtual(5)
	VirtUser     Format = "virtusertable"
	Globs        Format = "glob" // masqmail: pattern: target
	DomainTable  Format = "domaintable"
	GenericTable Format = "genericstable"
	MailerTable  Format = "mailertable"
	Transports   Format = "transport" // Postfix transport(5)
	Senders      Format = "sender"    // sender_dependent_relayhost_maps, …_default_transport_maps
)

// kindOf is the kind of the rules in a file.
var kindOf = map[Format]Kind{
	Aliases: Address, Virtual: Address, VirtUser: Address, Globs: Glob, DomainTable: Renamed,
	GenericTable: Generic, MailerTable: Transport, Transports: Transport, Senders: Sender,
}

// Known reports whether a format is one of those above.
func (f Format) Known() bool { return kindOf[f] != 0 }

// Kind is the kind of the rules in a file of the format.
func (f Format) Kind() Kind { return kindOf[f] }

// File says how a file is to be read.
type File struct {
	Format Format
	// Domain is what names without a domain are of: myorigin. "" has them reported.
	Domain string
	// Local reports whether a domain is ours; nil lets every domain pass. Rules of
	// addresses are about domains of ours only.
	Local func(domain string) bool
	// Account reports whether an address is an account's own; nil: none is. A rule that
	// leads its mail elsewhere without it is reported.
	Account func(address string) bool
	// Include reads the file of an :include:; nil has them reported.
	Include func(path string) ([]byte, error)
}

// Problem is what is wrong with one line.
type Problem struct {
	Line int // from 1: the first of continued lines
	Text string
	What string
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
	if len(p.List) == MaxProblems {
		p.More++
		return
	}
	if len(text) > 60 {
		text = strings.ToValidUTF8(text[:60], "") + "…"
	}
	p.List = append(p.List, Problem{line, strings.Clone(text), what})
}

// Placed is a rule with the line that it stands in.
type Placed struct {
	Rule
	Line int
}

// Parse reads a file: comments begin with "#", white space at the beginning of a line
// continues the one before. It always gives the rules of the lines that are right;
// when some are not, the error is a *Problems. Of a key that is repeated the first
// line holds, as postmap and makemap have it.
func Parse(text []byte, f File) ([]Placed, error) {
	if !f.Format.Known() {
		return nil, fmt.Errorf("rules: no format %q", f.Format)
	}
	lines := bytes.Count(text, []byte{'\n'}) + 1
	lines = min(lines, 4<<20)
	p := parser{File: f, rules: make([]Placed, 0, lines), at: make(map[string]int, lines)}
	for line, text := range logical(string(text)) {
		p.line(line, text)
	}
	if len(p.problems.List) > 0 {
		return p.rules, &p.problems
	}
	return p.rules, nil
}

// logical walks through lines with what continues them, without comments.
func logical(text string) func(yield func(int, string) bool) {
	return func(yield func(int, string) bool) {
		n, first, held := 0, 0, ""
		for line := range strings.SplitSeq(text, "\n") {
			n++
			line = strings.TrimRight(line, " \t\r")
			bare := strings.TrimLeft(line, " \t")
			switch {
			case bare == "" || bare[0] == '#':
				continue
			case len(bare) < len(line) && held != "" && len(held)+len(bare) <= MaxLine:
				held += " " + bare
				continue
			}
			if held != "" && !yield(first, held) {
				return
			}
			first, held = n, line
		}
		if held != "" {
			yield(first, held)
		}
	}
}

type parser struct {
	File
	rules    []Placed
	at       map[string]int // key → line
	problems Problems
}

// line reads one logical line.
func (p *parser) line(n int, line string) {
	key, value, err := p.cut(line)
	if err != nil {
		p.problems.add(n, line, err.Error())
		return
	}
	kind := p.Format.Kind()
	if kind == Address && p.declares(key) {
		return
	}
	if p.Format == Aliases || p.Format == Virtual {
		if value, err = p.included(value, 0); err != nil {
			p.problems.add(n, key, err.Error())
			return
		}
	}
	switch p.Format {
	case Globs:
		key = GlobKey(10*(len(p.rules)+1), key)
	case Senders:
		value = senderWay(value)
	}
	r, err := New(kind, key, value, p.Domain)
	if err == nil && kind == Address {
		if err = p.ours(r.Key); err == nil {
			err = p.keeps(r)
		}
	}
	if err != nil {
		p.problems.add(n, key, err.Error())
		return
	}
	if first, again := p.at[r.Key]; again {
		p.problems.add(n, key, fmt.Sprintf("it stands in line %d already, which holds: remove one of them", first))
		return
	}
	p.at[r.Key] = n
	p.rules = append(p.rules, Placed{r, n})
}

// declares reports whether a line of a virtual file says no more than that a domain is
// virtual: "example.org anything".
func (p *parser) declares(key string) bool {
	return p.Format == Virtual && !strings.Contains(key, "@") && strings.Contains(key, ".") && p.Local != nil && p.Local(strings.ToLower(key))
}

// ours says which domain the house lacks.
func (p *parser) ours(key string) error {
	_, domain, _ := strings.Cut(key, "@")
	if i := strings.LastIndexByte(key, '@'); i >= 0 {
		domain = key[i+1:]
	}
	if p.Local == nil || p.Local(domain) {
		return nil
	}
	return fmt.Errorf("%s is none of our domains: posta domain add %s", domain, domain)
}

// keeps says of which account a rule would take the mail.
func (p *parser) keeps(r Rule) error {
	if p.Account == nil || !p.Account(r.Key) || strings.HasPrefix(r.Value, refuse) || strings.HasSuffix(r.Value, redirect) || LeadsTo(r.Value, r.Key) {
		return nil
	}
	return fmt.Errorf("it is an account, whose mail would go elsewhere: name %s among the targets", r.Key)
}

// cut parts a line into key and value.
func (p *parser) cut(line string) (key, value string, err error) {
	if strings.IndexByte(" \t", line[0]) >= 0 {
		return "", "", errors.New("the line begins with white space, and there is none that it continues")
	}
	ends := " \t"
	if p.Format == Aliases || p.Format == Globs {
		ends = ":"
	}
	n, quoted := 0, false
	for ; n < len(line) && (quoted || strings.IndexByte(ends, line[n]) < 0); n++ {
		if line[n] == '"' {
			quoted = !quoted
		}
	}
	key, value = strings.TrimSpace(line[:n]), strings.TrimSpace(line[min(n+1, len(line)):])
	if ends == ":" && len(key) > 1 && key[0] == '"' && key[len(key)-1] == '"' && p.Format == Globs {
		key = key[1 : len(key)-1]
	}
	if key == "" || value == "" {
		return key, "", fmt.Errorf("a line is KEY%sVALUE", map[bool]string{true: ": ", false: " "}[ends == ":"])
	}
	return key, value, nil
}

// included puts the addresses of included files in the place of their names. A program
// or a file that such a file names is refused, as Postfix refuses it unless told
// otherwise: whoever may write the list would run programs.
func (p *parser) included(value string, depth int) (string, error) {
	if !strings.Contains(strings.ToLower(value), ":include:") {
		return value, nil
	}
	var out []string
	for one := range splitList(value) {
		name, ok := cutFold(one, ":include:")
		switch {
		case !ok && depth > 0 && strings.IndexAny(one, "|/") == 0 && one != "/dev/null":
			return "", fmt.Errorf("%s: an included file names addresses only", one)
		case !ok:
			out = append(out, quoteMember(one))
			continue
		case p.Include == nil || depth == maxInclude:
			return "", fmt.Errorf("%s: it is not read here", one)
		}
		text, err := p.Include(name)
		if err != nil {
			return "", err
		}
		for _, line := range logical(string(text)) {
			for member := range splitList(line) {
				if strings.HasPrefix(member, "#") {
					break
				}
				inner, err := p.member(member, depth+1)
				if err != nil {
					return "", fmt.Errorf("%s: %w", name, err)
				}
				out = append(out, inner)
			}
		}
		if len(out) > MaxTargets {
			return "", fmt.Errorf("%s: more than %d targets", name, MaxTargets)
		}
	}
	return strings.Join(out, ", "), nil
}

// member is one member of an included file.
func (p *parser) member(s string, depth int) (string, error) {
	if _, ok := cutFold(s, ":include:"); ok {
		return p.included(s, depth)
	}
	if strings.IndexAny(s, "|/") == 0 && s != "/dev/null" {
		return "", fmt.Errorf("%s: an included file names addresses only", s)
	}
	return s, nil
}

// quoteMember puts quotes around a member that needs them to stay one.
func quoteMember(s string) string {
	if strings.ContainsAny(s, " ,\t") && !strings.Contains(s, `"`) {
		return `"` + s + `"`
	}
	return s
}

// senderWay reads the value of sender_dependent_relayhost_maps, a next hop alone, as a
// way; DUNNO and "" are none.
func senderWay(value string) string {
	by, _, ok := strings.Cut(value, ":")
	if ok && !strings.ContainsAny(by, ".[") {
		switch strings.ToLower(by) {
		case "", "smtp", "relay", "lmtp", "error", "pipe":
			return value
		}
	}
	return "smtp:" + value
}
