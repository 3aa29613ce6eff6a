package directory

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"posta/internal/addr"
	"posta/internal/mailbox"
	"posta/internal/rules"
	"posta/internal/store"
)

// ruledView is home.test with ana, luis and root, and foo.test without anybody, under
// the rules of a file: "kind key value" on each line.
func ruledView(t testing.TB, text string) *View {
	t.Helper()
	v := newView(&store.DirectoryView{
		Version: 1,
		Domains: []store.Domain{{ID: 1, Name: "home.test"}, {ID: 2, Name: "foo.test"}, {ID: 3, Name: "bar.test"}},
		Accounts: []store.Account{
			{ID: 1, Domain: 1, Login: "ana@home.test", Role: store.Owner}, {ID: 2, Domain: 1, Login: "luis@home.test"}, {ID: 3, Domain: 1, Login: "root@home.test"},
		},
		Addresses: []store.Address{{Domain: 1, Local: "ana", Account: 1}, {Domain: 1, Local: "luis", Account: 2}, {Domain: 1, Local: "root", Account: 3}},
	})
	var all []rules.Change
	for line := range strings.Lines(text) {
		f := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(f) < 3 {
			continue
		}
		kind, ok := rules.ParseKind(f[0])
		if kind == rules.Glob {
			f[1] = rules.GlobKey(10*len(all), f[1])
		}
		r, err := rules.New(kind, f[1], f[2], "home.test")
		if !ok || err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		all = append(all, r)
	}
	return v.WithRules(all)
}

// ends tells where an address leads, in words.
func ends(v *View, address string) string {
	a, err := addr.ParseAddress(address)
	if err != nil {
		return err.Error()
	}
	targets, err := v.Resolve(a)
	if r, ok := errors.AsType[*Refused](err); ok {
		return r.Reply.String()
	}
	if err != nil {
		return map[error]string{ErrUnknown: "unknown", ErrLoop: "loop", ErrNotLocal: "elsewhere", ErrTooMany: "too many"}[err]
	}
	var out []string
	for _, t := range targets {
		s := t.Remote.String()
		switch {
		case t.Drop:
			s = "dropped"
		case t.Transport != "":
			s = t.Transport
		case t.Account != 0:
			if s, _, _ = strings.Cut(v.Account(t.Account).Login, "@"); t.Detail != "" {
				s += "+" + t.Detail
			}
		}
		if t.From != nil {
			s += " from " + t.From.String()
		}
		out = append(out, s)
	}
	return strings.Join(out, ", ")
}

