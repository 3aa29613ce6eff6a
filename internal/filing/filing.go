// Package filing says where a message goes: a pure function of the envelope, the
// verdicts and a view of the directory to effects for each recipient (DESIGN
// §2.4). It looks nothing up, writes nothing and knows no clock, so that `posta
// explain` and a dry run walk exactly the way that mail goes.
//
// Order: local domains → full addresses → aliases and accounts → catch-all →
// mailbox. The directory's view holds that order.
package filing

import (
	"errors"
	"slices"

	"posta/internal/addr"
	"posta/internal/directory"
	"posta/internal/mail"
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
)

// Ask tells where a forward-path leads, and its ends when they are here.
func Ask(v *directory.View, a addr.Address) (Answer, []directory.Target) {
	if v.Reflects(a) {
		return Reflector, nil
	}
	targets, err := v.Resolve(a)
	return answer(err), targets
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
			if taken.add(place{mail.Hold, 0, r.Address.Fold()}) {
				out = append(out, mail.Effect{Kind: mail.Hold, Recipient: i, To: r.Address, Original: r.Original, Notify: r.Notify})
			}
			continue
		}
		for _, ef := range one(v, r, vd) {
			ef.Recipient = i
			if taken.add(place{ef.Kind, ef.Account, ef.To.Fold()}) {
				out = append(out, ef)
			}
		}
	}
	return out
}

// one files for one recipient.
func one(v *directory.View, r mail.Recipient, vd mail.Verdict) []mail.Effect {
	targets, err := v.Resolve(r.Address)
	if errors.Is(err, directory.ErrNotLocal) {
		return []mail.Effect{{Kind: mail.Enqueue, To: r.Address, Original: r.Original, Notify: r.Notify}}
	}
	out := make([]mail.Effect, 0, len(targets))
	for _, t := range targets {
		if t.Account != 0 {
			ef := mail.Effect{Kind: mail.Append, Account: int64(t.Account), Via: t.Via}
			ef.Junk = vd.Action == mail.Junk
			if vd.Label != "" {
				ef.Keywords = []string{vd.Label}
			}
			out = append(out, ef)
			continue
		}
		// RFC 3461 §5.2.7: what an alias sends on keeps the sender's wishes.
		original := r.Original
		if original == "" {
			original = "rfc822;" + r.Address.String()
		}
		out = append(out, mail.Effect{Kind: mail.Enqueue, To: t.Remote, Original: original, Notify: r.Notify, Relayed: true, Via: t.Via})
	}
	return out
}

// place is where an effect puts the message: it is put there once.
type place struct {
	kind    mail.EffectKind
	account int64
	to      addr.Address // folded
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
