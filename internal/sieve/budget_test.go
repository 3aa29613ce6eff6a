package sieve_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"posta/internal/sieve"
)

// TestLimits: each limit of a run ends it with ErrBudget, and the message is kept.
func TestLimits(t *testing.T) {
	long := strings.Repeat("a", 4000)
	many := func(n int, line string) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, line+"\n", i)
		}
		return b.String()
	}
	for _, c := range []struct {
		name, script string
		limits       sieve.Limits
		want         string
	}{
		{"steps", many(30, "if true { keep; } # %d"), sieve.Limits{Steps: 50}, "more than 50 steps"},
		{"redirects", many(11, "redirect \"a%d@example.org\";"), sieve.Limits{}, "more than 10 of them"},
		{"actions", "require \"fileinto\";" + many(5, "fileinto \"%d\";"), sieve.Limits{Actions: 4}, "more than 4 actions"},
		{"notices", "require \"enotify\";" + many(6, "notify \"mailto:a%d@example.org\";"), sieve.Limits{}, "more than 5 of them"},
		{"variables", "require \"variables\";" + many(300, "set \"v%d\" \"x\";"), sieve.Limits{}, "more than 256 variables"},
		{"text compared", "require \"variables\";" + many(50, "if string :contains \""+long+"\" \"b%d\" {}"), sieve.Limits{Work: 100_000}, "more text"},
		{"patterns", "require \"variables\";" + many(50, "if string :matches \""+long+"\" \"*a*a*a*a*a*b%d\" {}"), sieve.Limits{Work: 100_000}, "more text"},
		{"expressions", "require [\"regex\", \"variables\"];" + many(50, "if string :regex \""+long+"\" \"(a|aa)+%d$\" {}"), sieve.Limits{Work: 500_000}, "more text"},
		{"programs", "require \"vnd.posta.filter\";" + many(11, "filter \"label\" \"%d\";"), sieve.Limits{}, "more than 10 programs"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := sieve.Compile([]byte(c.script), sieve.Options{Limits: c.limits})
			if err != nil {
				t.Fatal(err)
			}
			r := s.Run(letter("Subject: x\n\n"), &newWorld().env)
			if !errors.Is(r.Err, sieve.ErrBudget) || !strings.Contains(r.Err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", r.Err, c.want)
			}
			if !strings.Contains("\n"+tell(r), "\nkeep") {
				t.Fatalf("the message is not kept: %s", tell(r))
			}
		})
	}
}

