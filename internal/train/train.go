// Package train lets the spam filter learn of what people do with their mail.
//
// Some of it is their word on a message: one that somebody moves into Junk was spam,
// one that he moves out of it, save to the Trash, was wanted, and so for what a client
// stores there and for the keywords $Junk and $NotJunk. The last word holds, and it
// corrects what is remembered of the message's sender ([Senders]).
//
// Some of it shows that a message was wanted, of those that others sent and this
// server received: it is answered (\Answered, or mail that its reader submits names it
// in In-Reply-To or References), flagged, or filed by hand into a folder. Such a sign
// counts where nobody has said a word on the message, and never against one. That mail
// was read, or left unread, says nothing. What Posta itself files teaches nothing.
//
// Watch stands between a door of reading and the store, and notes a job after the
// commit; Run does the jobs, on whichever node claims them, so that nobody at a
// client waits for it. A message counts once in the model of the account and once in
// the shared one, whatever is done with it how often.
//
// What was learned is not mail: a job that fails again and again is given up.
package train

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"time"

	"posta/internal/blob"
	"posta/internal/jobs"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/spam/learn"
	"posta/internal/spam/tally"
	"posta/internal/store"
)

// Kind is the kind of the jobs.
const Kind = "train"

// Store is what training asks of the state.
type Store interface {
	store.Mailboxes
	store.Jobs
	Subscribe(account mailbox.AccountID) (wake <-chan struct{}, cancel func())
}

// Senders corrects what is remembered of a message's sender.
type Senders interface {
	// Correct tells that the word on a message, by the id of its accept, is now another
	// than it was: None is that nobody had said one. What is not remembered, or not any
	// more, is passed over.
	Correct(ctx context.Context, id mail.ID, was, is tally.Label) error
}

// Config of a Trainer; Store, Blobs, Learner and Node are required.
type Config struct {
	Store   Store
	Blobs   Blobs
	Learner *learn.Learner
	Senders Senders          // nil: nothing is corrected
	Node    string           // name of this node, for leases
	Now     func() time.Time // nil means time.Now
	Log     *slog.Logger     // nil discards
}

// Blobs opens the bytes of messages.
type Blobs interface {
	Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error)
}

// Trainer notes lessons and learns them. Run is called once.
type Trainer struct {
	cfg    Config
	worker jobs.Worker
}

// New makes a Trainer; Run starts it.
func New(cfg Config) *Trainer {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	t := &Trainer{cfg: cfg}
	t.worker = jobs.Worker{Store: cfg.Store, Node: cfg.Node, Kinds: []string{Kind}, Lease: lease, Poll: poll, Now: cfg.Now, Log: cfg.Log, Do: t.do}
	return t
}

const (
	lease    = time.Minute
	poll     = 30 * time.Second // looks for work without being woken
	together = 20               // messages between two steps
	maxTries = 10
)

// Run works until ctx ends. It returns nil.
func (t *Trainer) Run(ctx context.Context) error {
	wake, unsubscribe := t.cfg.Store.Subscribe(0)
	defer unsubscribe()
	return t.worker.Run(ctx, wake)
}

// do works on a job, and gives it back where it cannot go on now.
func (t *Trainer) do(ctx context.Context, j *store.Job) {
	err := t.learn(ctx, j)
	if errors.Is(err, store.ErrFenced) {
		return // somebody else has it
	}
	var again time.Time
	last := ""
	switch {
	case err != nil && ctx.Err() != nil:
		again = t.cfg.Now() // the next start goes on
	case err != nil && j.Tries < maxTries:
		again, last = t.cfg.Now().Add(time.Second<<min(j.Tries, 9)), err.Error()
	}
	if err != nil && ctx.Err() == nil {
		t.cfg.Log.WarnContext(ctx, "not learned", "job", j.Key, "tries", j.Tries, "given up", again.IsZero(), "err", err)
	}
	t.worker.End(ctx, j, again, last)
}

