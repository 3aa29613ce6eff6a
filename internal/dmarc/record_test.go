package dmarc

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParse(t *testing.T) {
	tests := []struct {
		text string
		want *Record // nil: not a DMARC record
	}{
		// RFC 9989 Appendix B.2.
		{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com",
			&Record{P: None, RUA: []string{"mailto:dmarc-feedback@example.com"}}},
		{"v=DMARC1; p=none; rua=mailto:dmarc-feedback@example.com; ruf=mailto:auth-reports@thirdparty.example.net",
			&Record{P: None, RUA: []string{"mailto:dmarc-feedback@example.com"}, RUF: []string{"mailto:auth-reports@thirdparty.example.net"}}},
		{"v=DMARC1; p=quarantine; rua=mailto:dmarc-feedback@example.com,mailto:tld-test@thirdparty.example.net; t=y",
			&Record{P: Quarantine, Testing: true, RUA: []string{"mailto:dmarc-feedback@example.com", "mailto:tld-test@thirdparty.example.net"}}},
		{"v=DMARC1; p=reject; sp=quarantine; np=reject; adkim=s; aspf=s; psd=n; fo=1:d:s",
			&Record{P: Reject, SP: Quarantine, NP: Reject, ADKIM: Strict, ASPF: Strict, PSD: PSDNo, FO: "1:d:s"}},
		{" ;v=DMARC1; p=reject", nil},
		{"V = DMARC1 ;p = Reject ; PSD=Y;", &Record{P: Reject, PSD: PSDYes}},
		{"v=DMARC1", &Record{P: None}},
		{"v=DMARC1;", &Record{P: None}},
		{"v=DMARC1;;p=reject", &Record{P: Reject}},
		{"v=dmarc1; p=reject", nil},
		{"v=DMARC10; p=reject", nil},
		{"v=DMARC1 p=reject", nil},
		{"p=reject; v=DMARC1", nil},
		{"", nil},
		{"v=spf1 -all", nil},
		// §4.10.1: a bad policy with reports asked for is p=none, else unusable.
		{"v=DMARC1; p=rejekt; rua=mailto:a@example.com", &Record{P: None, RUA: []string{"mailto:a@example.com"}, Problems: []string{"p: invalid"}}},
		{"v=DMARC1; p=rejekt", &Record{P: None, Invalid: true, Problems: []string{"p: invalid"}}},
		{"v=DMARC1; p=reject; sp=; rua=a@example.com", &Record{P: None, Invalid: true, Problems: []string{"sp: invalid", "rua: invalid"}}},
		// §4.7: other errors fall back to the default.
		{"v=DMARC1; p=reject; adkim=x; t=maybe; psd=u; fo=9", &Record{P: Reject, Problems: []string{"adkim: invalid", "t: invalid", "fo: invalid"}}},
		{"v=DMARC1; p=reject; pct=50; rf=afrf; ri=3600; zz=1", &Record{P: Reject, Problems: []string{"pct: removed", "rf: removed", "ri: removed", "zz: unknown"}}},
		{"v=DMARC1; p=reject; p=none; junk", &Record{P: Reject, Problems: []string{"p: repeated", "tag: syntax"}}},
		{"v=DMARC1; p=reject; rua=mailto:a@example.com!10m, https://r.example/x, mailto:, nonsense",
			&Record{P: Reject, RUA: []string{"mailto:a@example.com", "https://r.example/x"}, Problems: []string{"rua: size", "rua: invalid"}}},
	}
	for _, tt := range tests {
		got, err := Parse(tt.text)
		if tt.want == nil {
			if err != ErrNoRecord {
				t.Errorf("%q: %+v, %v", tt.text, got, err)
			}
			continue
		}
		if tt.want.FO == "" {
			tt.want.FO = "0"
		}
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", tt.text, err, diff)
		}
	}
}

// A record prints as one that parses the same, without problems, within budgets.
func FuzzParse(f *testing.F) {
	for _, s := range []string{
		"v=DMARC1; p=reject; sp=quarantine; np=none; adkim=s; aspf=r; psd=y; t=y; rua=mailto:a@b!1m,https://c; ruf=mailto:d@e; fo=0:1:d:s",
		"v=DMARC1;p=x;rua=mailto:a@b", "v = DMARC1;;;p=none;pct=1", "v=DMARC1; P=NONE; p=none",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := Parse(text)
		if err != nil {
			if r != nil {
				t.Error("a record with an error")
			}
			return
		}
		if len(r.RUA) > maxURIs || len(r.RUF) > maxURIs || len(r.Problems) > maxTags || r.P == Unset {
			t.Errorf("%q: %+v", text, r)
		}
		again, err := Parse(r.String())
		if err != nil {
			t.Fatalf("%q prints as %q: %v", text, r, err)
		}
		if len(again.Problems) > 0 {
			t.Errorf("%q prints as %q with %v", text, r, again.Problems)
		}
		r.Problems, r.Invalid = nil, false
		if diff := cmp.Diff(r, again); diff != "" {
			t.Errorf("%q prints as %q:\n%s", text, r, diff)
		}
	})
}

// One TXT record is the record; several DMARC records are none (§4.10 step 2).
func TestOnly(t *testing.T) {
	a, b := "v=DMARC1; p=none", "v=DMARC1; p=reject"
	for _, tt := range []struct {
		texts []string
		want  Policy
	}{
		{nil, Unset}, {[]string{a}, None}, {[]string{"v=spf1", b, "x"}, Reject}, {[]string{a, b}, Unset}, {slices.Repeat([]string{b}, 2), Unset},
	} {
		got := Unset
		var q Query
		q.choose(tt.texts)
		if q.Record != nil {
			got = q.Record.P
		}
		if got != tt.want || (q.Count == 1) != (q.Record != nil) {
			t.Errorf("%s: %v, want %v", strings.Join(tt.texts, " | "), got, tt.want)
		}
	}
}
