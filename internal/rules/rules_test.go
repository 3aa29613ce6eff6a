package rules

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// What stands in other servers' files, and the normal form of it.
func TestNew(t *testing.T) {
	for _, c := range []struct {
		kind              Kind
		key, value        string
		wantKey, wantWhat string // the value, or what the error has in it
	}{
		{Address, "Info@Foo.test", "foo-info", "info@foo.test", "foo-info@foo.test"},
		{Address, "postmaster", "ana, luis@example.net", "postmaster@home.test", "ana@home.test, luis@example.net"},
		{Address, "@Baz.test", "jane@x.test", "@baz.test", "jane@x.test"},
		{Address, "@foo.test", "%1@example.net", "@foo.test", "%1@example.net"},
		{Address, "old+*@foo.test", "new+%2@example.net", "old+*@foo.test", "new+%2@example.net"},
		{Address, "@dom.test", "@other.test", "@dom.test", "@other.test"},
		{Address, "joe@bar.test", "error:nouser No such user", "joe@bar.test", "error:nouser No such user"},
		{Address, "jax@bar.test", "ERROR:5.7.0:550 gone", "jax@bar.test", "error:5.7.0:550 gone"},
		{Address, "jax@bar.test", "error:4.7.0:550 gone", "", "not of one class"},
		{Address, "jax@bar.test", "error:gone", "", "error:nouser TEXT"},
		{Address, "calvin@bar.test", "calvin@new.test.REDIRECT", "calvin@bar.test", "calvin@new.test.REDIRECT"},
		{Address, "me@bar.test", `\me, "|/usr/bin/vacation"`, "me@bar.test", `\me@bar.test, |vacation`},
		{Address, "me@bar.test", `"|/usr/bin/vacation me"`, "", "no arguments"},
		{Address, "spam@bar.test", "/dev/null", "spam@bar.test", "/dev/null"},
		{Address, "old@bar.test", "/var/mail/archive", "", "files beside the store"},
		{Address, "all@bar.test", ":include:/etc/all", "", "posta alias load"},
		{Address, "a@bar.test", "", "", "at least one target"},
		{Glob, "000010 *@Example.org", "x@example.org", "000010 *@example.org", "x@example.org"},
		{Glob, "*@example.org", "x@example.org", "", "place in the order"},
		{Fallback, ".", "lost@home.test", ".", "lost@home.test"},
		{Renamed, "OldName.test", "newname.test", "oldname.test", "newname.test"},
		{AliasDomain, "a.test", "a.test", "", "leads to itself"},
		{Generic, "joe", "joe.bloggs@corp.test", "joe", "joe.bloggs@corp.test"},
		{Generic, "@inner.test", "@corp.test", "@inner.test", "@corp.test"},
		{Masquerade, ".corp.test", "corp.test envelope", ".corp.test", "corp.test envelope"},
		{Masquerade, "root@", "-", "root@", "-"},
		{Transport, ".my.test", "esmtp:[Hub.test]", ".my.test", "smtp:[hub.test]"},
		{Transport, "my.test", "smtp:[192.0.2.1]:2525", "my.test", "smtp:[192.0.2.1]:2525"},
		{Transport, ".", "relay:hub.test", ".", "smtp:hub.test"},
		{Transport, "my.test", "local:ana", "my.test", "local:ana"},
		{Transport, "my.test", "uucp:host", "", "no mail goes by"},
		{Transport, "my.test", "smtp:a.test:b.test", "", "one host"},
		{Transport, "fax.test", "pipe:hylafax", "fax.test", "pipe:hylafax"},
		{Sender, "ana@home.test", "smtp:[relay.test]:587", "ana@home.test", "smtp:[relay.test]:587"},
		{Account, "ANA@home.test", "lmtp:unix:/run/x", "ana@home.test", "lmtp:unix:/run/x"},
	} {
		r, err := New(c.kind, c.key, c.value, "home.test")
		if c.wantKey == "" {
			if err == nil || !strings.Contains(err.Error(), c.wantWhat) {
				t.Errorf("%s %s %s: %v, want %q", c.kind, c.key, c.value, err, c.wantWhat)
			}
			continue
		}
		if err != nil || r.Key != c.wantKey || r.Value != c.wantWhat {
			t.Errorf("%s %s %s: %+v, %v", c.kind, c.key, c.value, r, err)
			continue
		}
		if again, err := New(r.Kind, r.Key, r.Value, ""); err != nil || again != r {
			t.Errorf("%s: read again: %+v, %v", r, again, err)
		}
		if k, key, err := CutName(r.Name()); err != nil || k != r.Kind || key != r.Key {
			t.Errorf("%s: %v %s %v", r.Name(), k, key, err)
		}
	}
}

