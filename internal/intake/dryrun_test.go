package intake

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"testing"
	"time"

	"posta/internal/arc"
	"posta/internal/authres"
	"posta/internal/command"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/store"
	"posta/internal/trace"
)

// past is a fortnight in small: each transaction fails other checks.
var past = []struct {
	name string
	ip   string
	helo string
	from string
	to   []string
	body string
}{
	{"in order", "192.0.2.1", "mx.good.example", "a@good.example", []string{"ana@empresa.test"}, "From: a@good.example\r\n\r\nhi\r\n"},
	{"HELO PC", "192.0.2.1", "PC", "b@good.example", []string{"ana@empresa.test", "luis@empresa.test"}, "From: b@good.example\r\n\r\nhi\r\n"},
	{"no PTR", "203.0.113.99", "mx.good.example", "c@plain.example", []string{"ana@empresa.test"}, "From: c@plain.example\r\n\r\nhi\r\n"},
	{"SPF fail", "192.0.2.1", "mx.good.example", "d@strict.example", []string{"ana@empresa.test"}, "From: d@strict.example\r\n\r\nhi\r\n"},
	{"DMARC reject", "192.0.2.1", "mx.good.example", "e@good.example", []string{"ana@empresa.test"}, "From: boss@bank.example\r\n\r\nhi\r\n"},
	{"two authors", "192.0.2.1", "mx.good.example", "f@good.example", []string{"luis@empresa.test"}, "From: f@good.example\r\nFrom: g@good.example\r\n\r\nhi\r\n"},
	{"no such name", "192.0.2.1", "mx.good.example", "h@good.example", []string{"nadie@empresa.test", "ana@empresa.test"}, "From: h@good.example\r\n\r\nhi\r\n"},
	{"postmaster", "192.0.2.1", "PC", "i@good.example", []string{"postmaster@empresa.test"}, "From: i@good.example\r\n\r\nhi\r\n"},
}

// play sends the past to a house with a policy and tells what was done with each
// recipient of each transaction.
func play(t *testing.T, text string) (*house, map[string]string) {
	h := newHouse(t)
	setPolicy(t, h, text)
	for _, m := range past {
		c := mail.Client{Door: mail.MX, IP: netip.MustParseAddr(m.ip), Port: 4000, HELO: m.helo, EHLO: true}
		h.talk(c, m.from, m.to, m.body)
	}
	if err := h.store.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	done := map[string]string{}
	for _, rec := range h.records() {
		for _, to := range rec.To {
			done[rec.From+" → "+to.Address] = to.Action + " " + string(rec.Stage)
		}
	}
	return h, done
}

func (h *house) records() (out []*trace.Record) {
	h.t.Helper()
	all, err := h.store.LatestTraces(h.t.Context(), time.Time{}, 1000)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, st := range all {
		rec, err := trace.Decode(st.TraceRecord)
		if err != nil {
			h.t.Fatal(err)
		}
		out = append(out, rec)
	}
	return out
}

func setPolicy(t *testing.T, h *house, text string) {
	t.Helper()
	h.do("policy.put", command.PolicyText{Text: text}, nil)
}

// do gives a command to the house.
func (h *house) do(name string, args, out any) {
	h.t.Helper()
	raw, err := json.Marshal(args)
	if err != nil {
		h.t.Fatal(err)
	}
	got, err := command.Do(h.t.Context(), &command.House{Store: h.store, Directory: h.Intake.dir, Policies: h.Intake.cfg.Policies},
		command.Principal{Name: "test", Role: store.Owner}, name, raw)
	if err != nil {
		h.t.Fatal(err)
	}
	if out == nil {
		return
	}
	if raw, err = json.Marshal(got); err == nil {
		err = json.Unmarshal(raw, out)
	}
	if err != nil {
		h.t.Fatal(err)
	}
}

// A dry run names exactly the recipients that a real run under the changed policy
// treats otherwise; where the message was never seen, it says that it does not know.
func TestDryRun(t *testing.T) {
	for _, was := range []string{"level = 'lenient'", "level = 'strict'"} {
		h, before := play(t, was)
		ids := map[string]string{}
		for _, rec := range h.records() {
			ids[rec.ID.String()] = rec.From
		}
		for _, next := range []string{
			"level = 'strict'", "level = 'lenient'", "level = 'paranoid'", "level = 'guia'",
			"level = 'lenient'\n[rules]\n'spf.fail' = 'junk'\n'helo.fqdn' = 'accept'",
			"level = 'strict'\n[[exception]]\nfor = ['luis@empresa.test']\nlevel = 'lenient'",
		} {
			t.Run(was+" to "+strings.ReplaceAll(next, "\n", " "), func(t *testing.T) {
				_, after := play(t, next)
				var report command.PolicyReport
				h.do("policy.test", command.PolicyTrial{Text: next, Since: time.Now().Add(-time.Hour)}, &report)
				want := map[string]bool{} // reverse-paths whose treatment changes
				for k, b := range before {
					if a := after[k]; action(a) != action(b) {
						want[sender(k)] = true
					}
				}
				got := map[string]bool{}
				for _, c := range report.Changes {
					for _, id := range c.Traces {
						got[ids[id]] = true
					}
				}
				if fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("the dry run says %v, the real run %v\nbefore %v\nafter %v", got, want, before, after)
				}
				if len(want) == 0 && strings.Contains(next, "paranoid") {
					t.Error("the test shows nothing: no transaction is treated otherwise")
				}
				if report.Sessions == 0 || report.Sessions > len(past) {
					t.Errorf("%d sessions", report.Sessions)
				}
			})
		}
	}
}

