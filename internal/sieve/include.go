package sieve

import (
	"errors"
	"strings"
)

// includes are RFC 6609.
func includes() []spec {
	caps := []string{"include"}
	return []spec{
		{name: "include", caps: caps, args: []kind{str}, check: checkInclude, run: runInclude, tags: []tag{
			{name: "personal", group: "location"},
			{name: "global", group: "location"},
			{name: "once"},
			{name: "optional"},
		}},
		{name: "return", caps: caps, run: func(r *run, k *call) { r.flow = returned; r.tracef(k.pos, "return") }},
		{name: "global", caps: caps, args: []kind{strs}, check: func(c *compiler, k *call) { checkVariableNames(c, k.args[0], "global") }, run: runGlobal},
	}
}

func checkInclude(c *compiler, k *call) {
	if s, ok := k.args[0].constant(); !ok || !scriptName(s) {
		c.fail(k.args[0].pos, "include takes the name of a script, without variables, not %s", shown(s))
	}
}

// scriptName refuses what cannot name a script (RFC 5804 §1.6), and the slash.
func scriptName(s string) bool {
	return s != "" && len(s) <= 512 && !strings.ContainsFunc(s, func(c rune) bool {
		return c < ' ' || c == '/' || 0x7F <= c && c <= 0x9F || c == 0x2028 || c == 0x2029
	})
}

func runInclude(r *run, k *call) {
	location, name := "personal", r.text(k.args[0])
	if k.has("global") {
		location = "global"
	}
	id := location + "/" + name
	if k.has("once") && r.included[id] {
		return
	}
	if r.includes++; r.includes > r.limits.Includes || r.script.depth >= r.limits.Depth {
		r.fail(k.pos, ErrBudget, "include: more than %d scripts, or deeper than %d", r.limits.Includes, r.limits.Depth)
		return
	}
	s := r.fetch(k, location, name)
	if s == nil {
		return
	}
	if r.included == nil {
		r.included = map[string]bool{}
	}
	r.included[id] = true
	r.tracef(k.pos, "include :%s %s", location, shown(name))
	outer := r.script
	r.script = &frame{name: name, script: s, depth: outer.depth + 1}
	r.applicable(pos{1, 1}, s)
	r.block(s.body)
	r.script = outer
	if r.flow == returned {
		r.flow = goOn
	}
}

// fetch finds a script to include; nil if there is none, which is an error unless it
// is optional.
func (r *run) fetch(k *call, location, name string) *Script {
	var s *Script
	var err error
	if r.env.Include != nil {
		s, err = r.env.Include(location, name)
	}
	switch {
	case errors.Is(err, ErrTryLater):
		r.fail(k.pos, ErrTryLater, "include %s: %v", shown(name), err)
	case err != nil:
		r.fail(k.pos, nil, "include %s: %v", shown(name), err)
	case s == nil && !k.has("optional"):
		r.fail(k.pos, nil, "include: there is no %s script %s", location, shown(name))
	}
	if err != nil {
		return nil
	}
	return s
}

func runGlobal(r *run, k *call) {
	if r.script.globals == nil {
		r.script.globals = map[string]bool{}
	}
	for _, name := range r.texts(k.args[0]) {
		r.script.globals[strings.ToLower(name)] = true
	}
}
