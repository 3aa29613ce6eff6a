package command

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"posta/internal/directory"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
	"posta/internal/words"
)

// Every sentence that a command can fail with is in the catalogue.
func TestSentencesExist(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	call := regexp.MustCompile(`fail\(\w+, "([^"]*)"`)
	n := 0
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range call.FindAllSubmatch(b, -1) {
			n++
			if !words.Has(string(m[1])) {
				t.Errorf("%s: %q is not in the catalogue", f, m[1])
			}
		}
	}
	if n < 20 {
		t.Errorf("only %d sentences found", n)
	}
}

// A command stands in the table once.
func TestNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range All() {
		if seen[c.Name] {
			t.Errorf("%s stands twice in the table", c.Name)
		}
		seen[c.Name] = true
	}
}

func newHouse(t *testing.T) *House {
	t.Helper()
	st, err := sqlstore.Open(t.Context(), sqlstore.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	dir, err := directory.Open(t.Context(), st)
	if err != nil {
		t.Fatal(err)
	}
	return &House{Store: st, Directory: dir}
}

// A day of administration, line by line: command, arguments, what came of it.
// The errors are the sentences that a person reads.
func TestCommands(t *testing.T) {
	h := newHouse(t)
	owner := Principal{Name: "uid:0", Role: store.Owner}
	for _, c := range []struct{ name, args, want string }{
		{"domain.add", `{"name":"Empresa.TEST"}`, `{"name":"empresa.test","accounts":0,"aliases":0}`},
		{"domain.add", `{"name":"empresa.test"}`, `the domain empresa.test exists already`},
		{"domain.add", `{"name":"localhost"}`, `"localhost" is no domain name; write it as example.org`},
		{"domain.add", `{"nombre":"x.test"}`, `domain.add: json: unknown field "nombre"`},
		{"account.add", `{"address":"ana@empresa.test","password":"una-larga","role":"owner"}`, `{"address":"ana@empresa.test"}`},
		{"account.add", `{"address":"ANA@empresa.test","password":"una-larga"}`, `ana@empresa.test exists already`},
		{"account.add", `{"address":"luis@otra.test"}`, `otra.test is not one of our domains; posta domain add otra.test makes it one`},
		{"account.add", `{"address":"luis+x@empresa.test"}`, `luis+x@empresa.test: a plus sign parts the detail from the name; choose a name without it`},
		{"account.add", `{"address":"luis@empresa.test","password":"corta"}`, `the password is shorter than 8 characters; leave it out to have one made`},
		{"account.add", `{"address":"luis@empresa.test","role":"rey"}`, `"rey" is no role; there are user, helpdesk, domain-admin, owner`},
		{"account.add", `{"address":"luis@empresa.test","password":"otra-larga","quota":1000}`, `{"address":"luis@empresa.test"}`},
		{"account.set", `{"address":"luis@empresa.test","name":"Luis","disabled":true}`, `{"address":"luis@empresa.test","name":"Luis","role":"user","quota":1000,"used":0,"messages":0,"disabled":true}`},
		{"account.set", `{"address":"luis@empresa.test","language":"ES"}`, `{"address":"luis@empresa.test","name":"Luis","role":"user","quota":1000,"used":0,"messages":0,"disabled":true,"language":"es"}`},
		{"account.set", `{"address":"luis@empresa.test","language":"fr"}`, `"fr" is no language that is spoken here; there are en, es`},
		{"account.set", `{"address":"luis@empresa.test","language":""}`, `{"address":"luis@empresa.test","name":"Luis","role":"user","quota":1000,"used":0,"messages":0,"disabled":true}`},
		{"domain.set", `{"name":"empresa.test","language":"es"}`, `{"name":"empresa.test","accounts":2,"aliases":0,"language":"es"}`},
		{"domain.set", `{"name":"otra.test","language":"es"}`, `there is no domain otra.test; posta domain ls lists them`},
		{"domain.set", `{"name":"empresa.test","language":""}`, `{"name":"empresa.test","accounts":2,"aliases":0}`},
		{"alias.add", `{"address":"ventas@empresa.test","targets":["ana@empresa.test","x@example.net"]}`, `{"address":"ventas@empresa.test","targets":["ana@empresa.test","x@example.net"]}`},
		{"alias.add", `{"address":"jefa@empresa.test","targets":["ana@empresa.test"]}`, `{"address":"jefa@empresa.test","targets":["ana@empresa.test"]}`},
		{"alias.add", `{"address":"ana@empresa.test","targets":["luis@empresa.test"]}`, `ana@empresa.test is an account; an alias cannot take its place. To keep its mail and send it on, name ana@empresa.test among the targets`},
		{"alias.add", `{"address":"nada@empresa.test","targets":[]}`, `the alias nada@empresa.test needs at least one address that it leads to`},
		{"alias.ls", ``, `[{"address":"jefa@empresa.test","targets":["ana@empresa.test"]},{"address":"ventas@empresa.test","targets":["ana@empresa.test","x@example.net"]}]`},
		{"alias.add", `{"address":"bucle@empresa.test","targets":["bucle@empresa.test"]}`, `bucle@empresa.test would lead only to itself; name an account or another address`},
		{"alias.add", `{"address":"postmaster@empresa.test","targets":["error:nouser", "no"]}`, `postmaster@empresa.test takes mail from everybody (RFC 5321 §4.5.1) and cannot be refused; let it lead to somebody`},
		{"alias.add", `{"address":"buzon@empresa.test","targets":["/var/mail/x"]}`, `buzon@empresa.test: the rule cannot be: /var/mail/x: mail is not written into files beside the store: name an account, or /dev/null to drop it`},
		{"alias.add", `{"address":"x@ajeno.test","targets":["ana@empresa.test"]}`, `ajeno.test is not one of our domains; posta domain add ajeno.test makes it one`},
		{"rule.edit", `{"put":[{"kind":"transport","key":"example.net","value":"uucp:x"}]}`, `example.net: the rule cannot be: "uucp:x": no mail goes by "uucp": write smtp, lmtp, local, pipe or error`},
		{"rule.edit", `{"put":[{"kind":"x","key":"a","value":"b"}]}`, `"x" is no kind of rule; there are address, glob, fallback, alias-domain, domain, generic, masquerade, transport, sender, account`},
		{"rule.edit", `{"put":[{"kind":"domain","key":"empresa.test","value":"otra.test"}]}`, `empresa.test is a domain that we have; only another name can lead to one`},
		{"domain.remove", `{"name":"empresa.test"}`, `empresa.test still has 2 accounts and 1 aliases; remove them first`},
		{"alias.remove", `{"name":"ana@empresa.test"}`, `ana@empresa.test is an account, not an alias`},
		{"queue.drop", `{}`, `say which: a queue id, a domain or an address`},
		{"queue.ls", `{"id":"x"}`, `"x": not an id: 26 characters of 0-9 a-z without i l o u are wanted`},
		{"trace.find", `{"query":"nadie@empresa.test"}`, `no trace of "nadie@empresa.test"; search by address, @domain, IP, Message-ID or an id from a reply`},
		{"reputation.enrol", `{"name":"snds","state":"fertig"}`, `"fertig" is no state; there are none, asked, done, refused, unwanted`},
		{"reputation.enrol", `{"name":"x","state":"done"}`, `"x" is no service that we know; there are dnswl, postmaster-tools, snds, jmrp, yahoo-cfl`},
		{"report.ls", `{}`, `[]`},
		{"report.ls", `{"kind":"x"}`, `"x" is no kind of report; there are dmarc, tls, complaint, failure`},
		{"report.sources", `{"domain":"else.example"}`, `"else.example" is no domain of ours`},
		{"report.show", `{"name":"x"}`, `"x" is no id of a report; posta report ls lists them`},
		{"report.source.set", `{"domain":"else.example"}`, `"else.example" is no domain of ours`},
		{"report.complaints", `{}`, `[]`},
		{"report.alerts", `{}`, `[]`},
		{"destination.ls", `{}`, `{"domains":[]}`},
		{"destination.ls", `{"days":46}`, `46 is no number of days from 1 to 45`},
		{"destination.ls", `{"domain":"a b"}`, `"a b" is no domain: addr: syntax error in domain`},
		{"explain.route", `{"to":"luis@example.net"}`, `nothing here judges mail; run it where the configuration is`},
		{"report.sent.suppress", `{"target":"no address"}`, `"no address": neither an address, a domain, nor an https URL`},
		{"report.sent.suppress", `{"target":"Example.NET","reason":"they asked"}`, `{}`},
		{"report.sent.unsuppress", `{"target":"example.com"}`, `reports to "example.com" were not suppressed`},
		{"report.sent.unsuppress", `{"target":"example.net"}`, `{}`},
		{"report.sent.ls", ``, `{"sent":[],"suppressed":[]}`},
		{"bogus", ``, `no command is called "bogus"`},
	} {
		out, err := Do(t.Context(), h, owner, c.name, json.RawMessage(c.args))
		got := ""
		if err != nil {
			got = err.Error()
		} else if b, merr := json.Marshal(out); merr == nil {
			got = string(b)
		}
		if got != c.want {
			t.Errorf("%s %s\n got %s\nwant %s", c.name, c.args, got, c.want)
		}
	}
	// jefa@ leads to one account only, so ana may log in and send with it.
	v := h.Directory.View()
	if acc := v.ByLogin("jefa@empresa.test"); acc == nil || acc.Login != "ana@empresa.test" {
		t.Errorf("jefa@ logs in as %+v", acc)
	}
	log, err := h.Store.AuditLog(t.Context(), 20)
	if err != nil || len(log) != 12 {
		t.Fatalf("%d audit entries, %v", len(log), err)
	}
	for _, a := range log {
		if a.Principal != "uid:0" || strings.Contains(a.Before+a.After, "argon2") || strings.Contains(a.After, "larga") {
			t.Errorf("audit: %+v", a)
		}
	}
}

// Who may not give a command changes nothing.
func TestDenied(t *testing.T) {
	h := newHouse(t)
	_, err := Do(t.Context(), h, Principal{Name: "uid:1000", Role: store.User}, "domain.add", json.RawMessage(`{"name":"x.test"}`))
	if !errors.Is(err, ErrDenied) || err.Error() != "uid:1000 may not give the command domain.add" {
		t.Error(err)
	}
	e, _ := errors.AsType[*Error](err)
	if got := e.In("es"); got != "uid:1000 no puede dar la orden domain.add" {
		t.Error(got)
	}
}
