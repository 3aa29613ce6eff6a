package intake

import (
	"context"
	"strings"
	"sync"

	"posta/internal/authres"
	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/helo"
	"posta/internal/iprev"
	"posta/internal/mail"
	"posta/internal/smtpserver"
	"posta/internal/spf"
)

// connJudge holds the findings about a connection.
type connJudge struct {
	in       *Intake
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	ptr      eventually[iprev.Result]
	listed   eventually[[]dnsbl.Result] // the address
	greet    eventually[helo.Result]
	greetSPF eventually[spf.Result]
	greeted  eventually[[]dnsbl.Result] // the name of the greeting
	facts    helo.Facts
	ptrs     string // the confirmed name, once it is known
	stranger bool
}

// begin starts what needs the address alone. Our own users on the submission
// doors are not judged.
func (j *connJudge) begin(in *Intake, c *mail.Client) {
	j.in = in
	if c.Class == mail.Authenticated || !c.IP.IsValid() || c.Door == mail.Submission || c.Door == mail.LMTP {
		return
	}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	j.stranger = c.Class < mail.LocalNetwork
	ip := c.IP
	j.ptr.begin(j.ctx, &j.wg, func(ctx context.Context) iprev.Result { return iprev.Check(ctx, in.dns, ip) })
	if j.stranger { // a private address is on no list
		in.ask(j.ctx, &j.wg, &j.listed, dnsbl.Facts{IP: ip})
	}
}

// hello starts what needs the name. The same name said again, as after STARTTLS,
// was judged already.
func (j *connJudge) hello(in *Intake, c *mail.Client) {
	if j.cancel == nil || j.greet.done != nil && j.facts.Arg == c.HELO {
		return
	}
	if j.greet.done != nil { // another name: the evaluators of the first must be done
		j.greet.await(j.ctx)
		j.greetSPF.await(j.ctx)
		j.greeted.await(j.ctx)
	}
	j.facts = helo.Facts{Arg: c.HELO, Client: c.IP, Own: in.own()}
	facts := j.facts
	j.greet.begin(j.ctx, &j.wg, func(ctx context.Context) helo.Result { return helo.Check(ctx, in.dns, facts) })
	args := spf.Args{IP: c.IP, HELO: c.HELO, ReceiverHost: in.cfg.Hostname, Now: in.cfg.Now()}
	j.greetSPF.begin(j.ctx, &j.wg, func(ctx context.Context) spf.Result { return spf.CheckHELO(ctx, in.dns, args) })
	if j.stranger {
		in.ask(j.ctx, &j.wg, &j.greeted, dnsbl.Facts{HELO: c.HELO})
	}
}

// own is who we are, for clients that claim to be us (S5).
func (in *Intake) own() helo.Own {
	view := in.dir.View()
	return helo.Own{
		Names: []string{strings.ToLower(in.cfg.Hostname)}, Addrs: in.cfg.OwnIPs,
		IsLocal: func(d string) bool { return view.LocalName(d) },
	}
}

// end stops what still runs and waits for it.
func (j *connJudge) end() {
	if j.cancel != nil {
		j.cancel()
		j.wg.Wait()
	}
}

// name is the client's confirmed name, "" if there is none or it is not known
// yet.
func (j *connJudge) name() string { return j.ptrs }

// await turns what is known of the connection into findings. What the sender's
// domain has may prove the name of the greeting (S7).
func (j *connJudge) await(ctx context.Context, set *finding.Set, tx *transaction) (results []authres.Result) {
	if j.cancel == nil {
		return nil
	}
	c := &tx.env.Client
	r, ok := j.ptr.await(ctx)
	if !ok {
		r = iprev.Result{Status: iprev.TempError, IP: c.IP, Err: context.DeadlineExceeded}
	}
	j.addPTR(set, c, &r)
	s, ok := j.greetSPF.await(ctx)
	if !ok {
		s = spf.Result{Status: spf.TempError, Identity: spf.HELO, Domain: c.HELO, Err: context.DeadlineExceeded}
	}
	if h, ok := j.greet.await(ctx); ok {
		addHELO(set, j.proven(h, &r, &s, tx.judge.senderDomain(ctx)))
		addSPFOfHELO(set, &s)
	}
	listed := j.in.answers(ctx, &j.listed, dnsbl.Facts{IP: c.IP})
	addListed(set, tx, listed)
	addListed(set, tx, j.in.answers(ctx, &j.greeted, dnsbl.Facts{HELO: j.facts.Arg}))
	addTLS(set, c)
	return []authres.Result{authres.IPRev(r.Status.String(), c.IP.String())}
}