// The behaviours of sendmail's and Postfix's tables, one by one.
func TestLegacy(t *testing.T) {
	for _, c := range []struct{ name, rules, address, want string }{
		// sendmail, virtusertable.
		{"virtusertable: a full address", "address info@foo.test ana@home.test", "Info@Foo.test", "ana"},
		{"virtusertable: error:nouser", "address joe@foo.test error:nouser No such user", "joe@foo.test", "550 5.1.1 No such user"},
		{"virtusertable: error:D.S.N:code", "address jax@foo.test error:5.7.0:550 gone", "jax@foo.test", "550 5.7.0 gone"},
		{"virtusertable: catch-all", "address @foo.test jane@x.example.net", "anybody@foo.test", "jane@x.example.net"},
		{"virtusertable: %1 of a catch-all", "address @foo.test %1@example.com", "joe@foo.test", "joe@example.com"},
		{"virtusertable: %1 and %3 of a catch-all", "address @foo.test %1%3@example.com", "joe+x@foo.test", "joe+x@example.com"},
		{"virtusertable: a catch-all without %2 loses the detail", "address @foo.test %1@example.com", "joe+x@foo.test", "joe@example.com"},
		{"virtusertable: user+*", "address old+*@foo.test new+%2@example.com", "old+lists@foo.test", "new+lists@example.com"},
		{"virtusertable: user+* wants a plus", "address old+*@foo.test new+%2@example.com", "old@foo.test", "unknown"},
		{"virtusertable: user++ wants a detail", "address old++@foo.test new@example.com", "old+@foo.test", "unknown"},
		{"virtusertable: user++ has one", "address old++@foo.test new%3@example.com", "old+a@foo.test", "new+a@example.com"},
		{"virtusertable: exact beats catch-all", "address a@foo.test ana@home.test\naddress @foo.test luis@home.test", "a@foo.test", "ana"},
		{"virtusertable: only domains of ours", "address @foo.test ana@home.test", "x@example.net", "elsewhere"},
		{"virtusertable: a full address beats an account", "address ana@home.test luis@home.test", "ana@home.test", "luis"},

		// A catch-all comes last by construction (S105).
		{"catch-all: not before an account", "address @home.test luis@home.test", "ana@home.test", "ana"},
		{"catch-all: not before an account with detail", "address @home.test luis@home.test", "ana+x@home.test", "ana+x"},
		{"catch-all: not before postmaster", "address @home.test luis@home.test", "postmaster@home.test", "ana"},
		{"catch-all: what is left", "address @home.test luis@home.test", "typo@home.test", "luis"},
		{"catch-all: not before a pattern", "address @home.test luis@home.test\nglob *-sales@home.test ana@home.test", "es-sales@home.test", "ana"},

		// sendmail, the other tables.
		{"redirect: 551", "address calvin@home.test calvin@new.example.net.REDIRECT", "calvin@home.test", "551 5.7.1 User has moved; please try <calvin@new.example.net>"},
		{"LUSER_RELAY: of a domain", "fallback home.test luis@home.test", "typo@home.test", "luis"},
		{"LUSER_RELAY: another host keeps the user", "fallback . @hub.example.net", "typo@foo.test", "typo@hub.example.net"},
		{"LUSER_RELAY: behind the catch-all", "fallback . luis@home.test\naddress @foo.test ana@home.test", "typo@foo.test", "ana"},
		{"domaintable: the old name is local", "domain old.test home.test", "ana@old.test", "ana"},
		{"domain alias: the same addresses", "alias-domain also.test home.test", "luis+x@also.test", "luis+x"},
		{"domain alias: and the same rules", "alias-domain also.test home.test\naddress info@home.test ana", "info@also.test", "ana"},
		{"domain alias: and the same unknown", "alias-domain also.test home.test", "typo@also.test", "unknown"},
		{"smrsh: a named program", `address ticket@home.test "|/usr/lib/rt"`, "ticket@home.test", "pipe:rt"},

		// aliases(5).
		{"aliases: several", "address all@home.test ana, luis@home.test, x@example.net", "all@home.test", "ana, luis, x@example.net"},
		{"aliases: members once", "address all@home.test ana, sales\naddress sales@home.test ana, luis", "all@home.test", "ana, luis"},
		{"aliases: /dev/null", "address spam@home.test /dev/null", "spam@home.test", "dropped"},
		{"aliases: keys fold", "address MAILER-DAEMON@home.test root", "Mailer-Daemon@HOME.test", "root"},
		{"aliases: user+foo before user", "address ana+boss@home.test luis", "ana+boss@home.test", "luis"},
		{"aliases: user+foo, then user", "address bob@home.test luis", "bob+foo@home.test", "luis"},
		{`aliases: \name stops`, `address ana@home.test \ana, luis`, "ana@home.test", "ana, luis"},
		{"aliases: name: name keeps a copy", "address ana@home.test ana, x@example.net", "ana@home.test", "ana, x@example.net"},
		{"aliases: a loop ends", "address a@home.test b\naddress b@home.test a", "a@home.test", "loop"},
		{"aliases: a loop with a way out delivers once", "address a@home.test b\naddress b@home.test a, luis", "a@home.test", "luis"},
		{"aliases: a loop round an account", "address ana@home.test b\naddress b@home.test ana", "ana@home.test", "ana"},
		{"aliases: owner-NAME is the reverse-path", "address list@home.test luis, x@example.net\naddress owner-list@home.test root", "list@home.test", "luis from owner-list@home.test, x@example.net from owner-list@home.test"},
		{"aliases: owner-NAME itself has none", "address owner-list@home.test root\naddress owner-owner-list@home.test ana", "owner-list@home.test", "root"},
		{"aliases: a refused member among others", "address all@home.test ana, gone\naddress gone@home.test error:nouser gone", "all@home.test", "ana"},
		{"aliases: an unknown member among others", "address all@home.test ana, typo", "all@home.test", "ana"},

		// Postfix, virtual(5).
		{"virtual: user+foo@dom first", "address u+x@foo.test ana@home.test\naddress u@foo.test luis@home.test\naddress @foo.test root@home.test", "u+x@foo.test", "ana"},
		{"virtual: then user@dom", "address u@foo.test luis@home.test\naddress @foo.test root@home.test", "u+x@foo.test", "luis"},
		{"virtual: then @dom", "address @foo.test root@home.test", "u+x@foo.test", "root"},
		{"virtual: @other keeps the user", "address @foo.test @home.test", "luis+x@foo.test", "luis+x"},
		{"virtual: @other, unknown there", "address @foo.test @home.test", "typo@foo.test", "loop"},
		{"virtual: unknown", "address u@foo.test ana@home.test", "v@foo.test", "unknown"},

		// masqmail: a pattern, the first that matches.
		{"glob: the first in order", "glob *-es@foo.test ana@home.test\nglob *@foo.test luis@home.test", "x-es@foo.test", "ana"},
		{"glob: the next", "glob *-es@foo.test ana@home.test\nglob *@foo.test luis@home.test", "x-en@foo.test", "luis"},
		{"glob: of all domains", "glob webmaster@* ana@home.test", "webmaster@foo.test", "ana"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := ends(ruledView(t, c.rules), c.address); got != c.want {
				t.Errorf("%s: %s, want %s", c.address, got, c.want)
			}
		})
	}
}

