package sieve

import (
	"slices"
	"strconv"
	"strings"
)

// how is a match type.
type how uint8

const (
	matchIs how = iota
	matchContains
	matchMatches
	matchRegex
	matchValue // RFC 5231
	matchCount // RFC 5231
	matchList  // RFC 6134
)

// match is how a test compares, prepared when the script is compiled.
type match struct {
	how      how
	relation string // gt, ge, lt, le, eq, ne
	cmp      comparator
	keys     []key
	captures bool // the script can read ${1}
}

// key is a member of the key list. What is constant is folded and compiled before.
type key struct {
	text text
	fold string // text folded, for a comparator that does
	re   *regex // :regex
	any  bool   // :matches "*"
}

// prepareMatch reads the match type, comparator and keys of a test.
func (c *compiler) prepareMatch(k *call) {
	m := &match{captures: c.caps["variables"]}
	k.match = m
	c.matchType(k, m)
	c.comparator(k, m)
	if len(k.args) == 0 {
		return
	}
	for _, t := range k.args[len(k.args)-1].strs {
		one := key{text: t}
		if t.parts == nil {
			one.fold = m.cmp.fold(t.s)
			one.any = t.s == "*"
			if m.how == matchRegex {
				re, err := compileRegex(t.s, m.cmp, c.limits.Regex)
				if err != nil {
					c.fail(k.args[len(k.args)-1].pos, ":regex %s: %v", shown(t.s), err)
				} else if c.states += re.states; c.states > maxStates {
					c.fail(k.args[len(k.args)-1].pos, ":regex %s: the expressions of the script are too large together", shown(t.s))
				}
				one.re = re
			}
		}
		m.keys = append(m.keys, one)
	}
}

func (c *compiler) matchType(k *call, m *match) {
	for i, name := range []string{"is", "contains", "matches", "regex", "value", "count", "list"} {
		args, ok := k.tag(name)
		if !ok {
			continue
		}
		m.how = how(i)
		if len(args) == 0 {
			continue
		}
		rel, constant := args[0].constant()
		m.relation = strings.ToLower(rel)
		if !constant || !slices.Contains([]string{"gt", "ge", "lt", "le", "eq", "ne"}, m.relation) {
			c.fail(args[0].pos, ":%s is followed by \"gt\", \"ge\", \"lt\", \"le\", \"eq\" or \"ne\", not %s", name, shown(rel))
		}
	}
}

func (c *compiler) comparator(k *call, m *match) {
	args, ok := k.tag("comparator")
	if !ok {
		return
	}
	name, _ := args[0].constant()
	switch name {
	case "i;ascii-casemap":
	case "i;octet":
		m.cmp = octet
	case "i;unicode-casemap":
		m.cmp = unicodeCasemap
	case "i;ascii-numeric":
		m.cmp = asciiNumeric
		if m.how == matchContains || m.how == matchMatches || m.how == matchRegex { // RFC 4790 §9.1.1
			c.fail(args[0].pos, "i;ascii-numeric compares whole numbers: it goes with :is, :value and :count only")
		}
	default:
		c.fail(args[0].pos, "there is no comparator %s; there are i;ascii-casemap, i;octet, i;ascii-numeric and i;unicode-casemap", shown(name))
	}
	if m.cmp > octet && !c.caps["comparator-"+name] {
		c.fail(args[0].pos, "the comparator needs: require \"comparator-%s\";", name)
	}
}

// trial holds the values of one test against its keys.
type trial struct {
	r     *run
	k     *call
	count int
}

func (r *run) begin(k *call) trial { return trial{r: r, k: k} }

