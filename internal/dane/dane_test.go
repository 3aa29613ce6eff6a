package dane

import (
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"

	"posta/internal/certs"
	"posta/internal/resolver"
)

// shown is what a host shows: its certificate and the authority above it.
func shown(t *testing.T, names ...string) (leaf, ca *x509.Certificate) {
	t.Helper()
	a, err := certs.NewAuthority("Test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Issue(names...)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(c.Certificate[0]); err != nil {
		t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(decodePEM(t, a.PEM())); err != nil {
		t.Fatal(err)
	}
	return leaf, ca
}

// record makes a TLSA record of a certificate.
func record(usage, selector, match uint8, c *x509.Certificate) resolver.TLSA {
	data := c.Raw
	if selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch match {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return resolver.TLSA{Usage: usage, Selector: selector, MatchingType: match, Data: data}
}

func TestVerify(t *testing.T) {
	leaf, ca := shown(t, "mx.example.org")
	other, otherCA := shown(t, "mx.example.org")
	now := time.Now()
	chain := []*x509.Certificate{leaf, ca}
	type rec = resolver.TLSA
	for _, c := range []struct {
		what    string
		records []rec
		chain   []*x509.Certificate
		base    string
		now     time.Time
		err     string
	}{
		{"3 1 1", []rec{record(3, 1, 1, leaf)}, chain, "", now, ""},
		{"3 0 1", []rec{record(3, 0, 1, leaf)}, chain, "", now, ""},
		{"3 1 2", []rec{record(3, 1, 2, leaf)}, chain, "", now, ""},
		{"3 0 2", []rec{record(3, 0, 2, leaf)}, chain, "", now, ""},
		{"3 1 0", []rec{record(3, 1, 0, leaf)}, chain, "", now, ""},
		{"3 0 0", []rec{record(3, 0, 0, leaf)}, chain, "", now, ""},
		{"2 0 1", []rec{record(2, 0, 1, ca)}, chain, "", now, ""},
		{"2 1 1", []rec{record(2, 1, 1, ca)}, chain, "", now, ""},
		{"2 1 2", []rec{record(2, 1, 2, ca)}, chain, "", now, ""},
		{"2 0 0, the authority not in the chain", []rec{record(2, 0, 0, ca)}, chain[:1], "", now, ""},
		{"2 1 1, the authority not in the chain", []rec{record(2, 1, 1, ca)}, chain[:1], "", now, "matches none"},
		{"3 1 1 of another key", []rec{record(3, 1, 1, other)}, chain, "", now, "matches none of the TLSA records (3 1 1)"},
		{"2 1 1 of another authority", []rec{record(2, 1, 1, otherCA)}, chain, "", now, "matches none of the TLSA records (2 1 1)"},
		{"2 1 1 of an authority that is only shown, and has not signed", []rec{record(2, 1, 1, otherCA)}, []*x509.Certificate{leaf, otherCA}, "", now, "unknown authority"},
		{"3 1 1 asks neither name nor date (RFC 7671 §5.1)", []rec{record(3, 1, 1, leaf)}, chain, "elsewhere.example", now.AddDate(50, 0, 0), ""},
		{"2 1 1 asks the name", []rec{record(2, 1, 1, ca)}, chain, "elsewhere.example", now, "elsewhere.example"},
		{"2 1 1 asks the date", []rec{record(2, 1, 1, ca)}, chain, "", now.AddDate(50, 0, 0), "expired"},
		{"rollover: old and new key (RFC 7671 §8.1)", []rec{record(3, 1, 1, other), record(3, 1, 1, leaf)}, chain, "", now, ""},
		{"a stale 3 1 1 beside a good 2 1 1", []rec{record(3, 1, 1, other), record(2, 1, 1, ca)}, chain, "", now, ""},
		{"the strongest digest counts (RFC 7671 §9)", []rec{record(3, 1, 1, leaf), record(3, 1, 2, other)}, chain, "", now, "matches none"},
		{"3 1 1 of the authority is not of the host", []rec{record(3, 1, 1, ca)}, chain, "", now, "matches none"},
		{"no certificate", []rec{record(3, 1, 1, leaf)}, nil, "", now, "no certificate"},
	} {
		r := Records{Security: Present, Base: "mx.example.org", TLSA: c.records}
		if c.base != "" {
			r.Base = c.base
		}
		err := r.Verify(tls.ConnectionState{PeerCertificates: c.chain}, nil, c.now)
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%s: %v", c.what, err)
		}
	}
	// RFC 7672 §3.2.2: the domain that the mail is for is a name as well.
	r := Records{Base: "elsewhere.example", TLSA: []rec{record(2, 1, 1, ca)}}
	if err := r.Verify(tls.ConnectionState{PeerCertificates: chain}, []string{"mx.example.org"}, now); err != nil {
		t.Errorf("by the name of the domain: %v", err)
	}
}

func TestUnusable(t *testing.T) {
	leaf, _ := shown(t, "mx.example.org")
	good := record(3, 1, 1, leaf)
	for _, c := range []struct {
		change func(*resolver.TLSA)
		word   string
	}{
		{func(r *resolver.TLSA) {}, ""},
		{func(r *resolver.TLSA) { r.Usage = 0 }, "usage 0 is not for SMTP"},
		{func(r *resolver.TLSA) { r.Usage = 1 }, "usage 1 is not for SMTP"},
		{func(r *resolver.TLSA) { r.Usage = 255 }, "usage 255 is unknown"},
		{func(r *resolver.TLSA) { r.Selector = 2 }, "selector 2"},
		{func(r *resolver.TLSA) { r.MatchingType = 3 }, "matching type 3"},
		{func(r *resolver.TLSA) { r.Data = r.Data[:31] }, "31 octets, not 32"},
		{func(r *resolver.TLSA) { r.MatchingType = 2 }, "32 octets, not 64"},
		{func(r *resolver.TLSA) { r.MatchingType = 0 }, "no certificate or key"},
		{func(r *resolver.TLSA) { r.MatchingType, r.Data = 0, nil }, "no data"},
	} {
		r := good
		c.change(&r)
		if why := Unusable(r); (why == "") != (c.word == "") || !strings.Contains(why, c.word) {
			t.Errorf("%s: %q", Text(r), why)
		}
	}
	if r := (&Records{TLSA: []resolver.TLSA{{Usage: 1}, good}}); len(r.Usable()) != 1 {
		t.Errorf("usable: %v", r.Usable())
	}
}

// What holds for a host, by what the DNS says and vouches for (RFC 7672 §2.2).
func TestFind(t *testing.T) {
	leaf, _ := shown(t, "mx.example.org")
	tlsa := "TLSA 3 1 1 " + hex.EncodeToString(record(3, 1, 1, leaf).Data)
	zone := resolver.Static{
		"signed.example":             {"SECURE", "A 192.0.2.1"},
		"_25._tcp.signed.example":    {"SECURE", tlsa},
		"bare.example":               {"SECURE", "A 192.0.2.1"},
		"_25._tcp.bare.example":      {"SECURE"},
		"open.example":               {"A 192.0.2.1"},
		"_25._tcp.open.example":      {"FAIL timeout"},
		"half.example":               {"SECURE", "A 192.0.2.1"},
		"_25._tcp.half.example":      {tlsa},
		"bogus.example":              {"SECURE", "A 192.0.2.1"},
		"_25._tcp.bogus.example":     {"FAIL servfail"},
		"dead.example":               {"FAIL servfail"},
		"v6.example":                 {"SECURE", "A 192.0.2.1", "AAAA FAIL servfail"},
		"alias.example":              {"SECURE", "CNAME signed.example"},
		"own.example":                {"SECURE", "CNAME bare.example"},
		"_25._tcp.own.example":       {"SECURE", tlsa},
		"leads.example":              {"SECURE", "CNAME open.example"},
		"delegated.example":          {"SECURE", "A 192.0.2.1"},
		"_25._tcp.delegated.example": {"SECURE", "CNAME _dane.example"},
		"_dane.example":              {"SECURE", tlsa},
	}
	for host, want := range map[string]string{
		"signed.example":    "present signed.example 1",
		"bare.example":      "absent bare.example 0",
		"open.example":      "insecure open.example 0", // its records are not asked for
		"half.example":      "insecure half.example 0",
		"bogus.example":     "the TLSA records of bogus.example: ",
		"dead.example":      "the addresses of dead.example: ",
		"v6.example":        "the addresses of v6.example: ",
		"alias.example":     "present signed.example 1",
		"own.example":       "present own.example 1",
		"leads.example":     "insecure leads.example 0",
		"delegated.example": "present delegated.example 1",
	} {
		r, err := Find(t.Context(), zone, host, 25)
		got := fmt.Sprintf("%s %s %d", [...]string{"insecure", "absent", "present"}[r.Security], r.Base, len(r.TLSA))
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%s: %s, want %s", host, got, want)
		}
		if (r.Why == "") != (r.Security != Insecure || err != nil) {
			t.Errorf("%s: why %q", host, r.Why)
		}
	}
}

// Whatever a record and a certificate hold, a record of use that matches is one that
// verifies under DANE-EE, and no other.
func FuzzVerify(f *testing.F) {
	f.Add(uint8(3), uint8(1), uint8(1), []byte{1})
	f.Fuzz(func(t *testing.T, usage, selector, match uint8, data []byte) {
		rec := resolver.TLSA{Usage: usage, Selector: selector, MatchingType: match, Data: data}
		c := &x509.Certificate{Raw: data, RawSubjectPublicKeyInfo: data}
		r := Records{Base: "mx.example.org", TLSA: []resolver.TLSA{rec}}
		err := r.Verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{c}}, nil, time.Unix(0, 0))
		if want := usage == EE && Unusable(rec) == "" && Matches(rec, c); (err == nil) != want {
			t.Errorf("%s: %v", Text(rec), err)
		}
	})
}

func decodePEM(t *testing.T, b []byte) []byte {
	t.Helper()
	block, _ := pem.Decode(b)
	if block == nil {
		t.Fatal("no PEM")
	}
	return block.Bytes
}
