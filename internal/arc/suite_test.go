package arc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"posta/internal/dkim"
)

// scenario is one document of the public suite of ValiMail, arc_test_suite
// (tests/arc-draft-validation-tests.yml).
type scenario struct {
	Description string
	Tests       yaml.Node         // names and cases in turn: a name may come twice
	Records     map[string]string `yaml:"txt-records"`
}

type suiteCase struct {
	Description string
	Message     string
	CV          string `yaml:"cv"`
}

// run verifies each message and reports how many cases there were.
func (s *scenario) run(t *testing.T) (cases int) {
	z := zone{}
	for name, text := range s.Records {
		z[strings.ToLower(name)] = text
	}
	for pair := range slices.Chunk(s.Tests.Content, 2) {
		cases++
		t.Run(strings.ReplaceAll(s.Description, " ", "-")+"/"+pair[0].Value, func(t *testing.T) {
			var tt suiteCase
			if err := pair[1].Decode(&tt); err != nil {
				t.Fatal(err)
			}
			message := strings.ReplaceAll(tt.Message, "\n", "\r\n")
			r := Verify(t.Context(), []byte(message), dkim.VerifyOptions{Lookup: z.lookup, Now: now})
			want := strings.ToLower(strings.TrimSpace(tt.CV))
			if want == "" {
				want = "fail" // a chain that was declared failed: the suite's authors left these open
			}
			if r.Status.String() != want {
				t.Errorf("%s: got %s (%s), want %s", tt.Description, short(r), r.Detail, want)
			}
		})
	}
	return cases
}

func runSuite(t *testing.T, text []byte) (cases int) {
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var s scenario
		switch err := d.Decode(&s); {
		case errors.Is(err, io.EOF):
			return cases
		case err != nil:
			t.Fatal(err)
		}
		cases += s.run(t)
	}
}

// The public suite is not ours to keep here; POSTA_ARC_SUITE is the path of its
// validation tests. It was written for drafts of RFC 8617.
func TestPublicSuite(t *testing.T) {
	path := os.Getenv("POSTA_ARC_SUITE")
	if path == "" {
		t.Skip("POSTA_ARC_SUITE names no file")
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := runSuite(t, text); n < 100 {
		t.Errorf("%d cases: this is not the whole suite", n)
	}
}

// The runner is run itself, over chains of ours in the suite's form.
func TestSuiteRunner(t *testing.T) {
	indented := func(m string) string {
		return strings.ReplaceAll("    message: |\n"+strings.TrimSuffix(m, "\r\n"), "\n", "\n      ")
	}
	text := "description: >-\n  Chains of ours\ntests:\n" +
		"  good:\n" + strings.ReplaceAll(indented(through("a.example", "a.example")), "\r", "") + "\n    cv: Pass\n" +
		"  bad:\n" + strings.ReplaceAll(indented(through("a.example")+"x\r\n"), "\r", "") + "\n    cv: Fail\n" +
		"  none:\n" + strings.ReplaceAll(indented(letter), "\r", "") + "\n    cv: None\n" +
		"  open:\n" + strings.ReplaceAll(indented(forge(letter, hop{domain: "a.example", cv: "fail"})), "\r", "") + "\n    cv: \n" +
		"txt-records:\n  s._domainkey.a.example: >-\n    " + keys(t, "a.example")["s._domainkey.a.example"] + "\n"
	if n := runSuite(t, []byte(text)); n != 4 {
		t.Errorf("%d cases, want 4\n%s", n, text)
	}
}
