package finding

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Who may read the evidence of each check stands in a golden file, so that a new
// check is decided on and a change is seen.
func TestDisclosureOfEveryCheck(t *testing.T) {
	const file = "testdata/disclosure"
	names := [...]string{ToAnyone: "anyone", ToProven: "proven", ToNobody: "nobody"}
	var b strings.Builder
	used := map[ID]bool{}
	for _, c := range All() {
		_, own := disclosures[c.ID]
		_, section := disclosures[ID(c.ID.Section())]
		if !own && !section {
			t.Errorf("%s: neither the check nor its section says who may read its evidence", c.ID)
		}
		used[c.ID], used[ID(c.ID.Section())] = true, true
		fmt.Fprintf(&b, "%-7s %s\n", names[c.Disclosure()], c.ID)
	}
	for id := range disclosures {
		if !used[id] {
			t.Errorf("%s is neither a check nor a section", id)
		}
	}
	if *update {
		if err := os.WriteFile(file, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("%s differs; look at each line, then -update:\n%s", file, b.String())
	}
}

// What tells a stranger how content is judged, what we remember, and what the
// administrator listed is never for everybody.
func TestOursStaysOurs(t *testing.T) {
	for _, c := range All() {
		switch c.ID.Section() {
		case "spam", "content", "url", "scan":
			if c.Disclosure() == ToAnyone {
				t.Errorf("%s tells strangers how content is judged", c.ID)
			}
		case "reputation", "access", "quarantine", "system", "sandbox", "cert":
			if c.Disclosure() != ToNobody {
				t.Errorf("%s tells what is ours", c.ID)
			}
		}
	}
	if d := (Check{ID: "new.check"}).Disclosure(); d != ToNobody {
		t.Errorf("a section that nobody decided on: %d", d)
	}
}