// mailertable and the maps of senders: which way mail for others leaves.
func TestLegacyWays(t *testing.T) {
	v := ruledView(t, `transport my.test smtp:[hub.test]
transport .my.test smtp:[sub.test]:26
transport deep.a.my.test lmtp:unix:/run/deep
transport fax.test pipe:hylafax
transport closed.test error:5.7.1:550 closed
transport taken.test local:luis
transport both.test local:
transport direct.test :
transport ceo@plain.test smtp:[vip.test]
transport . smtp:[all.test]
sender @home.test smtp:[home-relay.test]
sender ana@home.test smtp:[ana-relay.test]:587
account luis@home.test smtp:[luis-relay.test]`)
	for _, c := range []struct {
		name, from string
		account    mailbox.AccountID
		to, want   string
	}{
		{"the domain", "", 0, "x@my.test", "smtp:[hub.test]"},
		{"what is below it", "", 0, "x@a.my.test", "smtp:[sub.test]:26"},
		{"the longest match", "", 0, "x@deep.a.my.test", "lmtp:unix:/run/deep"},
		{"not a domain that ends so", "", 0, "x@notmy.test", "smtp:[all.test]"},
		{"a full address", "", 0, "ceo@plain.test", "smtp:[vip.test]"},
		{"everything else", "", 0, "cto@plain.test", "smtp:[all.test]"},
		{"the domain of the sender", "luis@home.test", 0, "x@plain.test", "smtp:[home-relay.test]"},
		{"the sender himself", "ana@home.test", 1, "x@plain.test", "smtp:[ana-relay.test]:587"},
		{"the account before the sender", "luis@home.test", 2, "x@plain.test", "smtp:[luis-relay.test]"},
		{"the recipient's domain before the account", "luis@home.test", 2, "x@my.test", "smtp:[hub.test]"},
		{"by its own MX", "ana@home.test", 1, "x@direct.test", "smtp:"},
		{"a program", "", 0, "123@fax.test", "pipe:hylafax"},
	} {
		t.Run(c.name, func(t *testing.T) {
			from, _ := addr.ParseAddress(c.from)
			to, _ := addr.ParseAddress(c.to)
			w, by, ok := v.Way(from, c.account, to)
			if got := w.String(); !ok || got != c.want {
				t.Errorf("%s by %s, want %s", got, by, c.want)
			}
		})
	}
	for to, want := range map[string]string{
		"x@taken.test": "luis", "ana@both.test": "ana", "nobody@both.test": "unknown", "x@closed.test": "550 5.7.1 closed",
		"x@my.test": "x@my.test", "ceo@plain.test": "smtp:[vip.test]", "1@fax.test": "pipe:hylafax",
	} {
		a, _ := addr.ParseAddress(to)
		got := ""
		out, err := v.Outward(addr.Address{}, 0, Target{Remote: a})
		if r, ok := errors.AsType[*Refused](err); ok {
			got = r.Reply.String()
		} else if errors.Is(err, ErrUnknown) {
			got = "unknown"
		} else if got = out[0].Transport; out[0].Account != 0 {
			got, _, _ = strings.Cut(v.Account(out[0].Account).Login, "@")
		} else if got == "" {
			got = out[0].Remote.String()
		}
		if got != want {
			t.Errorf("%s: %s, want %s", to, got, want)
		}
	}
}

