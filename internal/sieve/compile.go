package sieve

import (
	"fmt"
	"slices"
	"strings"
)

// call is a command or a test that was checked, ready to run.
type call struct {
	spec  *spec
	pos   pos
	tags  []given
	args  []value // as many as spec.args; what is missing is the zero value
	tests []*call
	block []*call
	match *match // of a test with a match type
	prep  any    // what spec.check made
}

// given is a tag that stands in a call.
type given struct {
	name string
	args []value
}

// value is an argument: a number or strings.
type value struct {
	pos   pos
	num   int64
	strs  []text
	given bool
}

// tag returns the arguments of a tag and whether it stands there.
func (k *call) tag(name string) ([]value, bool) {
	for i := range k.tags {
		if k.tags[i].name == name {
			return k.tags[i].args, true
		}
	}
	return nil, false
}

func (k *call) has(name string) bool {
	_, ok := k.tag(name)
	return ok
}

// compiler checks a tree against the table.
type compiler struct {
	opt      Options
	limits   Limits
	errs     problems
	table    map[entryKey]*spec
	known    map[string]bool // capabilities that may be required here
	caps     map[string]bool // those that were
	requires []string
	states   int  // of the regular expressions so far
	deferred bool // RFC 5463 §4: errors of capabilities wait for the run
}

// Compile checks a script and makes it ready to run. The error is Errors: up to
// twenty, each with its place. What Compile takes of src it copies.
func Compile(src []byte, opt Options) (*Script, error) {
	c := compiler{opt: opt, limits: opt.Limits.orDefaults(), table: entries(), known: map[string]bool{}, caps: map[string]bool{}}
	for _, name := range Extensions() {
		c.known[name] = !slices.Contains(opt.Without, name)
	}
	source := string(src)
	nodes := parse(source, c.limits, &c.errs)
	body := c.block(nodes, true)
	if len(c.errs.list) > 0 {
		slices.SortStableFunc(c.errs.list, func(a, b Error) int {
			if a.Line != b.Line {
				return a.Line - b.Line
			}
			return a.Col - b.Col
		})
		return nil, c.errs.list
	}
	return &Script{source: source, limits: c.limits, requires: c.requires, body: body}, nil
}

// block compiles the commands of a block; top is the script itself, where require
// may stand (§3.2).
func (c *compiler) block(nodes []*node, top bool) []*call {
	out := make([]*call, 0, len(nodes))
	var before string
	for _, n := range nodes {
		if n.name == "require" {
			if !top || before != "" && before != "require" {
				c.fail(n.pos, "require stands at the beginning of a script, before every other command")
			}
			c.require(n)
			before = n.name
			continue
		}
		if n.name == "elsif" || n.name == "else" {
			if before != "if" && before != "elsif" {
				c.fail(n.pos, "%s stands behind the block of an if or elsif", n.name)
			}
		}
		before = n.name
		if n.bad {
			continue
		}
		if k := c.deferrable(n, false); k != nil {
			out = append(out, k)
		}
	}
	return out
}

func (c *compiler) fail(at pos, format string, args ...any) { c.errs.add(at, format, args...) }

// require reads a require command and makes its capabilities known.
func (c *compiler) require(n *node) {
	if len(n.args) != 1 || n.args[0].kind != tokenString || len(n.tests) > 0 || n.has {
		c.fail(n.pos, "require takes one string or a list of strings: require [\"fileinto\", \"copy\"];")
		return
	}
	for _, name := range n.args[0].strs {
		if !c.allow(name) {
			c.fail(n.args[0].pos, "the extension %s is not known here%s", shown(name), c.near(name))
		}
	}
}

// allow makes a capability known to the rest of the script, if it may.
func (c *compiler) allow(name string) bool {
	switch name {
	case "comparator-i;octet", "comparator-i;ascii-casemap": // RFC 5228 §2.7.3: need not be required
		return true
	}
	if !c.known[name] {
		return false
	}
	if !c.caps[name] {
		c.caps[name] = true
		c.requires = append(c.requires, name)
	}
	for _, with := range implied(name) {
		c.caps[with] = true
	}
	c.deferred = c.deferred || name == "ihave"
	return true
}