func TestReplyOf(t *testing.T) {
	for in, want := range map[string]string{
		"nouser No such user":     "550 5.1.1 No such user",
		"nouser 551 Moved away":   "551 5.1.1 Moved away",
		"5.7.0:550 gone":          "550 5.7.0 gone",
		"550 no mail for this":    "550 5.0.0 no mail for this",
		"tempfail come back soon": "450 4.2.0 come back soon",
		"450 later":               "450 4.0.0 later",
	} {
		r, err := ReplyOf(in)
		if err != nil || r.String() != want {
			t.Errorf("%s: %s, %v", in, r, err)
		}
	}
}

// Files as people have them; all that is wrong is told at once, with its line.
func TestParse(t *testing.T) {
	const aliases = `# /etc/aliases
MAILER-DAEMON: postmaster
postmaster:    root
root: ana,
  luis
list: :include:/lists/all, "|/usr/lib/archive"
owner-list: ana
bad: /var/mail/x
programs: "|a b"
root: again
"odd name": ana
lost
`
	include := func(name string) ([]byte, error) {
		switch name {
		case "/lists/all":
			return []byte("# members\nuno@example.net, dos@example.net\n:include:/lists/more\n"), nil
		case "/lists/more":
			return []byte("tres@example.net\n"), nil
		}
		return nil, errors.New("no such file")
	}
	rules, err := Parse([]byte(aliases), File{Format: Aliases, Domain: "home.test", Include: include})
	var got []string
	for _, r := range rules {
		got = append(got, fmt.Sprintf("%d %s → %s", r.Line, r.Key, r.Value))
	}
	want := []string{
		"2 mailer-daemon@home.test → postmaster@home.test",
		"3 postmaster@home.test → root@home.test",
		"4 root@home.test → ana@home.test, luis@home.test",
		"6 list@home.test → uno@example.net, dos@example.net, tres@example.net, |archive",
		"7 owner-list@home.test → ana@home.test",
		`11 "odd name"@home.test → ana@home.test`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("rules:\n%s", strings.Join(got, "\n"))
	}
	problems, ok := errors.AsType[*Problems](err)
	if !ok {
		t.Fatal(err)
	}
	var lines []int
	for _, p := range problems.List {
		lines = append(lines, p.Line)
	}
	if !slices.Equal(lines, []int{8, 9, 10, 12}) {
		t.Errorf("problems:\n%v", err)
	}
}

func TestParseIncludedProgram(t *testing.T) {
	include := func(string) ([]byte, error) { return []byte("|/bin/sh\n"), nil }
	_, err := Parse([]byte("list: :include:/x\n"), File{Format: Aliases, Domain: "home.test", Include: include})
	if err == nil || !strings.Contains(err.Error(), "addresses only") {
		t.Error(err)
	}
}

func TestParseFormats(t *testing.T) {
	local := func(d string) bool { return d == "home.test" || d == "foo.test" }
	for _, c := range []struct {
		format Format
		text   string
		want   []string
		bad    string
	}{
		{Virtual, "home.test anything\nana@home.test  luis\n@home.test lost@example.net\nx@bar.test y\n",
			[]string{"ana@home.test luis@home.test", "@home.test lost@example.net"}, "line 4: x@bar.test: bar.test is none of our domains"},
		{VirtUser, "joe@foo.test\terror:nouser No such user here\n@foo.test\t%1@example.com\n",
			[]string{"joe@foo.test error:nouser No such user here", "@foo.test %1@example.com"}, ""},
		{Globs, "*-sales@foo.test: a@foo.test\n*@foo.test: b@foo.test\n", []string{"000010 *-sales@foo.test a@foo.test", "000020 *@foo.test b@foo.test"}, ""},
		{MailerTable, "my.test\tesmtp:host.test\n.my.test\tsmtp:[host.test]\n.\terror:nohost not here\n",
			[]string{"my.test smtp:host.test", ".my.test smtp:[host.test]", ". error:nohost not here"}, ""},
		{Transports, "ana@example.net  smtp:[a.test]:26\n*  :\n", []string{"ana@example.net smtp:[a.test]:26", ". smtp:"}, ""},
		{Senders, "@home.test [relay.test]:587\nana@home.test lmtp:unix:/run/x\n", []string{"@home.test smtp:[relay.test]:587", "ana@home.test lmtp:unix:/run/x"}, ""},
		{DomainTable, "old.test new.test\n", []string{"old.test new.test"}, ""},
		{GenericTable, "joe joe.bloggs@corp.test\n", []string{"joe joe.bloggs@corp.test"}, ""},
	} {
		rules, err := Parse([]byte(c.text), File{Format: c.format, Domain: "home.test", Local: local})
		var got []string
		for _, r := range rules {
			got = append(got, r.Key+" "+r.Value)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q", c.format, got)
		}
		if (err == nil) != (c.bad == "") || err != nil && !strings.Contains(err.Error(), c.bad) {
			t.Errorf("%s: %v", c.format, err)
		}
	}
}

