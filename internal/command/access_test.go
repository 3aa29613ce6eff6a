package command

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/access"
	"posta/internal/store"
)

// A day with the access map, line by line; the map is live when a command returns.
func TestAccessCommands(t *testing.T) {
	h := newHouse(t)
	h.Access = access.Follow(h.Store)
	if err := h.Access.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	owner := Principal{Name: "uid:0", Role: store.Owner}
	entry := func(key, value, note string) string {
		return fmt.Sprintf(`{"key":%q,"value":%q,"note":%q,"who":"uid:0","at":`, key, value, note)
	}
	for _, c := range []struct{ name, args, want string }{
		{"access.add", `{"key":"from:Spam.Example","value":"reject","note":"asked twice"}`, entry("From:spam.example", "REJECT", "asked twice")},
		{"access.show", `{"key":"FROM:spam.example"}`, entry("From:spam.example", "REJECT", "asked twice")},
		{"access.show", `{"key":"To:spam.example"}`, `To:spam.example is not in the access map; posta access ls shows what is`},
		{"access.add", `{"key":"Form:spam.example","value":"REJECT"}`, `"Form:spam.example" cannot be a key: unknown tag "Form:"`},
		{"access.add", `{"key":"From:spam.example","value":"NO"}`, `From:spam.example: the value cannot be: "NO" is no value; for a text that clients read, write ERROR:5.7.1:550 NO`},
		{"access.add", `{"key":"From:x.example","value":"FRIEND"}`, `From:x.example: the value cannot be: FRIEND is a value of Spam:; write Spam:x.example`},
		{"access.add", `{"key":"x.example","value":"OK","note":"two\nlines"}`, `a note is one line of at most 400 octets`},
		{"access.add", `{"key":"x.example","value":"OK","expires":"2020-01-01T00:00:00Z"}`, `x.example: it would be over already (2020-01-01T00:00:00Z); choose a moment to come`},
		{"access.edit", `{"put":[{"key":"a.example","value":"OK"},{"key":"A.Example","value":"REJECT"}]}`, `a.example comes twice in one change`},
		{"access.edit", `{"put":[{"key":"Connect:10","value":"RELAY"},{"key":"From:spam.example","value":"DISCARD"}],"remove":["To:nobody@"]}`, `{"added":1,"changed":1,"removed":0}`},
		{"access.ls", `{"pattern":"SPAM"}`, `{"entries":[{"key":"From:spam.example","value":"DISCARD","who":"uid:0"`},
		{"access.ls", `{"pattern":"connect:*"}`, `{"entries":[{"key":"Connect:10","value":"RELAY"`},
		{"access.ls", `{"pattern":"nothing"}`, `{"entries":[]}`},
		{"access.ls", `{"limit":1}`, `{"entries":[{"key":"Connect:10","value":"RELAY"`},
		{"access.remove", `{"key":"From:SPAM.example"}`, `{"added":0,"changed":0,"removed":1}`},
		{"access.remove", `{"key":"From:spam.example"}`, `From:spam.example is not in the access map; posta access ls shows what is`},
	} {
		out, err := Do(t.Context(), h, owner, c.name, json.RawMessage(c.args))
		got := ""
		if err != nil {
			got = err.Error()
		} else if b, merr := json.Marshal(out); merr == nil {
			got = string(b)
		}
		if !strings.HasPrefix(got, c.want) {
			t.Errorf("%s %s\n got %s\nwant %s…", c.name, c.args, got, c.want)
		}
	}
	m := h.Access.At(h.now())
	if want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}; m.Len() != 1 || len(m.Relays()) != 1 || m.Relays()[0] != want[0] {
		t.Errorf("live: %s", m.Text())
	}
	log, err := h.Store.AuditLog(t.Context(), 10)
	if err != nil || len(log) != 4 { // add, edit, remove, and a remove of what was not there
		t.Fatalf("%d audit records, %v", len(log), err)
	}
	if a := log[2]; a.Command != "access.edit" || a.Before != `{"From:spam.example":"REJECT"}` || a.After != `{"Connect:10":"RELAY","From:spam.example":"DISCARD"}` {
		t.Errorf("audit: %+v", a)
	}
}