func action(s string) string { a, _, _ := strings.Cut(s, " "); return a }
func sender(s string) string { f, _, _ := strings.Cut(s, " → "); return f }

// Changing a policy is live at once and leaves who, when and both texts.
func TestPolicyIsLive(t *testing.T) {
	h := newHouse(t)
	pc := stranger()
	pc.HELO = "PC"
	refusals := func() int {
		r, _ := h.talk(pc, "a@good.example", []string{"ana@empresa.test"}, "From: a@good.example\r\n\r\nhi\r\n")
		return len(r)
	}
	if refusals() != 1 {
		t.Fatal("strict does not refuse HELO PC")
	}
	var out command.PolicyChanged
	h.do("policy.set", command.PolicySet{Check: "helo.fqdn", Step: "junk"}, &out)
	if refusals() != 0 || out.Own != 2 || len(out.Diff) == 0 {
		t.Errorf("the change is not live, or says nothing: %+v", out)
	}
	log, err := h.store.AuditLog(t.Context(), 1)
	if err != nil || len(log) != 1 || log[0].Command != "policy.set" || log[0].Principal != "test" || log[0].At.IsZero() ||
		!strings.Contains(log[0].After, "helo.fqdn") || strings.Contains(log[0].Before, "helo.fqdn") {
		t.Errorf("audit: %+v, %v", log, err)
	}
	h.do("policy.set", command.PolicySet{Check: "helo.fqdn"}, &out)
	if refusals() != 1 || out.Level != policy.Strict.String() {
		t.Errorf("taking it back is not live: %+v", out)
	}
}

// A dry run of another list of trusted sealers names exactly the letters that a real
// run under that list treats otherwise.
func TestDryRunSealers(t *testing.T) {
	list, listRecord := key(t, "good.example", "arc")
	evil, evilRecord := key(t, "evil.example", "arc")
	bank := strings.Replace(letter, "From: a@good.example", "From: cuentas@bank.example", 1)
	passed, failed := authres.DMARC("pass", "bank.example"), authres.DMARC("fail", "bank.example")
	sealed := seal(t, list, bank, arc.None, passed)
	texts := []string{
		sealed,
		seal(t, evil, sealed, arc.Pass, failed), // another sealed after it
		seal(t, list, bank, arc.None, failed),
		seal(t, list, bank, arc.None, authres.DMARC("pass", "shop.example")),
		seal(t, evil, strings.Replace(sealed, "\r\n\r\nhola", "\r\n\r\npaga", 1), arc.Pass, passed), // a set of its name above another letter
		sealed + "x\r\n", // a broken chain
		bank,
	}
	trusts := []string{``, `"good.example"`, `"evil.example"`, `"evil.example", "good.example"`}
	run := func(trusted string) (*house, []string) {
		h := newHouse(t)
		zone := maps.Clone(world)
		zone["arc._domainkey.good.example"] = []string{"TXT " + listRecord}
		zone["arc._domainkey.evil.example"] = []string{"TXT " + evilRecord}
		h.dns = zone
		h.trust(trusted)
		var done []string
		for _, text := range texts {
			_, rec := h.judged(stranger(), "a@good.example", text)
			done = append(done, rec.ID.String()+" "+rec.To[0].Action)
		}
		return h, done
	}
	houses, done := make([]*house, len(trusts)), make([][]string, len(trusts))
	for i, trusted := range trusts {
		houses[i], done[i] = run(trusted)
	}
	changes := 0
	for i, was := range trusts {
		for j, next := range trusts {
			var report command.PolicyReport
			houses[i].do("policy.test", command.PolicyTrial{Text: "trusted_sealers = [" + next + "]", Since: time.Now().Add(-time.Hour)}, &report)
			got, want := map[string]string{}, map[string]string{}
			for _, c := range report.Changes {
				for _, id := range c.Traces {
					got[id] = c.Becomes
				}
			}
			for k := range texts {
				id, before, _ := strings.Cut(done[i][k], " ")
				if _, after, _ := strings.Cut(done[j][k], " "); after != before {
					want[id] = after
				}
			}
			changes += len(want)
			if !maps.Equal(got, want) {
				t.Errorf("from [%s] to [%s]: the dry run says %v, the real run %v", was, next, got, want)
			}
		}
	}
	if changes == 0 {
		t.Error("the test shows nothing: no letter is treated otherwise")
	}
}