// A set changes as a plain map does, and the sets before it do not.
func TestSet(t *testing.T) {
	model := map[string]string{}
	var s *Set
	for round := range 400 {
		var changes []Change
		for i := range 1 + round%7 {
			key := fmt.Sprint("u", (round*31+i*17)%900, "@home.test")
			c := Change{Address, key, fmt.Sprint("v", round)}
			if (round+i)%5 == 0 {
				c.Value = ""
				delete(model, key)
			} else {
				model[key] = c.Value
			}
			changes = append(changes, c)
		}
		before, n := s, s.Len(Address)
		s = s.With(changes)
		if before.Len(Address) != n || s.Len(Address) != len(model) {
			t.Fatalf("round %d: %d rules, of %d; before %d, %d", round, s.Len(Address), len(model), before.Len(Address), n)
		}
	}
	for r := range s.All(Address) {
		if model[r.Key] != r.Value || s.Get(Address, []byte(r.Key)) != r.Value {
			t.Errorf("%s", r)
		}
	}
}

func TestGlobs(t *testing.T) {
	s := Collect(slices.Values([]Rule{
		{Glob, "000020 *@home.test", "b"}, {Glob, "000010 sales-*@home.test", "a"}, {Glob, "000030 x@home.test", "c"},
	}))
	for address, want := range map[string]string{"sales-es@home.test": "a", "x@home.test": "b", "a/b@home.test": "b", "x@other.test": ""} {
		if r, _ := s.Glob(address); r.Value != want {
			t.Errorf("%s: %s", address, r)
		}
	}
}

// What is read prints as what reads the same, and nothing panics.
func FuzzParse(f *testing.F) {
	f.Add([]byte("root: ana, \"|x\"\n list: a\n"), uint8(0))
	f.Add([]byte("@a.test @b.test\nx+*@a.test error:5.1.1:550 x\n"), uint8(1))
	f.Add([]byte(".a.test smtp:[::1]:25\n* :\n"), uint8(6))
	formats := []Format{Aliases, Virtual, VirtUser, Globs, DomainTable, GenericTable, MailerTable, Transports, Senders}
	f.Fuzz(func(t *testing.T, text []byte, n uint8) {
		rules, _ := Parse(text, File{Format: formats[int(n)%len(formats)], Domain: "home.test"})
		for _, r := range rules {
			again, err := New(r.Kind, r.Key, r.Value, "")
			if err != nil || again != r.Rule {
				t.Fatalf("%q: %q, %v", r.Rule, again, err)
			}
			if r.Kind.Targeted() {
				for target := range Targets(r.Value) {
					target.Expand("u", "d")
				}
			}
		}
	})
}

func BenchmarkParseMillion(b *testing.B) {
	var text strings.Builder
	for i := range 1_000_000 {
		fmt.Fprintf(&text, "user%d: someone%d@example.net\n", i, i)
	}
	file := []byte(text.String())
	b.ReportAllocs()
	for b.Loop() {
		rules, err := Parse(file, File{Format: Aliases, Domain: "home.test"})
		if err != nil || len(rules) != 1_000_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkCollectMillion(b *testing.B) {
	rules := million()
	b.ReportAllocs()
	for b.Loop() {
		Collect(slices.Values(rules))
	}
}

func million() []Rule {
	rules := make([]Rule, 1_000_000)
	for i := range rules {
		rules[i] = Rule{Address, fmt.Sprintf("user%d@home.test", i), fmt.Sprintf("someone%d@example.net", i)}
	}
	return rules
}

func BenchmarkGet(b *testing.B) {
	s := Collect(slices.Values(million()))
	keys := [][]byte{[]byte("user77@home.test"), []byte("user999999@home.test"), []byte("nobody@home.test")}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Get(Address, keys[i%3])
	}
}

func BenchmarkChangeOneOfMillion(b *testing.B) {
	s := Collect(slices.Values(million()))
	for i := 0; b.Loop(); i++ {
		s = s.With([]Change{{Address, fmt.Sprintf("user%d@home.test", i%1_000_000), "x@example.net"}})
	}
}
