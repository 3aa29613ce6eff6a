package policy

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/words"
)

// A policy is written as TOML. What is left out is as shipped:
//
//	level = "strict"
//	trusted_sealers = ["lists.example.org"]
//
//	[rules]
//	"ptr.missing" = "junk"
//	"dkim.missing" = { own-server = "quarantine", big-provider = "accept" }
//	"spf.fail" = { unverified = "accept" }
//
//	[spam]
//	junk = 5.0
//	high = 12.0
//
//	[quarantine]
//	digest = "3d"
//	overdue = "5d"
//	keep = "30d"
//	max_mib = 4096
//
//	[accounts]
//	password_days = 0
//	password_grace = "14d"      # or "none"
//	messages_per_day = 0
//
//	[[exception]]
//	for = ["ventas@example.org", "@filial.example.org"]
//	level = "lenient"
//	rules = { "dnsbl.listed" = "junk" }
//
// The steps: accept, junk, quarantine, discard, defer, reject; "greylist"; "published"
// (what the sender's DMARC record asks for); "mark $Keyword".

// MaxText bounds a policy; the longest that makes sense has a few hundred lines.
const MaxText = 256 << 10

// Problem is one thing wrong with a policy's text.
type Problem struct {
	Key  string // "rules.ptr.missing.own-server"
	What string // in English, with the mend
}

func (p Problem) Error() string { return p.Key + ": " + p.What }

// file is the text's shape.
type file struct {
	Level   string         `toml:"level,omitempty"`
	Sealers []string       `toml:"trusted_sealers,omitempty"`
	Rules   map[string]any `toml:"rules,omitempty"`
	Spam    struct {
		Junk float64 `toml:"junk,omitempty"`
		High float64 `toml:"high,omitempty"`
	} `toml:"spam,omitempty"`
	Quarantine struct {
		Digest  string `toml:"digest,omitempty"`
		Overdue string `toml:"overdue,omitempty"`
		Keep    string `toml:"keep,omitempty"`
		MaxMiB  int    `toml:"max_mib,omitempty"`
	} `toml:"quarantine,omitempty"`
	Accounts struct {
		PasswordDays   int    `toml:"password_days,omitempty"`
		PasswordGrace  string `toml:"password_grace,omitempty"`
		MessagesPerDay int    `toml:"messages_per_day,omitempty"`
	} `toml:"accounts,omitempty"`
	Exceptions []fileException `toml:"exception,omitempty"`
}

type fileException struct {
	For   []string       `toml:"for"`
	Level string         `toml:"level,omitempty"`
	Rules map[string]any `toml:"rules,omitempty"`
}

// Parse reads a policy. The error joins one Problem for each thing that is wrong.
// An empty text is the shipped policy at the level strict.
func Parse(text string) (*Policy, error) {
	if len(text) > MaxText {
		return nil, Problem{"policy", fmt.Sprintf("longer than %d octets", MaxText)}
	}
	var f file
	d := toml.NewDecoder(strings.NewReader(text)).DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, syntax(err)
	}
	r := &reader{}
	p := &Policy{Changes: r.changes("", f.Level, f.Rules, Strict), Sealers: r.sealers(f.Sealers)}
	p.Spam = Spam{r.points("spam.junk", f.Spam.Junk), r.points("spam.high", f.Spam.High)}
	if p.Spam.HighAt() < p.Spam.JunkAt() {
		r.wrong("spam.high", "less than spam.junk (%g): set it to at least that", p.Spam.JunkAt())
	}
	q := f.Quarantine
	p.Quarantine = Quarantine{r.age("quarantine.digest", q.Digest), r.age("quarantine.overdue", q.Overdue), r.age("quarantine.keep", q.Keep), r.number("quarantine.max_mib", q.MaxMiB, 1<<30)}
	p.Accounts = Accounts{
		r.number("accounts.password_days", f.Accounts.PasswordDays, 3650),
		r.grace("accounts.password_grace", f.Accounts.PasswordGrace),
		r.number("accounts.messages_per_day", f.Accounts.MessagesPerDay, 10_000_000),
	}
	for i, e := range f.Exceptions {
		p.Exceptions = append(p.Exceptions, r.exception(fmt.Sprintf("exception[%d]", i+1), e))
	}
	if len(r.problems) > 0 {
		return nil, errors.Join(r.problems...)
	}
	return p, nil
}

func syntax(err error) error {
	var s *toml.StrictMissingError
	if errors.As(err, &s) {
		var all []error
		for _, e := range s.Errors {
			all = append(all, Problem{strings.Join(e.Key(), "."), "no such key; there are level, trusted_sealers, rules, spam, quarantine, accounts, exception"})
		}
		return errors.Join(all...)
	}
	if d, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, column := d.Position()
		return Problem{fmt.Sprintf("line %d, column %d", line, column), d.Error()}
	}
	return Problem{"policy", err.Error()}
}

