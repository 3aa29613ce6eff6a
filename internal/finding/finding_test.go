package finding

import (
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files and the pages anew")

// Every check has its texts in every language, and no text is left over.
func TestCatalogueAndTextsAgree(t *testing.T) {
	all, err := loadTexts()
	if err != nil {
		t.Fatal(err)
	}
	id := regexp.MustCompile(`^[a-z]+\.[a-z0-9-]+$`)
	bits := map[int]ID{}
	for _, c := range All() {
		if !id.MatchString(string(c.ID)) {
			t.Errorf("%s is not a dotted id", c.ID)
		}
		if other, ok := bits[c.Bit]; ok {
			t.Errorf("%s and %s share bit %d", c.ID, other, c.Bit)
		}
		if c.Bit < 0 || c.Bit >= MaxChecks {
			t.Errorf("%s: bit %d is outside the set", c.ID, c.Bit)
		}
		bits[c.Bit] = c.ID
		if c.Standard == "" || c.Ref == "" {
			t.Errorf("%s names no standard or reference", c.ID)
		}
		for _, lang := range Languages() {
			x := all[lang][c.ID]
			if x.Title == "" || x.Why == "" || x.Them == "" || x.Us == "" {
				t.Errorf("%s: a text is missing in %s", c.ID, lang)
			}
		}
	}
	for _, lang := range Languages() {
		if len(all[lang]) != len(catalogue) {
			t.Errorf("%s has %d texts for %d checks", lang, len(all[lang]), len(catalogue))
		}
	}
}

// A title goes into an SMTP reply: one short line of printable ASCII, no full
// stop. The other texts are whole sentences.
func TestTextsAreInForm(t *testing.T) {
	all, err := loadTexts()
	if err != nil {
		t.Fatal(err)
	}
	const longest = 80 // octets; with code, check id and link a reply stays far below RFC 5321 §4.5.3.1.5
	for _, c := range All() {
		title := all["en"][c.ID].Title
		if strings.ContainsFunc(title, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("%s: the title %q is not ASCII", c.ID, title)
		}
		if len(title) > longest {
			t.Errorf("%s: the title has %d octets, at most %d", c.ID, len(title), longest)
		}
		for _, lang := range Languages() {
			x := all[lang][c.ID]
			if strings.HasSuffix(x.Title, ".") {
				t.Errorf("%s: the title ends in a full stop in %s", c.ID, lang)
			}
			for _, s := range []string{x.Why, x.Them, x.Us} {
				if !strings.HasSuffix(s, ".") || strings.ContainsAny(s, "\r\n") {
					t.Errorf("%s: %q is no sentence", c.ID, s)
				}
			}
		}
	}
}

// declared reads the constants of type ID from the package's source.
func declared(t *testing.T) map[string]ID {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]ID{}
	for _, d := range f.Decls {
		g, ok := d.(*ast.GenDecl)
		if !ok || g.Tok != token.CONST {
			continue
		}
		for _, s := range g.Specs {
			v := s.(*ast.ValueSpec)
			if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "ID" {
				continue
			}
			text, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			ids[v.Names[0].Name] = ID(text)
		}
	}
	return ids
}

// Each constant is a row of the catalogue and each row has one constant, so that
// code cannot name a check that nobody could look up.
func TestEveryConstantIsInTheCatalogue(t *testing.T) {
	constants := map[ID]string{}
	for name, id := range declared(t) {
		if other, ok := constants[id]; ok {
			t.Errorf("%s and %s are both %q", name, other, id)
		}
		constants[id] = name
		if _, ok := Lookup(id); !ok {
			t.Errorf("%s (%q) has no row in the catalogue", name, id)
		}
	}
	rows := map[ID]bool{}
	for _, c := range All() {
		if rows[c.ID] {
			t.Errorf("%s has two rows", c.ID)
		}
		rows[c.ID] = true
		if constants[c.ID] == "" {
			t.Errorf("%s has a row and no constant", c.ID)
		}
	}
}

