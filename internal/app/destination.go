package app

import (
	"posta/internal/destination"
	"posta/internal/relay"
	"posta/internal/route"
	"posta/internal/store"
)

// observe tells what remembers how other domains take our mail of an attempt's outcome.
func (s *server) observe(e *store.QueueEntry, o *relay.Outcome, state store.QueueState) {
	if state == store.Failed && e.ReversePath == "" && o.Status == relay.Permanent {
		s.reports.Refused(e.Address, o.Reply.String())
	}
	if route.IsTransport(e.Domain) { // no other domain took or refused it
		return
	}
	a := destination.Attempt{
		At: o.Ended, Domain: e.Domain, Host: o.Host, Remote: o.Remote, Outcome: destination.Deferred,
		Reply: o.Reply.String(), Ours: o.Ours, TLS: o.TLS,
	}
	switch state {
	case store.Done:
		a.Outcome = destination.Delivered
		s.noteSent(e, o)
	case store.Failed:
		a.Outcome = destination.Refused
	}
	if a.At.IsZero() {
		a.At = s.opt.Now()
	}
	s.destinations.Note(a)
}
