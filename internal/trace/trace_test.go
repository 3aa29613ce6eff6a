package trace

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
)

// A record of thousands of effects lists some and counts the others, and can be
// read again.
func TestManyEffects(t *testing.T) {
	r := &Record{ID: mail.NewID(time.Now()), Stage: Accepted, To: []Recipient{{Address: "todos@empresa.test"}}}
	for i := range 10_000 {
		r.To[0].AddEffect(func() string { return fmt.Sprintf("u%d@empresa.test → INBOX", i) })
	}
	got, err := Decode(r.Encode())
	if err != nil || len(got.To[0].Effects) != maxEffects || got.To[0].More != 10_000-maxEffects {
		t.Errorf("%d listed, %d more, %v", len(got.To[0].Effects), got.To[0].More, err)
	}
}

// What stands for many refusals is read as a record without what only one of them
// knows.
func TestMerged(t *testing.T) {
	at := time.Date(2026, 11, 21, 10, 0, 0, 0, time.UTC)
	m := &store.Merged{Network: netip.MustParsePrefix("2001:db8::/64"), Check: "spf.fail", Count: 7, First: at, Last: at.Add(time.Minute)}
	r, err := Decode(store.TraceRecord{ID: mail.NewID(at), Merged: m})
	if err != nil {
		t.Fatal(err)
	}
	if r.Stage != AtMerged || !r.At.Equal(at) || r.Merged.Count != 7 || r.Merged.Network != "2001:db8::/64" || r.Findings.Outcome(finding.SPFFail) != finding.Fail {
		t.Errorf("%+v", r)
	}
	m.Check = "" // of more checks than are told apart
	if r, err := Decode(store.TraceRecord{Merged: m}); err != nil || len(r.Findings.Others) != 0 {
		t.Errorf("%+v, %v", r, err)
	}
}
