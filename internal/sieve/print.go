package sieve

import (
	"strconv"
	"strings"
)

// Format returns a script in one plain form: a command a line, blocks indented by
// four spaces, without comments. It means the same as src. The error is Errors, of
// the grammar only.
func Format(src []byte, opt Options) ([]byte, error) {
	var errs problems
	nodes := parse(string(src), opt.Limits.orDefaults(), &errs)
	if len(errs.list) > 0 {
		return nil, errs.list
	}
	var b strings.Builder
	printBlock(&b, nodes, 0)
	return []byte(b.String()), nil
}

func printBlock(b *strings.Builder, nodes []*node, depth int) {
	for _, n := range nodes {
		b.WriteString(strings.Repeat("    ", depth))
		printNode(b, n)
		if !n.has {
			b.WriteString(";\n")
			continue
		}
		b.WriteString(" {\n")
		printBlock(b, n.block, depth+1)
		b.WriteString(strings.Repeat("    ", depth) + "}\n")
	}
}

func printNode(b *strings.Builder, n *node) {
	b.WriteString(n.name)
	for _, a := range n.args {
		b.WriteByte(' ')
		switch {
		case a.kind == tokenTag:
			b.WriteString(":" + a.tag)
		case a.kind == tokenNumber:
			b.WriteString(strconv.FormatInt(a.num, 10))
		case a.list:
			b.WriteByte('[')
			for i, s := range a.strs {
				if i > 0 {
					b.WriteString(", ")
				}
				printString(b, s)
			}
			b.WriteByte(']')
		default:
			printString(b, a.strs[0])
		}
	}
	if len(n.tests) == 0 {
		return
	}
	b.WriteByte(' ')
	if n.list {
		b.WriteByte('(')
	}
	for i, t := range n.tests {
		if i > 0 {
			b.WriteString(", ")
		}
		printNode(b, t)
	}
	if n.list {
		b.WriteByte(')')
	}
}

func printString(b *strings.Builder, s string) {
	b.WriteByte('"')
	for i := range len(s) {
		if s[i] == '"' || s[i] == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(s[i])
	}
	b.WriteByte('"')
}
