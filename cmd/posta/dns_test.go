package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"posta/internal/bindtest"
	"posta/internal/command"
	"posta/internal/words"
	"posta/internal/zone"
)

// say runs a sub-command and gives what it printed, and its exit status.
func say(t *testing.T, lang words.Lang, configFile, dataDir string, make func(c *cli) *cobra.Command, args ...string) (string, int) {
	t.Helper()
	var out strings.Builder
	c := &cli{lang: lang, configFile: configFile, dataDir: dataDir, out: &out}
	cmd := make(c)
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	if err == nil {
		return out.String(), 0
	}
	if f, ok := err.(found); ok {
		return out.String(), f.status
	}
	return out.String() + sentence(err, lang), status(err)
}

// Without a data folder the records come from flags: for a zone file and for a
// provider's page, in the reader's language.
func TestDNSShowAlone(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none.toml")
	show := func(lang words.Lang, args ...string) string {
		out, st := say(t, lang, none, "", (*cli).dnsShow, args...)
		if st != 0 {
			t.Errorf("%q: status %d\n%s", args, st, out)
		}
		return out
	}
	bind := show("en", "empresa.test", "--ip", "192.0.2.10", "--dkim", "p1=v=DKIM1; p="+strings.Repeat("A", 300))
	for _, want := range []string{
		"; the server's name leads to its address\nmail.empresa.test. 3600 IN A 192.0.2.10\n",
		"; published by the owner of the address: 10.2.0.192.in-addr.arpa. 3600 IN PTR mail.empresa.test.\n",
		`p1._domainkey.empresa.test. 3600 IN TXT "v=DKIM1; p=` + strings.Repeat("A", 244) + `" "` + strings.Repeat("A", 56) + "\"\n",
	} {
		if !strings.Contains(bind, want) {
			t.Errorf("missing %q in\n%s", want, bind)
		}
	}
	form := show("es", "empresa.test", "--format", "form")
	if want := "MX: quién recibe el correo del dominio\n  Nombre: @\n  Prioridad: 10\n  Valor: mail.empresa.test\n"; !strings.Contains(form, want) {
		t.Errorf("missing %q in\n%s", want, form)
	}
	if parked := show("en", "vieja.test", "--parked"); !strings.Contains(parked, "vieja.test. 3600 IN MX 0 .\n") {
		t.Errorf("parked:\n%s", parked)
	}
	if js := show("en", "empresa.test", "--format", "json"); !strings.Contains(js, `{"type":"MX","name":"@","priority":"10","value":"mail.empresa.test"}`) {
		t.Errorf("json:\n%s", js)
	}
	if out, st := say(t, "en", none, "", (*cli).dnsShow, "empresa.test", "--format", "xml"); st != exitUsage || !strings.Contains(out, `"xml" is no format; there are bind, form and json`) {
		t.Errorf("another format: %d %s", st, out)
	}
}

