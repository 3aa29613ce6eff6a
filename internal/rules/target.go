package rules

import (
	"errors"
	"fmt"
	"iter"
	"path"
	"strings"

	"posta/internal/addr"
	"posta/internal/smtp"
)

// Form says what a target is.
type Form uint8

// The forms of target.
const (
	ToAddress Form = iota // Text is an address, perhaps with %1 %2 %3
	ToDomain              // Text is a domain: the same user there
	ToUser                // Text is an address: no rule is looked at again
	Null                  // dropped
	Program               // Text is the name that the administrator gave it
	Moved                 // Text is the new address
	Refuse                // Text is "nouser text", "D.S.N:code text" or "code text"
)

// Target is one end that a rule gives.
type Target struct {
	Form Form
	Text string
}

// Moved and refused, as they are written.
const (
	redirect = ".REDIRECT"
	refuse   = "error:"
)

// String gives the target as it stands in a value.
func (t Target) String() string {
	switch t.Form {
	case ToDomain:
		return "@" + t.Text
	case ToUser:
		return `\` + t.Text
	case Null:
		return "/dev/null"
	case Program:
		return "|" + t.Text
	case Moved:
		return t.Text + redirect
	case Refuse:
		return refuse + t.Text
	}
	return t.Text
}

// Targets walks through a value in its normal form. What cannot be read, as a version
// that knew more may have stored it, is passed over.
func Targets(value string) iter.Seq[Target] {
	return func(yield func(Target) bool) {
		if strings.HasPrefix(value, refuse) {
			yield(Target{Refuse, value[len(refuse):]})
			return
		}
		for one := range strings.SplitSeq(value, ", ") {
			if !yield(readTarget(one)) {
				return
			}
		}
	}
}

// LeadsTo reports whether an address is among the targets of a value.
func LeadsTo(value, address string) bool {
	for t := range Targets(value) {
		if (t.Form == ToAddress || t.Form == ToUser) && strings.EqualFold(t.Text, address) {
			return true
		}
	}
	return false
}

// readTarget reads a target in its normal form.
func readTarget(s string) Target {
	switch {
	case s == "/dev/null":
		return Target{Form: Null}
	case strings.HasPrefix(s, "@"):
		return Target{ToDomain, s[1:]}
	case strings.HasPrefix(s, `\`):
		return Target{ToUser, s[1:]}
	case strings.HasPrefix(s, "|"):
		return Target{Program, s[1:]}
	case strings.HasSuffix(s, redirect):
		return Target{Moved, strings.TrimSuffix(s, redirect)}
	}
	return Target{ToAddress, s}
}

// Expand puts the parts of the address that matched into %1, %2 and %3.
func (t Target) Expand(user, detail string) string {
	if strings.IndexByte(t.Text, '%') < 0 {
		return t.Text
	}
	with := ""
	if detail != "" {
		with = "+" + detail
	}
	return strings.NewReplacer("%1", user, "%2", detail, "%3", with).Replace(t.Text)
}

// targetsOf reads a list of targets and gives its normal form; an address without a
// domain is one of domain.
func targetsOf(value, domain string) (string, error) {
	value = strings.TrimSpace(value)
	if rest, ok := cutFold(value, refuse); ok {
		if _, err := ReplyOf(rest); err != nil {
			return "", err
		}
		return refuse + strings.TrimSpace(rest), nil
	}
	var out []string
	for one := range splitList(value) {
		t, err := newTarget(one, domain)
		if err != nil {
			return "", err
		}
		if out = append(out, t.String()); len(out) > MaxTargets {
			return "", fmt.Errorf("more than %d targets: make it a list", MaxTargets)
		}
	}
	if len(out) == 0 {
		return "", errors.New("a rule has at least one target")
	}
	return strings.Join(out, ", "), nil
}

// splitList parts a list at commas and white space outside of quotes, which are taken
// off where they hold a whole member ("|program", not "odd user"@example.org).
func splitList(s string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for s = strings.TrimLeft(s, ", \t\r\n"); s != ""; s = strings.TrimLeft(s, ", \t\r\n") {
			n, quoted := 0, false
			for ; n < len(s) && (quoted || strings.IndexByte(", \t\r\n", s[n]) < 0); n++ {
				switch {
				case s[n] == '\\' && quoted && n+1 < len(s):
					n++
				case s[n] == '"':
					quoted = !quoted
				}
			}
			one := s[:n]
			s = s[n:]
			if len(one) > 1 && one[0] == '"' && one[len(one)-1] == '"' {
				one = one[1 : len(one)-1]
			}
			if !yield(one) {
				return
			}
		}
	}
}

// newTarget reads one member of a list.
func newTarget(s, domain string) (Target, error) {
	switch {
	case s == "/dev/null":
		return Target{Form: Null}, nil
	case strings.HasPrefix(s, "/"):
		return Target{}, fmt.Errorf("%s: mail is not written into files beside the store: name an account, or /dev/null to drop it", s)
	case strings.HasPrefix(s, "|"):
		return newProgram(s)
	case strings.HasPrefix(strings.ToLower(s), ":include:"):
		return Target{}, fmt.Errorf("%s: an included file is read when a file of rules is loaded: posta alias load", s)
	case strings.HasPrefix(s, "@"):
		d, err := domainOf(s[1:])
		return Target{ToDomain, d}, err
	case len(s) > 0 && s[0] == '\\':
		a, err := addressOf(s[1:], domain)
		return Target{ToUser, a}, err
	}
	if moved, ok := cutSuffixFold(s, redirect); ok {
		a, err := addressOf(moved, "")
		return Target{Moved, a}, err
	}
	if _, ok := cutFold(s, refuse); ok {
		return Target{}, errors.New("error: stands alone, not in a list")
	}
	a, err := addressOf(s, domain)
	return Target{ToAddress, a}, err
}

// newProgram reads "|program": like smrsh it looks at the last part of a path only, and
// the program must be one that the administrator named. What it is called with stands
// there, not in a rule that may come from anywhere.
func newProgram(s string) (Target, error) {
	name := strings.TrimSpace(s[1:])
	if strings.ContainsAny(name, " \t;&|<>$`'\"()") {
		return Target{}, fmt.Errorf("%s: a rule names a program and no arguments: put the command into posta.toml under a name, and write |NAME", s)
	}
	if name = path.Base(name); name == "." || name == "/" {
		return Target{}, fmt.Errorf("%s names no program", s)
	}
	return Target{Program, name}, nil
}