// TestCompileLimits: what a script may be.
func TestCompileLimits(t *testing.T) {
	for _, c := range []struct{ name, script, want string }{
		{"script", strings.Repeat("#", 300<<10), "more than 262144 octets"},
		{"string", "redirect \"" + strings.Repeat("a", 70<<10) + "\";", "more than 65536 octets"},
		{"list", "if exists [" + strings.Repeat("\"a\",", 1000) + "\"a\"] {}", "more than 1000 members"},
		{"arguments", "keep " + strings.Repeat(":a ", 33) + ";", "more than 32 arguments"},
		{"blocks", strings.Repeat("if true {", 40) + strings.Repeat("}", 40), "deeper than 32"},
		{"tests", "if " + strings.Repeat("not ", 40) + "true {}", "deeper than 32"},
		{"commands", strings.Repeat("keep;", 10_001), "more than 10000 commands"},
		{"expressions together", "require \"regex\";" + strings.Repeat("if header :regex \"a\" \"x{1000}\" {}\n", 101), "too large together"},
		{"expression", "require \"regex\"; if header :regex \"a\" \"" + strings.Repeat("a", 1025) + "\" {}", "more than 1024 octets"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := sieve.Compile([]byte(c.script), sieve.Options{})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Fatalf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestGrowth: a variable that doubles itself stays within its bound (RFC 5229 §6), cut
// at the beginning of a character.
func TestGrowth(t *testing.T) {
	src := "require [\"variables\", \"fileinto\"]; set \"a\" \"xé\";" + strings.Repeat("set \"a\" \"${a}${a}\";", 20) + "set :length \"n\" \"${a}\"; fileinto \"${n}\";"
	s, err := sieve.Compile([]byte(src), sieve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// 16,384 octets are 5,461 times three and one of the next three.
	if got := tell(s.Run(letter("\n"), &newWorld().env)); got != "fileinto \"10923\"\n" {
		t.Fatalf("got %s", got)
	}
}

// TestWithout: what the administrator does not allow cannot be required, and ihave
// says so.
func TestWithout(t *testing.T) {
	opt := sieve.Options{Without: []string{"vnd.posta.filter"}}
	if _, err := sieve.Compile([]byte("require \"vnd.posta.filter\";"), opt); err == nil {
		t.Fatal("it could be required")
	}
	s, err := sieve.Compile([]byte("require \"ihave\"; if ihave \"vnd.posta.filter\" { discard; }"), opt)
	if err != nil {
		t.Fatal(err)
	}
	if got := tell(s.Run(letter("\n"), &newWorld().env)); got != "keep\n" {
		t.Fatalf("got %s", got)
	}
}

// TestTrace: each test tells its line, what it compared and how it came out.
func TestTrace(t *testing.T) {
	s, err := sieve.Compile([]byte("require [\"fileinto\", \"variables\"];\nif not header :matches \"subject\" [\"b*\", \"a*\"] { discard; }\nelsif size :over 1K { discard; }\nelse { set \"x\" \"${1}\"; fileinto \"x/${x}\"; }\n"), sieve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	env := newWorld().env
	env.Trace = true
	r := s.Run(letter("Subject: abc\n\nx\n"), &env)
	want := `2:8: header: value "abc"
2:8: header: matches key "a*"
2:8: header: true
2:4: not: false
3:7: size: 19 octets
3:7: size: false
4:8: set x = "bc"
4:24: fileinto "x/bc"`
	if got := strings.Join(r.Trace, "\n"); got != want {
		t.Fatalf("got\n%s\nwant\n%s", got, want)
	}
	env.Trace = false
	if r := s.Run(letter("Subject: abc\n\n"), &env); r.Trace != nil {
		t.Fatal("a trace that nobody asked for")
	}
}

// TestExtensions: every capability can be required, and is told.
func TestExtensions(t *testing.T) {
	all := sieve.Extensions()
	s, err := sieve.Compile([]byte("require [\""+strings.Join(all, "\", \"")+"\"];"), sieve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Requires(); len(got) != len(all) {
		t.Fatalf("required %d of %d: %v", len(got), len(all), got)
	}
	for _, want := range strings.Fields("body comparator-i;ascii-numeric copy date duplicate encoded-character enotify envelope environment ereject extlists fcc fileinto ihave imap4flags imapsieve include index mailbox mailboxid mboxmetadata regex reject relational servermetadata spamtest spamtestplus special-use subaddress vacation vacation-seconds variables virustest vnd.posta.filter") {
		if !strings.Contains(" "+strings.Join(all, " ")+" ", " "+want+" ") {
			t.Errorf("%s is missing", want)
		}
	}
}

// TestMailto: what a notification's URI may be (RFC 5436, RFC 6068).
func TestMailto(t *testing.T) {
	m, err := sieve.ParseMailto("mailto:ana@example.org,bo%2Bx@example.org?cc=ci@example.org&subject=a%0D%0ABcc:%20x&body=l1%0Al2&from=evil@example.org&X-Prio=1")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprintf("%v %v %v %q %q %q", m.To, m.Cc, m.Bcc, m.Subject, m.Body, m.Fields),
		`[ana@example.org bo+x@example.org] [ci@example.org] [] "a  Bcc: x" "l1\nl2" [["x-prio" "1"]]`; got != want {
		t.Fatalf("got  %s\nwant %s", got, want)
	}
	for _, bad := range []string{"", "mailto:", "tel:1", "mailto:a", "mailto:a@b.example?x", "mailto:a@b.example?=x", "mailto:%zz@b.example", "mailto:?cc=", "mailto:" + strings.Repeat("a@b.example,", 11) + "a@b.example"} {
		if m, err := sieve.ParseMailto(bad); err == nil {
			t.Errorf("%s: %+v", bad, m)
		}
	}
}
