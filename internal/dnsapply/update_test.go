package dnsapply

import (
	"errors"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/bindtest"
	"posta/internal/zone"
)

const bindZone = `$TTL 3600
@ IN SOA ns1.empresa.test. admin.empresa.test. 1 3600 600 86400 300
@ IN NS ns1.empresa.test.
ns1 IN A 127.0.0.1
@ IN TXT "sitio-verificado=1234"
@ IN TXT "v=spf1 include:_spf.crm.test ~all"
www IN A 192.0.2.80
_dmarc IN TXT "v=DMARC1; p=reject"
`

func wantedOf(domain string) []zone.Record {
	return zone.Wanted(zone.Facts{
		Domain: domain, Host: "mail." + domain, IPs: []netip.Addr{netip.MustParseAddr("192.0.2.10"), netip.MustParseAddr("2001:db8::10")},
		Keys:     []zone.Key{{Selector: "p202612-r", Record: "v=DKIM1; k=rsa; p=" + strings.Repeat("A", 392)}},
		Services: zone.Services(587, 465, 143, 993, 0, 995),
		STS:      "a1", TLSReports: "postmaster@" + domain, Autoconfig: true, Issuers: []string{"letsencrypt.org"},
		Certificates: [][32]byte{{1, 2, 3}},
		BIMI:         &zone.BIMI{Logo: "https://" + domain + "/logo.svg"},
	})
}

// own are the records that the domain's owner publishes.
func own(rs []zone.Record) []zone.Record {
	var out []zone.Record
	for _, r := range rs {
		if !r.ByProvider {
			out = append(out, r)
		}
	}
	return out
}

// written are the records that steps made, as the command layer remembers them.
func written(made []zone.Record, steps []zone.Step) []zone.Record {
	var out []zone.Record
	for _, m := range made {
		if !gives(steps, m.Question(), m.Value) {
			out = append(out, m)
		}
	}
	for _, s := range steps {
		if s.Action == zone.Add || s.Action == zone.Replace {
			out = append(out, s.Record)
		}
	}
	return out
}

// cycle plans and writes, and gives what was done.
func cycle(t *testing.T, ps Providers, wanted, made []zone.Record, merge bool) []zone.Step {
	t.Helper()
	current, err := ps.Read(t.Context(), zone.Sources(wanted, made))
	if err != nil {
		t.Fatal(err)
	}
	steps := zone.Plan(wanted, made, current, merge)
	if err := ps.Write(t.Context(), steps); err != nil {
		t.Fatal(err)
	}
	return steps
}

func actions(steps []zone.Step) map[zone.Action]int {
	out := map[zone.Action]int{}
	for _, s := range steps {
		out[s.Action]++
	}
	return out
}

