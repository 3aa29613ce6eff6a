// Package rotate replaces DKIM keys without breaking mail (M3AAWG's practice, RFC 6376
// §3.6, §6.1.2).
//
// # Life of a rotation
//
// It stands in the store as a command.Rotation, one for each domain, and goes through
// command.Stage one transaction at a time, in which the keys change too:
//
//   - publish: the new keys are made and do not sign. The Publisher, if there is one,
//     publishes their records; otherwise a person does. It ends when every server that
//     has the zone shows exactly them.
//   - settle: as long as a server let its answers about the new names be remembered, an
//     hour at least. Then the servers are looked at once more; if one has lost the
//     records, it is publish again. Nothing signs with a key that the world may not find.
//   - overlap: the new keys sign, the old ones do not. Their records stay for seven days,
//     or for the queue's lifetime and two days if that is more: mail that was signed with
//     them is under way, in our queue, in that of others, behind a greylist.
//   - revoke: the old private keys are destroyed and their records get an empty p=. It
//     ends when every server shows that, or nothing at the old names.
//   - rest: seven days, in which whoever finds an old signature reads that the key is
//     revoked, and not that there never was one.
//   - remove: the old keys are gone here. It ends when no server shows their records.
//
// One job, whatever the number of nodes, looks at all of them. A look that finds nothing
// new changes nothing; each step may be repeated, so a crash anywhere costs a look.
//
// Keys older than Config.Every are replaced without being told to, for domains that the
// Publisher keeps: elsewhere a rotation would wait for a person who did not ask for it.
package rotate

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"posta/internal/command"
	"posta/internal/durable"
	"posta/internal/jobs"
	"posta/internal/store"
)

// Sight is what one server of a zone says of one name.
type Sight struct {
	Server  string        // for people: "ns1.example.net (192.0.2.53)"
	Records []string      // TXT, the character-strings of each joined; none: there is no such record
	TTL     time.Duration // how long the answer, or that there is none, may be remembered
	Err     error         // it did not answer; nothing else is set
}

// Servers asks every server that has a zone.
type Servers interface {
	// Text gives, for each name, what every authoritative server says of its TXT records;
	// no Sight where no server was found. It blocks until all have answered or were given
	// up. An error means that nothing could be asked.
	Text(ctx context.Context, names []string) (map[string][]Sight, error)
}

// Publisher writes the records of domains where their zones are kept.
type Publisher interface {
	// Keeps tells whether it can write a domain's DKIM records.
	Keeps(domain string) bool
	// Publish makes the DKIM records of a domain those that dkim.ls shows, and removes
	// those that it wrote earlier and that are not there any more. It may be repeated.
	Publish(ctx context.Context, domain string) error
}

// Config of a Rotator. The first three fields are required.
type Config struct {
	House   *command.House
	Jobs    jobs.Adder
	Servers Servers

	Publisher Publisher           // nil: records are published by hand
	Node      string              // name of this node, for the lease
	Lifetime  time.Duration       // of mail in our queue
	Every     time.Duration       // age at which keys are replaced by themselves; 0 is never
	Now       func() time.Time    // nil means time.Now
	Log       *slog.Logger        // nil discards
	Fail      *durable.Failpoints // rotate.look, before a step is committed; rotate.moved, after
}

// Rotator moves rotations on. Run is called once; Continue from any goroutine.
type Rotator struct{ cfg Config }

// New makes a Rotator.
func New(cfg Config) *Rotator {
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	return &Rotator{cfg}
}

const (
	// job is the kind and the key of the one job.
	job = "dkim.rotate"

	lookWait = 10 * time.Minute // between looks at DNS
	lookMost = time.Minute      // one look
	lease    = 15 * time.Minute

	publishMost = 4 * time.Minute // providers limit how often they are asked

	minSettle  = time.Hour
	maxSettle  = 48 * time.Hour
	minOverlap = 7 * 24 * time.Hour
	beyond     = 2 * 24 * time.Hour // the queue's lifetime
	restFor    = 7 * 24 * time.Hour
)

