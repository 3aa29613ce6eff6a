package sieve

// node is a command or a test as it was written (RFC 5228 §8.2).
type node struct {
	name  string // in lower case
	pos   pos
	args  []arg
	tests []*node
	list  bool // tests stood in parentheses
	block []*node
	has   bool // a block, even if it is empty
	bad   bool // what is wrong was told
}

// arg is one argument: a tag, a number, a string or a list of strings.
type arg struct {
	pos  pos
	kind tokenKind // tokenTag, tokenNumber or tokenString
	tag  string
	num  int64
	strs []string
	list bool // in brackets
}

// parser builds the tree. It goes on after an error, so that several are told.
type parser struct {
	lex    lexer
	tok    token
	limits Limits
	count  int // commands and tests so far
	dead   bool
}

// parse reads a whole script. Its errors are in errs.
func parse(src string, limits Limits, errs *problems) []*node {
	if len(src) > limits.Script {
		errs.add(pos{1, 1}, "the script has more than %d octets", limits.Script)
		return nil
	}
	if len(src) > 2 && src[:3] == "\ufeff" {
		src = src[3:]
	}
	p := parser{lex: lexer{src: src, line: 1, max: limits.String, errs: errs}, limits: limits}
	p.next()
	var out []*node
	for p.tok.kind != tokenEnd && !p.dead {
		if p.tok.is("}") {
			p.fail(p.tok.pos, "this } closes no block")
			p.next()
			continue
		}
		if n := p.command(1); n != nil {
			out = append(out, n)
		}
	}
	return out
}

func (p *parser) next() { p.tok = p.lex.next() }

func (p *parser) fail(at pos, format string, args ...any) {
	p.lex.errs.add(at, format, args...)
	if p.lex.errs.full() {
		p.dead = true
	}
}

// made counts a node against the budgets.
func (p *parser) made(at pos, depth int) bool {
	if p.count++; p.count > p.limits.Commands {
		p.fail(at, "the script has more than %d commands and tests", p.limits.Commands)
		p.dead = true
	}
	if depth > p.limits.Nesting {
		p.fail(at, "blocks and tests are nested deeper than %d", p.limits.Nesting)
		p.dead = true
	}
	return !p.dead
}

// command = identifier arguments (";" / block). After an error it passes over what
// remains of the command, so that the next one is read afresh.
func (p *parser) command(depth int) *node {
	if p.tok.kind != tokenName {
		if p.tok.kind != tokenBad {
			p.fail(p.tok.pos, "a command is wanted here, not %s", p.tok)
		}
		p.resync()
		return nil
	}
	n := &node{name: p.tok.text, pos: p.tok.pos}
	if !p.made(n.pos, depth) {
		return nil
	}
	p.next()
	if !p.arguments(n, depth) {
		n.bad = true
		p.resync()
		return n
	}
	switch {
	case p.tok.is(";"):
		p.next()
	case p.tok.is("{"):
		p.block(n, depth)
	default:
		if p.tok.kind != tokenBad {
			p.fail(p.tok.pos, "%s ends with a semicolon or a block, but here comes %s", n.name, p.tok)
		}
		n.bad = true
		p.resync()
	}
	return n
}

func (p *parser) block(n *node, depth int) {
	open := p.tok.pos
	n.has = true
	p.next()
	for !p.tok.is("}") && !p.dead {
		if p.tok.kind == tokenEnd {
			p.fail(open, "this { has no }")
			return
		}
		if c := p.command(depth + 1); c != nil {
			n.block = append(n.block, c)
		}
	}
	p.next()
}

// resync passes over tokens up to the end of a command: a semicolon, or a block
// with all that is in it, or before the end of the block at hand.
func (p *parser) resync() {
	for depth := 0; p.tok.kind != tokenEnd; p.next() {
		switch {
		case p.tok.is(";") && depth == 0:
			p.next()
			return
		case p.tok.is("{"):
			depth++
		case p.tok.is("}"):
			if depth == 0 {
				return
			}
			if depth--; depth == 0 {
				p.next()
				return
			}
		}
	}
}

// arguments = *argument [ test / test-list ]
func (p *parser) arguments(n *node, depth int) bool {
	for !p.dead {
		a := arg{pos: p.tok.pos, kind: p.tok.kind}
		switch {
		case p.tok.kind == tokenTag:
			a.tag = p.tok.text
			p.next()
		case p.tok.kind == tokenNumber:
			a.num = p.tok.num
			p.next()
		case p.tok.kind == tokenString:
			a.strs = []string{p.tok.text}
			p.next()
		case p.tok.is("["):
			a.kind, a.list = tokenString, true
			var ok bool
			if a.strs, ok = p.strings(); !ok {
				return false
			}
		case p.tok.is("("):
			n.list = true
			return p.tests(n, depth)
		case p.tok.kind == tokenName:
			t, ok := p.test(depth + 1)
			n.tests = append(n.tests, t)
			return ok
		default:
			return p.tok.kind != tokenBad
		}
		if n.args = append(n.args, a); len(n.args) > p.limits.Args {
			p.fail(a.pos, "%s has more than %d arguments", n.name, p.limits.Args)
			return false
		}
	}
	return false
}

// strings = "[" string *("," string) "]"
func (p *parser) strings() ([]string, bool) {
	open := p.tok.pos
	var out []string
	p.next()
	if p.tok.is("]") {
		p.fail(open, "a list holds at least one string: write \"\" for an empty one")
		return nil, false
	}
	for {
		if p.tok.kind != tokenString {
			if p.tok.kind != tokenBad {
				p.fail(p.tok.pos, "a string is wanted in the list, not %s", p.tok)
			}
			return nil, false
		}
		if out = append(out, p.tok.text); len(out) > p.limits.List {
			p.fail(open, "the list has more than %d members", p.limits.List)
			return nil, false
		}
		p.next()
		if p.tok.is("]") {
			p.next()
			return out, true
		}
		if !p.tok.is(",") {
			if p.tok.kind != tokenBad {
				p.fail(p.tok.pos, "a comma or ] is wanted in the list, not %s", p.tok)
			}
			return nil, false
		}
		p.next()
	}
}

// tests = "(" test *("," test) ")"
func (p *parser) tests(n *node, depth int) bool {
	for {
		p.next()
		if p.tok.kind != tokenName {
			if p.tok.kind != tokenBad {
				p.fail(p.tok.pos, "a test is wanted here, not %s", p.tok)
			}
			return false
		}
		t, ok := p.test(depth + 1)
		if n.tests = append(n.tests, t); !ok {
			return false
		}
		if p.tok.is(")") {
			p.next()
			return true
		}
		if !p.tok.is(",") {
			if p.tok.kind != tokenBad {
				p.fail(p.tok.pos, "a comma or ) is wanted between tests, not %s", p.tok)
			}
			return false
		}
	}
}

// test = identifier arguments
func (p *parser) test(depth int) (*node, bool) {
	t := &node{name: p.tok.text, pos: p.tok.pos}
	if !p.made(t.pos, depth) {
		return t, false
	}
	p.next()
	return t, p.arguments(t, depth)
}
