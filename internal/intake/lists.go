package intake

import (
	"context"
	"net/netip"
	"strings"
	"sync"

	"posta/internal/dnsbl"
	"posta/internal/finding"
)

// ask puts a subject to the lists that are configured for it; nothing is begun
// where there is none.
func (in *Intake) ask(ctx context.Context, wg *sync.WaitGroup, e *eventually[[]dnsbl.Result], f dnsbl.Facts) {
	*e = eventually[[]dnsbl.Result]{}
	l := in.cfg.Lists
	if len(l.IP)+len(l.HELO)+len(l.Sender)+len(l.Body) == 0 {
		return
	}
	questions := dnsbl.Questions(l, f)
	if len(questions) == 0 {
		return
	}
	e.begin(ctx, wg, func(ctx context.Context) []dnsbl.Result { return in.lists.Ask(ctx, questions) })
}

// answers awaits what ask began. Of what did not come in time nothing can be said.
func (in *Intake) answers(ctx context.Context, e *eventually[[]dnsbl.Result], f dnsbl.Facts) []dnsbl.Result {
	if e.done == nil {
		return nil
	}
	if results, ok := e.await(ctx); ok {
		return results
	}
	var late []dnsbl.Result
	for _, q := range dnsbl.Questions(in.cfg.Lists, f) {
		r := dnsbl.Result{Zone: q.Zone, Name: dnsbl.Public(q.Zone), About: q.About, Subject: q.Domain, Cause: dnsbl.DNSFailure}
		if q.About == dnsbl.Client {
			r.Subject = q.IP.String()
		}
		late = append(late, r)
	}
	return late
}

// aboutCheck is the check that a listing of a subject fails.
var aboutCheck = map[dnsbl.About]finding.ID{
	dnsbl.Client:     finding.DNSBLListed,
	dnsbl.HELO:       finding.DNSBLHELO,
	dnsbl.Sender:     finding.DNSBLDomain,
	dnsbl.BodyDomain: finding.DNSBLBody,
}

// addListed maps what the lists say (S90, S91). What an allowlist says in a client's
// favour is no finding, nor is a listing of whole networks or providers: they are
// noted beside the findings.
func addListed(set *finding.Set, tx *transaction, results []dnsbl.Result) {
	for i := range results {
		r := &results[i]
		id := aboutCheck[r.About]
		switch {
		case r.Status == dnsbl.NotListed:
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
		case r.Status == dnsbl.Unverified:
			set.Add(finding.Of(id, finding.Unverified, r.Subject, r.Facts()...))
		case r.Good:
			tx.regard.Allowed = append(tx.regard.Allowed, *r)
			tx.noteList("allowlist", r)
		case r.List != nil && r.List.State == dnsbl.ShowOnly:
			tx.noteList("list without consequence", r)
		default:
			set.Add(finding.Of(id, finding.Fail, r.Subject, r.Facts()...))
		}
	}
}

func (tx *transaction) noteList(what string, r *dnsbl.Result) {
	tx.noteFact(what, r.Subject+" at "+r.Name+": "+strings.Join(r.Meanings, "; "))
}

// ListFindings are findings about ourselves: the configured lists that the last test
// of them found not to be believed (RFC 5782 §5). A list that could not be tested
// could not be verified.
func (in *Intake) ListFindings() []finding.Finding {
	var out []finding.Finding
	for _, r := range in.lists.Unsound(in.cfg.Lists) {
		o := finding.Fail
		if r.Cause == dnsbl.DNSFailure {
			o = finding.Unverified
		}
		facts := []string{"seen", r.Why()}
		if r.List != nil && r.List.Terms != "" {
			facts = append(facts, "terms", r.List.Terms)
		}
		out = append(out, finding.Of(finding.DNSBLList, o, r.Name, facts...))
	}
	return out
}

// isPublic reports whether an address can be reached from anywhere, as far as its
// number tells (RFC 6890). Networks for documentation count as public: they are
// nobody's by agreement, not by routing.
func isPublic(ip netip.Addr) bool {
	ip = ip.Unmap()
	return ip.IsGlobalUnicast() && !ip.IsPrivate() && !shared.Contains(ip) && !reserved.Contains(ip) && !thisNetwork.Contains(ip)
}

var (
	shared      = netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	reserved    = netip.MustParsePrefix("240.0.0.0/4")   // RFC 1112 §4
	thisNetwork = netip.MustParsePrefix("0.0.0.0/8")     // RFC 1122 §3.2.1.3
)
