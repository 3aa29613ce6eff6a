package relay

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"time"

	"posta/internal/route"
	"posta/internal/smtp"
)

// attempt is one Deliver.
type attempt struct {
	r    *Relay
	rt   *route.Route
	m    *Message
	out  []Outcome
	done []bool // settled for good
	told []bool // out holds a first word, which another host may better
	// offered are the recipients that the session at hand has been told of.
	offered []bool

	sessions, connects int
	busy               bool
}

// run goes through the hosts until all recipients are settled.
func (a *attempt) run(ctx context.Context) {
	skip := "" // a host that answered: its other addresses would say the same
	for _, t := range a.targets() {
		if a.settled() || a.sessions >= MaxSessions || a.connects >= MaxConnects || ctx.Err() != nil {
			break
		}
		if t.host.Name == skip {
			continue
		}
		if o, down := a.r.down.get(t.addr, time.Now()); down {
			a.tentative(o)
			continue
		}
		if a.try(ctx, t) {
			skip = t.host.Name
		}
	}
	for i := range a.out {
		switch {
		case a.done[i] || a.told[i]:
		case a.busy:
			a.out[i] = Outcome{Status: Busy, Ours: true, Reply: smtp.New(451, "4.4.5", "All hosts have as many connections from here as they may")}
		default:
			a.out[i] = Outcome{Status: Temporary, Ours: true, Reply: smtp.New(451, "4.4.1", "No host was reached")}
		}
	}
}

// targets lists every address of every host, in order.
func (a *attempt) targets() []target {
	var out []target
	for _, h := range a.rt.Hosts {
		if h.Socket != "" {
			out = append(out, target{h, place{socket: h.Socket}})
		}
		for _, ip := range h.Addrs {
			out = append(out, target{h, place{AddrPort: netip.AddrPortFrom(ip, h.Port)}})
		}
	}
	return out
}

func (a *attempt) settled() bool {
	for _, d := range a.done {
		if !d {
			return false
		}
	}
	return true
}

// pending lists the recipients that are not settled.
func (a *attempt) pending() []int {
	var out []int
	for i, d := range a.done {
		if !d {
			out = append(out, i)
		}
	}
	return out
}

// final settles a recipient.
func (a *attempt) final(i int, o Outcome) { a.out[i], a.done[i] = o, true }

// word keeps what one host said of a recipient, in case no other takes it: what
// is temporary goes before what is permanent, as another day this host may be
// asked again.
func (a *attempt) word(i int, o Outcome) {
	if a.done[i] || a.told[i] && a.out[i].Status == Temporary && (o.Status == Permanent || !a.out[i].Ours) {
		return
	}
	a.out[i], a.told[i] = o, true
}

// tentative is word for all recipients that are not settled.
func (a *attempt) tentative(o Outcome) {
	for i := range a.out {
		a.word(i, o)
	}
}

// refuseMalformed settles the recipients that cannot be written in a command.
func (a *attempt) refuseMalformed() {
	a.done, a.told = make([]bool, len(a.out)), make([]bool, len(a.out))
	badSender := !sendable(a.m.ReversePath) && a.m.ReversePath != ""
	for i, rc := range a.m.Recipients {
		switch {
		case badSender:
			a.final(i, Outcome{Status: Permanent, Ours: true, Reply: smtp.New(553, "5.1.7", "The reverse-path cannot be sent")})
		case !sendable(rc.Address):
			a.final(i, Outcome{Status: Permanent, Ours: true, Reply: smtp.New(553, "5.1.3", "The address cannot be sent")})
		}
	}
}

// sendable keeps CR, LF and their kind out of commands, whoever wrote them into
// an address; a quoted local part may have a space or ">".
func sendable(address string) bool {
	return address != "" && len(address) <= 512 && strings.IndexFunc(address, func(r rune) bool { return r < ' ' || r == 0x7f }) < 0
}

