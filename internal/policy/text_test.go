package policy

import (
	"reflect"
	"strings"
	"testing"

	"posta/internal/finding"
	"posta/internal/mail"
)

const whole = `level = 'paranoid'
trusted_sealers = ['lists.example.org', 'xn--lista-0ta.example']

[rules]
'dkim.missing' = {own-server = 'quarantine', big-provider = 'accept'}
'ptr.generic' = 'greylist'
'spf.fail' = {unverified = 'accept'}
'spf.softfail' = 'mark $Soft'

[spam]
junk = 4.5
high = 9.0

[quarantine]
digest = '2d'
overdue = '36h'
max_mib = 100

[accounts]
messages_per_day = 100

[[exception]]
for = ['ventas@empresa.test', '@filial.test']
level = 'lenient'

[exception.rules]
'dnsbl.listed' = 'junk'
`

// What is written is read as the same policy.
func TestTextRoundTrip(t *testing.T) {
	for _, text := range []string{whole, "", "level = 'guia'"} {
		p, err := Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(p.String())
		if err != nil {
			t.Fatalf("%v in\n%s", err, p)
		}
		if !reflect.DeepEqual(p, again) {
			t.Errorf("%+v\nbecame\n%+v\nthrough\n%s", p, again, p)
		}
	}
}

// Sealers are trusted by the name that stands in d=, in any form, and by no other.
func TestTrustedSealers(t *testing.T) {
	p, err := Parse(`trusted_sealers = ["LISTS.example.org", "lista-ñ.example", "lists.example.org"]`)
	if err != nil || len(p.Sealers) != 2 {
		t.Fatal(p, err)
	}
	for domain, want := range map[string]bool{
		"lists.example.org": true, "xn--lista--1wa.example": true, "example.org": false, "x.lists.example.org": false, "": false,
	} {
		if got := p.Sealers.Trusts(domain); got != want {
			t.Errorf("%q: %v, in %q", domain, got, p.Sealers)
		}
	}
	if new(Policy).Sealers.Trusts("lists.example.org") {
		t.Error("somebody is trusted by default")
	}
}

// Everything that is wrong is told at once, by its key, with the mend.
func TestTextProblems(t *testing.T) {
	_, err := Parse(`
level = "stern"
trusted_sealers = ["lists.example.org", "Ana@example.org"]
[rules]
"ptr.mising" = "junk"
"ptr.missing" = "jnuk"
"header.date" = "junk"
"spf.fail" = { unverified = "reject", big = "junk" }
"dkim.fail" = 3
[spam]
junk = 9.0
high = 1.0
[quarantine]
keep = "soon"
[accounts]
messages_per_day = -1
[[exception]]
for = ["nobody"]
[[exception]]
level = "lenient"
`)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{
		`level: "stern" is no level; there are lenient, strict, paranoid, guia`,
		`trusted_sealers: "Ana@example.org" is no domain; write what stands in d=`,
		`rules.ptr.mising: no such check; did you mean "ptr.missing"?`,
		`rules.ptr.missing: "jnuk" is no step`,
		`rules.header.date: this check has no row`,
		`rules.spf.fail.unverified: what could not be verified cannot be refused`,
		`rules.spf.fail.big: no such class`,
		`rules.dkim.fail: wants a step in quotes`,
		`spam.high: less than spam.junk (9)`,
		`quarantine.keep: "soon" is no age`,
		`accounts.messages_per_day: -1 is out of range`,
		`exception[1].for: "nobody" is neither an address nor @domain`,
		`exception[2].for: names nobody`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s\nin: %v", want, err)
		}
	}
	for _, text := range []string{"levle = 'strict'", "level = ", strings.Repeat("#", MaxText+1)} {
		if _, err := Parse(text); err == nil {
			t.Errorf("no error of %.20q", text)
		}
	}
}

// An edit changes one thing, an empty one takes it back, and neither touches what
// is in use.
func TestEdit(t *testing.T) {
	p := Profile(Strict)
	next, err := p.With(Edit{Check: finding.PTRMissing, Step: "junk"})
	if err != nil {
		t.Fatal(err)
	}
	if st, changed := next.At(Cell{Check: finding.PTRMissing}); st != junk || !changed || len(p.Steps) != 0 {
		t.Errorf("%v %v, the old one has %d", st, changed, len(p.Steps))
	}
	next, err = next.With(Edit{Check: finding.PTRMissing, Class: "big-provider", Step: "accept", For: "Ana@Empresa.test"})
	if err != nil || len(next.Exceptions) != 1 || next.Exceptions[0].Steps[Cell{Check: finding.PTRMissing, Class: mail.BigProvider}] != fine {
		t.Errorf("%v %+v", err, next.Exceptions)
	}
	next, err = next.With(Edit{Check: finding.PTRMissing, For: "ana@empresa.test"})
	if err != nil || len(next.Exceptions) != 0 {
		t.Errorf("%v %+v", err, next.Exceptions)
	}
	next, err = next.With(Edit{Check: finding.PTRMissing})
	if err != nil || len(next.Steps) != 0 {
		t.Errorf("%v %+v", err, next.Steps)
	}
	for _, e := range []Edit{{Check: "ptr.mising", Step: "junk"}, {Check: finding.PTRMissing, Step: "jnuk"}, {Check: finding.PTRMissing, Step: "junk", Class: "x"}, {Check: finding.PTRMissing, Step: "junk", For: "x"}} {
		if _, err := p.With(e); err == nil {
			t.Errorf("no error of %+v", e)
		}
	}
}

// Each text of the guides is there in both languages, and wherever strict has another
// value it says why.
func TestGuideTexts(t *testing.T) {
	all, err := guides()
	if err != nil {
		t.Fatal(err)
	}
	for key, en := range all["en"] {
		es, ok := all["es"][key]
		if !ok || en.Lines != es.Lines || (en.Differs == "") != (es.Differs == "") || en.Reason == "" || es.Reason == "" {
			t.Errorf("%q: %+v and %+v", key, en, es)
		}
		if !strings.Contains(key, "accounts.") && !strings.Contains(key, "quarantine.") && key != "" && byCheck(finding.ID(key)) == nil {
			t.Errorf("%q has no row", key)
		}
	}
	for _, r := range rules {
		en := GuideOf(string(r.Check), "en")
		if differs := r.Steps[0][Guia] != r.Steps[0][Strict] || r.Steps[1][Guia] != r.Steps[1][Strict] || r.Unverified[Guia] != r.Unverified[Strict]; differs != (en.Differs != "") {
			t.Errorf("%q: strict differs: %v, and the text says %q", r.Check, differs, en.Differs)
		}
	}
	if len(all["en"]) != len(all["es"]) {
		t.Errorf("%d texts in English, %d in Spanish", len(all["en"]), len(all["es"]))
	}
}

// FuzzParse: no text panics, and what is read is written as the same.
func FuzzParse(f *testing.F) {
	f.Add(whole)
	f.Add("[rules]\n'spf.fail' = {unverified = 1}")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(p.String())
		if err != nil || !reflect.DeepEqual(p, again) {
			t.Fatalf("%v: %q became %q", err, text, p.String())
		}
	})
}
