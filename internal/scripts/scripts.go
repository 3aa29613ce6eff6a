// Package scripts gives the Sieve scripts that run for an account, compiled: those of the
// house and of its domain before, its own, those of its domain and of the house after.
//
// What was compiled is kept until the directory tells that the owner's scripts changed,
// so a message costs look-ups in memory alone; of an account without scripts not even
// that. A script that does not compile (it was put there by an older version) is as if
// it were not there, and the plan says so.
package scripts

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"posta/internal/directory"
	"posta/internal/mailbox"
	"posta/internal/sieve"
	"posta/internal/store"
)

// Named is a compiled script with what it is called in traces and complaints.
type Named struct {
	Name   string // "before", "cartas"
	Owner  store.ScriptOwner
	Script *sieve.Script
}

// Plan is what runs for an account, in order. It does not change.
type Plan struct {
	Before []Named
	Own    *Named
	After  []Named
	// Include finds a script for RFC 6609: "personal" the account's, "global" its
	// domain's, else the house's. A nil script is one that is not there.
	Include func(location, name string) (*sieve.Script, error)
}

// All lists the scripts in the order in which they run.
func (p *Plan) All() []Named {
	out := slices.Clone(p.Before)
	if p.Own != nil {
		out = append(out, *p.Own)
	}
	return append(out, p.After...)
}

// Cache keeps compiled scripts. It is safe for concurrent use.
type Cache struct {
	store   store.Scripts
	dir     *directory.Directory
	options sieve.Options

	mu   sync.Mutex
	kept map[key]entry
}

// key is one script.
type key struct {
	owner store.ScriptOwner
	name  string
}

// entry is what became of it; script is nil if it is not there or does not compile.
type entry struct {
	changed int64 // of its owner's scripts when it was read
	script  *sieve.Script
	err     error // of compiling
}

// maxKept bounds the scripts that are kept compiled.
const maxKept = 20_000

// New makes a cache over the store's scripts.
func New(st store.Scripts, dir *directory.Directory, opt sieve.Options) *Cache {
	return &Cache{store: st, dir: dir, options: opt, kept: map[key]entry{}}
}

// Options are those with which scripts are compiled here.
func (c *Cache) Options() sieve.Options { return c.options }

// Of gives what runs for an account; nil if nothing does. It asks the store only for
// what changed. The error is the store's.
func (c *Cache) Of(ctx context.Context, id mailbox.AccountID) (*Plan, error) {
	v := c.dir.View()
	acc := v.Account(id)
	if acc == nil || !v.Scripted() {
		return nil, nil
	}
	p := &Plan{}
	house, domain, own := store.ScriptOwner(0), store.ScriptsOfDomain(acc.Domain), store.ScriptsOf(id)
	var err error
	add := func(o store.ScriptOwner, name string, there bool) (out []Named) {
		if !there || err != nil {
			return nil
		}
		var s *sieve.Script
		if s, err = c.script(ctx, v, o, name); s != nil {
			out = []Named{{name, o, s}}
		}
		return out
	}
	h, _ := v.Scripts(house)
	d, _ := v.Scripts(domain)
	o, _ := v.Scripts(own)
	p.Before = append(add(house, store.BeforeScript, h.Before), add(domain, store.BeforeScript, d.Before)...)
	if mine := add(own, o.Active, o.Active != ""); mine != nil {
		p.Own = &mine[0]
	}
	p.After = append(add(domain, store.AfterScript, d.After), add(house, store.AfterScript, h.After)...)
	if err != nil || len(p.Before) == 0 && p.Own == nil && len(p.After) == 0 {
		return nil, err
	}
	p.Include = func(location, name string) (*sieve.Script, error) {
		owners := []store.ScriptOwner{own}
		if location == "global" {
			owners = []store.ScriptOwner{domain, house}
		}
		for _, o := range owners {
			s, err := c.included(ctx, v, o, name)
			if s != nil || err != nil {
				return s, err
			}
		}
		return nil, nil
	}
	return p, nil
}

// included is a script for Include, whose faults are the script's that includes it.
func (c *Cache) included(ctx context.Context, v *directory.View, o store.ScriptOwner, name string) (*sieve.Script, error) {
	if _, any := v.Scripts(o); !any {
		return nil, nil
	}
	e, err := c.entry(ctx, v, o, name)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", sieve.ErrTryLater, err)
	}
	return e.script, e.err
}

// script is one of the plan's.
func (c *Cache) script(ctx context.Context, v *directory.View, o store.ScriptOwner, name string) (*sieve.Script, error) {
	e, err := c.entry(ctx, v, o, name)
	return e.script, err
}

func (c *Cache) entry(ctx context.Context, v *directory.View, o store.ScriptOwner, name string) (entry, error) {
	state, _ := v.Scripts(o)
	k := key{o, name}
	c.mu.Lock()
	e, ok := c.kept[k]
	c.mu.Unlock()
	if ok && e.changed == state.Changed {
		return e, nil
	}
	s, err := c.store.GetScript(ctx, o, name)
	e = entry{changed: state.Changed}
	switch {
	case errors.Is(err, store.ErrNotFound):
	case err != nil:
		return entry{}, err
	default:
		e.script, e.err = sieve.Compile(s.Text, c.options)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.kept) >= maxKept {
		clear(c.kept) // more scripts than that are read anew now and then
	}
	c.kept[k] = e
	return e, nil
}

// Validate compiles a script as it would be run here. The error is sieve.Errors.
func (c *Cache) Validate(text []byte) error {
	_, err := sieve.Compile(text, c.options)
	return err
}
