package intake

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/filing"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/reputation"
	"posta/internal/store"
)

// correspondents remembers whom our users write to. What is noticed waits in a queue
// of fixed length and is written down beside the accepts, at most once a day for each
// pair: an accept waits for nothing of it. It is safe for concurrent use.
type correspondents struct {
	memory  *reputation.Memory
	answers Answers
	now     func() time.Time
	queue   chan wrote
	lost    atomic.Int64 // notices for which the queue had no room

	mu    sync.Mutex
	known map[asked]knownUntil
}

// wrote is one submission.
type wrote struct {
	by      reputation.Party
	to      []addr.Address
	answers []string // Message-IDs
}

// asked is who was asked for, and on behalf of which circle of ours.
type asked struct {
	circle reputation.Circle
	who    addr.Address
}

type knownUntil struct {
	reputation.Known
	until time.Time
}

const (
	maxWritten = 1024        // submissions that wait to be noted
	maxNoted   = 1 << 14     // pairs of which it is known that today's is noted
	knownFor   = time.Minute // how long an answer about a sender is believed
	maxKnown   = 8192        // answers that are kept; of more all are asked again
	// maxADay is to how many addresses one account's letters are noted in a day. Who
	// writes to more sends newsletters; they would push out everybody's correspondents.
	maxADay = 500
)

func newCorrespondents(m *reputation.Memory, answers Answers, now func() time.Time) *correspondents {
	return &correspondents{memory: m, answers: answers, now: now, queue: make(chan wrote, maxWritten), known: map[asked]knownUntil{}}
}

// wrote notes that a message of ours to addresses outside was accepted, and what it
// answers. It does not block.
func (c *correspondents) wrote(w wrote) {
	select {
	case c.queue <- w:
	default:
		c.lost.Add(1)
	}
}

// knows tells of an address whether anybody of a circle wrote to it. Who cannot be
// looked up is a stranger.
func (c *correspondents) knows(ctx context.Context, circle reputation.Circle, a addr.Address) reputation.Known {
	now, key := c.now(), asked{circle, a.Fold()}
	c.mu.Lock()
	k, ok := c.known[key]
	c.mu.Unlock()
	if ok && now.Before(k.until) {
		return k.Known
	}
	found, err := c.memory.Known(ctx, a, reputation.Party{Circle: circle})
	if err != nil {
		return reputation.Known{}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.known) >= maxKnown {
		clear(c.known)
	}
	c.known[key] = knownUntil{found[0], now.Add(knownFor)}
	return found[0]
}

// run writes down what waits until ctx ends, and then what still waits. failed is
// told of errors.
func (c *correspondents) run(ctx context.Context, failed func(error)) {
	n := notedToday{pairs: map[pair]bool{}, of: map[int64]int{}}
	// A notice that is taken from the queue is written, whenever ctx ends.
	lasting := context.WithoutCancel(ctx)
	for {
		select {
		case w := <-c.queue:
			c.note(lasting, &n, w, failed)
		case <-ctx.Done():
			last, cancel := context.WithTimeout(lasting, reputation.FlushEvery)
			defer cancel()
			for {
				select {
				case w := <-c.queue:
					c.note(last, &n, w, failed)
				default:
					return
				}
			}
		}
	}
}

// notedToday are the pairs that need not be looked at again before tomorrow.
type notedToday struct {
	day   int64
	pairs map[pair]bool
	of    map[int64]int // how many of an account were noted
}

type pair struct {
	account int64
	to      addr.Address
}

func (c *correspondents) note(ctx context.Context, n *notedToday, w wrote, failed func(error)) {
	if len(w.answers) > 0 && c.answers != nil {
		c.answers.Answered(ctx, AccountID(w.by.Account), w.answers, w.to)
	}
	if day := c.now().Unix() / (24 * 60 * 60); day != n.day || len(n.pairs) >= maxNoted {
		if day != n.day {
			clear(n.of)
		}
		n.day = day
		clear(n.pairs)
	}
	var news []addr.Address
	for _, a := range w.to {
		if p := (pair{w.by.Account, a.Fold()}); !n.pairs[p] && n.of[w.by.Account] < maxADay {
			n.pairs[p] = true
			n.of[w.by.Account]++
			news = append(news, a)
		}
	}
	if len(news) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, reputation.FlushEvery)
	defer cancel()
	if err := c.memory.Wrote(ctx, w.by, news...); err != nil {
		failed(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, a := range news {
		delete(c.known, asked{w.by.Circle, a.Fold()})
	}
}

// rememberWritten notes whom our user wrote to, and what he answered, once the message
// is kept.
func (k *sink) rememberWritten(env *message.Envelope) {
	e := k.env
	if k.s.in.cfg.Memory == nil || e.Client.Class != mail.Authenticated || e.Client.Account == 0 {
		return
	}
	var to []addr.Address
	for _, r := range e.Recipients {
		if !k.tx.view.Local(r.Address.Domain) {
			to = append(to, r.Address)
		}
	}
	if len(to) > 0 {
		k.s.in.written.wrote(wrote{partyOf(k.tx.view, AccountID(e.Client.Account)), to, answered(env)})
	}
}

// maxAnswered bounds the messages that one letter answers.
const maxAnswered = 20

// answered are the messages that a letter says to answer: that of In-Reply-To first,
// then those of the conversation, the newest first (RFC 5322 §3.6.4).
func answered(e *message.Envelope) []string {
	if e == nil {
		return nil
	}
	ids := slices.Collect(message.MessageIDs(e.References))
	slices.Reverse(ids)
	var out []string
	for _, id := range slices.Concat(slices.Collect(message.MessageIDs(e.InReplyTo)), ids) {
		if len(out) < maxAnswered && len(id) <= 998 && !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}

// partyOf is an account as one of a circle.
func partyOf(v *directory.View, id AccountID) reputation.Party {
	p := reputation.Party{Account: int64(id)}
	if a := v.Account(id); a != nil {
		p.Circle = circleOf(v.Domain(a.Domain))
	}
	return p
}

func circleOf(d *store.Domain) reputation.Circle {
	if d == nil {
		return ""
	}
	return reputation.CircleOf(d.Tenant, int64(d.ID))
}

// party is whom a recipient is: an account, or of an address that leads to several,
// or to nobody here, the circle of its domain.
func (tx *transaction) party(a addr.Address) reputation.Party {
	if _, targets := filing.Ask(tx.view, a); len(targets) == 1 && targets[0].Account != 0 {
		return partyOf(tx.view, targets[0].Account)
	}
	return reputation.Party{Circle: circleOf(tx.view.DomainNamed(a.Domain))}
}

// parties are those of the recipients, in their order.
func (k *sink) parties() []reputation.Party {
	if k.to == nil {
		k.to = make([]reputation.Party, len(k.env.Recipients))
		for i, r := range k.env.Recipients {
			k.to[i] = k.tx.party(r.Address)
		}
	}
	return k.to
}

// Run does what goes on beside the sessions: blocklists are tested before anybody
// needs them, and what was noticed of strangers and correspondents is written down in
// batches. It blocks until ctx ends, which should be after the last session, and has
// written by then what still waited.
func (in *Intake) Run(ctx context.Context) {
	var wg sync.WaitGroup
	failed := func(err error) {
		in.cfg.Log.WarnContext(ctx, "not remembered", "err", err)
	}
	wg.Go(func() { in.lists.Run(ctx, in.cfg.Lists) })
	if in.cfg.Memory != nil {
		wg.Go(func() { in.cfg.Memory.Run(ctx, failed) })
		wg.Go(func() { in.written.run(ctx, failed) })
	}
	wg.Wait()
}
