package main

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"posta/internal/finding"
	"posta/internal/words"
)

// The list has every check below the title of its section, in both languages.
func TestCheckList(t *testing.T) {
	for _, lang := range finding.Languages() {
		var out strings.Builder
		if err := (&cli{lang: words.Lang(lang), out: &out}).listChecks(); err != nil {
			t.Fatal(err)
		}
		sections := map[string][]string{} // title → ids
		title := ""
		for _, block := range strings.Split(out.String(), "\n\n")[1:] {
			for i, line := range strings.Split(strings.TrimSpace(block), "\n") {
				if i == 0 {
					title = line
					continue
				}
				sections[title] = append(sections[title], strings.Fields(line)[0])
			}
		}
		for _, k := range finding.All() {
			of := finding.SectionTitle(k.ID.Section(), lang)
			if ids := sections[of]; len(ids) == 0 || ids[0] != string(k.ID) {
				t.Fatalf("%s: below %q comes %v, not %s", lang, of, ids, k.ID)
			}
			sections[of] = sections[of][1:]
		}
	}
}

func TestCheckShow(t *testing.T) {
	for _, c := range []struct {
		lang, id string
		want     []string // lines
	}{
		{"en", "spf.lookups", []string{
			"spf.lookups (high: large receivers refuse or junk for it)",
			"The SPF record needs too many DNS look-ups.",
			"How the other side mends it: Take out the include, a, mx, ptr and exists terms that you do not need, or write ip4 and ip6 instead.",
			"How we mend it: Take out what our record does not need, or write our addresses as ip4 and ip6.",
			"Standard: RFC 7208 §4.6.4",
			"  https://www.rfc-editor.org/rfc/rfc7208#section-4.6.4",
			"Reference: CH-SPF-02 S30",
			"Page: docs/CHECKS.md#spf.lookups",
		}},
		{"es", "dmarc.none", []string{
			"dmarc.none (baja: descuido; algunos filtros lo puntúan)",
			"El registro DMARC no pide nada.",
			"Norma: RFC 9989 §4.7",
			"Página: docs/CHECKS.es.md#dmarc.none",
		}},
	} {
		var out strings.Builder
		if err := (&cli{lang: words.Lang(c.lang), out: &out}).showCheck(c.id); err != nil {
			t.Fatal(err)
		}
		for _, line := range c.want {
			if !strings.Contains("\n"+out.String(), "\n"+line+"\n") {
				t.Errorf("%s %s: no line %q in\n%s", c.lang, c.id, line, out.String())
			}
		}
	}
}

// A misspelt id is answered with the one that was meant, by status 2.
func TestCheckNear(t *testing.T) {
	for _, c := range []struct{ lang, id, want string }{
		{"en", "spf.fial", `there is no check "spf.fial"; did you mean spf.fail?`},
		{"es", "ptr", `no hay ninguna comprobación "ptr"; ¿quería decir ptr.missing, ptr.mismatch, ptr.generic, ptr.many?`},
		{"en", "xyzzy", `there is no check "xyzzy"; posta check ls lists them`},
	} {
		var out strings.Builder
		err := (&cli{lang: words.Lang(c.lang), out: &out}).showCheck(c.id)
		if !errors.Is(err, errUsage) || !strings.HasSuffix(err.Error(), c.want) || out.Len() > 0 {
			t.Errorf("%s: %v, printed %q", c.id, err, out.String())
		}
	}
}

// Programs read the same: every check with its section, links and page.
func TestCheckJSON(t *testing.T) {
	var out strings.Builder
	if err := (&cli{lang: "en", json: true, out: &out}).listChecks(); err != nil {
		t.Fatal(err)
	}
	var all []shownCheck
	if err := json.Unmarshal([]byte(out.String()), &all); err != nil {
		t.Fatal(err)
	}
	if len(all) != len(finding.All()) {
		t.Errorf("%d checks of %d", len(all), len(finding.All()))
	}
	for _, x := range all {
		if x.ID == finding.ARCFail && (x.Section != "arc" || x.Severity != "low" || x.Title == "" || len(x.Links) != 1 || x.Page != "docs/CHECKS.md#arc.fail") {
			t.Errorf("%+v", x)
		}
	}
}
