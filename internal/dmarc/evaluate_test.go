package dmarc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"posta/internal/addr"
)

func mustDomain(t *testing.T, s string) addr.Domain {
	t.Helper()
	d, err := addr.ParseDomain(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// zone has the text of _dmarc.<key>. "!" fails for now. Domains in it, and those
// above them, exist.
type zone struct {
	records map[string]string
	exists  []string
	asked   []string
}

var errDNS = errors.New("SERVFAIL")

func (z *zone) lookup() Lookup {
	return Lookup{
		TXT: func(_ context.Context, name string) ([]string, bool, error) {
			domain := strings.TrimPrefix(name, "_dmarc.")
			z.asked = append(z.asked, domain)
			switch text, ok := z.records[domain]; {
			case !ok:
				return nil, false, nil
			case text == "!":
				return nil, false, errDNS
			default:
				return strings.Split(text, "\n"), true, nil
			}
		},
		Exists: func(_ context.Context, name string) (bool, error) {
			z.asked = append(z.asked, "exists "+name)
			return slices.Contains(z.exists, name), nil
		},
	}
}

// The walks that RFC 9989 §4.10 and §5.1.8 write out.
func TestTreeWalkQueries(t *testing.T) {
	tests := []struct{ start, queries string }{
		{"a.mail.example.com", "a.mail.example.com mail.example.com example.com com"},
		{"a.b.c.d.e.f.g.h.i.j.mail.example.com", "a.b.c.d.e.f.g.h.i.j.mail.example.com g.h.i.j.mail.example.com " +
			"h.i.j.mail.example.com i.j.mail.example.com j.mail.example.com mail.example.com example.com com"},
		{"mail.a.b.c.d.e.f.g.example.com", "mail.a.b.c.d.e.f.g.example.com c.d.e.f.g.example.com d.e.f.g.example.com " +
			"e.f.g.example.com f.g.example.com g.example.com example.com com"},
		{"com", "com"},
	}
	for _, tt := range tests {
		z := &zone{}
		r := Evaluate(t.Context(), z.lookup(), Args{FromDomains: []string{tt.start}})
		want := strings.Fields(tt.queries)
		if !slices.Equal(z.asked, want) || r.Queries != len(want) || r.Status != StatusNone {
			t.Errorf("%s: asked %v (%d), %v", tt.start, z.asked, r.Queries, r.Status)
		}
	}
}

func TestOrganizationalDomain(t *testing.T) {
	const rec = "v=DMARC1; p=reject"
	tests := []struct {
		name    string
		records map[string]string
		start   string
		org     string
		policy  string // where the policy record is
	}{
		{"§4.10.2 example 1", map[string]string{"mail.example.com": rec, "example.com": rec}, "a.mail.example.com", "example.com", "example.com"},
		{"§4.10.2 example 2", map[string]string{"mail.example.com": rec + "; psd=n", "example.com": rec}, "a.mail.example.com", "mail.example.com", "mail.example.com"},
		{"§4.10.2 example 3", map[string]string{"com": rec + "; psd=y"}, "a.mail.example.com", "example.com", "com"},
		{"own record first", map[string]string{"a.mail.example.com": rec, "example.com": rec}, "a.mail.example.com", "example.com", "a.mail.example.com"},
		{"nothing anywhere", nil, "a.mail.example.com", "a.mail.example.com", ""},
		{"psd=y at the start counts as a plain record", map[string]string{"bank": rec + "; psd=y"}, "bank", "bank", "bank"},
		{"psd=y just above", map[string]string{"bank": rec + "; psd=y"}, "example.bank", "example.bank", "bank"},
		{"organization below a public suffix", map[string]string{"example.bank": rec, "bank": rec + "; psd=y"}, "mail.example.bank", "example.bank", "example.bank"},
		{"a record between organization and author is passed over", map[string]string{"mail.example.com": rec, "com": rec + "; psd=y"}, "a.mail.example.com", "example.com", "com"},
		{"two records are none", map[string]string{"example.com": rec + "\n" + rec}, "example.com", "example.com", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := walker{lookup: (&zone{records: tt.records}).lookup()}
			p := w.walk(t.Context(), mustDomain(t, tt.start))
			if string(p.org) != tt.org || string(p.policy.Domain) != tt.policy || p.err != nil {
				t.Errorf("got org %s, policy at %q", p.org, p.policy.Domain)
			}
		})
	}
}

func TestEvaluate(t *testing.T) {
	pass := func(domains ...string) (d []DKIM) {
		for _, s := range domains {
			d = append(d, DKIM{SDID: s, Pass: true})
		}
		return d
	}
	temp := func(domain string) []DKIM { return []DKIM{{SDID: domain, TempError: true}} }
	tests := []struct {
		name    string
		records map[string]string // with: text after "v=DMARC1; "
		exists  []string
		from    string // space separated; "-" is an address without a domain
		spf     string // the domain that passed; "!x" failed for now
		dkim    []DKIM
		want    string // status reason disposition [policy tag]
		queries int
	}{
		{"exact DKIM: one query", map[string]string{"example.com": "p=reject"}, nil, "example.com", "", pass("example.com"), "pass aligned none reject p", 1},
		{"exact DKIM and SPF in any case: one query", map[string]string{"example.com": "p=reject"}, nil, "Example.COM", "EXAMPLE.com", pass("example.com"), "pass aligned none reject p", 1},
		{"exact DKIM: other signers are not asked about", map[string]string{"example.com": "p=reject"}, nil, "example.com", "", pass("esp.com", "mail.example.com", "example.com"), "pass aligned none reject p", 1},
		{"relaxed subdomain", map[string]string{"example.com": "p=reject"}, nil, "example.com", "", pass("mail.example.com"), "pass aligned none reject p", 3},
		{"relaxed parent", map[string]string{"example.com": "p=reject"}, nil, "news.example.com", "", pass("example.com"), "pass aligned none reject sp", 3},
		{"relaxed sibling SPF", map[string]string{"example.com": "p=reject"}, nil, "news.example.com", "bounce.example.com", nil, "pass aligned none reject sp", 4},
		{"strict DKIM", map[string]string{"example.com": "p=reject; adkim=s"}, nil, "example.com", "", pass("mail.example.com"), "fail not-aligned reject reject p", 1},
		{"strict SPF, relaxed DKIM", map[string]string{"example.com": "p=reject; aspf=s"}, nil, "example.com", "m.example.com", pass("d.example.com"), "pass aligned none reject p", 3},
		{"another top level: no further query", map[string]string{"example.com": "p=reject"}, nil, "example.com", "esp.net", pass("esp.org"), "fail not-aligned reject reject p", 1},
		{"another organization: its DNS is not asked", map[string]string{"example.com": "p=reject", "evil.com": "!"}, nil, "example.com", "", pass("evil.com"), "fail not-aligned reject reject p", 2},
		{"public suffix shared", map[string]string{"a.co.example": "p=reject", "co.example": "psd=y"}, nil, "a.co.example", "", pass("b.co.example"), "fail not-aligned reject reject p", 2},
		{"a subdomain that is its own organization", map[string]string{"example.com": "p=reject", "dept.example.com": "p=none; psd=n"}, nil, "example.com", "", pass("dept.example.com"), "fail not-aligned reject reject p", 3},
		{"nothing authenticated", map[string]string{"example.com": "p=quarantine"}, nil, "example.com", "", nil, "fail unauthenticated quarantine quarantine p", 1},
		{"p=none", map[string]string{"example.com": "p=none"}, nil, "example.com", "", nil, "fail unauthenticated none none p", 1},
		{"test mode: reject", map[string]string{"example.com": "p=reject; t=y"}, nil, "example.com", "", nil, "fail unauthenticated quarantine reject p", 1},
		{"test mode: quarantine", map[string]string{"example.com": "p=quarantine; t=y"}, nil, "example.com", "", nil, "fail unauthenticated none quarantine p", 1},
		{"test mode: none", map[string]string{"example.com": "p=none; t=y"}, nil, "example.com", "", nil, "fail unauthenticated none none p", 1},
		{"sp", map[string]string{"example.com": "p=reject; sp=quarantine"}, nil, "x.example.com", "", nil, "fail unauthenticated quarantine quarantine sp", 3},
		{"np, existing", map[string]string{"example.com": "p=none; sp=none; np=reject"}, []string{"x.example.com"}, "x.example.com", "", nil, "fail unauthenticated none none sp", 4},
		{"np, not existing", map[string]string{"example.com": "p=none; sp=none; np=reject"}, nil, "x.example.com", "", nil, "fail unauthenticated reject reject np", 4},
		{"np is for subdomains only", map[string]string{"example.com": "p=none; np=reject"}, nil, "example.com", "", nil, "fail unauthenticated none none p", 1},
		{"own record of a subdomain", map[string]string{"example.com": "p=reject", "x.example.com": "p=none; sp=reject"}, nil, "x.example.com", "", nil, "fail unauthenticated none none p", 1},
		{"public suffix policy", map[string]string{"bank": "p=reject; sp=reject; np=reject; psd=y"}, []string{"example.bank"}, "example.bank", "", nil, "fail unauthenticated reject reject sp", 3},
		{"no record", nil, nil, "example.com", "example.com", nil, "none no-record none  ", 2},
		{"policy lookup fails", map[string]string{"example.com": "!"}, nil, "example.com", "", nil, "temperror lookup-failed none  ", 1},
		{"walk fails", map[string]string{"com": "!"}, nil, "example.com", "", nil, "temperror lookup-failed none  ", 2},
		{"alignment walk fails", map[string]string{"example.com": "p=reject", "com": "!"}, nil, "example.com", "", pass("m.example.com"), "temperror lookup-failed none reject p", 2},
		{"unusable record", map[string]string{"example.com": "p=rubbish"}, nil, "example.com", "example.com", nil, "permerror record-invalid none  ", 1},
		{"SPF of the author fails for now", map[string]string{"example.com": "p=reject"}, nil, "example.com", "!example.com", nil, "temperror mechanism-failed none reject p", 1},
		{"SPF of a stranger fails for now", map[string]string{"example.com": "p=reject"}, nil, "example.com", "!evil.org", nil, "fail unauthenticated reject reject p", 1},
		{"DKIM of the author fails for now", map[string]string{"example.com": "p=reject"}, nil, "example.com", "", temp("example.com"), "temperror mechanism-failed none reject p", 1},
		{"DKIM of a stranger fails for now", map[string]string{"example.com": "p=reject"}, nil, "example.com", "", temp("evil.org"), "fail unauthenticated reject reject p", 1},
		{"DKIM fails for now, SPF passes", map[string]string{"example.com": "p=reject"}, nil, "example.com", "example.com", temp("example.com"), "pass aligned none reject p", 1},
		{"no From", nil, nil, "", "", nil, "permerror no-author-domain none  ", 0},
		{"From without a domain", nil, nil, "-", "", nil, "permerror no-author-domain none  ", 0},
		{"From with a malformed domain", nil, nil, "exa..mple", "", nil, "permerror bad-author-domain none  ", 0},
		{"the same author twice", map[string]string{"example.com": "p=reject"}, nil, "example.com EXAMPLE.COM", "", pass("example.com"), "pass aligned none reject p", 1},
		{"a forged author beside an honest one", map[string]string{"example.com": "p=none", "victim.org": "p=reject"}, nil, "example.com victim.org", "", pass("example.com"), "fail not-aligned reject reject p", 2},
		{"an author without policy beside an honest one", map[string]string{"example.com": "p=reject"}, nil, "example.com a.org", "", pass("example.com"), "none no-record none  ", 3},
		{"a malformed author beside an honest one", map[string]string{"example.com": "p=reject"}, nil, "example.com -", "", pass("example.com"), "permerror no-author-domain none  ", 1},
		{"an author too long for a record", nil, nil, strings.Repeat("abcdefg.", 30) + "example.com", "", nil, "none no-record none  ", 7},
		{"five authors", nil, nil, "a.org b.org c.org d.org e.org", "", nil, "permerror too-many-author-domains none  ", 0},
		{"U-labels", map[string]string{"xn--espaa-rta.example": "p=reject"}, nil, "ESPAÑA.example", "", pass("españa.example"), "pass aligned none reject p", 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			z := &zone{records: map[string]string{}, exists: tt.exists}
			for d, text := range tt.records {
				if z.records[d] = text; text != "!" {
					z.records[d] = "v=DMARC1; " + text
				}
			}
			args := Args{DKIM: tt.dkim}
			for _, f := range strings.Fields(tt.from) {
				args.FromDomains = append(args.FromDomains, strings.TrimPrefix(f, "-"))
			}
			args.SPFDomain, args.SPFTempError = strings.CutPrefix(tt.spf, "!")
			args.SPFPass = tt.spf != "" && !args.SPFTempError
			r := Evaluate(t.Context(), z.lookup(), args)
			got := fmt.Sprint(r.Status, " ", r.Reason, " ", r.Disposition, " ", r.Policy, " ", r.PolicyTag)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s\nasked %v\n%+v", got, tt.want, z.asked, r)
			}
			if r.Queries != tt.queries || len(z.asked) != tt.queries {
				t.Errorf("%d queries %v, want %d", r.Queries, z.asked, tt.queries)
			}
		})
	}
}

