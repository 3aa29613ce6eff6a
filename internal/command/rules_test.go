package command

import (
	"encoding/json"
	"fmt"
	"testing"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/store"
)

// A rule is live at once where it is set, and on another node when that looks; a view
// that somebody holds does not change under him.
func TestRulesAreLive(t *testing.T) {
	h := newHouse(t)
	owner := Principal{Name: "uid:0", Role: store.Owner}
	give := func(name, args string) {
		t.Helper()
		if _, err := Do(t.Context(), h, owner, name, json.RawMessage(args)); err != nil {
			t.Fatal(name, args, err)
		}
	}
	give("domain.add", `{"name":"home.test"}`)
	give("account.add", `{"address":"ana@home.test","password":"una-larga"}`)
	other, err := directory.Open(t.Context(), h.Store)
	if err != nil {
		t.Fatal(err)
	}
	info := addr.Address{Local: "info", Domain: "home.test"}
	leads := func(v *directory.View) bool { _, err := v.Resolve(info); return err == nil }
	held := h.Directory.View()
	give("alias.add", `{"address":"info@home.test","targets":["ana@home.test","x@example.net"]}`)
	if leads(held) || !leads(h.Directory.View()) || leads(other.View()) {
		t.Error("the alias is not live, or too early")
	}
	if err := other.Refresh(t.Context()); err != nil || !leads(other.View()) {
		t.Error("another node does not see it", err)
	}
	give("alias.add", `{"address":"info@home.test","targets":["ana@home.test"]}`) // another name of ana now
	if acc := h.Directory.View().ByLogin("info@home.test"); acc == nil || acc.Login != "ana@home.test" {
		t.Errorf("info@ logs in as %+v", acc)
	}
	give("alias.remove", `{"name":"info@home.test"}`)
	if err := other.Refresh(t.Context()); err != nil || leads(other.View()) || leads(h.Directory.View()) {
		t.Error("it still leads somewhere", err)
	}
}

// A thousand rules go in by steps, come back in pages, and go as they came.
func TestRulePages(t *testing.T) {
	h := newHouse(t)
	owner := Principal{Name: "uid:0", Role: store.Owner}
	if _, err := Do(t.Context(), h, owner, "domain.add", json.RawMessage(`{"name":"home.test"}`)); err != nil {
		t.Fatal(err)
	}
	for step := range 2 {
		var e RuleEdit
		for i := range store.MaxAccessStep {
			e.Put = append(e.Put, Rule{Kind: "address", Key: fmt.Sprintf("u%d-%d@home.test", step, i), Value: "x@example.net"})
		}
		out, err := h.changeRules(t.Context(), owner, "rule.edit", e)
		if err != nil || out.Added != store.MaxAccessStep {
			t.Fatal(out, err)
		}
	}
	seen := 0
	q := RuleQuery{Kind: "address", Pattern: "u1-*", Limit: 70}
	for {
		out, err := listRules(t.Context(), h, owner, q)
		if err != nil {
			t.Fatal(err)
		}
		page, _ := out.(RulePage)
		seen += len(page.Rules)
		if q.After = page.Next; q.After == "" {
			break
		}
	}
	if seen != store.MaxAccessStep {
		t.Errorf("%d rules in pages", seen)
	}
	if _, err := h.changeRules(t.Context(), owner, "rule.edit", RuleEdit{Put: make([]Rule, store.MaxAccessStep+1)}); err == nil {
		t.Error("too many at once are taken")
	}
}