// proven ties the name of the greeting to the client by what the other evaluators
// found (S7): reverse DNS, SPF, and, weakest, the exchangers of the sender's domain.
func (j *connJudge) proven(h helo.Result, r *iprev.Result, s *spf.Result, sender senderDomain) helo.Result {
	facts := j.facts
	facts.Confirmed, facts.SPFPass = r.Confirmed, s.Status == spf.Pass
	facts.Unverified = r.Status == iprev.TempError || s.Status == spf.TempError || sender.err != nil
	return h.WithProof(facts).WithMX(sender.hosts)
}

func (j *connJudge) addPTR(set *finding.Set, c *mail.Client, r *iprev.Result) {
	ip := c.IP.String()
	pass := func(ids ...finding.ID) {
		for _, id := range ids {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
		}
	}
	switch r.Status {
	case iprev.Pass:
		j.ptrs = r.Confirmed[0]
		pass(finding.PTRMissing, finding.PTRMismatch)
		if kind, _ := iprev.Generic(j.ptrs, c.IP); kind == iprev.SpellsIP || kind == iprev.Dynamic {
			set.Add(finding.Of(finding.PTRGeneric, finding.Fail, ip, r.Facts()...))
		} else {
			pass(finding.PTRGeneric)
		}
	case iprev.Fail:
		pass(finding.PTRMissing)
		set.Add(finding.Of(finding.PTRMismatch, finding.Fail, ip, r.Facts()...))
	case iprev.PermError:
		set.Add(finding.Of(finding.PTRMissing, finding.Fail, ip, r.Facts()...))
	case iprev.TempError:
		set.Add(finding.Of(finding.PTRMissing, finding.Unverified, ip, r.Facts()...))
	}
	switch {
	case r.Total > 1:
		set.Add(finding.Of(finding.PTRMany, finding.Fail, ip, r.Facts()...))
	case r.Total == 1:
		pass(finding.PTRMany)
	}
}

// addHELO maps shape, existence and proof (S2–S7). Each shape fails one check at
// most, so that one fault has one mend.
func addHELO(set *finding.Set, r helo.Result) {
	add := func(id finding.ID, o finding.Outcome) {
		if o == finding.Pass {
			set.Add(finding.Finding{Check: id, Outcome: o})
			return
		}
		set.Add(finding.Of(id, o, r.Arg, r.Facts()...))
	}
	failed := func(bad bool) finding.Outcome {
		if bad {
			return finding.Fail
		}
		return finding.Pass
	}
	add(finding.HELOSelf, failed(r.Claim != helo.ClaimsNothing))
	switch r.Shape {
	case helo.LiteralOwn, helo.LiteralOther, helo.LiteralInvalid, helo.BareIP:
		add(finding.HELOLiteral, finding.Fail)
		return
	case helo.FQDN:
		add(finding.HELOFQDN, finding.Pass)
		add(finding.HELOLiteral, finding.Pass)
	default:
		add(finding.HELOFQDN, finding.Fail)
		return
	}
	switch r.Existence {
	case helo.CannotTell:
		add(finding.HELOUnknown, finding.Unverified)
		return
	case helo.NoAddress, helo.NoName:
		add(finding.HELOUnknown, finding.Fail)
		return
	}
	add(finding.HELOUnknown, finding.Pass)
	if r.Proof == helo.Unknown {
		add(finding.HELOMismatch, finding.Unverified)
		return
	}
	add(finding.HELOMismatch, failed(!r.Proof.Tied()))
}

// addTLS notes at the MX door whether the envelope came in the clear.
func addTLS(set *finding.Set, c *mail.Client) {
	switch {
	case c.Door != mail.MX:
	case c.TLS.Version == "":
		set.Add(finding.Finding{Check: finding.TLSNone, Outcome: finding.Fail, Evidence: inTheClear})
	default:
		set.Add(finding.Finding{Check: finding.TLSNone, Outcome: finding.Pass})
	}
}

// inTheClear is the evidence of tls.none, the same for every such message.
var inTheClear = []finding.Fact{{What: "MAIL was said", Seen: "without STARTTLS"}}

// notices are the misbehaviours of the dialogue that are checks.
var notices = map[smtpserver.NoticeKind]finding.ID{
	smtpserver.EarlyTalker:            finding.EarlyTalker,
	smtpserver.PipelinedBeforeReply:   finding.Pipelining,
	smtpserver.BareNewline:            finding.BareNewline,
	smtpserver.InjectionAfterStartTLS: finding.Injection,
	smtpserver.OverBudget:             finding.BudgetExceeded,
}
