package command

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/trace"
)

var update = flag.Bool("update", false, "write the golden file anew")

// Whatever is pasted leads to the message that it is about.
func TestTraceOfAPaste(t *testing.T) {
	h := newHouse(t)
	at := time.Now()
	keep := func(from, to, id, ip string) mail.ID {
		r := &trace.Record{ID: mail.NewID(at), At: at, Stage: trace.AtRcpt, From: from, MessageID: id, IP: ip, To: []trace.Recipient{{Address: to, Action: "reject"}}}
		h.Store.KeepRefused(r.Encode())
		return r.ID
	}
	one := keep("a@uno.test", "ana@empresa.test", "<1@uno.test>", "192.0.2.1")
	two := keep("b@uno.test", "ana@empresa.test", "<2@uno.test>", "192.0.2.1")
	three := keep("a@uno.test", "luis@empresa.test", "", "192.0.2.3")
	for _, c := range []struct {
		name, query string
		want        []mail.ID
	}{
		{"an id", one.String(), []mail.ID{one}},
		{"a Message-ID", "<2@uno.test>", []mail.ID{two}},
		{"a domain", "@uno.test", []mail.ID{one, two, three}},
		{"a reply with its link", "550 5.1.1 <luis@empresa.test>: no [rcpt.unknown] https://mail.empresa.test/why/" + three.String(), []mail.ID{three}},
		{"a bounce of another server", "This is the mail system at uno.test.\n\nThe link is https://mail.empresa.test/why/" + one.String()[:10] + "\n" + one.String()[10:] + "\n\nMessage-ID: <2@uno.test>\n", []mail.ID{one}},
		{"the header of a message", "From: b@uno.test\nTo: ana@empresa.test\nMessage-ID: <2@uno.test>\n", []mail.ID{two}},
		{"a log line with two addresses", "from=<a@uno.test>, to=<ana@empresa.test> refused", []mail.ID{one}},
		{"an address and a host that nobody knows", "to=<luis@empresa.test> relay=[203.0.113.9]", []mail.ID{three}},
		{"an address and its host", "<ana@empresa.test> [192.0.2.1]", []mail.ID{one, two}},
		{"the newest", "", []mail.ID{one, two, three}},
	} {
		q, err := json.Marshal(TraceQuery{Query: c.query})
		if err != nil {
			t.Fatal(err)
		}
		out, err := Do(t.Context(), h, Principal{Role: store.Helpdesk}, "trace.find", q)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := map[string]bool{}
		for _, tr := range out.([]Trace) {
			got[tr.ID] = true
		}
		for _, id := range c.want {
			if !got[id.String()] {
				t.Errorf("%s: %s was not found", c.name, id)
			}
		}
		if len(got) != len(c.want) {
			t.Errorf("%s: %d found, want %d", c.name, len(got), len(c.want))
		}
	}
	for query, want := range map[string]string{
		"421 4.7.0 Too many connections [conn.network] https://h.test/why/conn.network": "a refusal by conn.network has no trace of its own: there was no message yet; posta check show conn.network explains it",
		"nobody said\nanything": `no trace of "nobody said\nanything"; search by address, @domain, IP, Message-ID or an id from a reply`,
	} {
		q, _ := json.Marshal(TraceQuery{Query: query})
		if _, err := Do(t.Context(), h, Principal{Role: store.Helpdesk}, "trace.find", q); !errors.Is(err, ErrMissing) || err.Error() != want {
			t.Errorf("%q: %v", query, err)
		}
	}
}

// What programs read of a trace does not change: a name in this file is for ever.
func TestTraceJSONIsStable(t *testing.T) {
	const file = "testdata/trace.json"
	at := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	rec := &trace.Record{
		ID: mail.ID{1}, At: at, Opened: at, Replied: at, Stage: trace.Accepted, Door: "mx", Class: "own-server", IP: "192.0.2.1", Port: 40000, PTR: "mx.uno.test",
		HELO: "mx.uno.test", TLS: "TLS1.3", Cipher: "TLS_AES_128_GCM_SHA256", Login: "ana@empresa.test", From: "a@uno.test",
		To:     []trace.Recipient{{Address: "ana@empresa.test", Action: "junk", Check: "spf.softfail", Reply: "250", Friend: true, Effects: []string{"ana → Junk"}, More: 1}},
		Author: "a@uno.test", MessageID: "<1@uno.test>", Subject: "x", Size: 7, SHA256: "00", Reply: "250 2.0.0 Ok", Level: "strict", Asked: "reject", Greylisted: true,
		Merged: &trace.Merged{Network: "192.0.2.0/24", Check: "spf.fail", Count: 2, First: at, Last: at},
	}
	rec.Findings.Add(finding.Of(finding.SPFSoftFail, finding.Fail, "uno.test", "record", "v=spf1 ~all"))
	tr := Trace{
		ID: rec.ID.String(), Passes: []finding.ID{finding.PTRMissing}, Record: rec,
		Events: []TraceLine{{at, &trace.Event{Kind: "delivered", To: "x@dos.test", Remote: "mx.dos.test", TLS: "TLS1.3", Reply: "250 ok", Note: "n"}}},
		Queue:  []QueueItem{{Entry: 1, ID: rec.ID.String(), From: "a@uno.test", To: "x@dos.test", Domain: "dos.test", State: "ready", Created: at, Due: at, Expires: at, Attempts: 1, Last: "451", Size: 7}},
	}
	got, err := json.MarshalIndent(tr, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(file, append(got, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(string(want)) != string(got) {
		t.Errorf("%s differs:\n%s", file, got)
	}
}