// near suggests what may have been meant.
func (c *compiler) near(name string) string {
	for known, ok := range c.known {
		if ok && strings.EqualFold(known, strings.TrimSpace(name)) {
			return fmt.Sprintf(": write %q", known)
		}
	}
	return ""
}

// deferrable compiles a node. In a script with ihave, what is wrong with it becomes
// an error of the run at this place (RFC 5463 §4), as another server may know it.
func (c *compiler) deferrable(n *node, test bool) *call {
	had := len(c.errs.list)
	k := c.call(n, test)
	if c.deferred && len(c.errs.list) > had {
		first := c.errs.list[had]
		c.errs.list = c.errs.list[:had]
		k = &call{spec: broken(test, first.Text), pos: n.pos}
		if n.name == "if" || n.name == "elsif" || n.name == "else" { // reached as its test is
			k.spec = broken(true, first.Text)
			k = &call{spec: c.table[entryKey{"elsif", false}], pos: n.pos, tests: []*call{k}}
			if n.name == "if" {
				k.spec = c.table[entryKey{"if", false}]
			}
		}
	}
	return k
}

// broken is an entry whose use ends the run.
func broken(test bool, what string) *spec {
	return &spec{
		name: "error", test: test,
		run:  func(r *run, k *call) { r.fail(k.pos, nil, "%s", what) },
		eval: func(r *run, k *call) bool { r.fail(k.pos, nil, "%s", what); return false },
	}
}

// call compiles one command or test.
func (c *compiler) call(n *node, test bool) *call {
	s := c.table[entryKey{n.name, test}]
	if s == nil {
		c.unknown(n, test)
		return nil
	}
	if len(s.caps) > 0 && !slices.ContainsFunc(s.caps, func(name string) bool { return c.caps[name] }) {
		c.fail(n.pos, "%s needs: require %q;", n.name, s.caps[0])
		if !c.known[s.caps[0]] {
			return nil
		}
	}
	k := &call{spec: s, pos: n.pos}
	if !c.arguments(n, k) {
		return nil
	}
	c.inner(n, k)
	if s.match {
		c.prepareMatch(k)
	}
	if s.check != nil {
		s.check(c, k)
	}
	return k
}

func (c *compiler) unknown(n *node, test bool) {
	what, other := "command", "test"
	if test {
		what, other = other, what
	}
	if c.table[entryKey{n.name, !test}] != nil {
		c.fail(n.pos, "%s is a %s, but a %s is wanted here", n.name, other, what)
		return
	}
	c.fail(n.pos, "there is no %s %s", what, shown(n.name))
}

// inner compiles the tests and the block of a call.
func (c *compiler) inner(n *node, k *call) {
	s := k.spec
	switch {
	case n.name == "else" && len(n.tests) > 0:
		c.fail(n.pos, "else takes no test: write elsif")
	case s.tests == noTests && len(n.tests) > 0:
		c.fail(n.tests[0].pos, "%s takes no test: is a semicolon missing before %s?", n.name, n.tests[0].name)
	case s.tests == oneTest && (len(n.tests) != 1 || n.list):
		c.fail(n.pos, "%s takes one test; several are joined with anyof (…) or allof (…)", n.name)
	case s.tests == manyTests && !n.list:
		c.fail(n.pos, "%s takes tests in parentheses: %s (…, …)", n.name, n.name)
	}
	switch {
	case s.block && !n.has:
		c.fail(n.pos, "%s takes a block: { … }", n.name)
	case !s.block && n.has:
		c.fail(n.pos, "%s takes no block: a semicolon ends it", n.name)
	}
	for _, t := range n.tests {
		if s.tests == noTests {
			break
		}
		if one := c.deferrable(t, true); one != nil {
			k.tests = append(k.tests, one)
		}
	}
	if n.has {
		k.block = c.block(n.block, false)
	}
}

