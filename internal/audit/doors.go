package audit

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"posta/internal/finding"
	"posta/internal/probe"
)

const (
	maxDoors  = 12 // addresses of exchangers that are probed
	fewRelays = 5  // forms of relaying that are asked of strangers: those that were abused most
	allRelays = 1 << 10
)

// doors probes each address of each exchanger at port 25, and the doors for people's
// programs at the first of them, all side by side.
func doors(ctx context.Context, a *audit) []finding.Finding {
	if s := a.setup(); s != withMail && s != implicit {
		return nil // nobody has to answer there
	}
	var runs []func() []finding.Finding
	seen := make([]exchangerSeen, maxDoors) // by the order of runs
	for _, h := range a.exchangerHosts() {
		for _, ip := range h.addrs {
			if i := len(runs); i < maxDoors && public(ip) {
				seen[i].preference = h.preference
				runs = append(runs, func() []finding.Finding { return a.exchangerDoor(ctx, h.name, ip, &seen[i]) })
			}
		}
	}
	exchangers := len(runs)
	if h := a.clientHost(); h != nil {
		for _, port := range clientPorts() {
			runs = append(runs, func() []finding.Finding { return a.clientDoor(ctx, h.name, netip.AddrPortFrom(h.addrs[0], port)) })
		}
	}
	found := make([][]finding.Finding, len(runs))
	var wg sync.WaitGroup
	for i, run := range runs {
		wg.Go(func() { found[i] = run() })
	}
	wg.Wait()
	return append(slices.Concat(found...), backups(seen[:exchangers])...)
}

// clientPorts are those that people's programs use (RFC 8314 §3).
func clientPorts() []uint16 { return []uint16{465, 587, 993, 143, 995, 110} }

// clientHost is the first exchanger with an address that one can reach: in most houses
// people's programs use it too. Where they do not, its doors are closed, which does
// not count.
func (a *audit) clientHost() *host {
	hosts := a.exchangerHosts()
	for i := range hosts {
		if len(hosts[i].addrs) > 0 && public(hosts[i].addrs[0]) {
			return &hosts[i]
		}
	}
	return nil
}

func (a *audit) probing() probe.Config {
	return probe.Config{Hello: a.cfg.Hello, Dial: a.cfg.Dial, Roots: a.cfg.Roots, Now: a.cfg.Now, Lanes: a.cfg.Lanes, Timeouts: probe.Timeouts{Whole: a.cfg.Timeout * 9 / 10}}
}

func (a *audit) exchangerDoor(ctx context.Context, name string, ip netip.Addr, seen *exchangerSeen) []finding.Finding {
	relays := fewRelays
	if a.Self != nil {
		relays = allRelays
	}
	var reverse []string
	var wg sync.WaitGroup
	wg.Go(func() { reverse = a.reverseNames(ctx, ip) })
	r := probe.ProbeSMTP(ctx, a.probing(), probe.Target{Host: name, Addr: netip.AddrPortFrom(ip, 25)},
		probe.SMTPOptions{Versions: true, Inject: true, Domain: a.Domain, Relay: relays})
	if r.Connected {
		a.probed("SMTP: " + name + " at " + ip.String())
	}
	wg.Wait()
	seen.smtp = r
	return judgeSMTP(r, reverse, a.cfg.Now())
}

// reverseNames are those of an address; nil where it has none or they cannot be asked
// for, which are findings of their own (identity).
func (a *audit) reverseNames(ctx context.Context, ip netip.Addr) []string {
	r, err := a.cfg.Resolver.LookupPTR(ctx, ip)
	if err != nil || len(r.Records) == 0 {
		return nil
	}
	return r.Records
}

func (a *audit) clientDoor(ctx context.Context, name string, at netip.AddrPort) []finding.Finding {
	t := probe.Target{Host: name, Addr: at, Implicit: Implicit(at.Port())}
	var found []finding.Finding
	connected := false
	switch at.Port() {
	case 465, 587:
		r := probe.ProbeSMTP(ctx, a.probing(), t, probe.SMTPOptions{Versions: true, Inject: true})
		found, connected = JudgeSMTP(r, a.cfg.Now()), r.Connected
	case 143, 993:
		r := probe.ProbeIMAP(ctx, a.probing(), t, probe.MailboxOptions{Versions: true, Inject: true})
		found, connected = JudgeMailbox(r, a.cfg.Now()), r.Connected
	default:
		r := probe.ProbePOP3(ctx, a.probing(), t, probe.MailboxOptions{Versions: true, Inject: true})
		found, connected = JudgeMailbox(r, a.cfg.Now()), r.Connected
	}
	if connected {
		a.probed(fmt.Sprintf("port %d: %s", at.Port(), name))
	}
	return found
}

// Implicit says whether a port speaks TLS from the first octet (RFC 8314 §7.3).
func Implicit(port uint16) bool { return port == 465 || port == 993 || port == 995 }

// JudgeSMTP makes findings of a probe of SMTP. At a door of submission other rules hold
// than at an exchanger's.
func JudgeSMTP(r *probe.SMTP, now time.Time) []finding.Finding { return judgeSMTP(r, nil, now) }

