package intake

import (
	"context"
	"sync"

	"posta/internal/authres"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/resolver"
	"posta/internal/spf"
)

// What runs, and when (DESIGN §2.2). Each evaluator begins as soon as its facts
// are known, runs beside the dialogue, and is awaited where its outcome is first
// needed:
//
//	connect   iprev, blocklists          awaited at the first RCPT
//	HELO      shape, existence           awaited at the first RCPT
//	MAIL      SPF, the sender's domain   awaited at the first RCPT
//	header    keys of DKIM and ARC       awaited after the dot
//	the dot   header, DKIM, ARC, DMARC   one after the other: each needs the last
//
// Our own users are not judged: their program may say EHLO [192.168.1.5] (S4).
// Clients of the local network are judged, so that an administrator sees what
// others would hold against them, but policy refuses them nothing for it.

// eventually is a value that another goroutine makes. The zero value was never
// begun and is the zero T at once.
type eventually[T any] struct {
	done  chan struct{}
	value T
}

// begin makes the value: at once if the resolver's cache has all that it takes,
// else in a goroutine that ends with ctx.
func (e *eventually[T]) begin(ctx context.Context, wg *sync.WaitGroup, produce func(context.Context) T) {
	var probe resolver.Probe
	if v := produce(probe.Context(ctx)); !probe.Missed() {
		e.value, e.done = v, over
		return
	}
	e.beginBeside(ctx, wg, produce)
}

// beginBeside makes the value in a goroutine.
func (e *eventually[T]) beginBeside(ctx context.Context, wg *sync.WaitGroup, produce func(context.Context) T) {
	done := make(chan struct{})
	e.done = done
	wg.Go(func() {
		defer close(done)
		e.value = produce(ctx)
	})
}

// over is the channel of values that were there at once.
var over = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

// ready reports whether await would not wait.
func (e *eventually[T]) ready() bool {
	select {
	case <-e.done:
		return true
	default:
		return false
	}
}

// await waits for the value; false if ctx ended first or it was never begun.
func (e *eventually[T]) await(ctx context.Context) (T, bool) {
	var zero T
	if e.done == nil {
		return zero, false
	}
	select {
	case <-e.done:
		return e.value, true
	default:
	}
	select {
	case <-e.done:
		return e.value, true
	case <-ctx.Done():
		return zero, false
	}
}

// txJudge holds the findings about one envelope.
type txJudge struct {
	in      *Intake
	ctx     context.Context
	cancel  context.CancelFunc
	wg      sync.WaitGroup
	spf     eventually[spf.Result]
	sender  eventually[senderDomain]
	results []authres.Result // for the header field, in order
	spfSeen spf.Result
}

// begin starts what needs the reverse-path.
func (j *txJudge) begin(in *Intake, e *mail.Envelope) {
	j.in = in
	if e.Client.Class == mail.Authenticated || !e.Client.IP.IsValid() {
		return
	}
	j.ctx, j.cancel = context.WithCancel(context.Background())
	from := e.ReversePath
	args := spf.Args{
		IP: e.Client.IP, HELO: e.Client.HELO, ReceiverHost: in.cfg.Hostname, Now: in.cfg.Now(),
		MailFrom: spf.Sender{Local: string(from.Local), Domain: string(from.Domain)},
	}
	j.spf.begin(j.ctx, &j.wg, func(ctx context.Context) spf.Result { return spf.Check(ctx, in.dns, args) })
	if !from.IsZero() {
		j.sender.begin(j.ctx, &j.wg, func(ctx context.Context) senderDomain { return lookSender(ctx, in.dns, string(from.Domain)) })
	}
}

func (j *txJudge) end() {
	if j.cancel != nil {
		j.cancel()
		j.wg.Wait()
	}
}

// senderDomain is what DNS has of a reverse-path's domain (S9–S13).
type senderDomain struct {
	exists, hasMX, nullMX bool
	err                   error // could not verify
}

// lookSender asks for MX, and for addresses only where there is none.
func lookSender(ctx context.Context, dns resolver.Resolver, domain string) senderDomain {
	mx, err := dns.LookupMX(ctx, domain)
	if err != nil {
		return senderDomain{err: err}
	}
	if mx.State == resolver.Found {
		null := len(mx.Records) == 1 && (mx.Records[0].Host == "." || mx.Records[0].Host == "")
		return senderDomain{exists: true, hasMX: !null, nullMX: null}
	}
	if mx.State == resolver.NXDomain {
		return senderDomain{}
	}
	a, err := dns.LookupA(ctx, domain)
	if err != nil {
		return senderDomain{err: err}
	}
	if a.State == resolver.Found {
		return senderDomain{exists: true}
	}
	aaaa, err := dns.LookupAAAA(ctx, domain)
	// A name without MX and address cannot receive, but it exists.
	return senderDomain{exists: err != nil || aaaa.State != resolver.NXDomain, err: err}
}

