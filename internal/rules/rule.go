package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"posta/internal/addr"
)

// Kind says what a rule is about.
type Kind uint8

// The kinds of rule; the zero Kind is none.
const (
	Address Kind = iota + 1
	Glob
	Fallback
	AliasDomain
	Renamed
	Generic
	Masquerade
	Transport
	Sender
	Account
	kinds
)

var kindNames = [kinds]string{"", "address", "glob", "fallback", "alias-domain", "domain", "generic", "masquerade", "transport", "sender", "account"}

// String gives the name of the kind.
func (k Kind) String() string { return kindNames[k] }

// ParseKind is the inverse of String.
func ParseKind(s string) (Kind, bool) {
	i := slices.Index(kindNames[1:], s)
	return Kind(i + 1), i >= 0
}

// Kinds lists the kinds, in their order.
func Kinds() []Kind {
	out := make([]Kind, 0, kinds-1)
	for k := Address; k < kinds; k++ {
		out = append(out, k)
	}
	return out
}

// Targeted reports whether values of the kind are targets.
func (k Kind) Targeted() bool { return k == Address || k == Glob || k == Fallback }

// Bounds of one rule.
const (
	MaxTargets = 10_000
	MaxValue   = 1 << 20
)

// Rule is one rule in its normal form; make it with New or Parse.
type Rule struct {
	Kind  Kind
	Key   string
	Value string
}

// Name is what the rule is kept by: "address:ana@example.org".
func (r Rule) Name() string { return r.Kind.String() + ":" + r.Key }

// String gives the rule as it stands in a file of its kind.
func (r Rule) String() string { return r.Key + "\t" + r.Value }

// CutName is the inverse of Name.
func CutName(name string) (Kind, string, error) {
	kind, key, ok := strings.Cut(name, ":")
	k, known := ParseKind(kind)
	if !ok || !known {
		return 0, "", fmt.Errorf("rules: %q names no rule", name)
	}
	return k, key, nil
}

// New reads a rule and gives its normal form. domain is what an address without one is
// of, "" if it must have one. The error says what is wrong and what to write instead.
func New(kind Kind, key, value, domain string) (Rule, error) {
	if len(value) > MaxValue {
		return Rule{}, fmt.Errorf("the value has more than %d octets", MaxValue)
	}
	key, err := NewKey(kind, key, domain)
	if err != nil {
		return Rule{}, err
	}
	r := Rule{Kind: kind, Key: key}
	switch kind {
	case Address, Glob, Fallback:
		own := domain
		if _, d, ok := strings.Cut(key, "@"); ok && kind == Address {
			own = d
		}
		r.Value, err = targetsOf(value, own)
	case AliasDomain, Renamed:
		r.Value, err = domainOf(value)
		if err == nil && r.Value == key {
			err = errors.New("the domain leads to itself")
		}
	case Generic:
		r.Value, err = genericOf(value, domain)
	case Masquerade:
		r.Value, err = masqueradeOf(value)
	default:
		var w Way
		w, err = ParseWay(value)
		r.Value = w.String()
	}
	return r, err
}

// NewKey reads the key of a rule and gives its normal form.
func NewKey(kind Kind, key, domain string) (string, error) {
	key = strings.TrimSpace(key)
	switch kind {
	case Address:
		return addressKey(key, domain)
	case Glob:
		return globKey(key)
	case Fallback:
		if key == "." || key == "*" {
			return ".", nil
		}
		return domainOf(key)
	case AliasDomain, Renamed:
		return domainOf(key)
	case Generic:
		if key != "" && !strings.Contains(key, "@") {
			l, err := addr.ParseLocalpart(key)
			return string(l.Fold()), err
		}
		return addressKey(key, "")
	case Masquerade:
		if user, ok := strings.CutSuffix(key, "@"); ok {
			l, err := addr.ParseLocalpart(user)
			return string(l.Fold()) + "@", err
		}
		return belowKey(key)
	case Transport:
		switch {
		case key == "." || key == "*":
			return ".", nil
		case strings.Contains(key, "@"):
			return addressKey(key, "")
		}
		return belowKey(key)
	case Sender:
		return addressKey(key, "")
	case Account:
		a, err := addr.ParseAddress(key)
		return a.Fold().String(), err
	}
	return "", fmt.Errorf("rules: no kind %d", kind)
}

// addressKey reads user@dom or @dom; a name alone is one of domain.
func addressKey(key, domain string) (string, error) {
	if d, ok := strings.CutPrefix(key, "@"); ok {
		d, err := domainOf(d)
		return "@" + d, err
	}
	if !strings.Contains(key, "@") {
		if domain == "" {
			return "", fmt.Errorf("%q has no domain: write %s@example.org", key, key)
		}
		key += "@" + domain
	}
	a, err := addr.ParseAddress(key)
	if err != nil {
		return "", err
	}
	return a.Fold().String(), nil
}

// belowKey reads dom, or .dom for what is below it.
func belowKey(key string) (string, error) {
	d, below := strings.CutPrefix(key, ".")
	d, err := domainOf(d)
	if below && err == nil {
		d = "." + d
	}
	return d, err
}

func domainOf(s string) (string, error) {
	d, err := addr.ParseDomain(strings.TrimSpace(s))
	return string(d), err
}

// globKey reads "000010 *@example.org": the place in the order, and the pattern.
func globKey(key string) (string, error) {
	order, pattern, ok := strings.Cut(key, " ")
	if !ok || len(order) != globOrder || strings.Trim(order, "0123456789") != "" {
		return "", fmt.Errorf("a pattern has its place in the order before it, six digits: 000010 %s", key)
	}
	pattern = strings.ToLower(strings.TrimSpace(pattern))
	local, d, ok := strings.Cut(pattern, "@")
	if !ok || local == "" || d == "" || strings.ContainsAny(pattern, " \t,") {
		return "", fmt.Errorf("the pattern %q is not like *@example.org", pattern)
	}
	if !strings.ContainsAny(d, "*?") {
		var err error
		if d, err = domainOf(d); err != nil {
			return "", err
		}
	}
	return order + " " + local + "@" + d, nil
}

// globOrder is how many digits the place of a pattern has.
const globOrder = 6

// GlobKey is the key of a pattern at a place in the order.
func GlobKey(place int, pattern string) string {
	return fmt.Sprintf("%0*d %s", globOrder, place, strings.ToLower(pattern))
}

// genericOf reads what a sender becomes: an address, or @dom.
func genericOf(value, domain string) (string, error) {
	value = strings.TrimSpace(value)
	if d, ok := strings.CutPrefix(value, "@"); ok {
		d, err := domainOf(d)
		return "@" + d, err
	}
	if !strings.Contains(value, "@") {
		if domain == "" {
			return "", fmt.Errorf("%q has no domain: write %s@example.org", value, value)
		}
		value += "@" + domain
	}
	a, err := addr.ParseAddress(value)
	return a.String(), err
}

// masqueradeOf reads "dom", "dom envelope" or "-".
func masqueradeOf(value string) (string, error) {
	f := strings.Fields(value)
	switch {
	case len(f) == 1 && f[0] == "-":
		return "-", nil
	case len(f) == 1, len(f) == 2 && strings.EqualFold(f[1], "envelope"):
		d, err := domainOf(f[0])
		if len(f) == 2 {
			d += " envelope"
		}
		return d, err
	}
	return "", fmt.Errorf(`%q is not "domain", "domain envelope" or "-"`, value)
}
