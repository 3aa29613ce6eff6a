package quarantine

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"slices"
	"time"

	"posta/internal/addr"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/store"
	"posta/internal/words"
)

// heldPage is how much held mail is read at a time.
const heldPage = 500

// TellNow writes the digests of all that nobody was told of, however short it has
// waited, and counts the messages that they tell of.
func (k *Keeper) TellNow(ctx context.Context) (int, error) { return k.tell(ctx, k.cfg.Now(), 0) }

// tell writes the digests of what has waited so long and was not told of.
func (k *Keeper) tell(ctx context.Context, now time.Time, atLeast time.Duration) (n int, err error) {
	f := store.HeldFilter{Untold: true}
	if atLeast > 0 {
		f.Before = now.Add(-atLeast)
	}
	waits, err := k.list(ctx, f, maxTold)
	if err != nil {
		return 0, err
	}
	var errs []error
	for _, g := range group(k.cfg.Directory.View(), waits) {
		if g.to.IsZero() {
			// Untold mail does not expire, and becomes a finding.
			k.cfg.Log.WarnContext(ctx, "held mail of which nobody can be told", "recipient", g.items[0].Recipient, "count", len(g.items))
			continue
		}
		for part := range slices.Chunk(g.items, store.MaxDigest) {
			if err := k.digest(ctx, now, g.to, part); err != nil {
				errs = append(errs, err)
				break
			}
			n += len(part)
		}
	}
	return n, errors.Join(errs...)
}

// list reads all pages of a filter, up to a bound.
func (k *Keeper) list(ctx context.Context, f store.HeldFilter, most int) ([]store.HeldMail, error) {
	var out []store.HeldMail
	for len(out) < most {
		f.Limit = min(heldPage, most-len(out))
		page, err := k.cfg.Store.ListHeld(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, page...)
		if len(page) < f.Limit {
			break
		}
		f.After = page[len(page)-1].ID
	}
	return out, nil
}

// told is whom a digest goes to, and what it tells of.
type told struct {
	to    addr.Address // zero: nobody
	items []store.HeldMail
}

// group parts held mail by who is to be told, in the order of the oldest.
func group(view *directory.View, list []store.HeldMail) []*told {
	var out []*told
	byOwner := map[addr.Address]*told{}
	owners := map[string]addr.Address{} // by recipient, since one may have much mail
	for _, h := range list {
		to, known := owners[h.Recipient]
		if !known {
			to = ownerOf(view, h.Recipient)
			owners[h.Recipient] = to
		}
		g := byOwner[to]
		if g == nil {
			g = &told{to: to}
			byOwner[to] = g
			out = append(out, g)
		}
		g.items = append(g.items, h)
	}
	return out
}

// ownerOf is who is told of mail for a recipient: the account that it leads to; where
// it leads to none, to several or elsewhere, the postmaster of its domain, or ours.
func ownerOf(view *directory.View, recipient string) addr.Address {
	a, err := addr.ParseAddress(recipient)
	if err != nil {
		return addr.Address{}
	}
	if to := account(view, a); !to.IsZero() {
		return to
	}
	if view.Local(a.Domain) {
		return postmaster(view, a.Domain)
	}
	return account(view, addr.Address{Local: "postmaster"})
}

// account is the login of the one account that an address leads to; zero if there is
// no such.
func account(view *directory.View, a addr.Address) addr.Address {
	targets, err := view.Resolve(a)
	if err != nil || len(targets) != 1 {
		return addr.Address{}
	}
	acc := view.Account(targets[0].Account)
	if acc == nil {
		return addr.Address{}
	}
	to, err := addr.ParseAddress(acc.Login)
	if err != nil {
		return addr.Address{}
	}
	return to
}

// postmaster is the address of a domain's postmaster; zero if it leads nowhere.
func postmaster(view *directory.View, d addr.Domain) addr.Address {
	a := addr.Address{Local: "postmaster", Domain: d}
	if _, err := view.Resolve(a); err != nil {
		return addr.Address{}
	}
	return a
}

// language is the one in which we write to somebody.
func (k *Keeper) language(to addr.Address) words.Lang {
	return words.Lang(cmp.Or(k.cfg.Directory.View().Language(to), string(k.cfg.Language)))
}

// digest tells one person of held mail.
func (k *Keeper) digest(ctx context.Context, now time.Time, to addr.Address, items []store.HeldMail) error {
	d := &store.Digest{To: to.String(), Until: now.Add(linkGood)}
	token := rand.Text()
	d.Key = command.DigestKeyOf(token)
	for _, h := range items {
		d.Held = append(d.Held, h.ID)
	}
	link := ""
	if k.cfg.Link != "" {
		link = k.cfg.Link + token
	}
	err := k.cfg.Depositor.Deposit(ctx, Mail{k.write(now, to, k.language(to), items, link, d.Until), d})
	if errors.Is(err, store.ErrConflict) {
		// Some of it was released or deleted just now: the next run tells of the rest.
		k.cfg.Log.InfoContext(ctx, "digest put off", "to", to.String(), "err", err)
	}
	return err
}

// summarize tells the postmaster of each domain what waits there.
func (k *Keeper) summarize(ctx context.Context, now time.Time) error {
	stats, err := k.cfg.Store.HeldStats(ctx)
	if err != nil {
		return err
	}
	q, view := k.cfg.Policy(), k.cfg.Directory.View()
	var errs []error
	for _, st := range stats {
		d, err := addr.ParseDomain(st.Domain)
		if err != nil || !view.Local(d) || st.Waiting == 0 || now.Sub(st.Since) < q.DigestAfter() {
			continue
		}
		to := postmaster(view, d)
		if to.IsZero() {
			continue
		}
		waits, err := k.list(ctx, store.HeldFilter{Domain: st.Domain, Unreviewed: true, Before: now.Add(-q.DigestAfter())}, maxTold)
		if err == nil {
			err = k.cfg.Depositor.Deposit(ctx, Mail{Letter: k.writeSummary(now, to, k.language(to), st, waits, q)})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
