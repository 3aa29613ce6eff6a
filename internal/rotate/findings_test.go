package rotate_test

import (
	"strings"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/rotate"
)

// What is held against us: a key older than a year, and a rotation that DNS holds up for
// days; not one that only lets time pass.
func TestFindings(t *testing.T) {
	h := newHouse(t)
	fails := func() string {
		t.Helper()
		var out []string
		for _, f := range rotate.Findings(h.house.Directory.View(), h.now) {
			if f.Outcome != finding.Fail {
				t.Errorf("%v", f)
			}
			out = append(out, string(f.Check)+" "+f.Subject)
		}
		return strings.Join(out, "\n")
	}
	h.now = h.now.Add(364 * day)
	if got := fails(); got != "" {
		t.Errorf("young: %s", got)
	}
	h.now = h.now.Add(day)
	const old = "dkim.age p202603-e._domainkey.example.org\ndkim.age p202603-r._domainkey.example.org"
	if got := fails(); got != old {
		t.Errorf("old: %s", got)
	}
	h.do("dkim.rotate", `{"domain":"example.org"}`)
	h.now = h.now.Add(3*day - time.Hour)
	if got := fails(); got != old {
		t.Errorf("begun: %s", got)
	}
	h.now = h.now.Add(time.Hour)
	if got := fails(); got != "dkim.rotation example.org\n"+old {
		t.Errorf("held up: %s", got)
	}
	h.publish("ns1", "ns2")
	h.pass(5 * time.Hour)
	h.pass(4 * day)
	if got := fails(); got != "" {
		t.Errorf("goes on: %s", got)
	}
}
