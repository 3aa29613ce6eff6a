package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"

	"posta/internal/dsn"
	"posta/internal/filing"
	"posta/internal/intake"
	"posta/internal/queue"
	"posta/internal/relay"
	"posta/internal/route"
	"posta/internal/store"
)

// newQueue joins the queue with what it needs: routes, the relay, keys, and
// intake for the notices that it writes.
func (s *server) newQueue() (*queue.Queue, error) {
	rc := route.Config{
		Own: []string{strings.ToLower(s.cfg.Hostname)}, OwnAddrs: s.ownIPs(),
		// With a dialer of one's own, where addresses lead is the dialer's matter.
		Loopback: s.opt.Dial != nil,
	}
	if sh := s.cfg.Queue.SmartHost; sh != "" {
		next, err := route.ParseNext(sh)
		if err != nil {
			return nil, fmt.Errorf("queue.smart_host: %w", err)
		}
		if next.Login, err = s.smartHostLogin(); err != nil {
			return nil, err
		}
		rc.Default = next
	}
	router := route.New(rc, s.dns)
	s.relay = relay.New(relay.Config{
		Hostname: s.cfg.Hostname, Dial: relay.Dialer(s.opt.Dial), TLS: &tls.Config{RootCAs: s.opt.Roots, MinVersion: tls.VersionTLS12},
	})
	lang := dsn.English
	if s.cfg.Language == "es" {
		lang = dsn.Spanish
	}
	return queue.New(queue.Config{
		Store: s.state.Store, Blobs: s.state.Blobs, Router: router, Relay: s.relay, Depositor: notices{s},
		Keys: func(domain string) []store.DKIMKey { return s.state.Directory.View().Keys(domain) },
		Node: nodeName(), Hostname: s.cfg.Hostname, Language: lang,
		Total: s.cfg.Queue.Total, PerDomain: s.cfg.Queue.PerDomain, Now: s.opt.Now, Log: s.log,
	}), nil
}

// smartHostLogin reads what the smart host wants to know; nil if nothing.
func (s *server) smartHostLogin() (*route.Login, error) {
	q := s.cfg.Queue
	if q.Login == "" {
		return nil, nil
	}
	pw, err := os.ReadFile(q.PasswordFile)
	if err != nil {
		return nil, fmt.Errorf("queue.password_file: %w", err)
	}
	return &route.Login{User: q.Login, Password: strings.TrimRight(string(pw), "\r\n")}, nil
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
	switch where, _ := filing.Ask(n.s.state.Directory.View(), d.To); where {
	case filing.Unknown, filing.Looping:
		return queue.ErrUndeliverable
	}
	return n.s.in.Deposit(ctx, intake.Deposit{ID: d.ID, To: d.To, Message: d.Message, UTF8: d.UTF8, Finish: d.Finish})
}