// Bits are for ever: records that were kept years ago are read by them. The
// golden file has the bit of each check; -update adds new ones and never changes
// an old one.
func TestBitsAreForEver(t *testing.T) {
	const file = "testdata/bits"
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	golden := map[int]ID{}
	for line := range strings.Lines(string(b)) {
		var bit int
		var id ID
		if _, err := fmt.Sscan(line, &bit, &id); err != nil {
			t.Fatalf("%s: %q: %v", file, line, err)
		}
		golden[bit] = id
		if c, ok := Lookup(id); !ok || c.Bit != bit {
			t.Errorf("%s has bit %d for ever; the catalogue says %+v", id, bit, c)
		}
	}
	byBit := map[int]ID{}
	for _, c := range All() {
		byBit[c.Bit] = c.ID
	}
	for bit := range MaxChecks {
		id := byBit[bit]
		switch {
		case id == "" || golden[bit] == id:
		case golden[bit] != "":
			t.Errorf("bit %d of %s went to %s", bit, golden[bit], id)
		case *update:
			b = fmt.Appendln(b, bit, id)
		default:
			t.Errorf("%s (bit %d) is not in %s yet: run go test ./internal/finding -update", id, bit, file)
		}
	}
	if *update && !t.Failed() {
		if err := os.WriteFile(file, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// A pass is one bit; the worst outcome of a check wins.
func TestSet(t *testing.T) {
	var s Set
	s.Add(Of(SPFFail, Pass, "example.org"))
	if got := s.Outcome(SPFFail); got != Pass {
		t.Errorf("after a pass: %v", got)
	}
	s.Add(Of(SPFFail, Unverified, "example.org", "SPF", "timeout"))
	if got := s.Outcome(SPFFail); got != Unverified {
		t.Errorf("after a timeout: %v", got)
	}
	c := s.Clone()
	c.Add(Of(SPFFail, Fail, "example.org", "SPF", "-all"))
	if got := c.Outcome(SPFFail); got != Fail {
		t.Errorf("after a fail: %v", got)
	}
	if got := s.Outcome(SPFFail); got != Unverified {
		t.Errorf("the clone changed its original: %v", got)
	}
	if got := s.Outcome(PTRMissing); got != NotApplicable {
		t.Errorf("never looked at: %v", got)
	}
	if p := s.Passes(); len(p) != 1 || p[0] != SPFFail {
		t.Errorf("passes: %v", p)
	}
}

// A pass with a note is a pass, and its evidence is kept; it hides no failure.
func TestNote(t *testing.T) {
	var s Set
	s.Note(Of(DMARCFail, Fail, "example.org", "not counted", "a trusted forwarder"))
	if got := s.Outcome(DMARCFail); got != Pass {
		t.Errorf("noted: %v", got)
	}
	if f, ok := s.Find(DMARCFail); ok {
		t.Errorf("found as a failure: %v", f)
	}
	if len(s.Others) != 1 || s.Others[0].Outcome != Pass || len(s.Others[0].Evidence) != 1 {
		t.Errorf("kept: %v", s.Others)
	}
	s.Add(Of(DMARCFail, Fail, "example.net"))
	if f, ok := s.Find(DMARCFail); s.Outcome(DMARCFail) != Fail || !ok || f.Subject != "example.net" {
		t.Errorf("after a failure: %v, %v", s.Outcome(DMARCFail), f)
	}
}

// A record of the time when the bitset had two words reads as it did then, and
// what is written today is read again.
func TestOldRecordsDecode(t *testing.T) {
	const old = `{"passed":[1,4503599627370496],"others":[{"check":"spf.fail","outcome":2,"subject":"example.org","evidence":[{"what":"record","seen":"v=spf1 -all"}]}]}`
	want := Set{
		Passed: [setWords]uint64{1, 1 << 52},
		Others: []Finding{Of(SPFFail, Fail, "example.org", "record", "v=spf1 -all")},
	}
	var s Set
	if err := json.Unmarshal([]byte(old), &s); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v, want %+v", s, want)
	}
	if s.Outcome(PTRMissing) != Pass || s.Outcome(SPFFail) != Fail {
		t.Errorf("bit 0: %v; evidence: %v", s.Outcome(PTRMissing), s.Outcome(SPFFail))
	}
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	var again Set
	if err := json.Unmarshal(b, &again); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("%s reads as %+v, %v", b, again, err)
	}
}
