package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/dmarc"
	"posta/internal/finding"
)

const (
	rdapBytes = 1 << 20
	young     = 6 * 7 * 24 * time.Hour
	ending    = 30 * 24 * time.Hour
)

// registered is what RDAP says of a domain (RFC 9083 §5.3).
type registered struct {
	Events []struct {
		Action string    `json:"eventAction"`
		Date   time.Time `json:"eventDate"`
	} `json:"events"`
	Status []string `json:"status"`
}

// registration judges age, expiry and lock of the domain's registration (CH-DNS-05),
// where that was asked for: the registry learns that somebody is interested.
func registration(ctx context.Context, a *audit) []finding.Finding {
	if !a.RDAP || a.setup() == absent {
		return nil
	}
	name := string(dmarc.ListedOrganization(addr.Domain(a.Domain)))
	if name == "" {
		name = a.Domain
	}
	a.probed("RDAP: " + name)
	r, err := a.askRDAP(ctx, name)
	if errors.Is(err, errNoRegistry) {
		return []finding.Finding{finding.Of(finding.DomainExpiring, finding.NotApplicable, name, "RDAP", err.Error())}
	}
	if err != nil {
		return unverified(err, name, finding.DomainYoung, finding.DomainExpiring, finding.DomainUnlocked)
	}
	return r.findings(name, a.cfg.Now())
}

func (r *registered) findings(name string, now time.Time) (out []finding.Finding) {
	for _, e := range r.Events {
		date := e.Date.UTC().Format(time.DateOnly)
		switch e.Action {
		case "registration":
			out = append(out, judged(finding.DomainYoung, now.Sub(e.Date) < young, name, "registered", date))
		case "expiration":
			out = append(out, judged(finding.DomainExpiring, e.Date.Sub(now) < ending, name, "expires", date))
		}
	}
	locked := slices.ContainsFunc(r.Status, func(s string) bool { return strings.HasSuffix(s, "transfer prohibited") })
	return append(out, judged(finding.DomainUnlocked, !locked, name, "status", strings.Join(r.Status, ", ")))
}

func (a *audit) askRDAP(ctx context.Context, name string) (*registered, error) {
	base, err := a.registries().base(ctx, a.cfg.HTTP, a.cfg.Now(), name)
	if err != nil {
		return nil, err
	}
	b, err := get(ctx, a.cfg.HTTP, base+"domain/"+name, rdapBytes)
	if err != nil {
		return nil, err
	}
	var r registered
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("RDAP's answer cannot be read: %w", err)
	}
	return &r, nil
}

func (a *audit) registries() *Registries {
	if a.cfg.Registries == nil {
		return new(Registries)
	}
	return a.cfg.Registries
}