// reader gathers everything that is wrong at once.
type reader struct{ problems []error }

func (r *reader) wrong(key, format string, args ...any) {
	r.problems = append(r.problems, Problem{key, fmt.Sprintf(format, args...)})
}

func (r *reader) changes(at, level string, rules map[string]any, def Level) Changes {
	c := Changes{Level: def}
	if level != "" {
		l, ok := ParseLevel(level)
		if !ok {
			r.wrong(at+"level", "%q is no level; there are %s", level, strings.Join(levelNames[:], ", "))
		}
		c.Level = l
	}
	for _, id := range slices.Sorted(maps.Keys(rules)) {
		key := at + "rules." + id
		if byCheck(finding.ID(id)) == nil {
			r.wrong(key, "%s", noRow(id))
			continue
		}
		r.cells(&c, key, finding.ID(id), rules[id])
	}
	return c
}

func noRow(id string) string {
	if _, ok := finding.Lookup(finding.ID(id)); ok {
		return "this check has no row: nothing follows from it by itself, it counts in spam.score"
	}
	if near := nearest(id); near != "" {
		return fmt.Sprintf("no such check; did you mean %q?", near)
	}
	return "no such check (posta check ls lists them)"
}

// nearest is the row that a misspelt check is closest to, "" if none is close.
func nearest(id string) string {
	best, most := "", 1+len(id)/4
	for i := range rules {
		if d := words.Distance(id, string(rules[i].Check)); d <= most {
			best, most = string(rules[i].Check), d-1
		}
	}
	return best
}

// columns are the names of the cells of a row.
var columns = []struct {
	name string
	cell Cell
}{
	{mail.OwnServer.String(), Cell{Class: mail.OwnServer}},
	{mail.BigProvider.String(), Cell{Class: mail.BigProvider}},
	{"unverified", Cell{Unverified: true}},
}

// cells reads one row: a step for all strangers, or one for each class.
func (r *reader) cells(c *Changes, key string, id finding.ID, v any) {
	set := func(cell Cell, st Step) {
		cell.Check = id
		if c.Steps == nil {
			c.Steps = Steps{}
		}
		c.Steps[cell] = st
		if cell.Unverified { // it is the same whoever the stranger is
			cell.Class = mail.BigProvider
			c.Steps[cell] = st
		}
	}
	switch v := v.(type) {
	case string:
		st := r.step(key, v, false)
		set(Cell{Class: mail.OwnServer}, st)
		set(Cell{Class: mail.BigProvider}, st)
	case map[string]any:
		for _, name := range slices.Sorted(maps.Keys(v)) {
			i := slices.IndexFunc(columns, func(c struct {
				name string
				cell Cell
			}) bool {
				return c.name == name
			})
			text, isText := v[name].(string)
			switch {
			case i < 0:
				r.wrong(key+"."+name, "no such class; there are own-server, big-provider and unverified")
			case !isText:
				r.wrong(key+"."+name, "wants a step in quotes, such as \"junk\"")
			default:
				set(columns[i].cell, r.step(key+"."+name, text, columns[i].cell.Unverified))
			}
		}
	default:
		r.wrong(key, "wants a step in quotes, such as \"junk\", or a table of own-server, big-provider, unverified")
	}
}

// step reads one step. What could not be verified is no reason to refuse for good.
func (r *reader) step(key, text string, unverified bool) Step {
	st, ok := ParseStep(text)
	switch {
	case !ok:
		r.wrong(key, "%q is no step; there are accept, junk, quarantine, discard, defer, reject, greylist, published, \"mark $Keyword\"", text)
	case unverified && (st.Action == mail.Reject || st.Action == mail.Discard || st.Published):
		r.wrong(key, "what could not be verified cannot be refused or dropped; use defer")
	}
	return st
}

// sealers reads domains in any form.
func (r *reader) sealers(names []string) Sealers {
	const key = "trusted_sealers"
	if len(names) > MaxSealers {
		r.wrong(key, "%d domains, more than %d", len(names), MaxSealers)
		return nil
	}
	var out Sealers
	for _, n := range names {
		d, err := addr.ParseDomain(n)
		if err != nil {
			r.wrong(key, "%q is no domain; write what stands in d= of the forwarder's ARC-Seal, such as \"lists.example.org\"", n)
			continue
		}
		out = append(out, string(d))
	}
	slices.Sort(out)
	return slices.Compact(out)
}

func (r *reader) points(key string, v float64) float64 {
	if v < 0 || v > 1000 {
		r.wrong(key, "%g is out of range; 0 (the default) to 1000", v)
	}
	return v
}

func (r *reader) number(key string, v, highest int) int {
	if v < 0 || v > highest {
		r.wrong(key, "%d is out of range; 0 (no limit) to %d", v, highest)
	}
	return v
}

