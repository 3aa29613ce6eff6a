package app

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"time"

	"posta/internal/addr"
	"posta/internal/config"
	"posta/internal/dsn"
	"posta/internal/filing"
	"posta/internal/intake"
	"posta/internal/program"
	"posta/internal/queue"
	"posta/internal/relay"
	"posta/internal/route"
	"posta/internal/store"
)

// newQueue joins the queue with what it needs: routes, the relay, keys, and
// intake for the notices that it writes.
func (s *server) newQueue() *queue.Queue {
	s.relay = relay.New(relay.Config{
		Hostname: s.cfg.Hostname, Dial: relay.Dialer(s.opt.Dial), TLS: s.tlsConfig(), Policy: s.published, Sessions: s.session,
		PerHost: s.cfg.Queue.PerHost, Down: time.Duration(s.cfg.Queue.HostDown),
	})
	return queue.New(queue.Config{
		Store: s.state.Store, Blobs: s.state.Blobs, Router: s.router, Relay: s.relay, Programs: program.New(s.cfg.Runnable()), Depositor: notices{s},
		Keys:    func(domain string) []store.DKIMKey { return s.state.Directory.View().Keys(domain) },
		Observe: s.observe,
		Node:    nodeName(), Hostname: s.cfg.Hostname, LanguageOf: s.noticeLanguage,
		Total: s.cfg.Queue.Total, PerDomain: s.cfg.Queue.PerDomain,
		Retry: durations(s.cfg.Queue.Retry), Delay: time.Duration(s.cfg.Queue.DelayWarning), Now: s.opt.Now, Log: s.log,
	})
}

// noticeLanguage is which language comes first in a notice: that of the sender's account
// or domain here, else ours.
func (s *server) noticeLanguage(to addr.Path) dsn.Language {
	lang := s.state.Directory.View().Language(addr.Address{Local: to.Local, Domain: to.Domain})
	if cmp.Or(lang, s.cfg.Language) == "es" {
		return dsn.Spanish
	}
	return dsn.English
}

// smartHost is the next hop of all that leaves; nil if mail goes by MX.
func smartHost(q *config.Queue) (*route.Next, error) {
	if q.SmartHost == "" {
		return nil, nil
	}
	next, err := route.ParseNext(q.SmartHost)
	if err != nil {
		return nil, fmt.Errorf("queue.smart_host: %w", err)
	}
	if q.SmartHostTLS != "" || q.Login != "" { // otherwise the relay's own policy holds
		var ok bool
		if next.TLS, ok = route.ParseTLS(q.SmartHostLevel()); !ok {
			return nil, fmt.Errorf("queue.smart_host_tls: %q is no level", q.SmartHostLevel())
		}
	}
	next.Implicit = next.Implicit || q.SmartHostImplicit
	if next.Roots, err = q.Authorities(); err != nil {
		return nil, fmt.Errorf("queue.smart_host_ca: %w", err)
	}
	if q.Login == "" {
		return next, nil
	}
	password, err := q.Password()
	if err != nil {
		return nil, fmt.Errorf("queue.password_file: %w", err)
	}
	next.Login = &route.Login{User: q.Login, Password: password}
	return next, nil
}

// durations are those of the configuration in Go's own type.
func durations(in []config.Duration) []time.Duration {
	out := make([]time.Duration, len(in))
	for i, d := range in {
		out[i] = time.Duration(d)
	}
	return out
}

// nodeName tells this process from others that lease work in the same store.
func nodeName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "node"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// notices files what the queue has to tell senders.
type notices struct{ s *server }

// Deposit implements queue.Depositor.
func (n notices) Deposit(ctx context.Context, d queue.Deposit) error {
	d.To = n.s.in.StandsFor(d.To)
	switch where, _ := filing.Ask(n.s.state.Directory.View(), d.To); where {
	case filing.Unknown, filing.Looping, filing.TooMany, filing.Reflector:
		return queue.ErrUndeliverable
	}
	return n.s.in.Deposit(ctx, intake.Deposit{ID: d.ID, To: d.To, Message: d.Message, UTF8: d.UTF8, Finish: d.Finish})
}
