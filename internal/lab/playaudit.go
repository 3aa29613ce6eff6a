package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"

	"posta/internal/audit"
	"posta/internal/finding"
	"posta/internal/resolver"
)

// audits are those of one play, all made side by side when the first is asked for:
// their world does not change.
type audits struct {
	once    sync.Once
	reports map[int]audit.Report // by the line of the section
	err     error
}

// audit holds what `posta audit` finds against the lines of the section.
func (p *play) audit(ctx context.Context, s Section) error {
	p.audits.once.Do(func() { p.audits.err = p.auditAll(ctx) })
	if p.audits.err != nil {
		return p.audits.err
	}
	report := p.audits.reports[s.Line]
	fmt.Fprintf(&p.log, "-- audit %s: %s, %d findings in %v\n", s.Arg, report.Setup, len(report.Findings), report.Took)
	var failed []error // all at once: an audit is long, and its lines do not depend on each other
	for n, l := range s.lines {
		if key, _, _ := strings.Cut(l, " "); key != "key" { // that was part of the question
			failed = append(failed, p.expectFinding(&report, n, l))
		}
	}
	return errors.Join(failed...)
}

// expectFinding holds a report against "setup mail", "fail check subject" (pass,
// unverified, none), "no check", or a title as in "es spf.fail Título".
func (p *play) expectFinding(r *audit.Report, n int, line string) error {
	word, rest, _ := strings.Cut(line, " ")
	check, more, _ := strings.Cut(rest, " ")
	id := finding.ID(check)
	outcomes := map[string]finding.Outcome{"fail": finding.Fail, "pass": finding.Pass, "unverified": finding.Unverified, "none": finding.NotApplicable}
	outcome, isOutcome := outcomes[word]
	var seen []string
	held := false
	for _, f := range r.Findings {
		if f.Check != id {
			continue
		}
		seen = append(seen, strings.TrimSpace(f.Outcome.String()+" "+f.Subject))
		held = held || isOutcome && f.Outcome == outcome && (more == "" || match(more, f.Subject))
	}
	switch {
	case word == "setup":
		held, seen = r.Setup == rest, []string{r.Setup}
	case word == "no":
		held = len(seen) == 0
	case word == "en" || word == "es":
		text := finding.TextOf(id, word)
		held, seen = match(more, text.Title), []string{text.Title}
	case !isOutcome:
		return fmt.Errorf("%s: %q is not understood", p.where(n), line)
	}
	if !held {
		return &mismatch{p.where(n), line, strings.Join(append(seen, "…"), "; ")}
	}
	p.note(word, word)
	return nil
}

// auditAll makes all audits of the scenario.
func (p *play) auditAll(ctx context.Context) error {
	w, err := p.lab.auditedWorld()
	if err != nil {
		return err
	}
	p.audits.reports = map[int]audit.Report{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for _, s := range p.s.Sections {
		if s.Kind != "audit" {
			continue
		}
		cfg, target, err := w.question(s)
		if err != nil {
			return fmt.Errorf("%s: %w", p.where(s.Line-1), err)
		}
		wg.Go(func() {
			r := audit.Run(ctx, cfg, target)
			mu.Lock()
			defer mu.Unlock()
			p.audits.reports[s.Line] = r
		})
	}
	wg.Wait()
	return nil
}

// question reads an audit's target and surroundings from its section: the flags of
// `posta audit`, and, of our own house, what only it knows (--self HOST, --resolver IP,
// lines "key SELECTOR RECORD"). --plain is a resolver that does not validate, --shut a
// network that closes port 25.
func (w *auditWorld) question(s Section) (audit.Config, audit.Target, error) {
	words := strings.Fields(s.Arg)
	t := audit.Target{Domain: words[0]}
	self := audit.Self{Domains: words[:1], Selectors: map[string]string{}}
	dns, dial := resolver.Resolver(w.trusts), w.dial
	var failed error
	for i := 1; i < len(words); i++ {
		value := func() string {
			if i++; i < len(words) {
				return words[i]
			}
			failed = errors.Join(failed, fmt.Errorf("%s wants a value", words[i-1]))
			return ""
		}
		address := func() netip.Addr {
			ip, err := netip.ParseAddr(value())
			failed = errors.Join(failed, err)
			return ip
		}
		switch words[i] {
		case "--ip":
			t.IPs = append(t.IPs, address())
		case "--helo":
			t.HELO = value()
		case "--send-only":
			t.SendOnly = true
		case "--rdap":
			t.RDAP = true
		case "--self":
			self.Hostname = value()
			t.Self = &self
		case "--resolver":
			self.Resolvers = append(self.Resolvers, address())
		case "--plain":
			dns = w.doubts
		case "--shut":
			dial = shut(dial)
		default:
			failed = errors.Join(failed, fmt.Errorf("%q is no flag", words[i]))
		}
	}
	for _, l := range s.lines {
		if key, record, ok := strings.Cut(l, " "); ok && key == "key" {
			selector, text, _ := strings.Cut(record, " ")
			self.Selectors[selector] = text
		}
	}
	self.IPs = slices.Clone(t.IPs)
	return audit.Config{
		Resolver: dns, Authority: w.authority(dns), Hello: "auditor.lab.test", Dial: dial, HTTP: w.client(), Now: w.lab.opt.Now, Roots: w.lab.ca.Pool(),
	}, t, failed
}

// shut is a network that lets nobody out to port 25.
func shut(dial dialer) dialer {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if strings.HasSuffix(address, ":25") {
			return nil, &net.OpError{Op: "dial", Net: network, Err: syscall.ECONNREFUSED}
		}
		return dial(ctx, network, address)
	}
}

type dialer = func(ctx context.Context, network, address string) (net.Conn, error)
