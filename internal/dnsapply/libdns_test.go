package dnsapply

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/libdns/libdns"

	"posta/internal/bindtest"
	"posta/internal/zone"
)

// double is a DNS provider's interface in memory.
type double struct {
	zone    string
	records []libdns.RR
	calls   []string
	refuse  string // a type that is not taken
	clumsy  bool   // deletes whole sets, as an interface might that knows no single records
	quotes  bool   // gives texts in quotes, as some do
}

func (d *double) GetRecords(_ context.Context, z string) ([]libdns.Record, error) {
	if z != d.zone+"." {
		return nil, errors.New("no such zone: " + z)
	}
	var out []libdns.Record
	for _, r := range d.records {
		if d.quotes && r.Type == "TXT" {
			r.Data = `"` + r.Data + `"`
		}
		out = append(out, r)
	}
	return out, nil
}

func (d *double) AppendRecords(_ context.Context, _ string, rs []libdns.Record) ([]libdns.Record, error) {
	for _, r := range rs {
		rr := r.RR()
		if rr.Type == d.refuse {
			return nil, errors.New("this provider has no " + rr.Type)
		}
		rr.Data = plainText(rr)
		d.calls = append(d.calls, "+"+rr.Type+" "+rr.Name)
		d.records = append(d.records, rr)
	}
	return rs, nil
}

func (d *double) DeleteRecords(_ context.Context, _ string, rs []libdns.Record) ([]libdns.Record, error) {
	for _, r := range rs {
		rr := r.RR()
		d.calls = append(d.calls, "-"+rr.Type+" "+rr.Name)
		d.records = slices.DeleteFunc(d.records, func(o libdns.RR) bool {
			return o.Name == rr.Name && o.Type == rr.Type && (d.clumsy || o.Data == plainText(rr))
		})
	}
	return rs, nil
}

// plainText is the data of a record, a text without the quotes that it was given in.
func plainText(rr libdns.RR) string {
	if rr.Type == "TXT" {
		return strings.Trim(rr.Data, `"`)
	}
	return rr.Data
}

// liveDNS is the double with the ways of Gandi's client: texts stand in quotes, and one
// is found again in them where it has company, without them where it is alone.
type liveDNS struct{ *double }

func (d liveDNS) AppendRecords(_ context.Context, _ string, rs []libdns.Record) ([]libdns.Record, error) {
	for _, r := range rs {
		rr := r.RR()
		if rr.Type == "TXT" && !strings.HasPrefix(rr.Data, `"`) {
			return nil, errors.New("a text without quotes would fall into words")
		}
		d.records = append(d.records, rr)
	}
	return rs, nil
}

func (d liveDNS) DeleteRecords(_ context.Context, _ string, rs []libdns.Record) ([]libdns.Record, error) {
	for _, r := range rs {
		rr := r.RR()
		beside := func(o libdns.RR) bool { return o.Name == rr.Name && o.Type == rr.Type }
		n := 0
		for _, o := range d.records {
			if beside(o) {
				n++
			}
		}
		d.records = slices.DeleteFunc(d.records, func(o libdns.RR) bool {
			return beside(o) && (n > 1 && o.Data == rr.Data || n == 1 && strings.Trim(o.Data, `"`) == rr.Data)
		})
	}
	return rs, nil
}

// The ways of Gandi's client are provided for.
func TestGandiTexts(t *testing.T) {
	d := &double{zone: "empresa.test", records: []libdns.RR{{Name: "@", Type: "TXT", Data: `"sitio-verificado=1234"`}}}
	ps := Providers{{Zones: []string{"empresa.test"}, Source: LibDNS{API: gandiAPI{liveDNS{d}}, Quoted: true}}}
	wanted := own(wantedOf("empresa.test"))
	made := written(nil, cycle(t, ps, wanted, nil, false))
	if len(made) != len(wanted) {
		t.Errorf("%d of %d are written", len(made), len(wanted))
	}
	cycle(t, ps, nil, made, false)
	if len(d.records) != 1 || d.records[0].Data != `"sitio-verificado=1234"` {
		t.Errorf("left: %v", d.records)
	}
}

// newDouble has a zone in which others wrote.
func newDouble() *double {
	return &double{zone: "empresa.test", records: []libdns.RR{
		{Name: "@", Type: "TXT", Data: "sitio-verificado=1234"},
		{Name: "@", Type: "TXT", Data: "v=spf1 include:_spf.crm.test ~all"},
		{Name: "www", Type: "A", Data: "192.0.2.80"},
	}}
}

func (d *double) providers() Providers {
	return Providers{{Name: "double", Zones: []string{"empresa.test"}, Source: LibDNS{API: d}}}
}

// A provider's interface takes the whole fragment and gives it up again; what others
// wrote is as it was.
func TestProviderTakesTheFragment(t *testing.T) {
	d := newDouble()
	d.quotes = true
	before := slices.Clone(d.records)
	ps := d.providers()
	wanted := own(wantedOf("empresa.test"))
	steps := cycle(t, ps, wanted, nil, false)
	made := written(nil, steps)
	if n := actions(steps); n[zone.Leave] != 1 || n[zone.Add] != len(wanted)-1 {
		t.Errorf("the first apply: %v of %d", n, len(wanted))
	}
	if n := actions(cycle(t, ps, wanted, made, false)); n[zone.Add]+n[zone.Replace]+n[zone.Remove] != 0 {
		t.Errorf("the second apply: %v", n)
	}
	cycle(t, ps, nil, made, false)
	if !slices.Equal(d.records, before) {
		t.Errorf("left:\n%v\nwant\n%v", d.records, before)
	}
}

