package finding

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"posta/internal/words"
)

// page is what docs/CHECKS*.md say besides the catalogue.
type page struct {
	lang, file, other, otherName, title, intro, severity, contents string
}

var pages = []page{
	{
		lang: "en", file: "CHECKS.md", other: "CHECKS.es.md", otherName: "En español", title: "The checks",
		intro: `Posta judges others and itself by one catalogue. Each check has an id for ever; a refusal names it in brackets, ` +
			"`posta check show ID` explains it, and so does the page behind the link in the reply. What follows from a failed check is for the " +
			"policy: `posta policy show`. A look-up that failed is “could not verify”, never a failure.\n\n" +
			`Behind each standard stands where the check comes from: CH-… is a row of the table of what public auditors test, S… a line of [PRACTICES.md](PRACTICES.md).`,
		severity: "Severity is defined by consequence:", contents: "Contents",
	},
	{
		lang: "es", file: "CHECKS.es.md", other: "CHECKS.md", otherName: "In English", title: "Las comprobaciones",
		intro: `Posta juzga a los demás y a sí misma con un solo catálogo. Cada comprobación tiene un identificador para siempre; un rechazo lo nombra entre corchetes, ` +
			"`posta check show ID` la explica, y también la página del enlace de la respuesta. Lo que sigue a un fallo lo decide la " +
			"política: `posta policy show`. Una consulta que no salió bien es «no se pudo comprobar», nunca un fallo.\n\n" +
			`Junto a cada norma está de dónde sale la comprobación: CH-… es una fila de la tabla de lo que examinan los auditores públicos, S… una línea de [PRACTICES.md](PRACTICES.md).`,
		severity: "La gravedad se define por la consecuencia:", contents: "Contenido",
	},
}

// markdown escapes what Markdown would take for its own.
var markdown = strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "~", `\~`, "<", `\<`, ">", `\>`, "[", `\[`, "]", `\]`, "|", `\|`)

// render writes a page from the catalogue and the texts of its language.
func (p page) render() string {
	var b strings.Builder
	say := words.Lang(p.lang).Say
	fmt.Fprintf(&b, "# %s\n\n<!-- Written by go test ./internal/finding -update from the catalogue and its texts; change those. -->\n\n[%s](%s)\n\n%s\n\n%s\n\n", p.title, p.otherName, p.other, p.intro, p.severity)
	for s := Critical; ; s-- {
		fmt.Fprintf(&b, "- **%s**: %s\n", say("severity."+s.String()), say("severity.means."+s.String()))
		if s == Info {
			break
		}
	}
	fmt.Fprintf(&b, "\n## %s\n\n", p.contents)
	section := ""
	for _, c := range All() {
		if c.ID.Section() != section {
			if section != "" {
				b.WriteString("\n")
			}
			section = c.ID.Section()
			fmt.Fprintf(&b, "- [%s](#%s):", SectionTitle(section, p.lang), section)
		} else {
			b.WriteString(" ·")
		}
		fmt.Fprintf(&b, " [%s](#%s)", strings.TrimPrefix(string(c.ID), section+"."), c.ID)
	}
	b.WriteString("\n")
	section = ""
	for _, c := range All() {
		if c.ID.Section() != section {
			section = c.ID.Section()
			fmt.Fprintf(&b, "\n## <a id=\"%s\"></a>%s\n", section, SectionTitle(section, p.lang))
		}
		x := TextOf(c.ID, p.lang)
		fmt.Fprintf(&b, "\n### <a id=\"%[1]s\"></a>`%[1]s`\n\n**%s** (%s)\n\n%s\n\n- %s: %s\n- %s: %s\n- %s: %s · %s\n", c.ID,
			markdown.Replace(x.Title), say("severity."+c.Severity.String()), markdown.Replace(x.Why),
			say("word.them"), markdown.Replace(x.Them), say("word.us"), markdown.Replace(x.Us),
			say("word.standard"), linked(c.Standard), c.Ref)
	}
	return b.String()
}

// linked makes the RFC sections of a standard into links.
func linked(standard string) string {
	return rfcSection.ReplaceAllStringFunc(standard, func(s string) string {
		m := rfcSection.FindStringSubmatch(s)
		return "[" + s + "](" + rfcLink(m[1], m[2]) + ")"
	})
}

// docs/CHECKS.md and its Spanish sister say what the catalogue says, and each
// check can be linked to.
func TestPagesAndCatalogueAgree(t *testing.T) {
	for _, p := range pages {
		file := filepath.Join("..", "..", "docs", p.file)
		want := p.render()
		for _, c := range All() {
			if n := strings.Count(want, fmt.Sprintf(`<a id="%s"></a>`, c.ID)); n != 1 {
				t.Errorf("%s: %d anchors for %s", p.file, n, c.ID)
			}
		}
		if *update {
			if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(got) != want {
			t.Errorf("%s is not what the catalogue says: run go test ./internal/finding -update", p.file)
		}
	}
}

// The checks of a section stand together, each section has a title in each
// language, and no title is left over.
func TestSections(t *testing.T) {
	titles, err := loadSections()
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, c := range All() {
		s := c.ID.Section()
		if len(order) > 0 && order[len(order)-1] == s {
			continue
		}
		if slices.Contains(order, s) {
			t.Errorf("%s stands apart from the other checks of its section", c.ID)
			continue
		}
		order = append(order, s)
		for _, lang := range Languages() {
			if titles[s][lang] == "" {
				t.Errorf("the section %s has no title in %s", s, lang)
			}
		}
	}
	if len(titles) != len(order) {
		t.Errorf("%d titles for %d sections", len(titles), len(order))
	}
}

// What a person may have meant.
func TestNear(t *testing.T) {
	for _, c := range []struct {
		written string
		want    []ID
	}{
		{"spf.fial", []ID{SPFFail}},
		{"SPF-Softfail", []ID{SPFSoftFail}},
		{"arc", []ID{ARCFail}},
		{"url.adress", []ID{URLAddress}},
		{"header.dateskew", []ID{DateSkew}},
		{"from", []ID{FromMissing, FromMultiple}},
		{"xyzzy", nil},
		{"", nil},
	} {
		if got := Near(c.written); !slices.Equal(got, c.want) {
			t.Errorf("%q: %v, want %v", c.written, got, c.want)
		}
	}
}

func TestLinks(t *testing.T) {
	for _, c := range []struct {
		standard string
		want     []string
	}{
		{"RFC 1912 §2.1; RFC 8601 §2.7.3", []string{"https://www.rfc-editor.org/rfc/rfc1912#section-2.1", "https://www.rfc-editor.org/rfc/rfc8601#section-2.7.3"}},
		{"RFC 3207 §4; Gmail sender guidelines", []string{"https://www.rfc-editor.org/rfc/rfc3207#section-4"}},
		{"RFC 8314", []string{"https://www.rfc-editor.org/rfc/rfc8314"}},
		{"M3AAWG sender practice", nil},
	} {
		if got := (Check{Standard: c.standard}).Links(); !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", c.standard, got)
		}
	}
}
