package command

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"posta/internal/directory"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/trace"
)

// fortnight is a store with n generated sessions of the last two weeks: accepted ones
// and refusals, each with a few failed checks.
func fortnight(tb testing.TB, n int) *House {
	tb.Helper()
	st, err := sqlstore.Open(tb.Context(), sqlstore.Options{Dir: tb.TempDir()})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { st.Close() })
	dir, err := directory.Open(tb.Context(), st)
	if err != nil {
		tb.Fatal(err)
	}
	rng := rand.New(rand.NewPCG(1, 2))
	checks := []finding.ID{finding.PTRGeneric, finding.HELOFQDN, finding.SPFSoftFail, finding.DKIMMissing, finding.DMARCMissing, finding.HeaderDate}
	now := time.Now()
	for i := range n {
		at := now.Add(-time.Duration(i) * 14 * 24 * time.Hour / time.Duration(n+1))
		r := &trace.Record{
			ID: mail.NewID(at), At: at, Stage: trace.Accepted, Door: "mx", Class: "own-server", IP: fmt.Sprintf("192.0.2.%d", i%250), PTR: "mx.example.net",
			HELO: "mx.example.net", From: fmt.Sprintf("s%d@d%d.example", i, rng.IntN(400)), MessageID: fmt.Sprintf("<%d@example.net>", i), Subject: "Generated",
			To: []trace.Recipient{{Address: "ana@empresa.test", Action: "accept", Effects: []string{"ana@empresa.test → INBOX"}}},
		}
		for range rng.IntN(4) {
			id := checks[rng.IntN(len(checks))]
			r.Findings.Add(finding.Of(id, finding.Fail, "example.net", "seen", "something of usual length in a record"))
		}
		if rng.IntN(3) == 0 {
			r.Stage, r.To[0].Action, r.To[0].Check, r.To[0].Reply = trace.AtRcpt, "reject", "helo.fqdn", "550 5.7.1 no"
			r.Findings.Add(finding.Of(finding.HELOFQDN, finding.Fail, "PC"))
		}
		t := r.Encode()
		if r.Stage == trace.Accepted {
			if _, err := st.Accept(tb.Context(), &store.Accept{ID: r.ID, Trace: &t}); err != nil {
				tb.Fatal(err)
			}
			continue
		}
		st.KeepRefused(t)
		if i%2000 == 0 { // the budget of refusals is not what is tried here
			if err := st.FlushTraces(tb.Context()); err != nil {
				tb.Fatal(err)
			}
		}
	}
	if err := st.FlushTraces(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return &House{Store: st, Directory: dir}
}

func try(tb testing.TB, h *House, text string) PolicyReport {
	tb.Helper()
	raw, _ := json.Marshal(PolicyTrial{Text: text, Since: time.Now().Add(-15 * 24 * time.Hour)})
	out, err := Do(tb.Context(), h, Principal{Role: store.Owner}, "policy.test", raw)
	if err != nil {
		tb.Fatal(err)
	}
	return out.(PolicyReport)
}

// Every session of the fortnight is looked at once, however many pages there are.
func TestPolicyTestPages(t *testing.T) {
	const n = 3*replayPage + 17
	h := fortnight(t, n)
	report := try(t, h, "level = 'paranoid'")
	if report.Sessions != n {
		t.Errorf("%d sessions of %d", report.Sessions, n)
	}
	seen := map[string]bool{}
	for _, c := range report.Changes {
		for _, id := range c.Traces {
			if seen[id+c.Was] {
				t.Fatalf("%s is listed twice", id)
			}
			seen[id+c.Was] = true
		}
	}
	if len(seen) == 0 {
		t.Error("nothing would change")
	}
}

// The score of one recipient counts for him and for nobody else, whichever way it
// differs; traces from before it was kept tell of it by his address.
func TestPolicyTestOwnScore(t *testing.T) {
	high, score := finding.Of(finding.SpamHigh, finding.Fail, ""), finding.Of(finding.SpamScore, finding.Fail, "")
	lets := func(address, action string, check finding.ID, own *trace.Own) trace.Recipient {
		return trace.Recipient{Address: address, Action: action, Check: string(check), Own: own}
	}
	of := func(f finding.Finding, address string) finding.Finding { f.Subject = address; return f }
	for name, c := range map[string]struct {
		found []finding.Finding
		to    []trace.Recipient
		want  string // of what becomes junk or is junk no more, when spam.score is accepted
	}{
		"the common one": {
			[]finding.Finding{score},
			[]trace.Recipient{lets("ana@empresa.test", "junk", finding.SpamScore, nil), lets("luis@empresa.test", "junk", finding.SpamScore, nil)},
			"junk accept 2",
		},
		"one who knows the author": {
			[]finding.Finding{score},
			[]trace.Recipient{lets("ana@empresa.test", "accept", "", &trace.Own{}), lets("luis@empresa.test", "junk", finding.SpamScore, nil)},
			"junk accept 1",
		},
		"one who taught the filter": {
			[]finding.Finding{of(score, "ana@empresa.test")},
			[]trace.Recipient{lets("ana@empresa.test", "junk", finding.SpamScore, &trace.Own{Failed: []finding.ID{finding.SpamScore}}), lets("luis@empresa.test", "accept", "", nil)},
			"junk accept 1",
		},
		"an older trace": {
			[]finding.Finding{of(score, "ana@empresa.test")},
			[]trace.Recipient{lets("ana@empresa.test", "junk", finding.SpamScore, nil), lets("luis@empresa.test", "accept", "", nil)},
			"junk accept 1",
		},
		"a high score of his own": {
			[]finding.Finding{score, of(high, "ana@empresa.test")},
			[]trace.Recipient{
				lets("ana@empresa.test", "junk", finding.SpamHigh, &trace.Own{Failed: []finding.ID{finding.SpamScore, finding.SpamHigh}}),
				lets("luis@empresa.test", "junk", finding.SpamScore, nil),
			},
			"junk accept 1", // spam.high still is junk
		},
		"a scanner's, which holds for everybody": {
			[]finding.Finding{of(score, "rspamd")},
			[]trace.Recipient{lets("ana@empresa.test", "junk", finding.SpamScore, &trace.Own{}), lets("luis@empresa.test", "junk", finding.SpamScore, nil)},
			"junk accept 2",
		},
	} {
		at := time.Now()
		rec := trace.Record{ID: mail.NewID(at), At: at, Stage: trace.Accepted, Door: "mx", Class: "own-server", From: "x@example.net", To: c.to}
		for _, f := range c.found {
			rec.Findings.Add(f)
		}
		for text, want := range map[string]string{"": "", "[rules]\n'spam.score' = 'accept'": c.want} {
			next, err := policy.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			tr := &trial{next: next, found: map[changeKey]*PolicyChange{}}
			tr.look(&store.StoredTrace{TraceRecord: rec.Encode()}, time.Time{})
			got := ""
			for _, ch := range tr.report(time.Time{}).Changes {
				got += fmt.Sprint(ch.Was, " ", ch.Becomes, " ", ch.Count)
			}
			if got != want {
				t.Errorf("%s, policy %q: %q, want %q", name, text, got, want)
			}
		}
	}
}

// BenchmarkPolicyTest tries a policy on a fortnight of 100,000 sessions; the aim is
// under five seconds.
func BenchmarkPolicyTest(b *testing.B) {
	h := fortnight(b, 100_000)
	b.ReportAllocs()
	for b.Loop() {
		if r := try(b, h, "level = 'guia'"); r.Sessions < 99_000 {
			b.Fatalf("%d sessions", r.Sessions)
		}
	}
}
