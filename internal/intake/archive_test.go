package intake

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/mail"
	"posta/internal/store"
)

// Copies for the archive are made of what comes and of what is sent, whatever the
// recipient's script does, once for each place, and not of what is refused.
func TestArchive(t *testing.T) {
	user := mail.Client{Door: mail.Submission, Class: mail.Authenticated, IP: netip.MustParseAddr("127.0.0.1"), HELO: "x", EHLO: true}
	for _, c := range []struct {
		name   string
		rules  map[string]directory.Archive
		script string // of ana
		from   string // "ana" sends; else a stranger
		to     []string
		want   map[string]int // "account mailbox" → messages
	}{
		{"of an account, what comes", map[string]directory.Archive{"ana@empresa.test": {To: "luis@empresa.test", Mailbox: "Copias/ana", In: true}}, "", "",
			[]string{"ana@empresa.test"}, map[string]int{"ana INBOX": 1, "luis Copias/ana": 1}},
		{"what is sent is not what comes", map[string]directory.Archive{"ana@empresa.test": {To: "luis@empresa.test", Mailbox: "C", Out: true}}, "", "",
			[]string{"ana@empresa.test"}, map[string]int{"ana INBOX": 1}},
		{"of an account, what is sent", map[string]directory.Archive{"ana@empresa.test": {To: "luis@empresa.test", Mailbox: "C", Out: true}}, "", "ana",
			[]string{"x@good.example", "y@good.example"}, map[string]int{"luis C": 1}},
		{"of the domain and the house, to one place", map[string]directory.Archive{"empresa.test": {To: "luis@empresa.test", In: true}, "*": {To: "luis@empresa.test", In: true}}, "", "",
			[]string{"ana@empresa.test"}, map[string]int{"ana INBOX": 1, "luis Archive": 1}},
		{"whatever the script does", map[string]directory.Archive{"*": {To: "luis@empresa.test", Mailbox: "C", In: true, Out: true}}, "discard;", "",
			[]string{"ana@empresa.test"}, map[string]int{"luis C": 1}},
		{"not of what is refused", map[string]directory.Archive{"*": {To: "luis@empresa.test", Mailbox: "C", In: true}}, "require \"reject\"; reject \"no\";", "",
			[]string{"ana@empresa.test"}, map[string]int{}},
		{"several recipients of one rule", map[string]directory.Archive{"empresa.test": {To: "luis@empresa.test", Mailbox: "C", In: true}}, "", "",
			[]string{"ana@empresa.test", "luis@empresa.test"}, map[string]int{"ana INBOX": 1, "luis INBOX": 1, "luis C": 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHouse(t)
			h.withScripts(nil)
			err := h.store.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
				for of, a := range c.rules {
					b, err := json.Marshal(a)
					if err != nil {
						return store.Audit{}, err
					}
					if err := tx.PutSetting(directory.ArchiveSetting+of, string(b)); err != nil {
						return store.Audit{}, err
					}
				}
				if c.script == "" {
					return store.Audit{}, nil
				}
				return store.Audit{}, tx.PutScript(store.Script{Owner: store.ScriptsOf(h.ids["ana"]), Name: "x", Active: true, Text: []byte(c.script)})
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := h.dir.Refresh(t.Context()); err != nil {
				t.Fatal(err)
			}
			client, from := stranger(), "a@good.example"
			if c.from == "ana" {
				client, from = user, "ana@empresa.test"
				client.Login, client.Account = "ana@empresa.test", int64(h.ids["ana"])
			}
			h.talk(client, from, c.to, letter)
			got := map[string]int{}
			for _, account := range []string{"ana", "luis"} {
				boxes, err := h.store.ListMailboxes(t.Context(), h.ids[account])
				if err != nil {
					t.Fatal(err)
				}
				for _, b := range boxes {
					if b.Exists > 0 {
						got[account+" "+b.Name] = b.Exists
					}
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%v, want %v", got, c.want)
			}
		})
	}
}

// An explanation names the filters that would run, and where copies go.
func TestExplainNamesFilters(t *testing.T) {
	h := newHouse(t)
	h.withScripts(nil)
	err := h.store.ChangeDirectory(t.Context(), func(tx store.DirectoryTx) (store.Audit, error) {
		return store.Audit{}, errors.Join(
			tx.PutScript(store.Script{Owner: store.ScriptsOf(h.ids["ana"]), Name: "reglas", Active: true, Text: []byte("keep;")}),
			tx.PutScript(store.Script{Owner: 0, Name: store.BeforeScript, Text: []byte("keep;")}),
			tx.PutSetting(directory.ArchiveSetting+"*", `{"to":"luis@empresa.test","mailbox":"C","in":true}`))
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.dir.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, err := h.Explain(t.Context(), command.Question{To: []string{"ana@empresa.test"}})
	if err != nil || len(out.Recipients) != 1 {
		t.Fatal(out, err)
	}
	r := out.Recipients[0]
	if got, want := fmt.Sprint(r.Filters), "[ana@empresa.test: before ana@empresa.test: reglas]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got, want := strings.Join(r.Effects, " | "), "ana@empresa.test → inbox | archive → luis@empresa.test → C"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
