package intake

import (
	"errors"
	"regexp"
	"strings"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/trace"
)

var linked = regexp.MustCompile(`https://mx\.empresa\.test/why/([0-9a-z]{26})`)

// linkOf is the id in a reply's link.
func linkOf(t *testing.T, reply string) mail.ID {
	t.Helper()
	m := linked.FindStringSubmatch(reply)
	if m == nil {
		t.Fatalf("no link in %q", reply)
	}
	id, err := mail.ParseID(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Whoever is refused again and again is told a link that leads to an explanation
// each time: at first to his own, then to the record in which he is counted.
func TestFloodOfRefusals(t *testing.T) {
	h := newHouse(t)
	const flood = 250
	told := make([]mail.ID, 0, flood)
	for range flood {
		rcpt, _ := h.talk(stranger(), "x@good.example", []string{"nadie@empresa.test", "nadie2@empresa.test"}, "")
		if len(rcpt) != 2 || !strings.Contains(rcpt[0], "[rcpt.unknown]") {
			t.Fatalf("refused with %q", rcpt)
		}
		id := linkOf(t, rcpt[0])
		if other := linkOf(t, rcpt[1]); other != id {
			t.Fatalf("one transaction has two links: %s and %s", id, other)
		}
		told = append(told, id)
	}
	if err := h.store.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	seen := map[mail.ID]bool{}
	var single, merged int64
	for _, id := range told {
		if seen[id] {
			continue
		}
		seen[id] = true
		got, err := h.store.Trace(t.Context(), id)
		if err != nil {
			t.Fatalf("the link to %s leads nowhere: %v", id, err)
		}
		rec, err := trace.Decode(got.TraceRecord)
		if err != nil {
			t.Fatal(err)
		}
		if rec.Merged == nil {
			single++
			continue
		}
		merged += rec.Merged.Count
		if rec.Stage != trace.AtMerged || rec.Merged.Network != "192.0.2.0/24" || rec.Merged.Check != "rcpt.unknown" || len(rec.Findings.Others) != 1 || rec.From != "" {
			t.Errorf("the merged record: %+v", rec)
		}
	}
	if single == 0 || merged == 0 || single+merged != flood {
		t.Errorf("%d records and %d in merged ones of %d", single, merged, flood)
	}
	// Mail that is taken is not held up by it, and has its own record.
	if _, final := h.talk(stranger(), "x@good.example", []string{"nadie@empresa.test", "ana@empresa.test"}, letter); len(final) != 1 || final[0].Code != 250 {
		t.Errorf("a good letter: %v", final)
	}
}

// Our own users' refusals are never merged.
func TestOwnRefusalsAreKept(t *testing.T) {
	h := newHouse(t)
	c := mail.Client{Door: mail.Submission, Class: mail.Authenticated, Login: "ana@empresa.test", Account: int64(h.ids["ana"]), IP: stranger().IP, EHLO: true}
	for range 150 {
		rcpt, _ := h.talk(c, "ana@empresa.test", []string{"nadie@empresa.test"}, "")
		id := linkOf(t, rcpt[0])
		if err := h.store.FlushTraces(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, err := h.store.Trace(t.Context(), id); errors.Is(err, store.ErrNotFound) || got.Merged != nil || time.Since(id.Time()) > time.Minute {
			t.Fatalf("%s: %+v, %v", id, got, err)
		}
	}
}
