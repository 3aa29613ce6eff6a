package drift

import (
	"context"
	"time"

	"posta/internal/finding"
	"posta/internal/store"
)

// Change is what a look at a domain found otherwise than the one before it.
type Change struct {
	Domain  string
	Check   finding.ID
	Subject string
	Mended  bool // or it fails now
}

// maxJobs is how many jobs are read for Changes.
const maxJobs = 5000

// Changes lists, by job, what the last looks found changed, of those made since a moment.
// What was accepted by then is no change. A look that cannot be read is passed over: the
// next one tells all of it anew.
func Changes(ctx context.Context, st store.Jobs, since time.Time) ([]Change, error) {
	jobs, err := st.ListJobs(ctx, maxJobs)
	if err != nil {
		return nil, err
	}
	var out []Change
	for _, j := range jobs {
		s, err := read(j.Cursor)
		if j.Kind != Kind || err != nil || s.At.Before(since) {
			continue
		}
		for _, f := range s.Failed {
			if !f.Accepted && !f.Since.Before(since) {
				out = append(out, Change{string(j.Data), f.Check, f.Subject, false})
			}
		}
		for _, f := range s.Mended {
			out = append(out, Change{string(j.Data), f.Check, f.Subject, true})
		}
	}
	return out, nil
}
