package sieve_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"posta/internal/sieve"
)

// rules writes a script of n rules as people have them: lists and senders into
// folders, subjects, a few with addresses, patterns and variables.
func rules(n int) string {
	var b strings.Builder
	b.WriteString("require [\"fileinto\", \"envelope\", \"imap4flags\", \"variables\", \"subaddress\"];\n")
	for i := range n {
		switch i % 5 {
		case 0:
			fmt.Fprintf(&b, "if header :contains \"List-Id\" \"<list%d.example.org>\" { fileinto \"lists/%d\"; stop; }\n", i, i)
		case 1:
			fmt.Fprintf(&b, "if address :is :all [\"From\", \"Sender\"] \"person%d@example.net\" { fileinto \"people/%d\"; }\n", i, i)
		case 2:
			fmt.Fprintf(&b, "if anyof (header :contains \"Subject\" \"[ticket %d\", header :is \"X-Project\" \"p%d\") { addflag \"$work\"; }\n", i, i)
		case 3:
			fmt.Fprintf(&b, "if header :matches \"Subject\" \"*order %d from *\" { fileinto \"orders/${2}\"; }\n", i)
		case 4:
			fmt.Fprintf(&b, "if envelope :detail \"to\" \"tag%d\" { fileinto \"tags/%d\"; }\n", i, i)
		}
	}
	return b.String()
}

// bigLetter is the letter of the tests, brought to 12 KiB.
func bigLetter(tb testing.TB) *sieve.Message {
	raw, err := os.ReadFile("testdata/letter.eml")
	if err != nil {
		tb.Fatal(err)
	}
	text := string(raw)
	for len(text) < 12<<10 {
		text += "And so it goes on, line after line, until there are enough of them.\n"
	}
	return letter(text)
}

// BenchmarkRun is a script of 50 rules, none of which stops the run, on a message of
// 12 KiB: the bound is 100 µs.
func BenchmarkRun(b *testing.B) {
	s, err := sieve.Compile([]byte(rules(50)), sieve.Options{})
	if err != nil {
		b.Fatal(err)
	}
	m, env := bigLetter(b), newWorld().env
	env.From, env.To = "ana@example.org", "bo+x@example.net"
	b.ReportAllocs()
	for b.Loop() {
		if r := s.Run(m, &env); r.Err != nil || len(r.Actions) != 1 {
			b.Fatal(tell(r))
		}
	}
}

// BenchmarkRunBody adds five rules on the body.
func BenchmarkRunBody(b *testing.B) {
	src := rules(50)
	for i := range 5 {
		src += fmt.Sprintf("if body :contains \"word%d that is not there\" { discard; }\n", i)
	}
	s, err := sieve.Compile([]byte("require \"body\";"+src), sieve.Options{})
	if err != nil {
		b.Fatal(err)
	}
	m, env := bigLetter(b), newWorld().env
	b.ReportAllocs()
	for b.Loop() {
		if r := s.Run(m, &env); r.Err != nil || len(r.Actions) != 1 {
			b.Fatal(tell(r))
		}
	}
}

func BenchmarkCompile(b *testing.B) {
	src := []byte(rules(50))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := sieve.Compile(src, sieve.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkWorst is what the costliest scripts come to before the budget ends them.
func BenchmarkWorst(b *testing.B) {
	body := strings.Repeat(strings.Repeat("a", 70)+"\n", 14_000)
	many := func(n int, line string) string { return strings.Repeat(line+"\n", n) }
	head := "require [\"regex\", \"variables\", \"body\", \"include\", \"duplicate\", \"date\", \"imap4flags\", \"fileinto\"];\n"
	for _, c := range []struct{ name, header, script string }{
		{"expression", "", many(100, `if body :regex "(a|aa|[ab]a?){1,60}b$" {}`)},
		{"one expression", "", many(1000, `if body :raw :regex "(x+x+)+y|(a|aa)+b" {}`)},
		{"expressions made", "", `set "r" "(a|b){1,200}";` + many(1000, `if string :regex "aaab" "${r}" {}`)},
		{"pattern", "", many(1000, `if body :matches "*a*a*a*a*a*b" {}`)},
		{"contains", "", many(1000, `if body :contains "`+strings.Repeat("a", 69)+`b" {}`)},
		{"fields", strings.Repeat("x: y\n", 1000), many(4000, `if header ["x","x","x","x"] ["a","b","c","d"] {}`)},
		{"dates", strings.Repeat("date: Mon, 30 Nov 2026 09:00:00 +0100\n", 1000), many(4000, `if date "date" "year" "1999" {}`)},
		{"addresses", "to: " + strings.Repeat("Ana B <a@example.org>,\n ", 5000) + "b@example.org\n", many(4000, `if address :domain "to" ["a","b","c"] {}`)},
		{"growth", "", many(4000, `set "a" "${a}${a}xxxxxxxx";`)},
		{"lists", "", `set "a" "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"; set "a" "${a}${a}${a}${a}${a}${a}";` + many(2000, `addflag ["${a}${a}${a}", "${a}${a}","${a}${a}","${a}${a}"];`)},
		{"duplicates", "message-id: " + strings.Repeat("x", 200_000) + "\n", many(4000, "if duplicate {}")},
	} {
		b.Run(c.name, func(b *testing.B) {
			s, err := sieve.Compile([]byte(head+c.script), sieve.Options{})
			if err != nil {
				b.Fatal(err)
			}
			m, env := letter(c.header+"\n"+body), newWorld().env
			b.ReportAllocs()
			for b.Loop() {
				s.Run(m, &env)
			}
		})
	}
}
