package lab

import (
	"strings"
	"testing"

	"posta/internal/finding"
)

// unaudited are the checks of package audit that no scenario has failing, each with its
// reason.
var unaudited = map[finding.ID]string{
	finding.SMTPSmuggling: "asked by posta probe smtp --smuggling alone, since it sends mail: TestSmuggling of probe",
	finding.DKIMHeaders:   "asked with --message alone: TestSignatures of audit",
}

// unpassed are those that no scenario has passing.
var unpassed = map[finding.ID]string{
	finding.SMTPSmuggling: "as above",
	finding.MXParked:      "told only where it fails",
	finding.DKIMHeaders:   "as above",
	finding.MXSendOnly:    "told only where it fails: advice to those whom it concerns",
	finding.DMARCPeople:   "told only where it fails: advice to those whom it concerns",
}

// Each check that an audit makes is failed by one domain or host of the lab and passed
// by another.
func TestScenariosCoverTheAudit(t *testing.T) {
	failed, passed := map[finding.ID]bool{}, map[finding.ID]bool{}
	all, err := Scenarios()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		for _, sec := range s.Sections {
			if sec.Kind != "audit" {
				continue
			}
			for _, l := range sec.lines {
				words := strings.Fields(l)
				switch words[0] {
				case "fail":
					failed[finding.ID(words[1])] = true
				case "pass":
					passed[finding.ID(words[1])] = true
				}
			}
		}
	}
	wanted := map[finding.ID]bool{}
	for _, id := range emitted(t, "../audit", checkNames(t)) {
		wanted[id] = true
	}
	if len(wanted) < 130 {
		t.Fatalf("only %d checks were found", len(wanted))
	}
	for id := range wanted {
		if !failed[id] && unaudited[id] == "" {
			t.Errorf("no audited domain of the lab fails %s", id)
		}
		if !passed[id] && unpassed[id] == "" {
			t.Errorf("no audited domain of the lab passes %s", id)
		}
	}
	for id, why := range unaudited {
		if failed[id] || !wanted[id] {
			t.Errorf("%s is excused (%s), and need not be", id, why)
		}
	}
	for id, why := range unpassed {
		if passed[id] || !wanted[id] {
			t.Errorf("%s is excused (%s), and need not be", id, why)
		}
	}
}