// try holds one value against all keys; true ends the test. folded is value in lower
// case if the caller has it, else "".
func (t *trial) try(value, folded string) bool {
	m := t.k.match
	if m.how == matchCount {
		t.count++
		return false
	}
	if t.r.env.Trace {
		t.r.tracef(t.k.pos, "%s: value %s", t.k.spec.name, shown(value))
	}
	if m.cmp.folds() && folded == "" && m.how <= matchMatches {
		folded = m.cmp.fold(value)
	}
	for i := range m.keys {
		if !t.r.spend(len(value) + valueCost) {
			return false
		}
		if t.one(m, &m.keys[i], value, folded) {
			if t.r.env.Trace {
				t.r.tracef(t.k.pos, "%s: matches key %s", t.k.spec.name, shown(t.r.expand(m.keys[i].text)))
			}
			return true
		}
	}
	return false
}

// end tells the outcome of a test none of whose values matched.
func (t *trial) end() bool {
	m := t.k.match
	if m.how != matchCount || t.r.flow != goOn {
		return false
	}
	n := strconv.Itoa(t.count)
	t.r.tracef(t.k.pos, "%s: count %s", t.k.spec.name, n)
	return slices.ContainsFunc(m.keys, func(one key) bool { return m.relates(n, t.r.expand(one.text)) })
}

func (t *trial) one(m *match, one *key, value, folded string) bool {
	pattern, lower := one.text.s, one.fold
	if one.text.parts != nil {
		pattern = t.r.expand(one.text)
		if m.cmp.folds() {
			lower = m.cmp.fold(pattern)
		}
	}
	switch m.how {
	case matchIs:
		switch {
		case m.cmp.folds():
			return folded == lower
		case m.cmp == octet:
			return value == pattern
		}
		return compareNumeric(value, pattern) == 0
	case matchContains:
		if m.cmp.folds() {
			return strings.Contains(folded, lower)
		}
		return strings.Contains(value, pattern)
	case matchMatches:
		return t.matches(m, one, value, folded, pattern, lower)
	case matchRegex:
		return t.regex(m, one, value, pattern)
	case matchValue:
		return m.relates(value, pattern)
	}
	return t.listed(pattern, value)
}

func (t *trial) matches(m *match, one *key, value, folded, pattern, lower string) bool {
	if one.any && !m.captures {
		return true
	}
	g := glob{value: value, pattern: pattern}
	switch m.cmp {
	case asciiCasemap:
		g.value, g.pattern = folded, lower
	case unicodeCasemap:
		g.value, g.pattern, g.chars = foldRunes(value), foldRunes(pattern), true
	}
	ok := g.match()
	if !t.r.spend(g.steps) || !ok {
		return false
	}
	if m.captures {
		if g.chars {
			origins(value, g.value, g.spans)
		}
		found := make([]string, 1, 1+len(g.spans))
		found[0] = value
		for _, s := range g.spans {
			found = append(found, value[s[0]:s[1]])
		}
		t.r.script.matches = found
	}
	return true
}

func (t *trial) regex(m *match, one *key, value, pattern string) bool {
	re := one.re
	if re == nil {
		var err error
		if re, err = compileRegex(pattern, m.cmp, t.r.limits.Regex); err != nil {
			t.r.fail(t.k.pos, nil, ":regex %s: %v", shown(pattern), err)
			return false
		}
		if !t.r.spend(re.states * stateCost) {
			return false
		}
	}
	// An octet costs as many states as there are, at the most.
	if !t.r.spend(len(value) * (4 + re.states/2)) {
		return false
	}
	if !m.captures {
		return re.MatchString(value)
	}
	at := re.FindStringSubmatchIndex(value)
	if at == nil {
		return false
	}
	var found []string
	for i := 0; i+1 < len(at); i += 2 {
		s := ""
		if at[i] >= 0 {
			s = value[at[i]:at[i+1]]
		}
		found = append(found, s)
	}
	t.r.script.matches = found
	return true
}

// listed is :list, whose keys name lists (RFC 6134 §2.2).
func (t *trial) listed(list, value string) bool {
	if t.r.env.Listed == nil || !t.r.spend(askCost) {
		return false
	}
	ok, err := t.r.env.Listed(list, value)
	if err != nil {
		t.r.fail(t.k.pos, nil, ":list %s: %v", shown(list), err)
	}
	return ok
}
