package app

import (
	"context"

	"posta/internal/addr"
	"posta/internal/answer"
	"posta/internal/command"
	"posta/internal/intake"
	"posta/internal/scripts"
	"posta/internal/sieve"
	"posta/internal/srs"
	"posta/internal/store"
)

// sieveOptions are how scripts are compiled here: no programs are run for them.
func sieveOptions() sieve.Options {
	return sieve.Options{Without: []string{"vnd.posta.filter"}}
}

// joinScripts makes what the intake asks about scripts and forwarding.
func (s *server) joinScripts(ctx context.Context) error {
	s.scripts = scripts.New(s.state.Store, s.state.Directory, sieveOptions())
	key, err := s.house.SRSKey(ctx, command.Principal{Name: "system", Role: store.Owner})
	s.forwards = &srs.Rewriter{Key: key}
	return err
}

// newAnswerer sends what scripts wrote.
func (s *server) newAnswerer() (*answer.Answerer, func()) {
	wake, unsubscribe := s.state.Store.Subscribe(0)
	return answer.New(answer.Config{
		Store: s.state.Store, Node: nodeName(), Wake: wake, Now: s.opt.Now, Log: s.log,
		Deposit: func(ctx context.Context, a *store.AnswerJob, to addr.Address) error {
			d := intake.Deposit{ID: a.ID, To: to, Message: a.Message, UTF8: a.UTF8}
			if c := a.Copy; c != nil && s.state.Directory.View().Account(a.Account) != nil {
				d.Copy = &store.Delivery{Account: a.Account, Target: store.Target{Name: c.Mailbox}, Flags: c.Flags, Keywords: c.Keywords}
			}
			return s.in.Deposit(ctx, d)
		},
	}), unsubscribe
}
