package lab

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"posta/internal/finding"
	"posta/internal/policy"
	"posta/internal/smtp"
)

// unplayed are the checks of incoming mail that no scenario names, each with its
// reason. A check that a scenario names must not stand here.
var unplayed = map[finding.ID]string{
	finding.MessageSize: "the engine's 552 names no check; scenario big has it",
	finding.SystemBusy:  "the lab's disk does not fail: TestPutOff of intake, crashtest",
	finding.SystemFull:  "the lab's disk is not full: TestPutOff of intake, crashtest",
	finding.ConnNetwork: "fifty connections at once: the tests of gate and smtpserver",
	finding.ConnTotal:   "a thousand connections at once: the tests of gate and smtpserver",

	finding.QuarantineFull: "gigabytes of held mail: TestNoRoomToHold of intake",
	finding.RateClient:     "thousands of messages of a network: TestLimits of intake",
	finding.RateRcpt:       "thousands of messages to one of ours: TestLimits of intake",
	finding.ReputationBad:  "a history of spam: the tests of intake and reputation",
	finding.DNSBLList:      "told when the lists are tested, of no message: scenario dead-list, the tests of intake",
	finding.DKIMSHA1:       "nobody signs so any more, the lab neither: the tests of intake",
	finding.DKIMClock:      "a signature of tomorrow: the tests of intake",

	finding.DNSBLBody:        "a list of domains in links: the tests of dnsbl and spam/links",
	finding.SpamHigh:         "a score that no single letter of the lab reaches: the tests of spam",
	finding.ContentArchive:   "the tests of intake and spam/attach",
	finding.ContentEncrypted: "the tests of spam/attach",
}

// emitted reads from the source which checks a package of the house names.
func emitted(t *testing.T, dir string, byName map[string]finding.ID) (out []finding.ID) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		t.Fatal(dir, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && x.Name == "finding" {
					if id, ok := byName[s.Sel.Name]; ok {
						out = append(out, id)
					}
				}
			}
			return true
		})
	}
	return out
}

// checkNames are the constants of the catalogue.
func checkNames(t *testing.T) map[string]finding.ID {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../finding/catalogue.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]finding.ID{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Names) != 1 || len(v.Values) != 1 {
			return true
		}
		if lit, ok := v.Values[0].(*ast.BasicLit); ok {
			out[v.Names[0].Name] = finding.ID(strings.Trim(lit.Value, `"`))
		}
		return true
	})
	return out
}

// Each check that an incoming message can fail, because policy has a row for it or a
// door or intake names it, is named by what a scenario expects: a reply, a trace or a
// page.
func TestScenariosCoverTheChecks(t *testing.T) {
	byName := checkNames(t)
	wanted := map[finding.ID]bool{}
	for _, r := range policy.Rules() {
		wanted[r.Check] = true
	}
	for _, dir := range []string{"../intake", "../smtpserver"} {
		for _, id := range emitted(t, dir, byName) {
			wanted[id] = true
		}
	}
	for p := range smtp.NumPhrases {
		if c := p.Entry().Check; c != "" {
			wanted[finding.ID(c)] = true
		}
	}
	if len(wanted) < 70 {
		t.Fatalf("only %d checks were found", len(wanted))
	}
	named := namedChecks(t)
	for id := range wanted {
		if _, excused := unplayed[id]; !named[id] && !excused {
			t.Errorf("no scenario expects %s: add one, as CONTRIBUTING.md says", id)
		}
	}
	for id, why := range unplayed {
		if named[id] || !wanted[id] || why == "" {
			t.Errorf("%s is excused (%s), and need not be: a scenario names it: %v; mail can fail it: %v", id, why, named[id], wanted[id])
		}
	}
}

// namedChecks are those in the lines of scenarios that expect something: "[spf.fail]"
// of a reply, "fail spf.fail" and "ana@empresa.test reject spf.fail" of a trace.
func namedChecks(t *testing.T) map[finding.ID]bool {
	t.Helper()
	files, err := fs.Glob(scenarioFiles, "testdata/scenarios/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	all, err := Scenarios()
	if err != nil || len(all) != len(files) {
		t.Fatal(len(all), err)
	}
	word := regexp.MustCompile(`[a-z]+\.[a-z0-9-]+`)
	out := map[finding.ID]bool{}
	for _, s := range all {
		for _, sec := range s.Sections {
			for _, l := range sec.lines {
				trace := sec.Kind == "trace" && !strings.HasPrefix(l, "pass ") && !strings.HasPrefix(l, "none ")
				reply := (sec.Kind == "dialogue" || sec.Kind == "send") && strings.HasPrefix(l, "S: ")
				if !trace && !reply {
					continue
				}
				for _, w := range word.FindAllString(l, -1) {
					out[finding.ID(w)] = true
				}
			}
		}
	}
	return out
}