// learn does what is left of a job, some messages at a time.
func (t *Trainer) learn(ctx context.Context, j *store.Job) error {
	var l lesson
	if err := json.Unmarshal(j.Data, &l); err != nil {
		return fmt.Errorf("train: job %q: %w", j.Key, err)
	}
	if l.Answer != nil {
		return t.answered(ctx, &l)
	}
	done, err := strconv.Atoi(cmp.Or(string(j.Cursor), "0"))
	if err != nil || done < 0 || done > len(l.UIDs) {
		return fmt.Errorf("train: job %q: %q of %d messages are done", j.Key, j.Cursor, len(l.UIDs))
	}
	for uids := range slices.Chunk(l.UIDs[done:], together) {
		for _, uid := range uids {
			if err := t.message(ctx, &l, uid); err != nil {
				return err
			}
		}
		done += len(uids)
		if err := t.cfg.Store.StepJob(ctx, j.ID, j.Fence, strconv.AppendInt(nil, int64(done), 10), lease); err != nil {
			return err
		}
	}
	return nil
}

// message learns one message, for its account and for everybody. One that is not
// there any more, or whose bytes are gone, is passed over: where it went there may be
// another lesson.
func (t *Trainer) message(ctx context.Context, l *lesson, uid mailbox.UID) error {
	raw, from, err := t.read(ctx, l, uid)
	if errors.Is(err, store.ErrNotFound) || errors.Is(err, blob.ErrNotFound) || errors.Is(err, blob.ErrCorrupt) {
		return nil
	}
	if err != nil || l.Sign && !from.others {
		return err
	}
	s, err := learn.SampleOf(raw, l.Spam)
	if err != nil {
		return err
	}
	s.Weak = l.Sign
	if _, _, err := t.cfg.Learner.Train(ctx, tally.Account(int64(l.Account)), s); err != nil {
		return err
	}
	was, counted, err := t.cfg.Learner.Train(ctx, tally.Shared, s)
	if err != nil || !counted || l.Sign || t.cfg.Senders == nil || from.id.IsZero() {
		return err
	}
	// One word of several recipients' corrects: the one that the shared model heard.
	is := tally.Ham
	if l.Spam {
		is = tally.Spam
	}
	if err := t.cfg.Senders.Correct(ctx, from.id, was, is); err != nil {
		t.cfg.Log.WarnContext(ctx, "the standing of a sender not corrected", "id", from.id.String(), "err", err)
	}
	return nil
}

// read gives the beginning of a message as it was received, without what Posta put
// above it, and what that says of where it came from. A blob that has moved meanwhile
// is looked for once more.
func (t *Trainer) read(ctx context.Context, l *lesson, uid mailbox.UID) ([]byte, origin, error) {
	for again := true; ; again = false {
		found, err := t.cfg.Store.Fetch(ctx, l.Account, l.Mailbox, store.FetchQuery{UIDs: []mailbox.UID{uid}, Want: store.WantBytes})
		if err != nil {
			return nil, origin{}, err
		}
		if len(found) == 0 {
			return nil, origin{}, store.ErrNotFound
		}
		b := &found[0].Blob
		r, err := t.cfg.Blobs.Open(ctx, b.ID, b.At)
		if errors.Is(err, blob.ErrNotFound) && again {
			continue
		}
		if err != nil {
			return nil, origin{}, err
		}
		raw, err := Received(r)
		return raw, originOf(found[0].Prefix), errors.Join(err, r.Close())
	}
}

// Received reads what can be learned of a message: the bytes that came, without what
// Posta put above them, up to learn.MaxSample.
func Received(r blob.Reader) ([]byte, error) {
	b := make([]byte, min(r.Size(), learn.MaxSample))
	m, err := r.ReadAt(b, 0)
	if m == len(b) {
		err = nil
	}
	return b[:m], err
}