// What reports need beside the verdict.
func TestEvidence(t *testing.T) {
	z := &zone{records: map[string]string{"example.com": "v=DMARC1; p=reject; aspf=s"}}
	r := Evaluate(t.Context(), z.lookup(), Args{
		FromDomains: []string{"example.com"}, SPFDomain: "b.example.com", SPFPass: true,
		DKIM: []DKIM{{SDID: "bad.example.com"}, {SDID: "m.example.com", Pass: true}},
	})
	want := []Identifier{
		{Method: "spf", Domain: "b.example.com", Mode: Strict},
		{Method: "dkim", Domain: "m.example.com", Org: "example.com", Alignment: Aligned},
	}
	if !slices.Equal(r.Identifiers, want) || r.SPFAligned || !r.DKIMAligned || r.Org != "example.com" || r.RecordDomain != "example.com" {
		t.Errorf("got %+v", r)
	}
}

// Hostile: many deep domains in one message cost a bounded number of queries.
func TestQueryBudget(t *testing.T) {
	z := &zone{records: map[string]string{"example.com": "v=DMARC1; p=reject"}}
	args := Args{FromDomains: []string{"example.com"}}
	for i := range 200 {
		args.DKIM = append(args.DKIM, DKIM{SDID: fmt.Sprintf("a%d.b%d.c%d.d%d.example.com", i, i, i, i), TempError: true})
	}
	r := Evaluate(t.Context(), z.lookup(), args)
	if r.Queries > maxQueries || r.Status == StatusPass {
		t.Errorf("%d queries, %v", r.Queries, r.Status)
	}
}