// The old value goes before the new one comes, and comes back when the new one is not
// taken.
func TestProviderReplaces(t *testing.T) {
	d := newDouble()
	old := zone.Record{Name: "_mta-sts.empresa.test", Type: "TXT", Value: "v=STSv1; id=1"}
	d.records = append(d.records, libdns.RR{Name: "_mta-sts", Type: "TXT", Data: old.Value})
	wanted := old
	wanted.Value = "v=STSv1; id=2"
	cycle(t, d.providers(), []zone.Record{wanted}, []zone.Record{old}, false)
	if want := []string{"-TXT _mta-sts", "+TXT _mta-sts"}; !slices.Equal(d.calls, want) {
		t.Errorf("calls %q, want %q", d.calls, want)
	}
	step := []zone.Step{{Record: old, Action: zone.Replace, Old: "v=STSv1; id=2"}}
	half := &halfway{double: d}
	ps := Providers{{Zones: []string{"empresa.test"}, Source: LibDNS{API: half}}}
	if err := ps.Write(t.Context(), step); err == nil || !strings.Contains(err.Error(), "not written: full") {
		t.Errorf("the second half fails: %v", err)
	}
	if i := slices.IndexFunc(d.records, func(r libdns.RR) bool { return r.Name == "_mta-sts" }); i < 0 || d.records[i].Data != "v=STSv1; id=2" {
		t.Errorf("the old value is lost: %v", d.records)
	}
}

// halfway takes no new record once, after something was deleted.
type halfway struct {
	*double
	failed bool
}

func (h *halfway) AppendRecords(ctx context.Context, z string, rs []libdns.Record) ([]libdns.Record, error) {
	if !h.failed {
		h.failed = true
		return nil, errors.New("full")
	}
	return h.double.AppendRecords(ctx, z, rs)
}

// An interface that takes more than ours is found out, and one that does not know a
// type says so.
func TestProviderIsLookedAfter(t *testing.T) {
	d := newDouble()
	d.clumsy = true
	ours := zone.Record{Name: "empresa.test", Type: "TXT", Value: "v=spf1 mx -all"}
	d.records = append(d.records, libdns.RR{Name: "@", Type: "TXT", Data: ours.Value})
	err := d.providers().Write(t.Context(), []zone.Step{{Record: ours, Action: zone.Remove}})
	if err == nil || !strings.Contains(err.Error(), `"sitio-verificado=1234" is not there; look at the zone`) {
		t.Errorf("the loss of another's record: %v", err)
	}

	d = newDouble()
	d.refuse = "TLSA"
	tlsa := zone.Record{Name: "_25._tcp.mail.empresa.test", Type: "TLSA", Value: "3 1 1 ab"}
	if err := d.providers().Write(t.Context(), []zone.Step{{Record: tlsa, Action: zone.Add}}); err == nil || !strings.Contains(err.Error(), "TLSA _25._tcp.mail.empresa.test: not written: this provider has no TLSA") {
		t.Errorf("a type that is not taken: %v", err)
	}
	gone := []zone.Step{{Record: ours, Action: zone.Remove}}
	if err := newDouble().providers().Write(t.Context(), gone); !errors.Is(err, ErrChanged) {
		t.Errorf("what is gone already: %v", err)
	}
}

// A configuration that cannot work is told of before anything is asked.
func TestOpenSaysWhatIsWrong(t *testing.T) {
	for _, c := range []struct {
		c    Config
		want string
	}{
		{Config{Type: "route53"}, `"route53" is no kind of DNS provider; there are rfc2136, cloudflare, desec, gandi, hetzner, ovh`},
		{Config{Type: "cloudflare"}, "its token is missing"},
		{Config{Type: "ovh", Secret: "solo-uno"}, "application key:application secret:consumer key"},
		{Config{Type: "rfc2136", Server: "ns1.empresa.test"}, `write it as "192.0.2.53:53"`},
		{Config{Type: "rfc2136", Server: "192.0.2.53:53"}, "needs a TSIG key"},
		{Config{Type: "rfc2136", Server: "192.0.2.53:53", KeyName: "k", Secret: "no es base64"}, "not base64"},
		{Config{Type: "rfc2136", Server: "192.0.2.53:53", KeyName: "k", Secret: bindtest.Secret, Algorithm: "hmac-md5"}, "not one of hmac-sha256"},
	} {
		_, err := Open(c.c)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c.c, err)
		}
		if err != nil && c.c.Secret != "" && strings.Contains(err.Error(), c.c.Secret) {
			t.Errorf("the secret is told: %v", err)
		}
	}
	for _, typ := range Types() {
		secret := "token"
		if typ == "ovh" {
			secret = "a:b:c"
		}
		if _, err := Open(Config{Type: typ, Secret: secret, Zones: []string{"empresa.test"}}); err != nil {
			t.Errorf("%s: %v", typ, err)
		}
	}
}
