package dmarc

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"posta/internal/addr"
)

// What a person reads.
func TestFacts(t *testing.T) {
	for _, tt := range []struct {
		name    string
		records map[string]string
		args    Args
		want    string
	}{
		{"aligned by a subdomain", map[string]string{"example.com": "v=DMARC1; p=reject; pct=50"},
			Args{FromDomains: []string{"example.com"}, SPFDomain: "esp.net", SPFPass: true, DKIM: []DKIM{{SDID: "news.example.com", Pass: true}}}, `author domain: example.com
result: pass aligned
record of: example.com
record: v=DMARC1; p=reject; pct=50
problem in the record: pct: removed
policy: p=reject
SPF esp.net: not aligned: it belongs to another organization
DKIM news.example.com: aligned: both belong to example.com
organizational domain: example.com
_dmarc.example.com: v=DMARC1; p=reject; pct=50
_dmarc.com: no policy record
_dmarc.news.example.com: no policy record
`},
		{"a subdomain fails under t=y", map[string]string{"example.com": "v=DMARC1; p=reject; t=y; aspf=s"},
			Args{FromDomains: []string{"www.example.com"}, SPFDomain: "example.com", SPFPass: true}, `author domain: www.example.com
result: fail not-aligned
record of: example.com
record: v=DMARC1; p=reject; t=y; aspf=s
policy: p=reject, for subdomains too; t=y: one step less is asked for; asks for quarantine
SPF example.com: not aligned: it is not the author domain, and the record asks for the same (aspf=s)
organizational domain: example.com
_dmarc.www.example.com: no policy record
_dmarc.example.com: v=DMARC1; p=reject; t=y; aspf=s
_dmarc.com: no policy record
`},
		{"nothing authenticated, the name does not exist", map[string]string{"example.com": "v=DMARC1; p=none; np=reject"},
			Args{FromDomains: []string{"x.example.com"}}, `author domain: x.example.com
result: fail unauthenticated
record of: example.com
record: v=DMARC1; p=none; np=reject
policy: np=reject: the author domain does not exist; asks for reject
identifiers: neither SPF nor DKIM authenticated any domain
organizational domain: example.com
_dmarc.x.example.com: no policy record
_dmarc.example.com: v=DMARC1; p=none; np=reject
_dmarc.com: no policy record
`},
		{"two records, and the list knows better", map[string]string{"example.co.uk": "v=DMARC1; p=none\nv=DMARC1; p=reject", "co.uk": "v=DMARC1; p=none"},
			Args{FromDomains: []string{"a.example.co.uk"}}, `author domain: a.example.co.uk
result: fail unauthenticated
record of: co.uk
record: v=DMARC1; p=none
policy: p=none, for subdomains too; asks for none
identifiers: neither SPF nor DKIM authenticated any domain
organizational domain: co.uk
by the Public Suffix List: example.co.uk: hosts of the old standard (RFC 7489) go by this one
_dmarc.a.example.co.uk: no policy record
_dmarc.example.co.uk: 2 policy records, so none counts: v=DMARC1; p=none
_dmarc.co.uk: v=DMARC1; p=none
_dmarc.uk: no policy record
`},
		{"DNS fails for one of two authors", map[string]string{"example.com": "v=DMARC1; p=none", "slow.org": "!"},
			Args{FromDomains: []string{"example.com", "slow.org"}, SPFDomain: "example.com", SPFPass: true}, `author domain: slow.org
result: temperror lookup-failed
author domain: example.com
result: pass aligned
record of: example.com
record: v=DMARC1; p=none
policy: p=none
SPF example.com: aligned: it is the author domain
_dmarc.example.com: v=DMARC1; p=none
_dmarc.slow.org: SERVFAIL
`},
		{"no author", nil, Args{}, "result: permerror no-author-domain\n"},
	} {
		z := &zone{records: tt.records}
		r := Evaluate(t.Context(), z.lookup(), tt.args)
		facts := r.Facts()
		var b strings.Builder
		for i := 0; i < len(facts); i += 2 {
			fmt.Fprintf(&b, "%s: %s\n", facts[i], facts[i+1])
		}
		if b.String() != tt.want {
			t.Errorf("%s: got\n%swant\n%s", tt.name, &b, tt.want)
		}
	}
}

