package audit

import (
	"context"
	"fmt"
	"strings"

	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/standing"
)

// reputed asks the DNS lists about the addresses that send and about the domain (S86 to
// S91). A list that does not work, or refuses the question, says nothing about them.
func reputed(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() == absent {
		return nil
	}
	questions := standing.Questions(a.facts.sends(), []string{a.Domain}, dnsbl.Lists{})
	a.probed(fmt.Sprintf("DNS lists: %d questions", len(questions)))
	results := dnsbl.New(a.cfg.Resolver, a.cfg.Now).Ask(ctx, questions)
	var order []string
	bySubject := map[string][]dnsbl.Result{}
	for _, r := range results {
		if bySubject[r.Subject] == nil {
			order = append(order, r.Subject)
		}
		bySubject[r.Subject] = append(bySubject[r.Subject], r)
	}
	var out []finding.Finding
	for _, subject := range order {
		out = append(out, listedIn(subject, bySubject[subject])...)
	}
	return out
}

// listedIn is a finding for each list that has the subject, or one that none has it.
func listedIn(subject string, results []dnsbl.Result) (out []finding.Finding) {
	check := finding.DNSBLDomain
	if results[0].About == dnsbl.Client {
		check = finding.DNSBLListed
	}
	var clean, silent, good []string
	for _, r := range results {
		switch {
		case r.Status == dnsbl.Unverified:
			silent = append(silent, fmt.Sprintf("%s (%s)", r.Name, r.Cause))
		case r.Status == dnsbl.NotListed:
			clean = append(clean, r.Name)
		case r.Good:
			good = append(good, r.Name)
		default:
			out = append(out, finding.Of(check, finding.Fail, subject, r.Facts()...))
		}
	}
	if len(out) > 0 {
		return out
	}
	var facts []string
	for _, row := range []struct {
		what  string
		lists []string
	}{{"speak for it", good}, {"not in", clean}, {"could not verify", silent}} {
		if len(row.lists) > 0 {
			facts = append(facts, row.what, strings.Join(row.lists, ", "))
		}
	}
	outcome := finding.Pass
	if len(clean)+len(good) == 0 {
		outcome = finding.Unverified
	}
	return []finding.Finding{finding.Of(check, outcome, subject, facts...)}
}
