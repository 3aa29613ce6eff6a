package sieve

// controls are the control commands of RFC 5228 §3 and the tests that join tests
// (§5.2, 5.3, 5.6, 5.8, 5.10). require is read by the compiler; if, elsif and else by
// run.branch, which needs to see them together.
func controls() []spec {
	nothing := func(*run, *call) {}
	return []spec{
		{name: "if", tests: oneTest, block: true, run: nothing},
		{name: "elsif", tests: oneTest, block: true, run: nothing},
		{name: "else", block: true, run: nothing},
		{name: "stop", run: func(r *run, k *call) { r.flow = stopped; r.tracef(k.pos, "stop") }},
		{name: "allof", test: true, tests: manyTests, eval: evalAllOf},
		{name: "anyof", test: true, tests: manyTests, eval: evalAnyOf},
		{name: "not", test: true, tests: oneTest, eval: func(r *run, k *call) bool { return !r.test(k.tests[0]) }},
		{name: "true", test: true, eval: func(*run, *call) bool { return true }},
		{name: "false", test: true, eval: func(*run, *call) bool { return false }},
		{name: "ihave", test: true, caps: []string{"ihave"}, args: []kind{strs}, check: checkIHave, eval: evalPrepared},
		{name: "error", caps: []string{"ihave"}, args: []kind{str}, run: runError},
	}
}

func evalAllOf(r *run, k *call) bool {
	for _, t := range k.tests {
		if !r.test(t) {
			return false
		}
	}
	return true
}

func evalAnyOf(r *run, k *call) bool {
	for _, t := range k.tests {
		if r.test(t) {
			return true
		}
	}
	return false
}

// checkIHave answers ihave when the script is compiled: what this server knows does
// not depend on the message. What it has is known from here on (RFC 5463 §4).
func checkIHave(c *compiler, k *call) {
	all := true
	for _, t := range k.args[0].strs {
		if t.parts != nil {
			c.fail(k.args[0].pos, "ihave takes names without variables")
		}
		all = all && (c.known[t.s] || t.s == "comparator-i;octet" || t.s == "comparator-i;ascii-casemap")
	}
	if all {
		for _, t := range k.args[0].strs {
			c.allow(t.s)
		}
	}
	k.prep = all
}

// evalPrepared is a test whose outcome was known when the script was compiled.
func evalPrepared(_ *run, k *call) bool { return k.prep.(bool) }

// runError is RFC 5463 §5.
func runError(r *run, k *call) { r.fail(k.pos, nil, "%s", r.text(k.args[0])) }
