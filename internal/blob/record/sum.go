package record

import "posta/internal/blob"

// Sum adds up the lengths of the distinct records in each unit.
func Sum(locs []blob.Location) map[string]int64 {
	type place struct {
		unit   string
		offset int64
	}
	seen := make(map[place]bool, len(locs))
	sums := make(map[string]int64)
	for _, l := range locs {
		if p := (place{l.Unit, l.Offset}); !seen[p] {
			seen[p] = true
			sums[l.Unit] += l.Length
		}
	}
	return sums
}
