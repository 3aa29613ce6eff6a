package intake

import (
	"testing"

	"posta/internal/mail"
	"posta/internal/reputation"
	"posta/internal/spam/tally"
	"posta/internal/trace"
)

// A reader's word corrects what was counted when the message was accepted, or by the
// word before; of mail that has no standing nothing is corrected.
func TestCorrect(t *testing.T) {
	stranger := trace.Record{Stage: trace.Accepted, Door: "mx", Class: "own-server", IP: "192.0.2.1", From: "a@good.example", Proven: true,
		To: []trace.Recipient{{Action: "junk", Check: "spam.score"}, {Action: "accept"}, {Action: "reject", Check: "address.unknown", Reply: "550"}}}
	with := func(change func(*trace.Record)) trace.Record {
		r := stranger
		change(&r)
		return r
	}
	for _, tt := range []struct {
		what    string
		rec     trace.Record
		sender  bool
		fate    reputation.Fate
		counted bool
	}{
		{"whom it fared best for counts", stranger, true, reputation.Wanted, true},
		{"junk for all", with(func(r *trace.Record) { r.To = r.To[:1] }), true, reputation.Junk, true},
		{"held", with(func(r *trace.Record) { r.To = []trace.Recipient{{Action: "quarantine"}} }), true, reputation.Junk, true},
		{"what the memory decided was not counted", with(func(r *trace.Record) { r.To = []trace.Recipient{{Action: "junk", Check: "reputation.bad"}} }), true, reputation.Junk, false},
		{"the local network", with(func(r *trace.Record) { r.Class = "local-network" }), false, reputation.Wanted, true},
		{"our own user", with(func(r *trace.Record) { r.Class, r.Door = "authenticated", "submission" }), false, reputation.Wanted, true},
		{"over LMTP", with(func(r *trace.Record) { r.Door = "lmtp" }), false, reputation.Wanted, true},
		{"a DSN", with(func(r *trace.Record) { r.From = "" }), false, reputation.Wanted, true},
		{"refused", with(func(r *trace.Record) { r.Stage = trace.AtData }), false, reputation.Wanted, true},
		{"an address that is none", with(func(r *trace.Record) { r.IP = "x" }), false, reputation.Wanted, true},
	} {
		who, ok := senderOf(&tt.rec)
		if ok != tt.sender || ok && (who.Domain != "good.example" || !who.Proven || who.IP.String() != "192.0.2.1") {
			t.Errorf("%s: %+v %v", tt.what, who, ok)
		}
		if fate, counted := fateOf(&tt.rec); fate != tt.fate || counted != tt.counted {
			t.Errorf("%s: %v %v", tt.what, fate, counted)
		}
	}
	h, now := strangersHouse(t, nil)
	if err := h.Correct(t.Context(), mail.NewID(now.t), tally.None, tally.Spam); err != nil {
		t.Errorf("without a trace: %v", err)
	}
}

// What a reader takes out of Junk, that a bad standing put there, counts as wanted.
func TestCorrectWhatTheMemoryDecided(t *testing.T) {
	h, _ := strangersHouse(t, nil)
	good := from("192.0.2.1", "mx.good.example")
	who := reputation.Sender{Domain: "good.example", IP: good.IP, Proven: true}
	for range 12 {
		h.cfg.Memory.Record(who, reputation.Junk)
	}
	if err := h.cfg.Memory.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	setPolicy(t, h, "level = 'strict'\n[rules]\n'reputation.bad' = 'junk'\n")
	_, final := h.talk(good, "a@good.example", []string{"ana@empresa.test"}, letter)
	rec := h.kept(final)
	if rec.To[0].Action != "junk" || rec.To[0].Check != "reputation.bad" {
		t.Fatalf("%+v", rec.To)
	}
	for _, said := range []struct {
		was, is tally.Label
		want    string
	}{
		{tally.None, tally.Ham, "13 messages in 30 days, 1 wanted, 12 junk"},
		{tally.Ham, tally.Spam, "13 messages in 30 days, 0 wanted, 13 junk"},
		{tally.Spam, tally.Ham, "13 messages in 30 days, 1 wanted, 12 junk"},
	} {
		if err := h.Correct(t.Context(), rec.ID, said.was, said.is); err != nil {
			t.Fatal(err)
		}
		if err := h.cfg.Memory.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
		st, err := h.cfg.Memory.Standing(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		if got := st.Counts(h.cfg.Now()).String(); got != said.want {
			t.Errorf("%v → %v: %s, want %s", said.was, said.is, got, said.want)
		}
	}
}
