package drift

import (
	"context"
	"strings"

	"posta/internal/command"
	"posta/internal/finding"
	"posta/internal/zone"
)

// DNS is the source that compares a domain's records with what the world shows. Diff
// is the command dns.diff.
type DNS struct {
	Diff func(ctx context.Context, domain string) (*command.DNSDiff, error)
}

// Findings implements Source. Records that were published and are not yet known
// everywhere are in order; where nobody answered nothing is said.
func (d DNS) Findings(ctx context.Context, domain string) ([]finding.Finding, error) {
	diff, err := d.Diff(ctx, domain)
	if err != nil {
		return nil, err
	}
	var out []finding.Finding
	for _, it := range diff.Items {
		subject := it.Type + " " + it.Name
		facts := []string{"wanted", it.Data()}
		if len(it.Seen) > 0 {
			facts = append(facts, "seen", strings.Join(it.Seen, ", "))
		}
		if it.Merge != "" {
			facts = append(facts, "publish", it.Merge)
		}
		switch it.State {
		case zone.Missing, zone.Different, zone.Extra:
			out = append(out, finding.Of(finding.ID("zone."+string(it.State)), finding.Fail, subject, facts...))
		case zone.Unverified:
			for _, id := range command.DNSChecks() {
				out = append(out, finding.Of(finding.ID(id), finding.Unverified, subject))
			}
		}
	}
	return out, nil
}
