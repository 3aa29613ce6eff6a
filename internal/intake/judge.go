package intake

import (
	"context"
	"sync"

	"posta/internal/authres"
	"posta/internal/dnsbl"
	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/reputation"
	"posta/internal/resolver"
	"posta/internal/spf"
)

// What runs, and when (DESIGN §2.2). Each evaluator begins as soon as its facts
// are known, runs beside the dialogue, and is awaited where its outcome is first
// needed:
//
//	connect   iprev, lists of addresses                  awaited at the first RCPT
//	HELO      shape, existence, SPF of the name, lists   awaited at the first RCPT
//	MAIL      SPF, the sender's domain and where its MX  awaited at the first RCPT
//	          lead, lists, its standing here
//	RCPT      class, strangers' limits, policy, greylist at once
//	header    keys of DKIM and ARC                       awaited after the dot
//	the dot   header, DKIM, ARC, DMARC, correspondents,  one after the other: each needs the last
//	          links, files, words and the score of all
//
// What one evaluator finds may prove what another looked for, as SPF, reverse DNS
// and the exchangers do for the name of the greeting: they do not wait for each
// other, and are put together where they are awaited. A refusal for any of it is
// said at RCPT, where postmaster@ can be told from others (RFC 5321 §4.5.1).
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
	listed  eventually[[]dnsbl.Result] // the sender's domain
	known   eventually[standing]
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
	if _, ok := reputation.AsStranger(&e.Client, from); ok {
		in.ask(j.ctx, &j.wg, &j.listed, dnsbl.Facts{Sender: []string{string(from.Domain)}})
		j.beginStanding(e)
	}
}

func (j *txJudge) end() {
	if j.cancel != nil {
		j.cancel()
		j.wg.Wait()
	}
}

// await turns what is known of the envelope into findings.
func (j *txJudge) await(ctx context.Context, set *finding.Set, tx *transaction) {
	if j.cancel == nil {
		return
	}
	e := tx.env
	r, ok := j.spf.await(ctx)
	if !ok {
		r = spf.Result{Status: spf.TempError, Domain: string(e.ReversePath.Domain), Err: context.DeadlineExceeded}
	}
	j.spfSeen = r
	addSPF(set, &r)
	mailFrom := e.ReversePath.String()
	helo := ""
	if mailFrom == "" {
		helo = e.Client.HELO
	}
	j.results = append(j.results, authres.SPF(r.Status.String(), mailFrom, helo))
	if e.ReversePath.IsZero() {
		return
	}
	domain := string(e.ReversePath.Domain)
	addSender(set, domain, j.senderDomain(ctx))
	addListed(set, tx, j.in.answers(ctx, &j.listed, dnsbl.Facts{Sender: []string{domain}}))
	if st, ok := j.known.await(ctx); ok {
		tx.regard.standing = st
		addStanding(set, domain, st)
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
	asked := k.addDMARC(ctx, set, f)
	k.recognise(ctx, set, f)
	k.addContent(ctx, set, f)
	return set, asked
}

// exists asks whether a name is in DNS, for np= (RFC 9989 §4.7).
func (in *Intake) exists(ctx context.Context, name string) (bool, error) {
	r, err := in.dns.LookupA(ctx, name)
	if err != nil {
		return false, err
	}
	return r.State != resolver.NXDomain, nil
}