// The walk decides; the list is for comparison.
func TestFindOrganization(t *testing.T) {
	records := map[string]string{
		"example.com": "v=DMARC1; p=none", "own.example.com": "v=DMARC1; p=none; psd=n",
		"co.uk": "v=DMARC1; p=none; psd=y", "slow.example": "!",
	}
	for _, tt := range []struct{ domain, want string }{
		{"a.example.com", "walk example.com, list example.com, differ false, 3 asked"},
		{"a.own.example.com", "walk own.example.com, list example.com, differ true, 2 asked"},
		{"a.b.co.uk", "walk b.co.uk, list b.co.uk, differ false, 3 asked"},
		{"a.unpublished.org", "walk a.unpublished.org, list unpublished.org, differ true, 3 asked"},
		{"a.slow.example", "walk , list slow.example, differ false, 2 asked, SERVFAIL"},
		{"com", "walk com, list , differ false, 1 asked"},
	} {
		z := &zone{records: records}
		o := FindOrganization(t.Context(), z.lookup(), mustDomain(t, tt.domain))
		got := fmt.Sprintf("walk %s, list %s, differ %v, %d asked", o.Walk, o.List, o.Differ(), len(o.Asked))
		if o.Err != nil {
			got += ", " + o.Err.Error()
		}
		if got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.domain, got, tt.want)
		}
	}
}

// Whatever the domains and the records, a message costs a bounded number of queries,
// and there is an outcome whose facts are lines.
func FuzzEvaluate(f *testing.F) {
	f.Add("a.example.com", "b.example.com", "example.com", "v=DMARC1; p=reject; psd=y", "v=DMARC1; np=reject; adkim=s")
	f.Add("ñ.example", "x", "", "v=DMARC1", "\x00")
	f.Add(strings.Repeat("a.", 120)+"b", "a.b", "b", "v=DMARC1; p=none; psd=n; t=y", "v=DMARC1; p=?")
	f.Fuzz(func(t *testing.T, from, sdid, spf, one, two string) {
		calls := 0
		lookup := Lookup{
			TXT: func(_ context.Context, name string) ([]string, bool, error) {
				calls++
				switch len(name) % 4 {
				case 0:
					return []string{one}, true, nil
				case 1:
					return []string{"v=spf1", two}, true, nil
				case 2:
					return nil, false, nil
				}
				return []string{one, two}, true, nil
			},
			Exists: func(context.Context, string) (bool, error) { calls++; return len(one)%2 == 0, nil },
		}
		args := Args{FromDomains: strings.Split(from, ","), SPFDomain: spf, SPFPass: true}
		for _, d := range strings.Split(sdid, ",") {
			args.DKIM = append(args.DKIM, DKIM{SDID: d, Pass: len(d)%2 == 0, TempError: len(d)%2 == 1})
		}
		r := Evaluate(context.Background(), lookup, args)
		if calls != r.Queries || calls > maxQueries+maxAuthors || len(r.Asked) > maxQueries {
			t.Fatalf("%d calls, %d queries, %d asked", calls, r.Queries, len(r.Asked))
		}
		if r.Disposition > None && r.Status != StatusFail || r.Status == StatusPass && !r.SPFAligned && !r.DKIMAligned || r.Reason == "" {
			t.Fatalf("%+v", r)
		}
		if r.Org != "" && !r.Author.Within(r.Org) && r.Author != r.Org {
			t.Fatalf("%s does not belong to %s", r.Author, r.Org)
		}
		facts := r.Facts()
		if len(facts)%2 != 0 || strings.ContainsAny(strings.Join(facts, ""), "\r\n\x00") {
			t.Fatalf("%q", facts)
		}
		if d, err := addr.ParseDomain(from); err == nil && len(args.FromDomains) == 1 && r.Author != d {
			t.Fatalf("author %s of %q", r.Author, from)
		}
	})
}
