package keytable

import (
	"errors"
	"fmt"
	"strings"
)

// Rspamd is what a dkim_signing.conf says about keys. $domain and $selector in a path
// stand for those of the message.
type Rspamd struct {
	Path     string // of keys of every domain; rspamd's default is DefaultPath
	Selector string // likewise; "dkim"
	Domains  []Entry
}

// DefaultPath is where rspamd looks if nothing is said.
const DefaultPath = "/var/lib/rspamd/dkim/$domain.$selector.key"

var (
	errOctets  = fmt.Errorf("the file is larger than %d octets", MaxOctets)
	errDepth   = fmt.Errorf("sections lie deeper than %d", maxDepth)
	errClose   = errors.New("a section is closed that was not opened")
	errOpen    = errors.New("a section is not closed")
	errEntries = fmt.Errorf("more than %d domains", maxEntries)
)

// ParseRspamd reads a dkim_signing.conf. Settings that say nothing of keys are passed
// over, and so are those that refer to maps: they are other files.
func ParseRspamd(text string) (Rspamd, error) {
	out := Rspamd{Path: DefaultPath, Selector: "dkim"}
	if len(text) > MaxOctets {
		return out, errOctets
	}
	r := reader{rest: text, out: &out}
	if err := r.section(0); err != nil {
		return out, err
	}
	for i := range out.Domains {
		e := &out.Domains[i]
		if e.Selector == "" {
			e.Selector = strings.ToLower(out.Selector)
		}
		if e.Path == "" {
			e.Path = out.Path
		}
		e.Path = Fill(e.Path, e.Domain, e.Selector)
	}
	return out, nil
}

// Fill puts a domain and a selector into a path of rspamd.
func Fill(path, domain, selector string) string {
	return strings.NewReplacer("$domain", domain, "$selector", selector).Replace(path)
}

// reader walks through UCL, and knows in which sections it is.
type reader struct {
	rest string
	path []string
	out  *Rspamd
}

// section reads settings until its end.
func (r *reader) section(depth int) error {
	if depth > maxDepth {
		return errDepth
	}
	var words []string
	flush := func() error {
		err := r.set(words)
		words = words[:0]
		return err
	}
	for {
		token := r.next()
		switch token {
		case "": // the end
			if depth > 0 {
				return errOpen
			}
			return flush()
		case "{", "[":
			name := ""
			if len(words) > 0 {
				name = words[len(words)-1]
			}
			words = words[:0]
			r.path = append(r.path, name)
			r.enter()
			if err := r.section(depth + 1); err != nil {
				return err
			}
			r.path = r.path[:len(r.path)-1]
		case "}", "]":
			if depth == 0 {
				return errClose
			}
			return flush()
		case ";", "\n", ",":
			if err := flush(); err != nil {
				return err
			}
		default:
			if len(words) < 3 {
				words = append(words, strings.TrimPrefix(token, "\x00"))
			}
		}
	}
}

// within are the sections that the reader is in, below the module's own: a file of
// modules.d is a section dkim_signing { … }.
func (r *reader) within() []string {
	if len(r.path) > 0 && r.path[0] == "dkim_signing" {
		return r.path[1:]
	}
	return r.path
}

// enter begins a domain where a section is one: domain { example.org { … } }.
func (r *reader) enter() {
	if at := r.within(); len(at) == 2 && at[0] == "domain" && at[1] != "" {
		r.out.Domains = append(r.out.Domains, Entry{Domain: strings.ToLower(at[1])})
	}
}

// set takes one setting.
func (r *reader) set(words []string) error {
	if len(r.out.Domains) > maxEntries {
		return errEntries
	}
	if len(words) < 2 || words[0] != "path" && words[0] != "selector" {
		return nil
	}
	at := r.within()
	switch {
	case len(at) >= 2 && at[0] == "domain" && at[1] != "": // or in selectors [ { … } ] of it
		r.setDomain(words[0], words[1])
	case len(at) == 0 && words[0] == "path":
		r.out.Path = words[1]
	case len(at) == 0:
		r.out.Selector = words[1]
	}
	return nil
}

// setDomain takes a setting of the domain that was begun last. A second selector of a
// list is another key of it.
func (r *reader) setDomain(name, value string) {
	e := &r.out.Domains[len(r.out.Domains)-1]
	if name == "path" && e.Path != "" || name == "selector" && e.Selector != "" {
		r.out.Domains = append(r.out.Domains, Entry{Domain: e.Domain})
		e = &r.out.Domains[len(r.out.Domains)-1]
	}
	if name == "path" {
		e.Path = value
	} else {
		e.Selector = strings.ToLower(value)
	}
}

// next gives a word, a mark, or "" at the end. An empty word in quotes is "\x00".
func (r *reader) next() string {
	for {
		r.rest = strings.TrimLeft(r.rest, " \t\r=:")
		switch {
		case strings.HasPrefix(r.rest, "#"):
			i := strings.IndexByte(r.rest, '\n')
			if i < 0 {
				i = len(r.rest)
			}
			r.rest = r.rest[i:]
		case strings.HasPrefix(r.rest, "/*"):
			i := strings.Index(r.rest[2:], "*/")
			if i < 0 {
				r.rest = ""
				return ""
			}
			r.rest = r.rest[2+i+2:]
		default:
			return r.word()
		}
	}
}

func (r *reader) word() string {
	if r.rest == "" {
		return ""
	}
	switch c := r.rest[0]; c {
	case '{', '}', '[', ']', ';', ',', '\n':
		r.rest = r.rest[1:]
		return string(c)
	case '"', '\'':
		i := strings.IndexByte(r.rest[1:], c)
		if i < 0 {
			i = len(r.rest) - 1
		}
		w := r.rest[1 : 1+i]
		r.rest = r.rest[min(len(r.rest), i+2):]
		if w == "" || strings.ContainsAny(w[:1], "{}[];,\n\x00") {
			return "\x00" + w
		}
		return w
	}
	i := strings.IndexAny(r.rest, " \t\r\n=:{}[];,#")
	if i < 0 {
		i = len(r.rest)
	}
	if i == 0 { // cannot be: next has passed over what begins no word
		i = 1
	}
	w := r.rest[:i]
	r.rest = r.rest[i:]
	return w
}
