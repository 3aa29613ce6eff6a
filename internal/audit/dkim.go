package audit

import (
	"cmp"
	"context"
	"crypto"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"posta/internal/authority"
	"posta/internal/dkim"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// commonSelectors are names under which many domains keep a key. A domain without any of
// them may well sign: selectors cannot be listed (CH-DKIM-06).
func commonSelectors() []string {
	return []string{
		"default", "dkim", "mail", "smtp", "email", "key1", "key2", "k1", "k2", "k3", "s1", "s2", "s1024", "s2048",
		"selector1", "selector2", "google", "mx", "mxvault", "fm1", "fm2", "fm3", "protonmail", "protonmail2", "protonmail3",
		"zoho", "zmail", "everlytickey1", "mandrill", "mailjet", "mta", "sig1", "x", "exim", "postal", "mesmtp", "pm", "cm",
		"rsa", "ed25519", "dk", "pic", "turbo-smtp", "amazonses", "sendgrid", "krs", "litesrv",
	}
}

// selectorLookups bounds the questions open at one time.
const selectorLookups = 16

// keyFound is the answer at one selector.
type keyFound struct {
	selector string
	state    resolver.State
	records  []string
	err      error
}

// signingKeys judges the DKIM keys that DNS shows: of our own house those that sign, on
// every server of the zone; of others what common names lead to.
func signingKeys(ctx context.Context, a *audit) []finding.Finding {
	if a.Self != nil && len(a.Self.Selectors) > 0 {
		return a.ownKeys(ctx)
	}
	found := a.lookSelectors(ctx, commonSelectors())
	var out []finding.Finding
	var algorithms []string
	silent, there := 0, 0
	for _, k := range found {
		switch {
		case k.err != nil:
			silent++
		case k.state == resolver.Found:
			there++
			out = append(out, keyRecord(dkim.RecordName(k.selector, a.Domain), k.records, &algorithms)...)
		}
	}
	asked := fmt.Sprintf("%d common names asked, %d with a key", len(found), there)
	if silent > 0 {
		out = append(out, finding.Of(finding.DKIMSyntax, finding.Unverified, a.Domain, "selectors", fmt.Sprintf("%s, %d without an answer", asked, silent)))
	}
	if there == 0 { // says nothing: the names may be others
		return append(out, finding.Of(finding.DKIMSyntax, finding.NotApplicable, a.Domain, "selectors", asked))
	}
	return out
}

// lookSelectors asks for the keys at some selectors, side by side, in their order.
func (a *audit) lookSelectors(ctx context.Context, selectors []string) []keyFound {
	out := make([]keyFound, len(selectors))
	slots := make(chan struct{}, selectorLookups)
	var wg sync.WaitGroup
	for i, s := range selectors {
		wg.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			res, err := a.cfg.Resolver.LookupTXT(ctx, dkim.RecordName(s, a.Domain))
			out[i] = keyFound{s, res.State, res.Records, err}
		})
	}
	wg.Wait()
	return out
}

// keyRecord judges what stands at the name of a key, and notes its algorithm.
func keyRecord(name string, records []string, algorithms *[]string) []finding.Finding {
	if len(records) > 1 {
		return []finding.Finding{finding.Of(finding.DKIMSyntax, finding.Fail, name, "records", fmt.Sprint(len(records)))}
	}
	k, err := dkim.ParseKey(records[0])
	if err != nil {
		return []finding.Finding{finding.Of(finding.DKIMSyntax, finding.Fail, name, "TXT", records[0], "reason", strings.TrimPrefix(err.Error(), "dkim: "))}
	}
	seen := fmt.Sprintf("%s, %d bits", k.Algorithm, k.Bits)
	if k.Revoked { // that is how keys end (RFC 6376 §3.6.1)
		return []finding.Finding{finding.Of(finding.DKIMSyntax, finding.Pass, name, "TXT", "revoked (p= is empty)")}
	}
	*algorithms = append(*algorithms, k.Algorithm)
	limited := k.Hashes != nil && !slices.Contains(k.Hashes, "sha256") || k.Services != nil && !slices.Contains(k.Services, "email")
	return []finding.Finding{
		finding.Of(finding.DKIMSyntax, finding.Pass, name, "key", seen),
		judged(finding.DKIMWeak, k.Algorithm == "rsa" && k.Bits < 2048, name, "key", seen),
		judged(finding.DKIMTesting, k.Testing, name, "t", flag(k.Testing, "y")),
		judged(finding.DKIMStrict, k.Strict, name, "t", flag(k.Strict, "s")),
		judged(finding.DKIMRestricted, limited, name, "h", colons(k.Hashes), "s", colons(k.Services)),
	}
}