// try delivers to one address; answered says that its host spoke SMTP with us.
func (a *attempt) try(ctx context.Context, t target) (answered bool) {
	rule, err := a.rule(ctx, t.host)
	if err != nil {
		a.policyFailed(t, err)
		return true
	}
	if c := a.r.pool.take(keyOf(t, rule)); c != nil {
		c.hold(ctx)
		c.reused, c.replies = true, 0
		if a.session(ctx, c) {
			return true
		}
		for _, c := range a.r.pool.takeAll(c.key) {
			c.quit()
		}
	}
	c, failed := a.dial(ctx, t, rule)
	switch {
	case failed != nil && failed.busy:
		a.busy = true
		return false
	case failed != nil:
		a.markDown(ctx, t, failed.Outcome)
		a.tentative(failed.Outcome)
		return !failed.Ours
	}
	a.r.down.clear(t.addr)
	a.session(ctx, c)
	return true
}

// markDown remembers a host that cannot be talked to. What failed for the sake
// of one message's or route's protection says nothing about other mail.
func (a *attempt) markDown(ctx context.Context, t target, o Outcome) {
	if ctx.Err() != nil || o.Ours && o.Reply.Enhanced[1] == 7 {
		return
	}
	o.Ended = time.Time{}
	a.r.down.set(t.addr, time.Now(), a.r.cfg.Down, o)
}

// session delivers over a connection and disposes of it. False: the connection
// was dead when it came out of the pool, nothing has happened.
func (a *attempt) session(ctx context.Context, c *conn) bool {
	a.offered = make([]bool, len(a.out))
	told, out := slices.Clone(a.told), slices.Clone(a.out)
	alive, stale := a.deliver(ctx, c)
	if stale {
		a.told, a.out = told, out // it said nothing
	}
	switch {
	case !alive:
		c.drop()
	case c.messages >= limit(c.ext.MaxMail, maxMessages) || !c.reset():
		c.quit()
	case !a.r.pool.put(c):
		c.quit()
	}
	if !stale {
		a.sessions++
	}
	return !stale
}

func limit(announced, ours int) int {
	if announced > 0 {
		return min(announced, ours)
	}
	return ours
}

// deliver opens the message and sends it in as many transactions as it takes.
func (a *attempt) deliver(ctx context.Context, c *conn) (alive, stale bool) {
	body, failed := a.open(ctx, c)
	if failed != nil {
		return true, false
	}
	defer body.close()
	for {
		tx := &transaction{a: a, c: c, body: body, rcpts: a.next(c, body)}
		if len(tx.rcpts) == 0 {
			return true, false
		}
		if !c.reset() {
			return false, false
		}
		again, err := tx.run(ctx)
		if err != nil {
			if c.reused && c.replies == 0 && ctx.Err() == nil {
				return false, true
			}
			return false, false
		}
		if !again {
			return true, false
		}
	}
}

// form is the form in which this host gets the message.
func (a *attempt) form(x *smtp.Extensions) Form {
	switch {
	case (a.m.EightBit || a.m.Binary) && !x.EightBit:
		return SevenBits
	case a.m.Binary && x.Chunking && x.Binary:
		return AnyOctets
	}
	return EightBits
}

// open gets the bytes that this host can take, or says why not.
func (a *attempt) open(ctx context.Context, c *conn) (*Content, *failure) {
	form := a.form(&c.ext)
	body, err := a.m.Open(ctx, form)
	switch {
	case errors.Is(err, ErrNotConvertible):
		text := "The host does not take 8-bit messages (8BITMIME) and this one cannot be converted"
		if form < SevenBits {
			text = "The message has binary parts (BINARYMIME) that cannot be converted to what the host takes"
		}
		f := c.fail(554, "5.6.3", text)
		a.tentative(f.Outcome)
		return nil, f
	case err != nil:
		f := c.fail(451, "4.3.0", "The message cannot be read here")
		for _, i := range a.pending() {
			a.final(i, f.Outcome)
		}
		return nil, f
	}
	size := int64(len(body.Head)) + body.Size
	switch {
	case c.ext.MaxSize > 0 && size > c.ext.MaxSize:
		f := c.fail(552, "5.3.4", "The message is larger than the host takes")
		a.tentative(f.Outcome)
		body.close()
		return nil, f
	case !c.ext.UTF8 && a.m.UTF8 && (body.UTF8Header || !isASCII(a.m.ReversePath)):
		f := c.fail(553, "5.6.7", "The message needs SMTPUTF8, which the host does not offer")
		a.tentative(f.Outcome)
		body.close()
		return nil, f
	}
	return body, nil
}

func (b *Content) close() {
	if b.Close != nil {
		b.Close()
	}
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] > 0x7f {
			return false
		}
	}
	return true
}