// itself is who changes what goes on without a person.
var itself = command.Principal{Name: "system", Role: store.Owner}

// Overlap is how long old records stay after the new keys sign.
func (r *Rotator) Overlap() time.Duration { return max(minOverlap, r.cfg.Lifetime+beyond) }

// Run works until ctx ends. It returns nil.
func (r *Rotator) Run(ctx context.Context) error {
	w := jobs.Regular{
		Store: r.cfg.Jobs, Node: r.cfg.Node, Key: job, Every: lookWait, Lease: lease, Now: r.cfg.Now, Log: r.cfg.Log, Do: r.Work,
	}
	return w.Run(ctx)
}

// Work moves every rotation on as far as it can, and begins those that are due. It may
// be repeated.
func (r *Rotator) Work(ctx context.Context) error {
	v, err := r.cfg.House.Store.LoadDirectory(ctx)
	if err != nil {
		return err
	}
	var errs []error
	for _, d := range v.Domains {
		if ctx.Err() != nil {
			break
		}
		_, under, err := command.RotationOf(v.Settings, d.Name)
		switch {
		case err != nil:
		case under:
			_, err = r.Continue(ctx, d.Name, false)
		case r.due(v, d):
			if _, err = r.cfg.House.StartRotation(ctx, itself, d.Name); err == nil {
				r.cfg.Log.InfoContext(ctx, "DKIM keys are old and are replaced", "domain", d.Name)
			}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// due reports whether a domain's keys are to be replaced by themselves.
func (r *Rotator) due(v *store.DirectoryView, d store.Domain) bool {
	if r.cfg.Every <= 0 || r.cfg.Publisher == nil || !r.cfg.Publisher.Keeps(d.Name) {
		return false
	}
	return slices.ContainsFunc(v.Keys, func(k store.DKIMKey) bool {
		return k.Domain == d.ID && k.Active && r.cfg.Now().Sub(k.Created) >= r.cfg.Every
	})
}

// Continue implements command.Rotator.
func (r *Rotator) Continue(ctx context.Context, domain string, hurry bool) (command.Rotation, error) {
	found := false
	for {
		v, err := r.cfg.House.Store.LoadDirectory(ctx)
		if err != nil {
			return command.Rotation{}, err
		}
		at, ok, err := command.RotationOf(v.Settings, domain)
		switch {
		case err != nil:
			return at, err
		case !ok && !found:
			return at, command.ErrNoRotation
		case !ok:
			return command.Rotation{Domain: domain}, nil
		}
		found = true
		moved, err := r.step(ctx, v, at, hurry)
		if err != nil || !moved {
			now, _, e := r.current(ctx, domain)
			return now, errors.Join(err, e)
		}
	}
}

func (r *Rotator) current(ctx context.Context, domain string) (command.Rotation, bool, error) {
	v, err := r.cfg.House.Store.LoadDirectory(ctx)
	if err != nil {
		return command.Rotation{}, false, err
	}
	return command.RotationOf(v.Settings, domain)
}

// step does what the stage wants; moved is whether the stage is over.
func (r *Rotator) step(ctx context.Context, v *store.DirectoryView, at command.Rotation, hurry bool) (moved bool, err error) {
	wait := !hurry && r.cfg.Now().Before(at.Until)
	switch at.Stage {
	case command.StagePublish:
		return r.await(ctx, v, at, at.New, command.StageSettle, func(n *command.Rotation) {
			n.Until = n.Since.Add(min(max(minSettle, time.Duration(n.TTL)*time.Second), maxSettle))
		})
	case command.StageSettle:
		if wait {
			return false, nil
		}
		moved, err := r.await(ctx, v, at, at.New, command.StageOverlap, func(n *command.Rotation) { n.Until = n.Since.Add(r.Overlap()) })
		if moved || err != nil {
			return moved, err
		}
		// A server has lost the records: all is waited for anew. Not as moved, or a hurry
		// would go round and round.
		_, err = r.commit(ctx, at, r.next(at, command.StagePublish))
		return false, err
	case command.StageOverlap:
		if wait {
			return false, nil
		}
		return r.commit(ctx, at, r.next(at, command.StageRevoke))
	case command.StageRevoke:
		return r.await(ctx, v, at, at.Old, command.StageRest, func(n *command.Rotation) { n.Until = n.Since.Add(restFor) })
	case command.StageRest:
		if wait {
			return false, nil
		}
		return r.commit(ctx, at, r.next(at, command.StageRemove))
	default: // StageRemove
		return r.await(ctx, v, at, at.Old, "", nil)
	}
}

// next is a rotation in its next stage, not looked at yet.
func (r *Rotator) next(at command.Rotation, to command.Stage) command.Rotation {
	at.Stage, at.Since, at.Until, at.Looked, at.Lacks = to, r.cfg.Now().UTC(), time.Time{}, false, nil
	return at
}

// commit makes a step durable, and with it the keys of its stage.
func (r *Rotator) commit(ctx context.Context, at, next command.Rotation) (bool, error) {
	if err := r.cfg.Fail.Hit("rotate.look"); err != nil {
		return false, err
	}
	var moved bool
	var err error
	if next.Stage == "" {
		moved, err = true, r.cfg.House.EndRotation(ctx, itself, at)
	} else {
		moved, err = r.cfg.House.MoveRotation(ctx, itself, at, next)
	}
	if err != nil {
		return false, err
	}
	r.cfg.Log.InfoContext(ctx, "DKIM rotation", "domain", at.Domain, "was", string(at.Stage), "is", cmp.Or(string(next.Stage), "done"))
	return moved, r.cfg.Fail.Hit("rotate.moved")
}

// publish has the Publisher write a domain's records, if it keeps them.
func (r *Rotator) publish(ctx context.Context, domain string) error {
	p := r.cfg.Publisher
	if p == nil || !p.Keeps(domain) {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, publishMost)
	defer cancel()
	err := p.Publish(ctx, domain)
	if err != nil {
		r.cfg.Log.WarnContext(ctx, "DKIM records not published", "domain", domain, "err", err)
	}
	return err
}

// await publishes the records of some selectors and looks whether all servers show them;
// if so the rotation goes to its next stage, "" being its end. Otherwise it remembers
// what is lacking, if that is new.
func (r *Rotator) await(ctx context.Context, v *store.DirectoryView, at command.Rotation, selectors []string, to command.Stage, then func(*command.Rotation)) (bool, error) {
	wanted, err := command.KeyRecords(v, at.Domain, selectors)
	if err != nil {
		return false, err
	}
	refused := r.publish(ctx, at.Domain) // whatever it says, DNS decides: a person may have published them
	ctx, cancel := context.WithTimeout(ctx, lookMost)
	defer cancel()
	seen, err := r.cfg.Servers.Text(ctx, sorted(wanted))
	if err != nil {
		return false, errors.Join(refused, err)
	}
	lacks, ttl := compare(wanted, seen)
	next := at
	if len(lacks) == 0 {
		next = r.next(at, to)
	} else if refused != nil {
		lacks = append([]command.Lack{{Name: at.Domain, What: "provider"}}, lacks...)
	}
	next.TTL = max(at.TTL, int64(ttl/time.Second))
	if len(lacks) == 0 {
		if then != nil {
			then(&next)
		}
		return r.commit(ctx, at, next)
	}
	next.Looked, next.Lacks = true, lacks[:min(len(lacks), command.MaxLacks)]
	if at.Looked && slices.Equal(next.Lacks, at.Lacks) && next.TTL == at.TTL {
		return false, nil // nothing to write down
	}
	_, err = r.cfg.House.MoveRotation(ctx, itself, at, next)
	return false, err
}
