// Package filing says where a message goes: a pure function of the envelope, the
// verdicts and a view of the directory to effects for each recipient (DESIGN
// §2.4). It looks nothing up, writes nothing and knows no clock, so that `posta
// explain` and a dry run walk exactly the way that mail goes.
//
// Order: local domains → full addresses → accounts and aliases → catch-all →
// mailbox. The directory's view holds that order. What leaves is given its way where a
// rule says one.
package filing

import (
	"errors"
	"slices"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/mail"
	"posta/internal/mailbox"
)

// Answer is what filing says of a forward-path before the message is there.
type Answer uint8

// The answers to RCPT.
const (
	Here      Answer = iota // it leads to accounts or, by an alias, elsewhere
	Elsewhere               // not our domain: relay, if the client may
	Unknown                 // our domain, no such address
	Looping                 // an alias that leads nowhere
	TooMany                 // an alias that leads to more addresses than one may
	Reflector               // it is answered, and kept nowhere
	Refused                 // a rule refuses it: directory.Refused
)

// Ask tells where a forward-path leads, and its ends when they are here.
func Ask(v *directory.View, a addr.Address) (Answer, []directory.Target) {
	if v.Reflects(a) {
		return Reflector, nil
	}
	targets, err := v.Resolve(a)
	return answer(err), targets
}

// AskOut tells what a rule of transports says of a recipient elsewhere: Elsewhere, or
// where it leads when its mail stays here, or Refused.
func AskOut(v *directory.View, e *mail.Envelope, a addr.Address) (Answer, []directory.Target, error) {
	out, err := v.Outward(e.ReversePath, mailbox.AccountID(e.Client.Account), directory.Target{Remote: v.Renamed(a)})
	if err == nil && len(out) == 1 && out[0].Account == 0 {
		return Elsewhere, nil, nil
	}
	return answer(err), out, err
}

func answer(err error) Answer {
	switch {
	case err == nil:
		return Here
	case errors.Is(err, directory.ErrNotLocal):
		return Elsewhere
	case errors.Is(err, directory.ErrLoop):
		return Looping
	case errors.Is(err, directory.ErrTooMany):
		return TooMany
	}
	if _, ok := errors.AsType[*directory.Refused](err); ok {
		return Refused
	}
	return Unknown
}

// File gives the effects of a message for all recipients whose verdict is not a
// refusal, in the order of the recipients. An account that several recipients
// lead to gets the message once.
func File(v *directory.View, e *mail.Envelope, verdicts []mail.Verdict) []mail.Effect {
	var out []mail.Effect
	taken := places{list: make([]place, 0, 4)}
	for i, r := range e.Recipients {
		vd := verdicts[i]
		switch vd.Action {
		case mail.Defer, mail.Reject:
			continue
		case mail.Discard:
			out = append(out, mail.Effect{Kind: mail.Drop, Recipient: i})
			continue
		case mail.Quarantine:
			// Where the recipient leads is asked when the message is released.
			if taken.add(place{kind: mail.Hold, to: r.Address.Fold()}) {
				out = append(out, mail.Effect{Kind: mail.Hold, Recipient: i, To: r.Address, Original: r.Original, Notify: r.Notify})
			}
			continue
		}
		for _, ef := range One(v, e, r, vd) {
			ef.Recipient = i
			if taken.add(place{ef.Kind, ef.Account, ef.To.Fold(), ef.Transport}) {
				out = append(out, ef)
			}
		}
	}
	return out
}

// One files for one recipient who takes the message. What an address leads to twice is
// there twice, and Recipient is zero.
func One(v *directory.View, e *mail.Envelope, r mail.Recipient, vd mail.Verdict) []mail.Effect {
	targets, err := v.Resolve(r.Address)
	relayed := true
	if errors.Is(err, directory.ErrNotLocal) {
		targets, relayed = []directory.Target{{Remote: v.Renamed(r.Address)}}, false
	}
	out := make([]mail.Effect, 0, len(targets))
	for _, t := range targets {
		for _, t := range leaving(v, e, t) {
			out = append(out, effect(r, vd, t, relayed))
		}
	}
	return out
}

// leaving gives a target that leaves the way that a rule says, which may lead back here.
func leaving(v *directory.View, e *mail.Envelope, t directory.Target) []directory.Target {
	if t.Account != 0 || t.Drop || t.Transport != "" {
		return []directory.Target{t}
	}
	from := e.ReversePath
	if t.From != nil {
		from = *t.From
	}
	out, err := v.Outward(from, mailbox.AccountID(e.Client.Account), t)
	if err != nil { // at RCPT it was refused, unless it is a member among others
		return nil
	}
	return out
}

// effect is what comes of a target.
func effect(r mail.Recipient, vd mail.Verdict, t directory.Target, relayed bool) mail.Effect {
	switch {
	case t.Drop:
		return mail.Effect{Kind: mail.Drop, Via: t.Via}
	case t.Account != 0:
		ef := mail.Effect{Kind: mail.Append, Account: int64(t.Account), Via: t.Via}
		ef.Junk = vd.Action == mail.Junk
		if vd.Label != "" {
			ef.Keywords = []string{vd.Label}
		}
		return ef
	}
	ef := mail.Effect{
		Kind: mail.Enqueue, To: t.Remote, Original: r.Original, Notify: r.Notify, Relayed: relayed, Via: t.Via,
		From: t.From, Transport: t.Transport,
	}
	// RFC 3461 §5.2.7: what an alias sends on keeps the sender's wishes.
	if relayed && ef.Original == "" {
		ef.Original = "rfc822;" + r.Address.String()
	}
	return ef
}

// place is where an effect puts the message: it is put there once.
type place struct {
	kind      mail.EffectKind
	account   int64
	to        addr.Address // folded
	transport string
}

// places is a set: a list while there are few, as is the rule.
type places struct {
	list []place
	set  map[place]bool
}

// add reports whether p is new.
func (s *places) add(p place) bool {
	const few = 16
	if s.set == nil {
		if slices.Contains(s.list, p) {
			return false
		}
		if s.list = append(s.list, p); len(s.list) > few {
			s.set = make(map[place]bool, 4*few)
			for _, o := range s.list {
				s.set[o] = true
			}
		}
		return true
	}
	known := s.set[p]
	s.set[p] = true
	return !known
}
