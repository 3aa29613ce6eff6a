package reportout

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/tlsrpt"
)

// Session is how one connection to a host of a domain was protected (RFC 8460 §4.3).
type Session struct {
	At     time.Time
	Domain string // that the mail is for
	// Type, Policy, Text and MX are the policy: "sts", "tlsa" or "" for none, whose it is,
	// its lines, the hosts that it lists.
	Type, Policy string
	Text, MX     []string
	Host         string
	Remote       netip.Addr
	Local        netip.Addr // may be invalid
	Result       string     // by its name in reports; "" is success
	Reason       string
}

// policyRow counts the sessions under one policy.
type policyRow struct {
	At     int64    `json:"at"` // Unix seconds, of the last session
	Type   string   `json:"type"`
	Domain string   `json:"domain"`
	Text   []string `json:"text,omitempty"`
	MX     []string `json:"mx,omitempty"`
	OK     int64    `json:"ok,omitempty"`
	Failed int64    `json:"failed,omitempty"`

	// A row of a failure has these, and Failed.
	Result string `json:"result,omitempty"`
	Reason string `json:"reason,omitempty"`
	Host   string `json:"host,omitempty"`
	Remote string `json:"remote,omitempty"`
	Local  string `json:"local,omitempty"`
}

func (r policyRow) until() time.Time { return keepUntil(time.Unix(r.At, 0)) }

func (r policyRow) plus(kept []byte) any {
	var old policyRow
	if json.Unmarshal(kept, &old) == nil {
		r.OK, r.Failed = r.OK+old.OK, r.Failed+old.Failed
	}
	return r
}

// Session counts a connection. It does not block.
func (r *Reporter) Session(s Session) {
	if !r.cfg.TLS || r.cfg.Local(s.Domain) {
		return
	}
	p := policyRow{
		At: s.At.Unix(), Type: cmp.Or(s.Type, tlsrpt.TypeNoPolicy), Domain: text(cmp.Or(s.Policy, s.Domain), 253),
		Text: fit(s.Text, 300), MX: fit(s.MX, 150),
	}
	at := day(s.At) + "/" + s.Domain
	under := digest(p.Type, p.Domain)
	if s.Result == "" {
		p.OK = 1
	} else {
		p.Failed = 1
	}
	r.tls.Note(at+"/p/"+under, p)
	if s.Result == "" {
		return
	}
	f := policyRow{
		At: p.At, Type: p.Type, Domain: p.Domain, Failed: 1, Result: text(s.Result, 40), Reason: text(s.Reason, 160),
		Host: text(s.Host, 253), Remote: s.Remote.Unmap().String(),
	}
	if s.Local.IsValid() {
		f.Local = s.Local.Unmap().String()
	}
	r.tls.Note(at+"/f/"+digest(under, f.Result, f.Host, f.Remote, f.Local), f)
}

// tlsReport makes the report of one domain's day out of its rows, which come by key: all
// failures, then all policies.
func tlsReport(domain string, rows []policyRow) tlsrpt.Report {
	var out tlsrpt.Report
	for _, r := range rows {
		if r.Result == "" {
			out.Policies = append(out.Policies, tlsrpt.PolicyResult{
				Policy:    tlsrpt.Policy{Type: r.Type, Text: r.Text, Domain: r.Domain, MXHost: r.MX},
				Succeeded: r.OK, Failed: r.Failed,
			})
		}
	}
	for _, r := range rows {
		at := slices.IndexFunc(out.Policies, func(p tlsrpt.PolicyResult) bool {
			return p.Policy.Type == r.Type && p.Policy.Domain == r.Domain
		})
		if r.Result == "" || at < 0 {
			continue
		}
		p := &out.Policies[at]
		p.Details = append(p.Details, tlsrpt.Detail{
			Type: r.Result, SendingIP: r.Local, MXHostname: r.Host, ReceivingIP: r.Remote, Failed: r.Failed, Reason: r.Reason,
		})
	}
	slices.SortFunc(out.Policies, func(a, b tlsrpt.PolicyResult) int {
		return cmp.Or(strings.Compare(a.Policy.Type, b.Policy.Type), strings.Compare(a.Policy.Domain, b.Policy.Domain))
	})
	return out
}
