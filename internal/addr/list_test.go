package addr

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// show writes entries so that a table can be read by a person.
func show(es []Entry) string {
	var out []string
	for _, e := range es {
		switch e.Kind {
		case EntryGroupStart:
			out = append(out, e.Name+"{")
		case EntryGroupEnd:
			out = append(out, "}")
		default:
			out = append(out, fmt.Sprintf("%s|%s%s|%s", e.Name, e.Route, e.Local, e.Host))
		}
	}
	return strings.Join(out, " ; ")
}

func TestParseList(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
		ok       bool
	}{
		// RFC 5322 App. A.1
		{"John Doe <jdoe@machine.example>", "John Doe|jdoe|machine.example", true},
		{`"Joe Q. Public" <john.q.public@example.com>`, "Joe Q. Public|john.q.public|example.com", true},
		{`Mary Smith <mary@x.test>, jdoe@example.org, Who? <one@y.test>`, "Mary Smith|mary|x.test ; |jdoe|example.org ; Who?|one|y.test", true},
		{`<boss@nil.test>, "Giant; \"Big\" Box" <sysservices@example.net>`, `|boss|nil.test ; Giant; "Big" Box|sysservices|example.net`, true},
		{"A Group:Ed Jones <c@a.test>,joe@where.test,John <jdoe@one.test>;", "A Group{ ; Ed Jones|c|a.test ; |joe|where.test ; John|jdoe|one.test ; }", true},
		{"Undisclosed recipients:;", "Undisclosed recipients{ ; }", true},
		// App. A.5: white space and comments everywhere
		{"Pete(A nice \\) chap) <pete(his account)@silly.test(his host)>", "Pete|pete|silly.test", true},
		{"A Group(Some people)\r\n     :Chris Jones <c@(Chris's host.)public.example>,\r\n joe@example.org,\r\n John <jdoe@one.test> (my dear friend); (the end of the group)",
			"A Group{ ; Chris Jones|c|public.example ; |joe|example.org ; John|jdoe|one.test ; }", true},
		{"(Empty list)(start)Hidden recipients  :(nobody(that I know))  ;", "Hidden recipients{ ; }", true},
		// App. A.6: obsolete forms
		{"Joe Q. Public <john.q.public@example.com>", "Joe Q. Public|john.q.public|example.com", true},
		{"Mary Smith <@node.test:mary@example.net>, , jdoe@test  . example", "Mary Smith|@node.testmary|example.net ; |jdoe|test.example", true},
		{"jdoe@example.org (John Doe)", "John Doe|jdoe|example.org", true},
		{`"quoted local"@example.org`, "|quoted local|example.org", true},
		{"a@[192.0.2.1]", "|a|[192.0.2.1]", true},
		{"", "", true},
		{",,", "", true},
		// beyond the grammar
		{"root", "|root|", false},
		{"a@bank.example <x@evil.example>", "a@bank.example|x|evil.example", false},
		{"a@b; c@d", "|a|b ; |c|d", true},
		{"a@b c, d@e", "|a|b ; |d|e", false},
		{"<a@b, c@d", "|a|b ; |c|d", false},
		{"a <>, b@c", "a|| ; |b|c", false},
		{"G: a@b", "G{ ; |a|b ; }", false},
		{`"open <a@b>`, "|open <a@b>|", false},
		{"> a@b, c@d", "|c|d", false},
		{"ñ <ñ@bücher.example>", "ñ|ñ|bücher.example", true},
	} {
		got, err := ParseList(c.in, 0)
		if show(got) != c.want || (err == nil) != c.ok {
			t.Errorf("ParseList(%q)\n got %s, %v\nwant %s", c.in, show(got), err, c.want)
		}
	}
	if got, _ := ParseList("=?utf-8?q?Jos=C3=A9?= Paz <j@x.test>", 0); got[0].DisplayName() != "José Paz" {
		t.Errorf("DisplayName: %q", got[0].DisplayName())
	}
	if got := FormatMailbox("Paz, José", Address{"j", "x.test"}); got != "=?utf-8?q?Paz=2C_Jos=C3=A9?= <j@x.test>" {
		t.Errorf("FormatMailbox: %q", got)
	}
}

func TestParseListBounds(t *testing.T) {
	t.Parallel()
	got, err := ParseList(strings.Repeat("a@b,", 2000), 0)
	if len(got) != 1000 || err != ErrListTooLong {
		t.Errorf("%d entries, %v", len(got), err)
	}
	start := time.Now()
	for _, s := range []string{"(", "a(", "<", "\"", ":", "a:", "@", "a@b<", "<@a", ". ", "\\", "[", "a@["} {
		ParseList(strings.Repeat(s, 200_000), 1<<20)
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("hostile lists took %v", d)
	}
}

func FuzzList(f *testing.F) {
	for _, s := range []string{"a@b", "G:a@b;", "A (c) <a@b>", `"x\"y" <a@[1.2.3.4]>`, "a@b <c@d>", "<@a,@b:c@d>", "((", "G:x@y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		es, _ := ParseList(s, 50)
		if len(es) > 50 {
			t.Fatalf("%d entries", len(es))
		}
		depth := 0
		for _, e := range es {
			switch e.Kind {
			case EntryGroupStart:
				depth++
			case EntryGroupEnd:
				depth--
			}
			if depth < 0 || depth > 1 {
				t.Fatal("groups not balanced")
			}
			a, err := e.Address()
			if err != nil {
				continue
			}
			// A strict address from a header survives writing and reading.
			back, err := ParseList(a.String(), 2)
			if err != nil || len(back) != 1 {
				t.Fatalf("%q: %v", a, err)
			}
			if b, err := back[0].Address(); err != nil || b != a {
				t.Fatalf("%q → %q, %v", a, b, err)
			}
		}
		if depth != 0 {
			t.Fatal("groups not balanced")
		}
	})
}

func BenchmarkParseList(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		ParseList(`"Joe Q. Public" <john.q.public@example.com>, jdoe@example.org`, 0)
	}
}