func TestWalk(t *testing.T) {
	v := ruledView(t, "alias-domain also.test home.test\naddress sales@home.test ana, x@example.net\naddress owner-sales@home.test luis\naddress @home.test root")
	for address, want := range map[string][]string{
		"sales+eu@also.test": {
			"name also.test home.test", "domain home.test ours", "address sales+eu@home.test ", "address sales++@home.test ", "address sales+*@home.test ",
			"address sales@home.test ana@home.test, x@example.net", "owner sales+eu@home.test owner-sales@home.test",
			"address ana@home.test ", "account ana@home.test ana@home.test", "sent example.net x@example.net",
		},
		"typo@home.test": {
			"domain home.test ours", "address typo@home.test ", "account typo@home.test ", "catch-all @home.test root@home.test",
			"address root@home.test ", "account root@home.test root@home.test",
		},
	} {
		a, _ := addr.ParseAddress(address)
		steps, more := v.Walk(a)
		var got []string
		for _, s := range steps {
			got = append(got, fmt.Sprintf("%s %s %s", s.Stage, s.Key, s.Value))
		}
		if !slices.Equal(got, want) || more {
			t.Errorf("%s:\n%s\nwant\n%s", address, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// A catch-all is a finding about us, a worse one where it sends on.
func TestCatchAlls(t *testing.T) {
	for text, want := range map[string]string{
		"":                                    "[]",
		"address @foo.test ana@home.test":     "[{foo.test @foo.test ana@home.test false}]",
		"address @foo.test x@example.net":     "[{foo.test @foo.test x@example.net true}]",
		"address @foo.test error:nouser no":   "[]",
		"address @foo.test /dev/null":         "[]",
		"address @foo.test @home.test":        "[]",
		"glob *@foo.test ana@home.test":       "[{foo.test 000000 *@foo.test ana@home.test false}]",
		"glob sales-*@foo.test ana@home.test": "[]",
		"fallback foo.test luis@home.test":    "[{foo.test foo.test luis@home.test false}]",
	} {
		if got := fmt.Sprint(ruledView(t, text).CatchAlls()); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

// A million aliases cost little beside one.
func BenchmarkResolve(b *testing.B) {
	for _, n := range []int{0, 1_000_000} {
		v := ruledView(b, "")
		changes := make([]rules.Change, n)
		for i := range changes {
			changes[i] = rules.Rule{Kind: rules.Address, Key: fmt.Sprintf("user%d@home.test", i), Value: "someone@example.net"}
		}
		v = v.WithRules(changes)
		for _, address := range []string{"ana@home.test", "user77@home.test", "typo+x@home.test"} {
			a, _ := addr.ParseAddress(address)
			b.Run(fmt.Sprintf("rules=%d/%s", n, a.Local), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					v.Resolve(a)
				}
			})
		}
	}
}

// genericstable and masquerading: what our senders become.
func TestLegacySenders(t *testing.T) {
	v := ruledView(t, `generic joe@home.test joe.bloggs@corp.test
generic eva@home.test eva%1@corp.test
generic @inner.test @corp.test
generic postgres db@corp.test
masquerade shop.test corp.test
masquerade .lab.test lab.test envelope
masquerade out.lab.test -
masquerade root@ -
domain old.test home.test`)
	for _, c := range []struct{ name, in, header, envelope string }{
		{"a full address", "joe@home.test", "joe.bloggs@corp.test", "joe.bloggs@corp.test"},
		{"with a detail", "eva+x@home.test", "eva+x@corp.test", "eva+x@corp.test"},
		{"a domain", "ana@inner.test", "ana@corp.test", "ana@corp.test"},
		{"a bare user of ours", "postgres@foo.test", "db@corp.test", "db@corp.test"},
		{"a bare user of others", "postgres@example.net", "postgres@example.net", "postgres@example.net"},
		{"masqueraded in the header", "ana@shop.test", "ana@corp.test", "ana@shop.test"},
		{"and in the envelope", "ana@pc1.lab.test", "ana@lab.test", "ana@lab.test"},
		{"not what is above it", "ana@lab.test", "ana@lab.test", "ana@lab.test"},
		{"an exception", "ana@out.lab.test", "ana@out.lab.test", "ana@out.lab.test"},
		{"an exposed user", "root@shop.test", "root@shop.test", "root@shop.test"},
	} {
		a, err := addr.ParseAddress(c.in)
		if err != nil {
			t.Fatal(err)
		}
		if h, e := v.Public(a, true).String(), v.Public(a, false).String(); h != c.header || e != c.envelope {
			t.Errorf("%s: header %s, envelope %s; want %s, %s", c.name, h, e, c.header, c.envelope)
		}
	}
	if a := v.Renamed(addr.Address{Local: "x", Domain: "old.test"}); a.Domain != "home.test" {
		t.Error(a)
	}
}
