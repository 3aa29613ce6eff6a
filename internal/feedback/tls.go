package feedback

import (
	"context"
	"slices"
	"strings"
	"time"

	"posta/internal/store"
	"posta/internal/tlsrpt"
)

// What enforcing MTA-STS asks for.
const (
	tlsDays = 14 // days of reports while the policy was in testing
	tlsBig  = 2  // large reporters among them

	maxFailedReports = 50 // that are read whole
	maxFailures      = 5  // that are told
)

// TLSAdvice says whether the MTA-STS policy of a domain may go from testing to enforce
// (RFC 8461 §5): a sender that finds our TLS wanting delivers no mail then.
type TLSAdvice struct {
	Mode      string    `json:"mode"`  // that we serve: testing, enforce, none
	Ready     bool      `json:"ready"` // to be enforced
	Days      int       `json:"days"`  // with reports of proved authors under the policy
	Reporters []string  `json:"reporters"`
	Sessions  int64     `json:"sessions"`
	Failed    int64     `json:"failed"`    // that enforcing would have lost, or nobody can explain
	Explained int64     `json:"explained"` // failures that have nothing to do with the policy
	Blockers  []Blocker `json:"blockers"`
}

// AdviseTLS reads the TLS reports about a domain of the last four weeks and says what they
// allow. mode is that of the policy that we serve.
func AdviseTLS(ctx context.Context, st Store, q Query, mode string) (*TLSAdvice, error) {
	const weeks = 4
	list, err := st.ListReports(ctx, store.ReportFilter{Kind: store.TLSReport, Domain: q.Domain, Since: q.Now.AddDate(0, 0, -7*weeks)})
	if err != nil {
		return nil, err
	}
	a := &TLSAdvice{Mode: mode, Reporters: []string{}, Blockers: []Blocker{}}
	days, failures, read := map[string]bool{}, map[string]int64{}, 0
	for i := range list {
		r := &list[i]
		if !r.Proved || !slices.Contains(strings.Fields(r.Policy), tlsrpt.TypeSTS) {
			continue
		}
		days[r.Begin.UTC().Format(time.DateOnly)] = true
		if !slices.Contains(a.Reporters, r.Org) {
			a.Reporters = append(a.Reporters, r.Org)
		}
		a.Sessions += r.Messages
		if r.Failed == 0 {
			continue
		}
		var whole tlsrpt.Report
		if read++; read <= maxFailedReports {
			if err := readTLS(ctx, st, r.ID, &whole); err != nil {
				return nil, err
			}
		}
		explained := a.failures(&whole, r.Org, failures)
		a.Explained += min(explained, r.Failed)
		a.Failed += max(r.Failed-explained, 0)
		if known := sum(&whole); r.Failed > known { // what is not told of is not explained
			failures[r.Org] += r.Failed - known
		}
	}
	a.Days = len(days)
	slices.Sort(a.Reporters)
	a.judge(failures)
	return a, nil
}

// readTLS reads a report whole. One that was not kept whole stays empty.
func readTLS(ctx context.Context, st Store, id store.ReportID, into *tlsrpt.Report) error {
	found, err := st.ListReports(ctx, store.ReportFilter{ID: id})
	if err == nil && len(found) == 1 {
		Unpack(found[0].Data, into)
	}
	return err
}

func sum(r *tlsrpt.Report) (failed int64) {
	for i := range r.Policies {
		failed += r.Policies[i].Failed
	}
	return failed
}

// failures counts the failures that stand against enforcing, by what and where, and says
// how many do not.
func (a *TLSAdvice) failures(r *tlsrpt.Report, org string, against map[string]int64) (explained int64) {
	for i := range r.Policies {
		p := &r.Policies[i]
		if p.Policy.Type != tlsrpt.TypeSTS { // DANE's, or none's
			explained += p.Failed
			continue
		}
		left := p.Failed
		for _, d := range p.Details {
			n := min(d.Failed, left)
			left -= n
			if harmless(d.Type) {
				explained += n
			} else if n > 0 {
				against[strings.TrimSpace(d.Type+" "+d.MXHostname)] += n
			}
		}
		if left > 0 {
			against[org] += left
		}
	}
	return explained
}

// harmless reports whether a failure (RFC 8460 §4.3) loses no mail under a policy that is
// enforced: a policy that could not be fetched is not applied, and DANE is another matter.
func harmless(kind string) bool {
	switch kind {
	case "sts-policy-fetch-error", "tlsa-invalid", "dnssec-invalid", "dane-required":
		return true
	}
	return false
}

func (a *TLSAdvice) judge(failures map[string]int64) {
	if a.Mode != "testing" {
		return
	}
	advice := Advice{Blockers: a.Blockers}
	if a.Days < tlsDays {
		advice.block("tls-days", a.Days, tlsDays)
	}
	big := 0
	for _, org := range a.Reporters {
		if large(org) {
			big++
		}
	}
	if big < tlsBig {
		advice.block("tls-reporters", big, tlsBig)
	}
	kinds := make([]string, 0, len(failures))
	for k := range failures {
		kinds = append(kinds, k)
	}
	slices.SortFunc(kinds, func(x, y string) int {
		if d := failures[y] - failures[x]; d != 0 {
			return int(max(min(d, 1), -1))
		}
		return strings.Compare(x, y)
	})
	for _, k := range kinds[:min(len(kinds), maxFailures)] {
		advice.block("tls-failure", failures[k], k)
	}
	a.Blockers, a.Ready = advice.Blockers, len(advice.Blockers) == 0
}

// large reports whether a reporter receives mail for many: as of 2026 those that send TLS
// reports.
func large(org string) bool {
	o := strings.ToLower(org)
	for _, name := range []string{"google", "microsoft", "outlook", "yahoo", "comcast", "mail.ru", "gmx", "web.de", "1&1", "mail.com", "fastmail", "proton", "apple", "icloud", "zoho"} {
		if strings.Contains(o, name) {
			return true
		}
	}
	return false
}
