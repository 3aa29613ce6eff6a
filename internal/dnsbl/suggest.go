package dnsbl

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
		if d := distance(zone, catalogue[i].Zone); d > 0 && d < least {
			best, least = catalogue[i].Zone, d
		}
	}
	return best
}

// distance is the number of letters to insert, delete or replace between two names (Levenshtein).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