// await turns what is known of the envelope into findings.
func (j *txJudge) await(ctx context.Context, set *finding.Set, e *mail.Envelope) {
	if j.cancel == nil {
		return
	}
	r, ok := j.spf.await(ctx)
	if !ok {
		r = spf.Result{Status: spf.TempError, Domain: string(e.ReversePath.Domain), Err: context.DeadlineExceeded}
	}
	j.spfSeen = r
	addSPF(set, r)
	mailFrom := e.ReversePath.String()
	helo := ""
	if mailFrom == "" {
		helo = e.Client.HELO
	}
	j.results = append(j.results, authres.SPF(r.Status.String(), mailFrom, helo))
	if e.ReversePath.IsZero() {
		return
	}
	s, ok := j.sender.await(ctx)
	if !ok {
		s.err = context.DeadlineExceeded
	}
	addSender(set, string(e.ReversePath.Domain), s)
}

func addSender(set *finding.Set, domain string, s senderDomain) {
	if s.err != nil {
		set.Add(finding.Of(finding.SenderDomain, finding.Unverified, domain, "DNS", s.err.Error()))
		return
	}
	result := func(id finding.ID, good bool, seen string) {
		o := finding.Pass
		if !good {
			o = finding.Fail
		}
		set.Add(finding.Of(id, o, domain, "DNS", seen))
	}
	result(finding.SenderDomain, s.exists, "no such name")
	if s.exists {
		result(finding.MXNull, !s.nullMX, "MX 0 .")
		result(finding.SenderMX, s.hasMX || s.nullMX, "no MX record")
	}
}

// addSPF maps the seven results (RFC 7208 §8, S33).
func addSPF(set *finding.Set, r spf.Result) {
	record := ""
	for _, s := range r.Steps {
		if s.Term == "" && len(s.Texts) > 0 {
			record = s.Texts[0]
			break
		}
	}
	with := func(id finding.ID, o finding.Outcome) {
		facts := []string{"domain", r.Domain, "record", record}
		if r.Term != "" {
			facts = append(facts, "decided by", r.Term)
		}
		if r.Err != nil {
			facts = append(facts, "error", r.Err.Error())
		}
		if r.Explanation != "" {
			facts = append(facts, "the domain says", r.Explanation)
		}
		set.Add(finding.Of(id, o, r.Domain, facts...))
	}
	switch r.Status {
	case spf.Pass, spf.Neutral:
		for _, id := range []finding.ID{finding.SPFFail, finding.SPFSoftFail, finding.SPFMissing, finding.SPFInvalid} {
			set.Add(finding.Finding{Check: id, Outcome: finding.Pass})
		}
	case spf.Fail:
		with(finding.SPFFail, finding.Fail)
	case spf.SoftFail:
		with(finding.SPFSoftFail, finding.Fail)
	case spf.None:
		with(finding.SPFMissing, finding.Fail)
	case spf.PermError:
		with(finding.SPFInvalid, finding.Fail)
	case spf.TempError:
		with(finding.SPFFail, finding.Unverified)
	}
}

// judge adds the findings about the message itself, and tells what the From
// domain's DMARC record asks for.
func (k *sink) judge(ctx context.Context, f *facts) (*finding.Set, mail.Action) {
	if k.tx.set == nil { // LMTP, or a client that is not judged
		k.tx.set = k.s.findings(ctx)
	}
	set := k.tx.set
	if f.hops > k.s.in.cfg.MaxHops {
		set.Add(finding.Of(finding.LoopHops, finding.Fail, "", "Received fields", itoa(f.hops)))
	}
	if k.env.Client.Class == mail.Authenticated || k.tx.judge.cancel == nil {
		return set, mail.Accept
	}
	ctx, cancel := context.WithTimeout(ctx, k.s.in.cfg.Judge)
	defer cancel()
	k.addHeader(set, f)
	k.addDKIM(set, f)
	k.addARC(set, f)
	return set, k.addDMARC(ctx, set, f)
}

// exists asks whether a name is in DNS, for np= (RFC 9989 §4.7).
func (in *Intake) exists(ctx context.Context, name string) (bool, error) {
	r, err := in.dns.LookupA(ctx, name)
	if err != nil {
		return false, err
	}
	return r.State != resolver.NXDomain, nil
}
