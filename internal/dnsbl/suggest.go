package dnsbl

// wellKnown are lists in wide use, to recognise a misspelt name by.
var wellKnown = [...]string{
	"zen.spamhaus.org", "sbl.spamhaus.org", "xbl.spamhaus.org", "pbl.spamhaus.org", "dbl.spamhaus.org", "bl.spamcop.net",
	"b.barracudacentral.org", "dnsbl.sorbs.net", "psbl.surriel.com", "dnsbl-1.uceprotect.net", "dyna.spamrats.com",
	"noptr.spamrats.com", "spam.spamrats.com", "bl.mailspike.net", "list.dnswl.org", "multi.surbl.org", "multi.uribl.com",
	"bl.blocklist.de", "ix.dnsbl.manitu.net", "hostkarma.junkemailfilter.com", "all.s5h.net", "backscatter.spameatingmonkey.net",
	"bl.spameatingmonkey.net", "dnsbl.dronebl.org", "truncate.gbudb.net", "combined.abuse.ch",
}

// suggest gives the well-known list whose name is one or two letters away from zone, or "".
func suggest(zone string) string {
	best, least := "", 3
	for _, known := range wellKnown {
		if d := distance(zone, known); d > 0 && d < least {
			best, least = known, d
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
