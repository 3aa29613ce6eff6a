package rotate

import (
	"slices"
	"time"

	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/dkim"
	"posta/internal/finding"
)

// Ages from which something is a finding about us.
const (
	oldKey  = 365 * 24 * time.Hour // M3AAWG: six months to a year
	waiting = 3 * 24 * time.Hour   // for a person to publish, or a server to follow
)

// Findings are dkim.age for keys that have signed too long and dkim.rotation for
// rotations that DNS holds up.
func Findings(v *directory.View, now time.Time) []finding.Finding {
	var out []finding.Finding
	domains := v.Domains()
	slices.Sort(domains)
	for _, d := range domains {
		key := command.RotationSetting(d)
		// One that cannot be read is told by the job.
		r, ok, err := command.RotationOf(map[string]string{key: v.Setting(key)}, d)
		if ok && err == nil && r.Until.IsZero() && now.Sub(r.Since) >= waiting {
			out = append(out, finding.Of(finding.DKIMRotation, finding.Fail, d, "stage", string(r.Stage), "since", r.Since.UTC().Format(time.RFC3339)))
		}
		for _, k := range v.Keys(d) {
			if k.Active && now.Sub(k.Created) >= oldKey {
				out = append(out, finding.Of(finding.DKIMAge, finding.Fail, dkim.RecordName(k.Selector, d), "made", k.Created.UTC().Format(time.DateOnly)))
			}
		}
	}
	return out
}