// judgeSMTP is JudgeSMTP where the names that the address has in reverse DNS are known;
// nil: they are not.
func judgeSMTP(r *probe.SMTP, reverse []string, now time.Time) []finding.Finding {
	d := door{subject: fmt.Sprintf("%s (%s)", r.Host, r.Addr), exchanger: exchanges(r), reverse: reverse}
	if !r.Connected {
		return d.closed(r.Error)
	}
	if d.exchanger {
		d.say(finding.MXClosed, probe.No, "connected", "yes")
	}
	d.greeting(r)
	if !r.Hello.Answered() && r.TLS == nil {
		return append(d.found, unverified(r.Error, d.subject, finding.TLSMissing)...)
	}
	d.offers(r)
	d.encryption(r.TLS, r.TLSError, now)
	if r.Asked.Inject && !r.Implicit && r.Clear.StartTLS {
		d.say(finding.TLSInjection, r.Injected, "command behind STARTTLS", injectedWord(r.Injected))
	}
	if d.exchanger {
		d.recipients(r)
	}
	return d.found
}

// exchanges tells an exchanger from a door of submission: by the port, and at unusual
// ones by TLS from the first octet, or by wanting a login before MAIL (530).
func exchanges(r *probe.SMTP) bool {
	switch r.Addr.Port() {
	case 25:
		return true
	case 465, 587:
		return false
	}
	return !r.Implicit && r.Null.Reply.Code != 530
}

// JudgeMailbox makes findings of a probe of IMAP or POP3.
func JudgeMailbox(m *probe.Mailbox, now time.Time) []finding.Finding {
	d := door{subject: fmt.Sprintf("%s (%s)", m.Host, m.Addr)}
	if !m.Connected {
		return d.closed(m.Error)
	}
	if m.Greeting != "" {
		d.say(finding.SMTPVersion, yes(m.Version != ""), "greeting", m.Greeting)
	}
	if !m.Implicit && m.Asked {
		d.say(finding.TLSMissing, yes(!m.StartTLS), "capabilities", list(m.Clear))
	}
	d.encryption(m.TLS, m.TLSError, now)
	if !m.Implicit {
		d.say(finding.AuthClear, m.AuthInClear(), "capabilities before TLS", list(m.Clear))
	}
	if m.Options.Inject && m.StartTLS {
		d.say(finding.TLSInjection, m.Injected, "command behind STARTTLS", injectedWord(m.Injected))
	}
	return d.found
}

// JudgeSmuggling makes one finding of all false ends.
func JudgeSmuggling(t probe.Target, all []probe.Smuggled) []finding.Finding {
	d := door{subject: fmt.Sprintf("%s (%s)", t.Host, t.Addr)}
	bad, facts := probe.No, []string{}
	for _, s := range all {
		facts = append(facts, s.End, s.Accepted.String()+" "+s.Reply+s.Error)
		switch {
		case s.Accepted == probe.Yes:
			bad = probe.Yes
		case s.Accepted == probe.Unknown && bad == probe.No:
			bad = probe.Unknown
		}
	}
	d.say(finding.SMTPSmuggling, bad, facts...)
	return d.found
}

// door gathers the findings about one address and port.
type door struct {
	subject   string
	exchanger bool
	reverse   []string // names of the address in reverse DNS, where they are known
	found     []finding.Finding
}

// say adds a finding: bad is Yes for a fault and Unknown for what could not be seen.
func (d *door) say(id finding.ID, bad probe.Answer, facts ...string) {
	o := [...]finding.Outcome{probe.Unknown: finding.Unverified, probe.No: finding.Pass, probe.Yes: finding.Fail}[bad]
	d.found = append(d.found, finding.Of(id, o, d.subject, facts...))
}

// closed judges a door that could not be reached. Only an exchanger has to be; and
// only a refusal is a fault: silence may be a firewall on our own side, where many
// providers close port 25.
func (d *door) closed(err error) []finding.Finding {
	switch {
	case !d.exchanger:
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		d.say(finding.MXClosed, probe.Yes, "connection", err.Error())
		return d.found
	}
	return unverified(err, d.subject, finding.MXClosed, finding.TLSMissing, finding.RelayOpen)
}

// greeting judges what a server says of itself (S8, CH-ID-06).
func (d *door) greeting(r *probe.SMTP) {
	if !r.Greeting.Answered() {
		d.found = append(d.found, unverified(r.Error, d.subject, finding.SMTPSlow, finding.SMTPName)...)
		return
	}
	d.say(finding.SMTPSlow, yes(r.Delay > 2*time.Second), "greeting after", r.Delay.Round(100*time.Millisecond).String())
	d.say(finding.SMTPVersion, yes(r.Version != ""), "greeting", r.Greeting.Text)
	d.names(r)
}

