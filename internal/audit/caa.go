package audit

import (
	"context"
	"strings"

	"posta/internal/finding"
	"posta/internal/resolver"
)

// authorities judges which authorities may issue certificates for the domain: the records of
// the domain, or of the nearest name above it that has any (RFC 8659 §3).
func authorities(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() == absent {
		return nil
	}
	var records []resolver.Record
	at := a.Domain
	for name := a.Domain; strings.Contains(name, "."); _, name, _ = strings.Cut(name, ".") {
		r, err := a.cfg.Resolver.Lookup(ctx, name, resolver.TypeCAA)
		if err != nil {
			return unverified(err, a.Domain, finding.CAAMissing)
		}
		if r.State == resolver.Found {
			records, at = r.Records, name
			break
		}
	}
	if len(records) == 0 {
		return []finding.Finding{finding.Of(finding.CAAMissing, finding.Fail, a.Domain, "CAA", "none, of the domain or above it")}
	}
	var seen []string
	anybody, bound := true, true
	for _, r := range records {
		seen = append(seen, r.Data)
		_, rest, _ := strings.Cut(r.Data, " ")
		tag, value, _ := strings.Cut(rest, " ")
		if value = strings.Trim(value, `" `); !strings.EqualFold(tag, "issue") {
			continue
		}
		anybody = false
		if issuer, _, _ := strings.Cut(value, ";"); strings.TrimSpace(issuer) != "" && !strings.Contains(value, "accounturi=") {
			bound = false
		}
	}
	facts := []string{"CAA of " + at, strings.Join(seen, "; ")}
	// Without an issue property anybody may issue (§4.2).
	out := []finding.Finding{judged(finding.CAAMissing, anybody, a.Domain, facts...)}
	if anybody {
		return out
	}
	return append(out, judged(finding.CAAUnbound, !bound, a.Domain, facts...))
}
