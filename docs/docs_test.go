// Package docs has the documents and the tests that keep them true.
package docs

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"posta/internal/finding"
)

// tree lists the names of all tests, and of all scenarios of the lab.
func tree(t *testing.T) (tests, scenarios map[string]bool) {
	t.Helper()
	tests, scenarios = map[string]bool{}, map[string]bool{}
	decl := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz|Benchmark)\w+)\(`)
	err := filepath.WalkDir("..", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		if strings.HasSuffix(p, "_test.go") || strings.Contains(filepath.ToSlash(p), "store/storetest/") || strings.Contains(filepath.ToSlash(p), "blob/blobtest/") {
			b, err := os.ReadFile(p)
			if err != nil {
				return err
			}
			for _, m := range decl.FindAllSubmatch(b, -1) {
				tests[string(m[1])] = true
			}
		}
		if filepath.Base(filepath.Dir(p)) == "scenarios" {
			scenarios[strings.TrimSuffix(filepath.Base(p), ".txtar")] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests, scenarios
}

// PRACTICES.md has each line of the guides once, with a state, and what it names
// as proof is there.
func TestPractices(t *testing.T) {
	b, err := os.ReadFile("PRACTICES.md")
	if err != nil {
		t.Fatal(err)
	}
	tests, scenarios := tree(t)
	row := regexp.MustCompile(`(?m)^\| S(\d+) \| (.*?) \| (.*?) \| (.*?) \|$`)
	testName := regexp.MustCompile(`\b(?:Test|Fuzz)[A-Z]\w+`)
	scenario := regexp.MustCompile(`scenario ([a-z0-9-]+)`)
	seen := map[string]bool{}
	for _, m := range row.FindAllStringSubmatch(string(b), -1) {
		line, state, how := "S"+m[1], m[3], m[4]
		if seen[line] {
			t.Errorf("%s stands twice", line)
		}
		seen[line] = true
		if !slices.Contains([]string{"works", "partly", "not yet"}, state) {
			t.Errorf("%s: %q is no state", line, state)
		}
		if how == "" {
			t.Errorf("%s says neither what shows it nor where it will be done", line)
		}
		named := testName.FindAllString(how, -1)
		for _, n := range named {
			if !tests[n] {
				t.Errorf("%s names the test %s, which does not exist", line, n)
			}
		}
		for _, s := range scenario.FindAllStringSubmatch(how, -1) {
			if !scenarios[s[1]] {
				t.Errorf("%s names the scenario %s, which does not exist", line, s[1])
			}
		}
		if state == "works" && len(named) == 0 && !strings.Contains(how, "scenario ") && !strings.Contains(how, "`") && !strings.Contains(how, "/why") {
			t.Errorf("%s is said to work, and nothing shows it", line)
		}
	}
	for n := 1; n <= 154; n++ {
		if !seen[fmt.Sprintf("S%d", n)] {
			t.Errorf("S%d is forgotten", n)
		}
	}
}

// AUDIT.md has each row that a check refers to, with exactly those checks, and what it
// names as proof is there.
func TestAuditRows(t *testing.T) {
	b, err := os.ReadFile("AUDIT.md")
	if err != nil {
		t.Fatal(err)
	}
	ref := regexp.MustCompile(`\bCH-[A-Z]+-[A-Z0-9]+\b`)
	wanted := map[string][]string{}
	for _, c := range finding.All() {
		for _, r := range ref.FindAllString(c.Ref, -1) {
			wanted[r] = append(wanted[r], string(c.ID))
		}
	}
	tests, scenarios := tree(t)
	seen := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^\| (CH-[A-Z]+-[A-Z0-9]+) \| (.*?) \| (.*?) \| (.*?) \|$`).FindAllStringSubmatch(string(b), -1) {
		row, state, checks, how := m[1], m[2], strings.Split(m[3], ", "), m[4]
		if seen[row] {
			t.Errorf("%s stands twice", row)
		}
		seen[row] = true
		if m[3] == "–" {
			checks = nil
		}
		if !slices.Equal(checks, wanted[row]) {
			t.Errorf("%s: checks %q, the catalogue has %q", row, checks, wanted[row])
		}
		if !slices.Contains([]string{"works", "partly", "not yet"}, state) || (how == "–") != (state == "not yet") {
			t.Errorf("%s: state %q, shown by %q", row, state, how)
		}
		for _, n := range regexp.MustCompile(`\bTest[A-Z]\w+`).FindAllString(how, -1) {
			if !tests[n] {
				t.Errorf("%s names the test %s, which does not exist", row, n)
			}
		}
		for _, s := range regexp.MustCompile(`scenario ([a-z0-9-]+)`).FindAllStringSubmatch(how, -1) {
			if !scenarios[s[1]] {
				t.Errorf("%s names the scenario %s, which does not exist", row, s[1])
			}
		}
	}
	for row := range wanted {
		if !seen[row] {
			t.Errorf("%s is forgotten", row)
		}
	}
}

// Both READMEs show the same commands: whoever reads either finds the same way.
func TestReadmesAgree(t *testing.T) {
	commands := func(file string) []string {
		b, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		in := false
		for line := range strings.Lines(string(b)) {
			if strings.HasPrefix(line, "```") {
				in = !in
			} else if in && strings.HasPrefix(line, "$ ") {
				out = append(out, strings.TrimSpace(line))
			}
		}
		return out
	}
	en, es := commands("README.md"), commands("README.es.md")
	if len(en) < 2 || !slices.Equal(en, es) {
		t.Errorf("the commands differ:\n%s\n\n%s", strings.Join(en, "\n"), strings.Join(es, "\n"))
	}
	if en[0] != "$ go run ./cmd/posta lab" || en[1] != "$ go test ./..." {
		t.Errorf("the README opens with the two commands, not with %q", en[:2])
	}
}
