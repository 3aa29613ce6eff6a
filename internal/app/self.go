package app

import (
	"slices"
	"time"

	"posta/internal/certs"
	"posta/internal/finding"
	"posta/internal/rotate"
)

// broad is the size of a network from which on sending without a login is a
// finding (S72).
const broad = 24

// self lists what would be held against this very server.
func (s *server) self() []finding.Finding {
	out := append([]finding.Finding(nil), s.found...)
	for _, f := range s.certs.Findings(s.opt.Now()) {
		out = append(out, certFindings(f)...)
	}
	if s.in != nil {
		out = append(out, s.in.ListFindings()...)
	}
	for _, p := range s.trust {
		if p.Addr().Is4() && p.Bits() < broad || p.Addr().Is6() && p.Bits() < 64 {
			out = append(out, finding.Of(finding.RelayBroad, finding.Fail, p.String(), "network.trusted", p.String()))
		}
	}
	for _, p := range s.state.Access.At(s.opt.Now()).Relays() {
		out = append(out, finding.Of(finding.RelayBroad, finding.Fail, p.String(), "access map", p.String()+" RELAY"))
	}
	for _, f := range s.state.Directory.View().CatchAlls() {
		check := finding.CatchAllKept
		if f.Forwards {
			check = finding.CatchAllForwards
		}
		out = append(out, finding.Of(check, finding.Fail, f.Domain, "rule", f.Rule))
	}
	return slices.Concat(out, s.systemFindings(), s.listFindings(), s.scannerFindings(), s.keeper.Findings(),
		rotate.Findings(s.state.Directory.View(), s.opt.Now()))
}

func certFindings(f certs.Fact) []finding.Finding {
	var out []finding.Finding
	subject := ""
	if len(f.Names) > 0 {
		subject = f.Names[0]
	}
	if f.SelfSigned {
		out = append(out, finding.Of(finding.CertSelfSigned, finding.Fail, subject, "source", string(f.Source)))
	}
	if f.Expiring {
		facts := []string{"ends", f.NotAfter.UTC().Format(time.RFC3339)}
		if f.Err != nil {
			facts = append(facts, "renewal", f.Err.Error())
		}
		out = append(out, finding.Of(finding.CertExpiring, finding.Fail, subject, facts...))
	}
	return out
}
