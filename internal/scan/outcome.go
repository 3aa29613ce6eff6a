package scan

import (
	"slices"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/mail"
	"posta/internal/milter"
	"posta/internal/smtp"
)

// Result is what one member made of a message.
type Result struct {
	Name, Kind string
	Report           // its opinion; of a failed member only Action and Reason, ours
	Cause      Cause // NoCause: it answered
	Err        error // of a failed member
	Duration   time.Duration
}

// String is the result on one line, for a trace.
func (r Result) String() string {
	words := []string{r.Name + ": " + r.Action.String()}
	if r.Cause != NoCause {
		words = append(words, "("+r.Cause.String()+")")
	}
	if r.Reason != "" {
		words = append(words, r.Reason)
	}
	return strings.Join(words, " ")
}

// Fate is what became of one recipient.
type Fate struct {
	Action mail.Action // Accept, Defer, Reject; Discard: a scanner deleted it
	Reply  smtp.Reply  // of the scanner, may be zero
	By     string      // the member, "" for Accept
}

// Outcome is what all members made of a message.
type Outcome struct {
	// Action is the hardest of all, with the member that it came from, its words
	// for the client (may be zero) and its reason.
	Action mail.Action
	By     string
	Reply  smtp.Reply
	Reason string

	Results []Result
	Rcpt    []Fate // of each recipient of the envelope that was given

	// Message as the last member left it; what was given, if nobody edited.
	Message                  Message
	HeaderEdited, BodyEdited bool
	// Envelope as the last member left it: without recipients that were refused or
	// deleted, with those that were added. Fit to be kept: it is a copy.
	Envelope *mail.Envelope
	Added    []mail.Recipient // those that no RCPT named

	facts  Facts
	origin []int // of each recipient of Envelope: its place among Rcpt, -1 if added
	body   *spool
}

func newOutcome(f *Facts, m Message) *Outcome {
	e := *f.Envelope
	e.Recipients = slices.Clone(e.Recipients)
	o := &Outcome{Message: m, Envelope: &e, facts: *f, Rcpt: make([]Fate, len(e.Recipients)), origin: make([]int, len(e.Recipients))}
	o.facts.Envelope = &e
	for i := range o.origin {
		o.origin[i] = i
	}
	return o
}

// Close frees the replaced body. Message must not be read any more.
func (o *Outcome) Close() { o.body.free() }

// take carries out what a report wants changed; on error nothing is changed.
func (o *Outcome) take(name string, r *Report) error {
	changed, err := o.envelope(name, r)
	if err != nil {
		return err
	}
	o.Envelope.ReversePath, o.Envelope.Recipients = changed.from, changed.to
	o.Rcpt, o.origin, o.Added = changed.fates, changed.origin, changed.added
	if h := milter.EditHeader(o.Message.Header, r.Edits); len(h) != len(o.Message.Header) || string(h) != string(o.Message.Header) {
		o.Message.Header, o.HeaderEdited = h, true
	}
	if r.body != nil {
		o.body.free()
		o.body, o.Message.Body, o.BodyEdited = r.body, r.body.body(), true
	}
	return nil
}

// recipients are the envelope of an Outcome while it is being changed.
type recipients struct {
	from   addr.Address
	to     []mail.Recipient
	origin []int
	fates  []Fate
	added  []mail.Recipient
}

// envelope gives the envelope after a report.
func (o *Outcome) envelope(name string, r *Report) (*recipients, error) {
	c := &recipients{
		from: o.Envelope.ReversePath, to: slices.Clone(o.Envelope.Recipients), origin: slices.Clone(o.origin),
		fates: slices.Clone(o.Rcpt), added: slices.Clone(o.Added),
	}
	// From the back, so that the places before stay what they were.
	for _, x := range slices.Backward(r.Rcpt) {
		if x.Index < 0 || x.Index >= len(c.to) {
			return nil, failed(Nonsense, "refuses recipient %d of %d", x.Index+1, len(c.to))
		}
		c.remove(x.Index, Fate{x.Action, x.Reply, name})
	}
	for _, e := range r.Edits {
		if err := c.edit(name, e); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// remove takes a recipient out and says why.
func (c *recipients) remove(i int, why Fate) {
	if at := c.origin[i]; at >= 0 {
		c.fates[at] = why
	} else {
		c.added = slices.DeleteFunc(c.added, func(r mail.Recipient) bool { return r.Address == c.to[i].Address })
	}
	c.to = slices.Delete(c.to, i, i+1)
	c.origin = slices.Delete(c.origin, i, i+1)
}

// maxAdded bounds the recipients that scanners may add to one message.
const maxAdded = 1000

// edit carries out a change of the envelope.
func (c *recipients) edit(name string, e milter.Edit) error {
	switch e.Kind {
	case milter.AddRcpt, milter.DelRcpt, milter.ChangeFrom:
	default:
		return nil
	}
	p, err := addr.ParsePath(bracketed(e.Path), true)
	a, ok := p.Address()
	if p.IsNull() && e.Kind == milter.ChangeFrom {
		ok = true
	}
	if err != nil || !ok {
		return failed(Nonsense, "%s: that is no address", e)
	}
	at := slices.IndexFunc(c.to, func(r mail.Recipient) bool { return r.Address.Fold() == a.Fold() })
	switch {
	case e.Kind == milter.ChangeFrom:
		c.from = a
	case e.Kind == milter.DelRcpt && at >= 0:
		c.remove(at, Fate{Action: mail.Discard, By: name})
	case e.Kind == milter.AddRcpt && at < 0:
		if len(c.added) >= maxAdded {
			return failed(Nonsense, "adds more than %d recipients", maxAdded)
		}
		r := mail.Recipient{Address: a}
		c.to, c.origin, c.added = append(c.to, r), append(c.origin, -1), append(c.added, r)
	}
	return nil
}

// bracketed gives a path its angle brackets.
func bracketed(s string) string {
	if s = strings.TrimSpace(s); strings.HasPrefix(s, "<") {
		return s
	}
	return "<" + s + ">"
}

// add keeps a result and folds its action; true ends the run.
func (o *Outcome) add(r Result) (over bool) {
	o.Results = append(o.Results, r)
	if r.Action > o.Action {
		o.Action, o.By, o.Reply, o.Reason = r.Action, r.Name, r.Reply, r.Reason
	}
	if o.Action < mail.Discard && len(o.Envelope.Recipients) == 0 && len(o.Rcpt) > 0 {
		o.nobodyLeft(r.Name)
	}
	return o.Action >= mail.Discard
}

// nobodyLeft: all recipients were refused, or those that were not were deleted.
// The action is the mildest of their fates, for it is one reply to all.
func (o *Outcome) nobodyLeft(by string) {
	last := Fate{Action: mail.Reject, By: by}
	for _, f := range o.Rcpt {
		if f.Action <= last.Action {
			last = f
		}
	}
	o.Action, o.By, o.Reply, o.Reason = last.Action, last.By, last.Reply, "no recipient is left"
}
