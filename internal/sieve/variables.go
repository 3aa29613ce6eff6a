package sieve

import (
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// variableCommands are RFC 5229: set and string. The modifiers of other extensions
// stand here too, as their precedence is one order.
func variableCommands() []spec {
	tags := make([]tag, 0, len(modifiers()))
	for _, m := range modifiers() {
		tags = append(tags, tag{name: m.name, cap: m.cap, group: m.group})
	}
	return []spec{
		{name: "set", caps: []string{"variables"}, tags: tags, args: []kind{str, str}, check: checkSet, run: runSet},
		{name: "string", test: true, caps: []string{"variables"}, args: []kind{strs, strs}, match: true, eval: evalString},
	}
}

// modifier is a modifier of set (RFC 5229 §4.1).
type modifier struct {
	name, cap, group string
	change           func(string) string
}

// modifiers lists them in the order in which they work: the higher precedence first.
func modifiers() []modifier {
	return []modifier{
		{"lower", "", "modifier (40)", strings.ToLower},
		{"upper", "", "modifier (40)", strings.ToUpper},
		{"lowerfirst", "", "modifier (30)", func(s string) string { return first(s, unicode.ToLower) }},
		{"upperfirst", "", "modifier (30)", func(s string) string { return first(s, unicode.ToUpper) }},
		{"quotewildcard", "", "modifier (20)", strings.NewReplacer(`*`, `\*`, `?`, `\?`, `\`, `\\`).Replace},
		{"quoteregex", "regex", "modifier (20)", regexp.QuoteMeta},
		{"encodeurl", "enotify", "modifier (15)", func(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }},
		{"length", "", "modifier (10)", func(s string) string { return strconv.Itoa(utf8.RuneCountInString(s)) }},
	}
}

func first(s string, change func(rune) rune) string {
	c, n := utf8.DecodeRuneInString(s)
	if n == 0 || c == utf8.RuneError {
		return s
	}
	return string(change(c)) + s[n:]
}

// checkSet reads the name, which is a constant (RFC 5229 §4), and the modifiers.
func checkSet(c *compiler, k *call) {
	name, ok := k.args[0].constant()
	if !ok || !variableName(name) {
		c.fail(k.args[0].pos, "set takes the name of a variable, letters, digits and _, not %s", shown(name))
		return
	}
	name = strings.ToLower(name)
	c.namespace(k.args[0].pos, name)
	k.args[0].strs[0].s = name
	var used []modifier
	for _, m := range modifiers() {
		if k.has(m.name) {
			used = append(used, m)
		}
	}
	k.prep = used
}

func runSet(r *run, k *call) {
	s := r.text(k.args[1])
	for _, m := range k.prep.([]modifier) {
		s = m.change(s)
	}
	r.set(k, k.args[0].strs[0].s, s)
}

// set gives a variable its value; what is longer than the limit is cut (RFC 5229 §6).
func (r *run) set(k *call, name, value string) {
	value = cut(value, r.limits.Value)
	r.tracef(k.pos, "set %s = %s", name, shown(value))
	vars := &r.script.vars
	if short, ok := r.isGlobal(name); ok {
		name, vars = short, &r.global
	}
	if *vars == nil {
		*vars = map[string]string{}
	}
	if _, known := (*vars)[name]; !known && len(*vars) >= r.limits.Variables {
		r.fail(k.pos, ErrBudget, "the script has more than %d variables", r.limits.Variables)
		return
	}
	(*vars)[name] = value
}

// isGlobal tells whether a name is of a global variable, and which (RFC 6609 §3.4).
func (r *run) isGlobal(name string) (short string, ok bool) {
	if short, ok = strings.CutPrefix(name, "global."); ok {
		return short, true
	}
	return name, r.script.globals[name]
}

// variable returns the value of a reference; "" if it was never set.
func (r *run) variable(p piece) string {
	if p.name == "" {
		if p.match < len(r.script.matches) {
			return r.script.matches[p.match]
		}
		return ""
	}
	if short, ok := r.isGlobal(p.name); ok {
		return r.global[short]
	}
	return r.script.vars[p.name]
}

// evalString: :count counts the strings that are not empty (RFC 5229 §5).
func evalString(r *run, k *call) bool {
	t := r.begin(k)
	for _, s := range k.args[0].strs {
		v := r.expand(s)
		if v == "" && k.match.how == matchCount {
			continue
		}
		if t.try(v, "") {
			return true
		}
	}
	return t.end()
}

// checkVariableNames is for the commands that take names of variables.
func checkVariableNames(c *compiler, v value, whose string) {
	for _, t := range v.strs {
		if t.parts != nil || !variableName(t.s) || strings.Contains(t.s, ".") && whose == "global" {
			c.fail(v.pos, "%s takes the name of a variable, letters, digits and _, not %s", whose, shown(t.s))
			continue
		}
		c.namespace(v.pos, strings.ToLower(t.s))
	}
	if !c.caps["variables"] {
		c.fail(v.pos, "%s with a variable needs: require \"variables\";", whose)
	}
}
