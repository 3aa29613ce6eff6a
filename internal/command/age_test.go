package command

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"posta/internal/allowance"
	"posta/internal/store"
)

// A month of two accounts under the profile guia: how old the passwords are, who has
// sent how much of what he may, and what a change of either does.
func TestStandingOfAccounts(t *testing.T) {
	h := newHouse(t)
	now := time.Date(2096, 3, 2, 10, 0, 0, 0, time.UTC)
	h.Now = func() time.Time { return now }
	owner := Principal{Name: "uid:0", Role: store.Owner}
	do := func(day int, name, args, want string) {
		t.Helper()
		now = time.Date(2096, 3, 2+day, 10, 0, 0, 0, time.UTC)
		out, err := Do(t.Context(), h, owner, name, json.RawMessage(args))
		got := ""
		if err != nil {
			got = err.Error()
		} else if b, merr := json.Marshal(out); merr == nil {
			got = string(b)
		}
		if !strings.Contains(got, want) {
			t.Errorf("day %d, %s %s\n got %s\nwant %s", day, name, args, got, want)
		}
	}
	do(0, "domain.add", `{"name":"empresa.test"}`, `empresa`)
	do(0, "account.add", `{"address":"ana@empresa.test","password":"una-larga","role":"owner"}`, `ana`)
	do(20, "account.add", `{"address":"luis@empresa.test","password":"una-larga"}`, `luis`)
	do(21, "account.show", `{"name":"Ana@empresa.test"}`, `"messages":0,"password_set":"2096-03-02T10:00:00Z"}`)
	do(21, "account.show", `{"name":"eva@empresa.test"}`, `there is no account eva@empresa.test`)
	// The guides' profile comes late: whoever's password is too old by then is counted,
	// and has a fortnight.
	do(31, "policy.level", `{"name":"guia"}`, `"overdue":1,"until":"2096-04-16T10:00:00Z"}`)
	do(31, "account.show", `{"name":"ana@empresa.test"}`,
		`"password_set":"2096-03-02T10:00:00Z","password_ends":"2096-04-16T10:00:00Z","overdue":true,"limit":500}`)
	// What is applied again, or lets passwords get older, begins no new grace; a shorter
	// term does.
	do(32, "policy.put", `{"text":"level = \"guia\"\n[accounts]\npassword_days = 30\nmessages_per_day = 500\n"}`, `"overdue":1,"until":"2096-04-16T10:00:00Z"}`)
	do(33, "policy.put", `{"text":"level = \"guia\"\n[accounts]\npassword_days = 32\n"}`, `"overdue":1,"until":"2096-04-16T10:00:00Z"}`)
	do(34, "policy.put", `{"text":"level = \"guia\"\n[accounts]\npassword_days = 20\npassword_grace = \"3d\"\n"}`, `"overdue":1,"until":"2096-04-08T10:00:00Z"}`)
	do(34, "policy.put", `{"text":"level = \"guia\"\n[accounts]\npassword_days = 20\npassword_grace = \"none\"\n"}`, `"expired":1}`)
	do(34, "policy.level", `{"name":"strict"}`, `"level":"strict"`)
	do(34, "policy.put", `{"text":"level = \"guia\"\n[accounts]\npassword_days = 30\npassword_grace = \"none\"\nmessages_per_day = 500\n"}`, `"expired":1}`)
	do(34, "account.show", `{"name":"ana@empresa.test"}`,
		`"password_set":"2096-03-02T10:00:00Z","password_ends":"2096-04-05T10:00:00Z","expired":true,"limit":500}`)
	do(31, "account.password", `{"address":"ana@empresa.test","password":"otra-larga"}`, `ana`)
	do(31, "account.ls", ``, `"password_set":"2096-04-02T10:00:00Z","password_ends":"2096-05-02T10:00:00Z","limit":500},`)

	if _, _, err := allowance.New(h.Store, h.now).Take(t.Context(), int64(h.Directory.View().ByLogin("luis@empresa.test").ID), 500); err != nil {
		t.Fatal(err)
	}
	do(31, "account.show", `{"name":"luis@empresa.test"}`, `"sent":1,"limit":500}`)
	do(31, "account.set", `{"address":"luis@empresa.test","messages_per_day":20}`, `"messages_per_day":20}`)
	do(31, "account.show", `{"name":"luis@empresa.test"}`, `"sent":1,"limit":20}`)
	do(31, "account.set", `{"address":"luis@empresa.test","messages_per_day":-1}`, `"messages_per_day":-1}`)
	do(31, "account.show", `{"name":"luis@empresa.test"}`, `"password_ends":"2096-04-21T10:00:00Z"}`)
	do(31, "account.set", `{"address":"luis@empresa.test","messages_per_day":0}`, `"messages":0}`)
	do(33, "account.show", `{"name":"luis@empresa.test"}`, `"limit":500}`)
	do(33, "account.set", `{"address":"luis@empresa.test","messages_per_day":-2}`,
		`-2 messages a day: give a number up to 10000000, 0 for what the policy says, -1 for no limit`)
	do(33, "policy.level", `{"name":"strict"}`, `"level":"strict"`)
}
