package dnsbl

import "posta/internal/words"

// suggest gives the list of the catalogue, dead ones aside, whose name is one or two letters away from zone, or "". A zone
// that is in the catalogue is not misspelt.
func suggest(zone string) string {
	if Find(zone) != nil {
		return ""
	}
	best, least := "", 3
	for i := range catalogue {
		if catalogue[i].State == Gone {
			continue
		}
		if d := words.Distance(zone, catalogue[i].Zone); d > 0 && d < least {
			best, least = catalogue[i].Zone, d
		}
	}
	return best
}