// names compares all that a server is called (S8): in its greeting, in its answer to
// EHLO, in the MX record, in reverse DNS and in its certificate. Each that differs is
// listed. A door of submission may have a name of its own.
func (d *door) names(r *probe.SMTP) {
	said := r.Clear.Domain
	if r.Implicit {
		said = r.Secure.Domain
	}
	if said == "" {
		return
	}
	name := r.Name()
	facts := []string{"greeting", name, "EHLO", said, "host", r.Host}
	var differ []string
	if !sameName(name, said) {
		differ = append(differ, "EHLO")
	}
	if d.exchanger {
		if !sameName(name, r.Host) {
			differ = append(differ, "host")
		}
		if d.reverse != nil {
			facts = append(facts, "PTR", strings.Join(d.reverse, " "))
			if !slices.ContainsFunc(d.reverse, func(ptr string) bool { return sameName(ptr, name) || sameName(ptr, r.Host) }) {
				differ = append(differ, "PTR")
			}
		}
		if r.TLS != nil && len(r.TLS.Certificate.Names) > 0 {
			facts = append(facts, "certificate", list(r.TLS.Certificate.Names))
			if r.TLS.Certificate.Has(probe.HostnameMismatch) && !slices.ContainsFunc(r.TLS.Certificate.Names, func(n string) bool { return sameName(n, name) }) {
				differ = append(differ, "certificate")
			}
		}
	}
	if len(differ) > 0 {
		facts = append(facts, "not the greeting's name", strings.Join(differ, ", "))
	}
	d.say(finding.SMTPName, yes(len(differ) > 0), facts...)
}

// offers judges the extensions.
func (d *door) offers(r *probe.SMTP) {
	if !r.Implicit && r.Hello.Answered() {
		d.say(finding.TLSMissing, yes(!r.Clear.StartTLS), "EHLO", r.Hello.Text)
	}
	if !d.exchanger {
		if !r.Implicit {
			d.say(finding.AuthClear, r.AuthInClear(), "AUTH before TLS", list(r.Clear.Auth))
		}
		return
	}
	all := r.Clear
	if r.Secure.Domain != "" {
		all = r.Secure
	}
	d.say(finding.AuthExchanger, yes(len(all.Auth)+len(r.Clear.Auth) > 0), "AUTH", list(slices.Concat(r.Clear.Auth, r.Secure.Auth)))
	var missing []string
	for _, e := range []struct {
		has  bool
		name string
	}{{all.Size, "SIZE"}, {all.EightBit, "8BITMIME"}, {all.Pipelining, "PIPELINING"}, {all.Enhanced, "ENHANCEDSTATUSCODES"}} {
		if !e.has {
			missing = append(missing, e.name)
		}
	}
	d.say(finding.SMTPExtensions, yes(len(missing) > 0), "missing", list(missing))
	if r.Secure.Domain != "" {
		d.say(finding.TLSRequire, yes(!r.Secure.RequireTLS), "REQUIRETLS", yes(r.Secure.RequireTLS).String())
	}
}

// recipients judges who is accepted, and who is told to exist.
func (d *door) recipients(r *probe.SMTP) {
	if r.Null.Answered() && !r.Null.Reply.Temporary() {
		d.say(finding.SMTPNull, yes(r.Null.Reply.Permanent()), r.Null.Asked, r.Null.Text)
	} else {
		d.say(finding.SMTPNull, probe.Unknown, r.Null.Asked, r.Null.Text+r.Null.Error)
	}
	for _, role := range r.Roles {
		x := role.Exchange
		bad := yes(x.Reply.Permanent())
		if !x.Answered() || x.Reply.Temporary() {
			bad = probe.Unknown // greylisting; it is not a refusal
		}
		d.say(finding.SMTPPostmaster, bad, x.Asked, x.Text+x.Error)
	}
	if x := r.Invented; x.Answered() {
		bad := yes(x.Reply.OK())
		if x.Reply.Temporary() {
			bad = probe.Unknown
		}
		d.say(finding.RcptAny, bad, x.Asked, x.Text)
	}
	var facts []string
	for _, x := range append(slices.Clone(r.Verify), r.Expand) {
		facts = append(facts, x.Asked, x.Text+x.Error)
	}
	d.say(finding.SMTPEnumeration, r.Enumerates(), facts...)
	d.relaying(r)
}

func (d *door) relaying(r *probe.SMTP) {
	if len(r.Relay) == 0 && r.RelayError == nil {
		return // not asked
	}
	var facts []string
	for _, f := range r.Relay {
		if f.Accepted || r.OpenRelay() != probe.Yes {
			facts = append(facts, fmt.Sprintf("MAIL FROM:<%s> RCPT TO:<%s>", f.Sender, f.Recipient), f.Text)
		}
	}
	if r.RelayError != nil {
		facts = append(facts, "ended by", r.RelayError.Error())
	}
	d.say(finding.RelayOpen, r.OpenRelay(), facts...)
}

func yes(bad bool) probe.Answer {
	if bad {
		return probe.Yes
	}
	return probe.No
}

func injectedWord(a probe.Answer) string {
	return [...]string{probe.Unknown: "no answer", probe.No: "thrown away", probe.Yes: "executed under TLS"}[a]
}