// arguments sorts the arguments of a call: tags with theirs first, then the others.
func (c *compiler) arguments(n *node, k *call) bool {
	had := c.errs.total
	rest := n.args
	groups := map[string]string{}
	for len(rest) > 0 && rest[0].kind == tokenTag {
		rest = c.tagged(n, k, rest, groups)
	}
	for _, t := range k.spec.tags {
		if t.with != "" && k.has(t.name) && !k.has(t.with) {
			c.fail(n.pos, "%s: :%s stands only together with :%s", n.name, t.name, t.with)
		}
	}
	c.positional(n, k, rest)
	return c.errs.total == had
}

// tagged reads the tag at the head of args and returns what follows it.
func (c *compiler) tagged(n *node, k *call, args []arg, groups map[string]string) []arg {
	a, rest := args[0], args[1:]
	i := slices.IndexFunc(k.spec.tags, func(t tag) bool { return t.name == a.tag })
	if i < 0 {
		c.fail(a.pos, "%s has no :%s%s", n.name, a.tag, tagList(k.spec.tags))
		return rest
	}
	t := k.spec.tags[i]
	if t.cap != "" && !c.caps[t.cap] {
		c.fail(a.pos, ":%s needs: require %q;", t.name, t.cap)
	}
	group := t.group
	if group == "" {
		group = ":" + t.name
	}
	if first, twice := groups[group]; twice && first == t.name {
		c.fail(a.pos, "%s has :%s twice", n.name, t.name)
	} else if twice {
		c.fail(a.pos, "%s has :%s and :%s, of which only one may stand", n.name, first, t.name)
	}
	groups[group] = t.name
	g := given{name: t.name}
	for _, want := range t.args {
		if len(rest) == 0 {
			c.fail(a.pos, ":%s is followed by %s", t.name, want)
			break
		}
		g.args = append(g.args, c.value(":"+t.name, rest[0], want))
		rest = rest[1:]
	}
	if len(g.args) == len(t.args) {
		k.tags = append(k.tags, g)
	}
	return rest
}

func tagList(tags []tag) string {
	if len(tags) == 0 {
		return ""
	}
	names := make([]string, len(tags))
	for i, t := range tags {
		names[i] = ":" + t.name
	}
	return "; it has " + strings.Join(names, ", ")
}

// positional reads the arguments that are no tags.
func (c *compiler) positional(n *node, k *call, rest []arg) {
	for _, a := range rest {
		if a.kind == tokenTag {
			c.fail(a.pos, "%s: tags such as :%s stand before the other arguments", n.name, a.tag)
			return
		}
	}
	want := k.spec.args
	missing := len(want) - len(rest)
	if missing < 0 || missing > k.spec.opt {
		c.fail(n.pos, "%s takes %s, and %d stand here", n.name, counted(want, k.spec.opt), len(rest))
		return
	}
	k.args = make([]value, len(want))
	for i, a := range rest {
		k.args[i+missing] = c.value(n.name, a, want[i+missing])
	}
}

func counted(want []kind, opt int) string {
	names := make([]string, len(want))
	for i, w := range want {
		names[i] = w.String()
		if i < opt {
			names[i] = "[" + names[i] + "]"
		}
	}
	switch len(names) {
	case 0:
		return "no arguments but tags"
	case 1:
		return "one argument (" + names[0] + ")"
	}
	return fmt.Sprintf("%d arguments (%s)", len(names), strings.Join(names, ", "))
}

func (w kind) String() string { return [...]string{"a string", "a list of strings", "a number"}[w] }

// value reads an argument of a type.
func (c *compiler) value(whose string, a arg, want kind) value {
	v := value{pos: a.pos, num: a.num, given: true}
	switch {
	case want == num && a.kind != tokenNumber,
		want != num && a.kind != tokenString,
		want == str && a.list:
		c.fail(a.pos, "%s takes %s here", whose, want)
	}
	if want == str && len(a.strs) != 1 {
		v.strs = make([]text, 1)
	}
	for _, s := range a.strs {
		v.strs = append(v.strs, c.text(a.pos, s))
	}
	return v
}

// constant returns the one string of a value, and whether it holds no variables.
func (v value) constant() (string, bool) {
	if len(v.strs) == 0 {
		return "", false
	}
	return v.strs[0].s, v.strs[0].parts == nil
}
