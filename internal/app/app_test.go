package app

import (
	"testing"

	"posta/internal/finding"
	"posta/internal/smtp"
)

// Every check that the SMTP engine speaks of by itself is in the catalogue, so
// that its page exists.
func TestEngineSpeaksOfKnownChecks(t *testing.T) {
	n := 0
	for p := range smtp.NumPhrases {
		e := p.Entry()
		if e.Check == "" {
			continue
		}
		n++
		if _, ok := finding.Lookup(finding.ID(e.Check)); !ok {
			t.Errorf("%s speaks of %s, which is not in the catalogue", e.Name, e.Check)
		}
	}
	if n == 0 {
		t.Error("the engine speaks of no check at all")
	}
}
