package finding

import (
	"encoding/json"
	"reflect"
	"regexp"
	"testing"
)

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
		for _, lang := range languages {
			x := all[lang][c.ID]
			if x.Title == "" || x.Why == "" || x.Them == "" || x.Us == "" {
				t.Errorf("%s: a text is missing in %s", c.ID, lang)
			}
		}
	}
	for _, lang := range languages {
		if len(all[lang]) != len(catalogue) {
			t.Errorf("%s has %d texts for %d checks", lang, len(all[lang]), len(catalogue))
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