func addressOf(s, domain string) (string, error) {
	if !strings.Contains(s, "@") {
		if domain == "" {
			return "", fmt.Errorf("%q has no domain: write %s@example.org", s, s)
		}
		s += "@" + domain
	}
	a, err := addr.ParseAddress(s)
	if err != nil {
		return "", fmt.Errorf("%q is no address: %w", s, err)
	}
	if strings.Contains(a.String(), ", ") {
		return "", fmt.Errorf("%q: a comma with a space behind it cannot stand in a target", s)
	}
	return a.String(), nil
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}

func cutSuffixFold(s, suffix string) (string, bool) {
	n := len(s) - len(suffix)
	if n < 0 || !strings.EqualFold(s[n:], suffix) {
		return s, false
	}
	return s[:n], true
}

// words are sendmail's for the error mailer (statuses of sysexits.h).
var words = []struct {
	word     string
	code     int
	enhanced string
}{
	{"nouser", 550, "5.1.1"},
	{"nohost", 550, "5.1.2"},
	{"unavailable", 550, "5.2.0"},
	{"usage", 550, "5.5.2"},
	{"software", 550, "5.3.0"},
	{"config", 550, "5.3.5"},
	{"protocol", 550, "5.5.0"},
	{"tempfail", 450, "4.2.0"},
}

// MaxText is the longest text of a refusal, in octets: what fits into one reply.
const MaxText = 400

// ReplyOf reads what stands behind "error:" as the reply that it means.
func ReplyOf(s string) (smtp.Reply, error) {
	word, text, _ := strings.Cut(strings.TrimSpace(s), " ")
	code, enhanced := 0, ""
	for _, w := range words {
		if strings.EqualFold(word, w.word) {
			code, enhanced = w.code, w.enhanced
		}
	}
	if code == 0 {
		if dsn, rest, ok := strings.Cut(word, ":"); ok {
			enhanced, word = dsn, rest
		}
		if len(word) != 3 || (word[0] != '4' && word[0] != '5') || strings.Trim(word, "0123456789") != "" {
			return smtp.Reply{}, fmt.Errorf("error:%s is not error:nouser TEXT, error:5.1.1:550 TEXT or error:550 TEXT", s)
		}
		code = int(word[0]-'0')*100 + int(word[1]-'0')*10 + int(word[2]-'0')
	} else if t, ok := cutCode(text); ok { // error:nouser 550 text
		code, text = int(text[0]-'0')*100+int(text[1]-'0')*10+int(text[2]-'0'), t
	}
	if enhanced == "" {
		enhanced = string(byte('0'+code/100)) + ".0.0"
	}
	r := smtp.New(code, enhanced, strings.TrimSpace(text))
	switch {
	case r.Enhanced == smtp.Enhanced{}:
		return r, fmt.Errorf("%q is no enhanced status code: write 5.1.1", enhanced)
	case int(r.Enhanced[0]) != code/100:
		return r, fmt.Errorf("%s and %d are not of one class", enhanced, code)
	case len(r.Text) > MaxText || strings.ContainsFunc(r.Text, func(c rune) bool { return c < ' ' || c > '~' }):
		return r, fmt.Errorf("the text of a reply is printable ASCII, at most %d octets", MaxText)
	case r.Text == "":
		return r, errors.New("a refusal has a text for the sender")
	}
	return r, nil
}

// cutCode takes a reply code from the beginning of a text.
func cutCode(s string) (string, bool) {
	if len(s) < 4 || s[3] != ' ' || s[0] != '4' && s[0] != '5' || strings.Trim(s[:3], "0123456789") != "" {
		return s, false
	}
	return s[4:], true
}