// From an empty data folder to a zone at BIND and back, by the commands that an
// administrator gives.
func TestDNSApplyAtBIND(t *testing.T) {
	b := bindtest.Start(t, "empresa.test", `$TTL 3600
@ IN SOA ns1.empresa.test. admin.empresa.test. 1 3600 600 86400 300
@ IN NS ns1.empresa.test.
ns1 IN A 127.0.0.1
@ IN TXT "v=spf1 include:_spf.crm.test -all"
`)
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.WriteFile(p, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return p
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o711); err != nil {
		t.Fatal(err)
	}
	cfg := write("posta.toml", fmt.Sprintf(`hostname = "mail.empresa.test"
user = "root"
data = %q
[network]
public = ["192.0.2.10"]
[dns]
servers = [%q]
[[dns.provider]]
type = "rfc2136"
zones = ["empresa.test"]
server = %[2]q
key = %[3]q
token_file = %[4]q
`, data, b.At, bindtest.Key, write("tsig", bindtest.Secret+"\n")))
	posta := func(make func(c *cli) *cobra.Command, args ...string) string {
		t.Helper()
		out, st := say(t, "en", cfg, "", make, args...)
		if st != 0 {
			t.Fatalf("%q: status %d\n%s", args, st, out)
		}
		return out
	}
	posta((*cli).domainCommand, "add", "empresa.test")
	posta((*cli).dkimCommand, "add", "empresa.test", "--prefix", "p1")

	out := posta((*cli).dnsApply, "empresa.test")
	for _, want := range []string{
		"add: empresa.test. 3600 IN MX 10 mail.empresa.test.\n",
		"left alone, since another record stands there: empresa.test. 3600 IN TXT \"v=spf1 mx -all\"\n  seen: v=spf1 include:_spf.crm.test -all\n",
		"by hand: 10.2.0.192.in-addr.arpa. 3600 IN PTR mail.empresa.test.\n",
		"--yes does it.\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("missing %q in\n%s", want, out)
		}
	}
	if got := b.Shows(t, "empresa.test", "MX"); got != "" {
		t.Errorf("the preview wrote %s", got)
	}
	posta((*cli).dnsApply, "empresa.test", "--merge-spf", "--yes")
	if got := b.Shows(t, "p1-r._domainkey.empresa.test", "TXT"); !strings.HasPrefix(got, `"v=DKIM1; k=rsa; p=`) {
		t.Errorf("the key: %s", got)
	}
	if got := b.Shows(t, "empresa.test", "TXT"); got != `"v=spf1 mx include:_spf.crm.test -all"` {
		t.Errorf("SPF: %s", got)
	}
	if out := posta((*cli).dnsApply, "empresa.test", "--yes"); !strings.HasSuffix(out, "Nothing is to be done.\n") {
		t.Errorf("again:\n%s", out)
	}
	posta((*cli).dnsUndo, "empresa.test", "--yes")
	if got := b.Shows(t, "empresa.test", "MX") + b.Shows(t, "empresa.test", "TXT"); got != `"v=spf1 include:_spf.crm.test -all"` {
		t.Errorf("taken back: %s", got)
	}
	posta(func(c *cli) *cobra.Command { return c.group("audit", "audit", c.acceptCommands()...) },
		"accept", "zone.missing", "PTR 10.2.0.192.in-addr.arpa", "--reason", "asked the provider", "--until", time.Now().AddDate(0, 1, 0).Format(time.DateOnly))
}

// What diff says of each record, and its exit status.
func TestPrintDiff(t *testing.T) {
	mx := zone.Record{Name: "empresa.test", Type: "MX", Value: "10 mail.empresa.test"}
	for _, c := range []struct {
		it   zone.Item
		want string
		st   int
	}{
		{zone.Item{Record: mx, State: zone.Present}, "ok: MX @\nAsked: ns1\nAll records are as they should be.\n", 0},
		{zone.Item{Record: mx, State: zone.Pending, Behind: []string{"9.9.9.9"}, Left: 840},
			"NOT YET EVERYWHERE: MX @\n  wanted: 10 mail.empresa.test.\n  not there at: 9.9.9.9\n  what was may be remembered for 840 more seconds\nAsked: ns1\nPublished, and not yet known everywhere; look again later.\n", exitLater},
		{zone.Item{Record: mx, State: zone.Missing, Seen: []string{"0 \x1bmx"}},
			"MISSING: MX @\n  wanted: 10 mail.empresa.test.\n  seen: 0 ?mx\nAsked: ns1\nSome records differ: publish what is missing, or let posta dns apply do it.\n", exitFindings},
	} {
		var out strings.Builder
		x := &cli{lang: "en", out: &out}
		st := 0
		if err, ok := x.printDiff(&command.DNSDiff{Domain: "empresa.test", Items: []zone.Item{c.it}, Result: zone.Worst([]zone.Item{c.it}), Servers: []string{"ns1"}}).(found); ok {
			st = err.status
		}
		if out.String() != c.want || st != c.st {
			t.Errorf("%s: %d\n%s\nwant %d\n%s", c.it.State, st, out.String(), c.st, c.want)
		}
	}
}
