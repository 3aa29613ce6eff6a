package audit

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/dkim"
	"posta/internal/dmarc"
	"posta/internal/finding"
	"posta/internal/message"
)

// toSign are the fields that people read and programs act upon, and that a signature
// should cover where the message has them (RFC 6376 §5.4.1); without the last two nobody
// offers one-click unsubscription (RFC 8058 §4).
func toSign() []string {
	return []string{"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "MIME-Version", "Content-Type", "List-Unsubscribe", "List-Unsubscribe-Post"}
}

// Signatures judges what the DKIM signatures of a message's header cover (CH-DKIM-05):
// which fields that matter are left unsigned, one finding for each signature, with
// whom it signs for, which fields nobody may add, and how long it holds. Whether it
// verifies is judged at the door. It asks nobody and does not block.
func Signatures(header []byte) (out []finding.Finding) {
	from := ""
	if f, ok := message.Header(header).Find("From"); ok {
		from = domainOf(strings.Trim(strings.TrimSpace(f.Value()), "<> "))
	}
	v := dkim.NewVerifier(header, dkim.VerifyOptions{Lookup: func(context.Context, string) ([]string, bool, error) { return nil, false, nil }})
	for _, r := range v.Finish(context.Background()) {
		if r.SDID == "" || len(r.SignedHeaders) == 0 {
			continue // it cannot be read, which the door says
		}
		out = append(out, covered(&r, header, from))
	}
	return out
}

func covered(r *dkim.Result, header []byte, from string) finding.Finding {
	var open, single []string
	for _, name := range toSign() {
		there := 0
		for range message.Header(header).All(name) {
			there++
		}
		if there == 0 {
			continue
		}
		switch signed := signedTimes(r.SignedHeaders, name); {
		case signed < there:
			open = append(open, name)
		case signed == there && slices.Contains(dkim.DefaultOversign(), name):
			single = append(single, name)
		}
	}
	facts := []string{"d", r.SDID, "aligned with From", fmt.Sprint(aligned(r.SDID, from)), "unsigned", list(open), "another may be added of", list(single)}
	if !r.Signed.IsZero() {
		facts = append(facts, "t", r.Signed.UTC().Format(time.RFC3339))
	}
	if !r.Expires.IsZero() {
		facts = append(facts, "x", r.Expires.UTC().Format(time.RFC3339))
	}
	if r.BodyLength >= 0 {
		facts = append(facts, "l", fmt.Sprint(r.BodyLength))
	}
	return judged(finding.DKIMHeaders, len(open) > 0, r.Selector+"._domainkey."+r.SDID, facts...)
}

// aligned is relaxed alignment (RFC 9989 §4.4.1), by the list of public suffixes.
func aligned(sdid, from string) bool {
	if sdid == from {
		return true
	}
	org := dmarc.ListedOrganization(addr.Domain(sdid))
	return org != "" && org == dmarc.ListedOrganization(addr.Domain(from))
}

func signedTimes(names []string, name string) (n int) {
	for _, s := range names {
		if strings.EqualFold(s, name) {
			n++
		}
	}
	return n
}