// Hostile: a record of 60 KB is none, thousands of TXT records hide or make no policy,
// a record of thousands of tags is read to its limit.
func TestHostileRecords(t *testing.T) {
	good := "v=DMARC1; p=reject"
	for name, tt := range map[string]struct {
		text string
		want string
	}{
		"giant record":           {good + "; rua=mailto:" + strings.Repeat("a", 60_000) + "@example.com", "none no-record"},
		"thousands of others":    {strings.Repeat("v=spf1 -all\n", 5000) + good, "fail unauthenticated"},
		"thousands of the same":  {strings.TrimSuffix(strings.Repeat(good+"\n", 5000), "\n"), "none no-record"},
		"thousands of tags":      {good + strings.Repeat(";x=y", 1900), "fail unauthenticated"},
		"thousands of addresses": {good + "; rua=" + strings.Repeat("mailto:a@b.c,", 600), "fail unauthenticated"},
	} {
		z := &zone{records: map[string]string{"example.com": tt.text}}
		r := Evaluate(t.Context(), z.lookup(), Args{FromDomains: []string{"example.com"}})
		if got := r.Status.String() + " " + string(r.Reason); got != tt.want {
			t.Errorf("%s: got %s, want %s", name, got, tt.want)
		}
		if r.Record != nil && (len(r.Record.Problems) > maxTags || len(r.Record.RUA) > maxURIs) {
			t.Errorf("%s: %d problems, %d addresses", name, len(r.Record.Problems), len(r.Record.RUA))
		}
		for _, s := range r.Facts() {
			if len(s) > 2*maxEvidence {
				t.Errorf("%s: a fact of %d octets", name, len(s))
			}
		}
	}
}

func BenchmarkEvaluateExact(b *testing.B) {
	records := []string{"v=DMARC1; p=reject; rua=mailto:dmarc@example.com; adkim=r; aspf=r"}
	lookup := Lookup{TXT: func(context.Context, string) ([]string, bool, error) { return records, true, nil }}
	args := Args{FromDomains: []string{"example.com"}, SPFDomain: "example.com", SPFPass: true, DKIM: []DKIM{{SDID: "example.com", Pass: true}}}
	b.ReportAllocs()
	for b.Loop() {
		if r := Evaluate(b.Context(), lookup, args); r.Status != StatusPass {
			b.Fatal(r)
		}
	}
}