func flag(set bool, what string) string {
	if set {
		return what
	}
	return "none"
}

func colons(list []string) string {
	if list == nil {
		return "all"
	}
	return strings.Join(list, ":")
}

// ownKeys judges the keys that sign here: every server of the zone must show exactly the
// record of each.
func (a *audit) ownKeys(ctx context.Context) []finding.Finding {
	selectors := slices.Sorted(maps.Keys(a.Self.Selectors))
	found := make([][]finding.Finding, len(selectors))
	algorithms := make([][]string, len(selectors))
	var wg sync.WaitGroup
	for i, s := range selectors {
		wg.Go(func() {
			found[i] = append(a.publishedKey(ctx, s), a.recordOf(a.lookSelectors(ctx, []string{s})[0], &algorithms[i])...)
		})
	}
	wg.Wait()
	out := slices.Concat(found...)
	kinds := slices.Concat(algorithms...)
	if len(kinds) == 0 { // told already
		return out
	}
	return append(out, judged(finding.DKIMEd25519Only, !slices.Contains(kinds, "rsa"), a.Domain, "keys", strings.Join(kinds, " ")))
}

// recordOf judges the form of what a resolver finds of one key.
func (a *audit) recordOf(k keyFound, algorithms *[]string) []finding.Finding {
	name := dkim.RecordName(k.selector, a.Domain)
	switch {
	case k.err != nil:
		return unverified(k.err, name, finding.DKIMSyntax)
	case k.state != resolver.Found:
		return nil // shown has told it
	}
	return keyRecord(name, k.records, algorithms)
}

// publishedKey tells which servers do not show our key.
func (a *audit) publishedKey(ctx context.Context, selector string) []finding.Finding {
	name := dkim.RecordName(selector, a.Domain)
	want, err := dkim.ParseKey(a.Self.Selectors[selector])
	if err != nil {
		return unverified(err, name, finding.DKIMPublished)
	}
	z, err := a.cfg.Authority.Zone(ctx, name)
	if err != nil {
		return a.shownByResolver(ctx, name, want)
	}
	var bad, silent []string
	answered := 0
	for _, v := range a.cfg.Authority.Views(ctx, &z, authority.Question{Name: name, Type: resolver.TypeTXT}) {
		server := v.Host + " (" + v.Addr.String() + ")"
		if v.Err != nil || !v.Authoritative {
			silent = append(silent, server)
			continue
		}
		answered++
		var records []string
		for _, r := range v.Records {
			if r.Type == resolver.TypeTXT {
				records = append(records, authority.Text(r.Data))
			}
		}
		if what := otherThan(want, records); what != "" {
			bad = append(bad, server+": "+what)
		}
	}
	switch {
	case len(bad) > 0:
		return []finding.Finding{finding.Of(finding.DKIMPublished, finding.Fail, name, "servers", strings.Join(bad, "; "))}
	case answered == 0:
		return []finding.Finding{finding.Of(finding.DKIMPublished, finding.Unverified, name, "silent", strings.Join(silent, " "))}
	}
	return []finding.Finding{finding.Of(finding.DKIMPublished, finding.Pass, name, "servers", fmt.Sprint(answered))}
}

// shownByResolver is shown where the servers themselves cannot be found.
func (a *audit) shownByResolver(ctx context.Context, name string, want *dkim.KeyRecord) []finding.Finding {
	res, err := a.cfg.Resolver.LookupTXT(ctx, name)
	if err != nil {
		return unverified(err, name, finding.DKIMPublished)
	}
	what := otherThan(want, res.Records)
	return []finding.Finding{judged(finding.DKIMPublished, what != "", name, "resolver", cmp.Or(what, "shows it"))}
}

// otherThan is how records differ from the one that is wanted; "" if they do not.
func otherThan(want *dkim.KeyRecord, records []string) string {
	switch len(records) {
	case 0:
		return "no record"
	case 1:
	default:
		return fmt.Sprintf("%d records", len(records))
	}
	k, err := dkim.ParseKey(records[0])
	if err != nil {
		return "a record that cannot be read"
	}
	if k.Revoked {
		return "revoked"
	}
	if pub, ok := want.Public.(interface{ Equal(crypto.PublicKey) bool }); !ok || k.Public == nil || !pub.Equal(k.Public) {
		return "another key"
	}
	return ""
}
