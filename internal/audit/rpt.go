package audit

import (
	"context"
	"net/url"
	"strings"

	"posta/internal/addr"
	"posta/internal/finding"
	"posta/internal/resolver"
	"posta/internal/tlsrpt"
)

// transportReports judges whether the domain asks to be told of failures of TLS (RFC 8460).
func transportReports(ctx context.Context, a *audit) []finding.Finding {
	if a.setup() != withMail {
		return nil
	}
	name := "_smtp._tls." + a.Domain
	txt, err := a.cfg.Resolver.LookupTXT(ctx, name)
	if err != nil {
		return unverified(err, a.Domain, finding.TLSRPTMissing, finding.TLSRPTInvalid)
	}
	var own []string
	for _, t := range txt.Records {
		if strings.HasPrefix(t, "v=TLSRPT") {
			own = append(own, t)
		}
	}
	if len(own) == 0 {
		return []finding.Finding{finding.Of(finding.TLSRPTMissing, finding.Fail, a.Domain, name, txt.State.String())}
	}
	facts := []string{name, strings.Join(own, " | ")}
	out := []finding.Finding{finding.Of(finding.TLSRPTMissing, finding.Pass, a.Domain, facts...)}
	rua := tlsrpt.ParseRecord(own)
	if rua == nil {
		return append(out, finding.Of(finding.TLSRPTInvalid, finding.Fail, a.Domain, append(facts, "fault", "it cannot be read, or stands more than once")...))
	}
	for _, uri := range rua {
		fault, err := a.noReceiver(ctx, uri)
		switch {
		case err != nil:
			out = append(out, unverified(err, uri, finding.TLSRPTInvalid)...)
		case fault != "":
			out = append(out, finding.Of(finding.TLSRPTInvalid, finding.Fail, uri, append(facts, "fault", fault)...))
		default:
			out = append(out, finding.Of(finding.TLSRPTInvalid, finding.Pass, uri))
		}
	}
	return out
}

// noReceiver says why nobody can be told at a URI; "" is one where it works, as far as DNS
// tells. An error is a look-up that failed.
func (a *audit) noReceiver(ctx context.Context, uri string) (fault string, err error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "it is no URI", nil
	}
	switch strings.ToLower(u.Scheme) {
	case "mailto":
		to, err := url.PathUnescape(u.Opaque)
		if err != nil {
			return "it is no address", nil
		}
		at, err := addr.ParseAddress(to)
		if err != nil {
			return "it is no address", nil
		}
		mx, err := a.cfg.Resolver.LookupMX(ctx, string(at.Domain))
		switch {
		case err != nil:
			return "", err
		case len(mx.Records) == 1 && mx.Records[0].Host == ".":
			return string(at.Domain) + " takes no mail (null MX)", nil
		case mx.State == resolver.Found:
			return "", nil
		}
		return a.noAddress(ctx, string(at.Domain))
	case "https":
		return a.noAddress(ctx, u.Hostname())
	}
	return "it is neither mailto: nor https:", nil
}

func (a *audit) noAddress(ctx context.Context, name string) (string, error) {
	h := findHost(ctx, a.cfg.Resolver, name)
	switch {
	case len(h.addrs) > 0:
		return "", nil
	case h.err != nil:
		return "", h.err
	}
	return name + " has neither MX nor address", nil
}
