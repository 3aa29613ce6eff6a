package zone

import (
	"slices"
	"strings"
)

// SPFCovers tells whether an SPF record has the mechanisms of ours, with the
// qualifier of a pass. The names in the record are not looked up: an include may cover us
// besides, which spf.Check tells.
func SPFCovers(have, ours string) bool {
	terms := spfTerms(have)
	for _, m := range mechanisms(ours) {
		if !slices.Contains(terms, m) && !slices.Contains(terms, "+"+m) {
			return false
		}
	}
	return true
}

// MergeSPF puts the mechanisms of our record into one that stands there already,
// in front of its own: so they match before anything that refuses, and its end is kept as
// its owner wrote it. What is there already is not said twice.
func MergeSPF(have, ours string) string {
	terms := strings.Fields(have)
	if len(terms) == 0 {
		return ours
	}
	lower := spfTerms(have)
	out := []string{terms[0]}
	for _, m := range mechanisms(ours) {
		if !slices.Contains(lower, m) && !slices.Contains(lower, "+"+m) {
			out = append(out, m)
		}
	}
	return strings.Join(append(out, terms[1:]...), " ")
}

// mechanisms are the terms of a record that let somebody pass: all but the version,
// the final "all" and modifiers.
func mechanisms(record string) []string {
	var out []string
	for i, t := range spfTerms(record) {
		if i == 0 || strings.HasSuffix(t, "all") && len(t) <= 4 || strings.Contains(t, "=") {
			continue
		}
		out = append(out, strings.TrimPrefix(t, "+"))
	}
	return out
}

// spfTerms are the terms in lower case; names and mechanisms have no case (RFC 7208
// §4.6.1).
func spfTerms(record string) []string { return strings.Fields(strings.ToLower(record)) }
