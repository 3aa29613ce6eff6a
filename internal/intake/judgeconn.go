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
)

// connJudge holds the findings about a connection.
type connJudge struct {
	in     *Intake
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	ptr    eventually[iprev.Result]
	greet  eventually[helo.Result]
	listed []eventually[dnsbl.Result]
	ptrs   string // the confirmed name, once it is known
}

// begin starts what needs the address alone. Our own users on the submission
// doors are not judged.
func (j *connJudge) begin(in *Intake, c *mail.Client) {
	j.in = in
	if c.Class == mail.Authenticated || !c.IP.IsValid() || c.Door == mail.Submission || c.Door == mail.LMTP {
		return
	}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	ip := c.IP
	j.ptr.begin(j.ctx, &j.wg, func(ctx context.Context) iprev.Result { return iprev.Check(ctx, in.dns, ip) })
	if c.Class >= mail.LocalNetwork {
		return // a private address is on no list
	}
	j.listed = make([]eventually[dnsbl.Result], len(in.cfg.Lists))
	for i, zone := range in.cfg.Lists {
		j.listed[i].beginBeside(j.ctx, &j.wg, func(ctx context.Context) dnsbl.Result { return in.lists.IP(ctx, zone, ip) })
	}
}

// hello starts what needs the name. It waits for the reverse names, which may
// prove that the name is the client's own.
func (j *connJudge) hello(in *Intake, c *mail.Client) {
	if j.cancel == nil {
		return
	}
	if j.greet.done != nil {
		j.greet.await(j.ctx) // a second greeting: the first evaluator must be done
	}
	facts := helo.Facts{Arg: c.HELO, Client: c.IP, Own: in.own()}
	judge := func(ctx context.Context) helo.Result {
		r, _ := j.ptr.await(j.ctx)
		facts.Confirmed, facts.Unverified = r.Confirmed, r.Status == iprev.TempError
		return helo.Check(ctx, in.dns, facts)
	}
	if j.ptr.ready() {
		j.greet.begin(j.ctx, &j.wg, judge)
	} else {
		j.greet.beginBeside(j.ctx, &j.wg, judge)
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

// await turns what is known of the connection into findings.
func (j *connJudge) await(ctx context.Context, set *finding.Set, c *mail.Client) (results []authres.Result) {
	if j.cancel == nil {
		return nil
	}
	r, ok := j.ptr.await(ctx)
	if !ok {
		r = iprev.Result{Status: iprev.TempError, Err: context.DeadlineExceeded}
	}
	j.addPTR(set, c, r)
	h, ok := j.greet.await(ctx)
	if ok {
		addHELO(set, h)
	}
	for i := range j.listed {
		l, ok := j.listed[i].await(ctx)
		if !ok {
			l = dnsbl.Result{Zone: j.in.cfg.Lists[i], Status: dnsbl.Unverified}
		}
		addListed(set, c.IP.String(), l)
	}
	return []authres.Result{authres.IPRev(r.Status.String(), c.IP.String())}
}

func (j *connJudge) addPTR(set *finding.Set, c *mail.Client, r iprev.Result) {
	ip := c.IP.String()
	var names []string
	for _, n := range r.Names {
		names = append(names, n.Name)
	}
	pass := func(ids ...finding.ID) {
		for _, id := range ids {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
		}
	}
	switch r.Status {
	case iprev.Pass:
		j.ptrs = r.Confirmed[0]
		pass(finding.PTRMissing, finding.PTRMismatch)
		kind, reason := iprev.Generic(j.ptrs, c.IP)
		if kind == iprev.SpellsIP || kind == iprev.Dynamic {
			set.Add(finding.Of(finding.PTRGeneric, finding.Fail, ip, "PTR", j.ptrs, "seen", reason))
		} else {
			pass(finding.PTRGeneric)
		}
	case iprev.Fail:
		pass(finding.PTRMissing)
		set.Add(finding.Of(finding.PTRMismatch, finding.Fail, ip, "PTR", strings.Join(names, " "), "A or AAAA", "none of them has "+ip))
	case iprev.PermError:
		set.Add(finding.Of(finding.PTRMissing, finding.Fail, ip, "PTR", "none"))
	case iprev.TempError:
		seen := "no answer"
		if r.Err != nil {
			seen = r.Err.Error()
		}
		set.Add(finding.Of(finding.PTRMissing, finding.Unverified, ip, "PTR", seen))
	}
}

// addHELO maps shape, existence and proof (S2–S7). Each shape fails one check at
// most, so that one fault has one mend.
func addHELO(set *finding.Set, r helo.Result) {
	add := func(id finding.ID, bad bool, facts ...string) {
		o := finding.Pass
		if bad {
			o = finding.Fail
		} else {
			facts = nil
		}
		set.Add(finding.Of(id, o, r.Arg, facts...))
	}
	add(finding.HELOSelf, r.Claim != helo.ClaimsNothing, "claims", r.Claim.String())
	switch r.Shape {
	case helo.LiteralOwn, helo.LiteralOther, helo.LiteralInvalid, helo.BareIP:
		add(finding.HELOLiteral, true, "HELO", r.Arg, "shape", r.Shape.String())
		return
	case helo.FQDN:
		add(finding.HELOFQDN, false)
		add(finding.HELOLiteral, false)
	default:
		add(finding.HELOFQDN, true, "HELO", r.Arg, "shape", r.Shape.String())
		return
	}
	switch r.Existence {
	case helo.CannotTell:
		set.Add(finding.Of(finding.HELOUnknown, finding.Unverified, r.Name, "DNS", errText(r.Err)))
		return
	case helo.NoAddress, helo.NoName:
		add(finding.HELOUnknown, true, "DNS", r.Existence.String())
		return
	}
	add(finding.HELOUnknown, false)
	if r.Proof == helo.Unknown {
		set.Add(finding.Of(finding.HELOMismatch, finding.Unverified, r.Name, "DNS", errText(r.Err)))
		return
	}
	add(finding.HELOMismatch, !r.Proof.Tied(), "HELO", r.Name, "proof", r.Proof.String())
}

func errText(err error) string {
	if err == nil {
		return "no answer"
	}
	return err.Error()
}

// notices are the misbehaviours of the dialogue that are checks.
var notices = map[smtpserver.NoticeKind]finding.ID{
	smtpserver.EarlyTalker:            finding.EarlyTalker,
	smtpserver.PipelinedBeforeReply:   finding.Pipelining,
	smtpserver.BareNewline:            finding.BareNewline,
	smtpserver.InjectionAfterStartTLS: finding.Injection,
	smtpserver.OverBudget:             finding.BudgetExceeded,
}

// addListed maps what one list says (S90, S91).
func addListed(set *finding.Set, ip string, r dnsbl.Result) {
	facts := []string{"list", r.Zone}
	for _, c := range r.Codes {
		facts = append(facts, "answer", c.String())
	}
	for _, t := range r.Texts {
		facts = append(facts, "the list says", t)
	}
	o := finding.Pass
	switch r.Status {
	case dnsbl.Listed:
		o = finding.Fail
	case dnsbl.Unverified:
		o = finding.Unverified
		facts = append(facts, "cause", r.Cause.String())
	}
	set.Add(finding.Of(finding.DNSBLListed, o, ip, facts...))
}
