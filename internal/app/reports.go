package app

import (
	"context"
	"net/http"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/intake"
	"posta/internal/jobs"
	"posta/internal/mail"
	"posta/internal/relay"
	"posta/internal/reportout"
	"posta/internal/store"
)

// newReporter makes what counts and sends reports to other domains.
func (s *server) newReporter() *reportout.Reporter {
	return reportout.New(reportout.Config{
		Facts: s.state.Store, DNS: s.dns, Hostname: s.cfg.Hostname, DMARC: s.cfg.Reports.DMARC, TLS: s.cfg.Reports.TLS,
		HTTP: s.strictClient(), From: s.reportsFrom, Now: s.opt.Now, Log: s.log,
		Local:      func(domain string) bool { return s.state.Directory.View().LocalName(domain) },
		Suppressed: func() string { return s.state.Directory.View().Setting(reportout.Setting) },
		Deposit: func(ctx context.Context, to addr.Address, message []byte, tlsOptional bool) error {
			return s.in.Deposit(ctx, intake.Deposit{ID: mail.NewID(s.opt.Now()), To: to, Message: message, TLSOptional: tlsOptional})
		},
	})
}

// reportJob is the daily sending.
func (s *server) reportJob() *jobs.Regular {
	return &jobs.Regular{
		Store: s.state.Store, Node: nodeName(), Key: "reports-out", Next: s.reports.Due, Again: 20 * time.Minute, Lease: 2 * time.Hour,
		Now: s.opt.Now, Log: s.log, Do: s.reports.Work,
	}
}

// reportsFrom is whom reports come from: what posta.toml says, or postmaster@ of the domain
// that our host is in, or of the first domain with keys. A report that is not signed is
// believed by nobody, so without keys there is no such address.
func (s *server) reportsFrom() addr.Address {
	view := s.state.Directory.View()
	if a, err := addr.ParseAddress(s.cfg.Reports.From); err == nil {
		return a
	}
	names := view.Domains()
	for name := s.cfg.Hostname; name != ""; _, name, _ = strings.Cut(name, ".") {
		names = append([]string{name}, names...)
	}
	// The host's own name was put in first, so its parents stand before it: the domain that
	// people know.
	for _, name := range names {
		if view.LocalName(name) && signs(view.Keys(name)) {
			return addr.Address{Local: "postmaster", Domain: addr.Domain(name)}
		}
	}
	return addr.Address{}
}

func signs(keys []store.DKIMKey) bool {
	for _, k := range keys {
		if k.Active {
			return true
		}
	}
	return false
}

// strictClient is an HTTP client by our own resolver, without redirects.
func (s *server) strictClient() *http.Client {
	return &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			DialContext: s.dialName, TLSClientConfig: s.tlsConfig(), DisableKeepAlives: true, MaxResponseHeaderBytes: 32 << 10,
		},
	}
}

// session tells the reporter of a connection.
func (s *server) session(e relay.Session) {
	s.reports.Session(reportout.Session{
		At: s.opt.Now(), Domain: e.Domain, Type: e.Policy.Type, Policy: e.Policy.Domain, Text: e.Policy.Text, MX: e.Policy.MX,
		Host: e.Host, Remote: e.Remote, Local: e.Local, Result: string(e.Result), Reason: e.Reason,
	})
}