// A zone at Debian's BIND takes the whole fragment, keeps what others wrote, gives a
// changed key its place, and is as it was when all of ours is taken back.
func TestBINDTakesTheFragment(t *testing.T) {
	b := bindtest.Start(t, "empresa.test", bindZone)
	p, err := Open(Config{Type: "rfc2136", Zones: []string{"empresa.test."}, Server: b.At.String(), KeyName: bindtest.Key, Secret: bindtest.Secret})
	if err != nil {
		t.Fatal(err)
	}
	ps := Providers{p}
	wanted := own(wantedOf("empresa.test"))

	steps := cycle(t, ps, wanted, nil, false)
	made := written(nil, steps)
	if n := actions(steps); n[zone.Leave] != 2 || n[zone.Add] != len(wanted)-2 {
		t.Errorf("the first apply: %v of %d", n, len(wanted))
	}
	for _, c := range []struct{ name, typ, want string }{
		{"empresa.test", "MX", "10 mail.empresa.test."},
		{"mail.empresa.test", "AAAA", "2001:db8::10"},
		{"p202612-r._domainkey.empresa.test", "TXT", `"v=DKIM1; k=rsa; p=` + strings.Repeat("A", 237) + `" "` + strings.Repeat("A", 155) + `"`},
		{"_imaps._tcp.empresa.test", "SRV", "0 1 993 mail.empresa.test."},
		{"_pop3._tcp.empresa.test", "SRV", "0 0 0 ."},
		{"mta-sts.empresa.test", "CNAME", "mail.empresa.test."},
		{"mail.empresa.test", "CAA", `0 issue "letsencrypt.org"`},
		{"_25._tcp.mail.empresa.test", "TLSA", "3 1 1 0102030000000000000000000000000000000000000000000000000000000000"},
		{"_dmarc.empresa.test", "TXT", `"v=DMARC1; p=reject"`}, // theirs
	} {
		if got := b.Shows(t, c.name, c.typ); got != c.want {
			t.Errorf("%s %s:\n got %s\nwant %s", c.name, c.typ, got, c.want)
		}
	}

	// The same again is nothing.
	if n := actions(cycle(t, ps, wanted, made, false)); n[zone.Nothing] != len(wanted)-2 {
		t.Errorf("the second apply: %v", n)
	}

	// Their SPF and ours become one when that is asked for; it stays theirs.
	steps = cycle(t, ps, wanted, made, true)
	if n := actions(steps); n[zone.Merge] != 1 || len(written(made, steps)) != len(made) {
		t.Errorf("the merge: %v", n)
	}
	if got := b.Shows(t, "empresa.test", "TXT"); !strings.Contains(got, `"v=spf1 mx include:_spf.crm.test ~all"`) || !strings.Contains(got, "sitio-verificado") {
		t.Errorf("texts after the merge:\n%s", got)
	}

	// A new key takes the place of ours.
	for i := range wanted {
		if strings.HasPrefix(wanted[i].Value, "v=STSv1") {
			wanted[i].Value = "v=STSv1; id=b2"
		}
	}
	steps = cycle(t, ps, wanted, made, false)
	made = written(made, steps)
	if n := actions(steps); n[zone.Replace] != 1 || b.Shows(t, "_mta-sts.empresa.test", "TXT") != `"v=STSv1; id=b2"` {
		t.Errorf("the replacement: %v %s", n, b.Shows(t, "_mta-sts.empresa.test", "TXT"))
	}

	// Nothing wanted: what is ours goes, what is theirs stays.
	if n := actions(cycle(t, ps, nil, made, false)); n[zone.Remove] != len(made) {
		t.Errorf("the removal: %v of %d", n, len(made))
	}
	if got := b.Shows(t, "empresa.test", "MX") + b.Shows(t, "mail.empresa.test", "A"); got != "" {
		t.Errorf("left: %s", got)
	}
	if b.Shows(t, "www.empresa.test", "A") != "192.0.2.80" || b.Shows(t, "_dmarc.empresa.test", "TXT") == "" {
		t.Error("theirs is gone")
	}
}

// What an update must not do it does not do, and says why.
func TestBINDRefuses(t *testing.T) {
	b := bindtest.Start(t, "empresa.test", bindZone)
	open := func(key, secret string) Providers {
		p, err := Open(Config{Type: "rfc2136", Zones: []string{"empresa.test"}, Server: b.At.String(), KeyName: key, Secret: secret})
		if err != nil {
			t.Fatal(err)
		}
		return Providers{p}
	}
	ours := zone.Record{Name: "mail.empresa.test", Type: "A", Value: "192.0.2.10"}
	add := []zone.Step{{Record: ours, Action: zone.Add}}
	for _, ps := range []Providers{open("otra", bindtest.Secret), open(bindtest.Key, "b3RybyBzZWNyZXRv")} {
		if err := ps.Write(t.Context(), add); err == nil {
			t.Error("written with a wrong key")
		}
	}
	ps := open(bindtest.Key, bindtest.Secret)
	if err := ps.Write(t.Context(), []zone.Step{{Record: zone.Record{Name: "mail.otra.test", Type: "A", Value: "192.0.2.1"}, Action: zone.Add}}); err == nil || !strings.Contains(err.Error(), "no provider keeps mail.otra.test") {
		t.Errorf("a zone that nobody keeps: %v", err)
	}
	// The value that was to give way is gone meanwhile: nothing is written.
	stale := []zone.Step{{Record: zone.Record{Name: "www.empresa.test", Type: "A", Value: "192.0.2.81"}, Action: zone.Replace, Old: "192.0.2.79"}, add[0]}
	if err := ps.Write(t.Context(), stale); !errors.Is(err, ErrChanged) {
		t.Errorf("a stale plan: %v", err)
	}
	if got := b.Shows(t, "mail.empresa.test", "A") + b.Shows(t, "www.empresa.test", "A"); got != "192.0.2.80" {
		t.Errorf("after a stale plan: %q", got)
	}
}
