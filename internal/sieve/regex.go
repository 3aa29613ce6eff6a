package sieve

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
)

// Bounds of regular expressions, whose size is told in the states of their automaton.
const (
	maxStates = 100_000 // of all the expressions of a script
	stateCost = 100     // octets that a state counts for, when an expression is made as the script runs
)

// regex is an expression with its size.
type regex struct {
	*regexp.Regexp
	states int
}

// compileRegex makes an expression of draft-ietf-sieve-regex, which is a POSIX
// extended one, leftmost and longest, and matches in time linear in the text. "^" and
// "$" are the ends of the value, "." is any character. Back-references, which no
// extended expression of POSIX has, are refused.
func compileRegex(pattern string, cmp comparator, limit int) (*regex, error) {
	if len(pattern) > limit {
		return nil, fmt.Errorf("the expression has more than %d octets", limit)
	}
	pattern, err := fromPOSIX(pattern)
	if err != nil {
		return nil, err
	}
	flags := syntax.POSIX | syntax.OneLine | syntax.ClassNL | syntax.DotNL
	if cmp.folds() {
		flags |= syntax.FoldCase
	}
	tree, err := syntax.Parse(pattern, flags)
	if err != nil {
		var e *syntax.Error
		if errors.As(err, &e) {
			return nil, fmt.Errorf("%s: %s", e.Code, shown(e.Expr))
		}
		return nil, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, err
	}
	re, err := regexp.Compile(tree.String())
	if err != nil {
		return nil, err
	}
	re.Longest()
	return &regex{re, len(program.Inst)}, nil
}

// fromPOSIX writes an expression in the dialect of package regexp, which differs in
// three things: in brackets a backslash is an ordinary character in POSIX, a brace
// that begins no bound stands for itself, and a backslash before an ordinary letter
// or digit must not become an escape.
func fromPOSIX(s string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '[':
			n, err := bracket(&b, s[i:])
			if err != nil {
				return "", err
			}
			i += n
		case '\\':
			if i+1 == len(s) {
				return "", errors.New("it ends in a backslash")
			}
			next := s[i+1]
			switch {
			case '1' <= next && next <= '9':
				return "", errors.New("there are no back-references: compare with a variable instead")
			case letter(next) || next == '0':
				return "", fmt.Errorf("\\%c means nothing here", next)
			case next >= 0x80:
				b.WriteByte(next)
			default:
				b.WriteByte(c)
				b.WriteByte(next)
			}
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), nil
}

// bracket copies a bracket expression and returns its length.
func bracket(b *strings.Builder, s string) (int, error) {
	i := 1
	b.WriteByte('[')
	if i < len(s) && s[i] == '^' {
		b.WriteByte('^')
		i++
	}
	for first := true; i < len(s); first = false {
		switch {
		case s[i] == ']' && !first:
			b.WriteByte(']')
			return i + 1, nil
		case strings.HasPrefix(s[i:], "[:"):
			end := strings.Index(s[i:], ":]")
			if end < 0 {
				return 0, errors.New("[: has no :]")
			}
			b.WriteString(s[i : i+end+2])
			i += end + 2
		case strings.HasPrefix(s[i:], "[.") || strings.HasPrefix(s[i:], "[="):
			return 0, errors.New("collating elements are not supported")
		case s[i] == '\\' || s[i] == '[' || s[i] == ']':
			b.WriteByte('\\')
			b.WriteByte(s[i])
			i++
		default:
			b.WriteByte(s[i])
			i++
		}
	}
	return 0, errors.New("[ has no ]")
}
