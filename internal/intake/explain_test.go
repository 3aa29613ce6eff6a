package intake

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"posta/internal/command"
	"posta/internal/mail"
	"posta/internal/policy"
	"posta/internal/reputation"
	"posta/internal/store"
	"posta/internal/trace"
)

// rehearsed asks what the good stranger's letter would meet.
func (h *house) rehearsed(from, to, message string) *command.Explanation {
	h.t.Helper()
	c := stranger()
	x, err := h.Explain(h.t.Context(), command.Question{IP: c.IP.String(), HELO: c.HELO, From: from, To: []string{to}, Message: []byte(message)})
	if err != nil {
		h.t.Fatal(err)
	}
	return x
}

// What is explained is what real mail meets afterwards: the same replies, the same
// verdict, the same place.
func TestExplainAgrees(t *testing.T) {
	h := mapped(t, "From:malo@good.example ERROR:5.7.1:550 No\nFrom:tirar@good.example DISCARD\nFrom:raro@good.example QUARANTINE:odd\nTo:friend.example RELAY\nFrom:x@strict.example OK")
	bank := strings.Replace(letter, "From: a@good.example", "From: cuentas@bank.example", 1)
	loop := strings.Repeat("Received: from a by b; Sat, 21 Nov 2026 10:00:00 +0000\r\n", 51) + letter
	for _, tt := range []struct{ from, to, message string }{
		{"a@good.example", "ana@empresa.test", letter}, {"a@good.example", "nadie@empresa.test", letter},
		{"a@good.example", "x@other.example", letter}, {"a@good.example", "x@friend.example", letter},
		{"malo@good.example", "ana@empresa.test", letter}, {"malo@good.example", "postmaster@empresa.test", letter},
		{"tirar@good.example", "ana@empresa.test", letter}, {"raro@good.example", "ana@empresa.test", letter},
		{"x@strict.example", "ana@empresa.test", letter}, {"y@strict.example", "ana@empresa.test", letter},
		{"x@nowhere.example", "ana@empresa.test", letter}, {"", "ana@empresa.test", letter},
		{"a@good.example", "ana@empresa.test", bank}, {"a@good.example", "ana@empresa.test", loop},
		{"a@good.example", "ventas@empresa.test", letter},
	} {
		x := h.rehearsed(tt.from, tt.to, tt.message)
		rcpt, final := h.talk(stranger(), tt.from, []string{tt.to}, tt.message)
		said := strings.Join(rcpt, "")
		if len(final) == 1 {
			said = final[0].String()
		}
		said, _, _ = strings.Cut(said, " https://")
		said, id, _ := strings.Cut(said, ": queued as ")
		got := x.Reply + x.Recipients[0].Reply
		if got != said {
			t.Errorf("<%s> → <%s>: explained %q, real %q", tt.from, tt.to, got, said)
		}
		if said != "250 2.0.0 Ok" {
			continue
		}
		rec := h.traceOf(id)
		if e := x.Recipients[0]; e.Action != rec.To[0].Action || e.Check != rec.To[0].Check || strings.Join(e.Effects, ";") != strings.Join(rec.To[0].Effects, ";") {
			t.Errorf("<%s> → <%s>: explained %+v\nreal %+v", tt.from, tt.to, e, rec.To[0])
		}
	}
}