// age reads "3d", "36h".
func (r *reader) age(key, s string) time.Duration {
	if s == "" {
		return 0
	}
	if n, ok := strings.CutSuffix(s, "d"); ok {
		if days, err := strconv.Atoi(n); err == nil && days > 0 && days <= 3650 {
			return time.Duration(days) * day
		}
	} else if d, err := time.ParseDuration(s); err == nil && d >= time.Minute && d <= 3650*day {
		return d
	}
	r.wrong(key, "%q is no age; write \"3d\" or \"36h\", from one minute to 3650 days", s)
	return 0
}

// noGrace is NoGrace in a policy's text.
const noGrace = "none"

func (r *reader) grace(key, s string) time.Duration {
	if s == noGrace {
		return NoGrace
	}
	return r.age(key, s)
}

func (r *reader) exception(at string, e fileException) Exception {
	out := Exception{Changes: r.changes(at+".", e.Level, e.Rules, Strict), HasLevel: e.Level != ""}
	if len(e.For) == 0 {
		r.wrong(at+".for", "names nobody; write for = [\"ana@example.org\", \"@example.org\"]")
	}
	for _, n := range e.For {
		name, ok := recipient(n)
		if !ok {
			r.wrong(at+".for", "%q is neither an address nor @domain", n)
			continue
		}
		out.For = append(out.For, name)
	}
	return out
}

// recipient normalises "Ana@Example.org" and "@Example.org".
func recipient(s string) (string, bool) {
	domainOnly := strings.HasPrefix(s, "@")
	if domainOnly {
		s = "x" + s
	}
	a, err := addr.ParseAddress(s)
	if err != nil {
		return "", false
	}
	a = a.Fold()
	if domainOnly {
		return "@" + string(a.Domain), true
	}
	return a.String(), true
}

// ParseStep is the inverse of Step.String.
func ParseStep(s string) (Step, bool) {
	switch s {
	case "greylist":
		return grey, true
	case "published":
		return asks, true
	}
	if keyword, ok := strings.CutPrefix(s, "mark "); ok {
		return mark(keyword), strings.HasPrefix(keyword, "$") && len(keyword) > 1 && len(keyword) < 64 && !strings.ContainsAny(keyword, " ()<>@,;:\\\"/[]?={}\t\r\n%*")
	}
	a, ok := mail.ParseAction(s)
	return Step{Action: a}, ok
}

func (s Step) String() string {
	switch {
	case s.Greylist:
		return "greylist"
	case s.Published:
		return "published"
	case s.Mark != "":
		return "mark " + s.Mark
	}
	return s.Action.String()
}

// String writes the policy as Parse reads it.
func (p *Policy) String() string {
	f := file{Level: p.Level.String(), Sealers: p.Sealers, Rules: p.Steps.text()}
	f.Spam.Junk, f.Spam.High = p.Spam.Junk, p.Spam.High
	q := p.Quarantine
	f.Quarantine.Digest, f.Quarantine.Overdue, f.Quarantine.Keep = ageText(q.Digest), ageText(q.Overdue), ageText(q.Keep)
	f.Quarantine.MaxMiB = q.MaxMiB
	f.Accounts.PasswordDays, f.Accounts.MessagesPerDay = p.Accounts.PasswordDays, p.Accounts.MessagesPerDay
	if f.Accounts.PasswordGrace = noGrace; p.Accounts.PasswordGrace != NoGrace {
		f.Accounts.PasswordGrace = ageText(p.Accounts.PasswordGrace)
	}
	for _, e := range p.Exceptions {
		fe := fileException{For: e.For, Rules: e.Steps.text()}
		if e.HasLevel {
			fe.Level = e.Level.String()
		}
		f.Exceptions = append(f.Exceptions, fe)
	}
	var b bytes.Buffer
	enc := toml.NewEncoder(&b)
	enc.SetIndentTables(false)
	if err := enc.Encode(f); err != nil { // strings, numbers and maps of them: it cannot fail
		return ""
	}
	return b.String()
}

func ageText(d time.Duration) string {
	switch {
	case d == 0:
		return ""
	case d%day == 0:
		return strconv.Itoa(int(d/day)) + "d"
	}
	return d.String()
}

// text is the rules table of a policy's text.
func (s Steps) text() map[string]any {
	out := map[string]any{}
	for cell, st := range s {
		id := string(cell.Check)
		row, _ := out[id].(map[string]any)
		if row == nil {
			row = map[string]any{}
			out[id] = row
		}
		name := cell.Class.String()
		if cell.Unverified {
			name = "unverified"
		}
		row[name] = st.String()
	}
	for id, v := range out {
		row := v.(map[string]any)
		if own, both := row[mail.OwnServer.String()]; both && len(row) == 2 && row[mail.BigProvider.String()] == own {
			out[id] = own
		}
	}
	return out
}
