package app

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"time"

	"posta/internal/addr"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/spam/learn"
	"posta/internal/spam/tally"
	"posta/internal/spam/tally/sqltally"
	"posta/internal/store"
	"posta/internal/train"
)

// What the learner may keep. What was seen seldom and long ago goes first.
const (
	keepShared   = 500_000 // features of the model that all share
	keepAccount  = 100_000 // and of one account's
	keepLabels   = 180 * 24 * time.Hour
	forgetsEvery = 6 * time.Hour
)

// openLearner opens what was learned: a file beside the metadata, with a writer of
// its own, or the tables of PostgreSQL.
func (s *State) openLearner(ctx context.Context, cfg *config.Config) error {
	o := sqltally.Options{Postgres: cfg.Store.PostgreSQL}
	if o.Postgres == "" {
		o.SQLite = filepath.Join(cfg.Data, learnFile)
	}
	st, err := sqltally.Open(ctx, o)
	if err != nil {
		return fmt.Errorf("what was learned of spam: %w", err)
	}
	s.tally, s.Learner = st, learn.New(st)
	return nil
}

// forget has what was learned kept within its bounds, now and then.
func (s *server) forget(ctx context.Context, now time.Time) error {
	if now.Sub(s.forgot) < forgetsEvery {
		return nil
	}
	err := s.state.forget(ctx, now)
	if err == nil {
		s.forgot = now
	}
	return err
}

// forget keeps what was learned within its bounds, and lets go of accounts that are
// gone.
func (s *State) forget(ctx context.Context, now time.Time) error {
	var all []tally.Model
	err := s.tally.Models(ctx, func(i tally.Info) bool {
		all = append(all, i.Model)
		return true
	})
	view := s.Directory.View()
	for _, m := range all {
		keep := keepShared
		if m != tally.Shared {
			keep = keepAccount
			id, bad := strconv.ParseInt(string(m), 10, 64)
			if bad == nil && view.Account(mailbox.AccountID(id)) == nil {
				err = errors.Join(err, s.tally.Reset(ctx, m))
				continue
			}
		}
		_, pruned := s.tally.Prune(ctx, m, keep)
		err = errors.Join(err, pruned)
	}
	return errors.Join(err, s.tally.DropLabels(ctx, now.Add(-keepLabels)))
}

// newTrainer learns of what people do with their mail.
func (s *server) newTrainer() *train.Trainer {
	return train.New(train.Config{
		Store: s.state.Store, Blobs: s.state.Blobs, Learner: s.state.Learner, Senders: senders{s}, Node: nodeName(), Now: s.opt.Now, Log: s.log,
	})
}

// senders has the intake, which is made after the trainer, correct standings.
type senders struct{ s *server }

// Correct implements train.Senders.
func (c senders) Correct(ctx context.Context, id mail.ID, was, is tally.Label) error {
	return c.s.in.Correct(ctx, id, was, is)
}

// released lets mail that was held and let go teach that it was wanted.
type released struct{ s *State }

// LearnGood implements command.Learner: for the account of the recipient, if it is
// one, and for everybody.
func (r released) LearnGood(ctx context.Context, _ command.Principal, recipient string, m store.Contents) error {
	raw, err := train.Received(m.Blob)
	if err != nil {
		return err
	}
	sample, err := learn.SampleOf(raw, false)
	if err != nil {
		return err
	}
	models := []tally.Model{tally.Shared}
	if to, err := addr.ParseAddress(recipient); err == nil {
		if ends, err := r.s.Directory.View().Resolve(to); err == nil && len(ends) == 1 && ends[0].Account != 0 {
			models = append(models, tally.Account(int64(ends[0].Account)))
		}
	}
	for _, model := range models {
		if _, _, err := r.s.Learner.Train(ctx, model, sample); err != nil {
			return err
		}
	}
	return nil
}