func (h *house) traceOf(id string) *trace.Record {
	h.t.Helper()
	parsed, err := mail.ParseID(id)
	if err != nil {
		h.t.Fatal(err)
	}
	st, err := h.store.Trace(h.t.Context(), parsed)
	if err != nil {
		h.t.Fatal(err)
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil {
		h.t.Fatal(err)
	}
	return rec
}

// A rehearsal leaves nothing: no trace, no bytes, no counts, no triplet, no reputation.
func TestExplainLeavesNothing(t *testing.T) {
	h := mapped(t, "")
	p := policy.Profile(policy.Strict)
	p, err := p.With(policy.Edit{Check: "spf.missing", Step: "greylist"})
	if err != nil {
		t.Fatal(err)
	}
	err = h.store.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{}, tx.PutSetting(policy.Setting, p.String())
	})
	if err == nil {
		err = h.dir.Refresh(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	h.cfg.Memory = reputation.New(h.store, reputation.Grey{}, time.Now)
	x := h.rehearsed("x@bank.example", "ana@empresa.test", letter) // it has no SPF record
	if got := x.Recipients[0].Reply; !strings.HasPrefix(got, "451 4.7.1 <ana@empresa.test>: ") || !strings.HasSuffix(got, "[greylist.wait]") {
		t.Errorf("a greylisted sender is explained as %q", got)
	}
	h.rehearsed("x@strict.example", "ana@empresa.test", letter)
	h.rehearsed("a@good.example", "ana@empresa.test", letter)
	if err := h.cfg.Memory.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for kind := store.GreyTriplet; kind <= store.Correspondent; kind++ {
		if facts, err := h.store.ListFacts(t.Context(), kind, "", "", 10); err != nil || len(facts) != 0 {
			t.Errorf("facts of kind %d: %v %v", kind, facts, err)
		}
	}
	if err := h.store.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	if all, err := h.store.LatestTraces(t.Context(), time.Time{}, 10); err != nil || len(all) != 0 {
		t.Errorf("%d traces, %v", len(all), err)
	}
	if n := len(h.mailIn("ana", "INBOX")) + len(h.mailIn("ana", "Junk")); n != 0 {
		t.Errorf("%d letters", n)
	}
	err = h.store.EachBlob(t.Context(), func(b store.BlobRef) error { return fmt.Errorf("blob %s was kept", b.ID) })
	if err != nil {
		t.Error(err)
	}
	if n := h.Counts().Accepted.Load() + h.Counts().Octets.Load(); n != 0 {
		t.Errorf("counted: %d", n)
	}
}

// What of a question cannot be read is named; a login is held to its addresses.
func TestExplainQuestions(t *testing.T) {
	h := mapped(t, "")
	for _, q := range []struct {
		q    command.Question
		want string
	}{
		{command.Question{IP: "nowhere"}, `"nowhere" cannot be read: no IP address`},
		{command.Question{IP: "fe80::1%eth0"}, `"fe80::1%eth0" cannot be read: no IP address`},
		{command.Question{From: "x"}, `"x" cannot be read: `},
		{command.Question{To: []string{"a@b", "@"}}, `"@" cannot be read: `},
		{command.Question{Login: "nadie@empresa.test"}, `"nadie@empresa.test" cannot be read: `},
	} {
		if _, err := h.Explain(t.Context(), q.q); err == nil || !strings.HasPrefix(err.Error(), q.want) {
			t.Errorf("%+v: %v", q.q, err)
		}
	}
	x, err := h.Explain(t.Context(), command.Question{Login: "luis@empresa.test", From: "ana@empresa.test", To: []string{"x@other.example"}})
	if err != nil || !strings.HasPrefix(x.MailReply, "553 5.7.1 <ana@empresa.test>: not an address of luis@empresa.test") {
		t.Errorf("%+v %v", x, err)
	}
	x, err = h.Explain(t.Context(), command.Question{To: []string{"ventas@empresa.test"}})
	if b, _ := json.Marshal(x); err != nil || !strings.Contains(string(b), `"effects":["ventas@empresa.test → ana@empresa.test → inbox"`) {
		t.Errorf("%s %v", b, err)
	}
}

// A new field of Intake is decided about in rehearse: it is there, or it is among
// those that a rehearsal begins anew.
func TestRehearseKnowsEveryField(t *testing.T) {
	h := mapped(t, "")
	h.cfg.Memory = reputation.New(h.store, reputation.Grey{}, time.Now)
	in := New(h.cfg, h.dir, h.store, h.blobs, h.dns, h.login)
	anew := map[string]bool{"standings": true, "counts": true}
	real, silent := reflect.ValueOf(in).Elem(), reflect.ValueOf(in.rehearse()).Elem()
	for i := range real.NumField() {
		if name := real.Type().Field(i).Name; !anew[name] && silent.Field(i).IsZero() {
			t.Errorf("rehearse leaves out %s", name)
		}
	}
	if in.rehearse().cfg.Memory == in.cfg.Memory {
		t.Error("a rehearsal would remember")
	}
}
