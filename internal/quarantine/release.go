package quarantine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"posta/internal/addr"
	"posta/internal/command"
	"posta/internal/directory"
	"posta/internal/filing"
	"posta/internal/jobs"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// Store is what releases and digests ask of the state.
type Store interface {
	store.Quarantine
	Accept(ctx context.Context, a *store.Accept) ([]store.Placed, error)
	jobs.Adder
}

// Releaser implements command.Quarantine.
type Releaser struct {
	Store     Store
	Directory *directory.Directory
	Lifetime  time.Duration    // in the queue, of what leads elsewhere; 0 means 5 days
	Now       func() time.Time // nil means time.Now
}

// Release implements command.Quarantine.
func (r *Releaser) Release(ctx context.Context, h *store.HeldMail, audit store.Audit) ([]string, error) {
	view := r.Directory.View()
	to, err := addr.ParseAddress(h.Recipient)
	if err != nil {
		return nil, fmt.Errorf("recipient of held mail %d: %w", h.ID, err)
	}
	if where, _ := filing.Ask(view, to); where != filing.Here && where != filing.Elsewhere {
		return nil, fmt.Errorf("%w: %s", command.ErrNowhere, h.Recipient)
	}
	a, places := r.accept(view, h, to)
	a.Release.Event = command.HeldEvent("released", r.now(), h, audit.Principal, joined(places))
	a.Release.Audit = audit
	if err := a.Split(); err != nil {
		return nil, err
	}
	_, err = r.Store.Accept(ctx, a)
	if errors.Is(err, store.ErrUnknown) {
		// Whether it is held still tells what became of the transaction; one that is
		// on its way yet is met by whoever tries again.
		list, lerr := r.Store.ListHeld(ctx, store.HeldFilter{ID: h.ID})
		if lerr == nil && len(list) == 0 {
			return places, nil
		}
		return nil, store.ErrTemporary
	}
	if err != nil {
		return nil, err
	}
	return places, nil
}

func (r *Releaser) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// accept is the transaction that files held mail as a verdict of accept would have,
// and where that is in words.
func (r *Releaser) accept(view *directory.View, h *store.HeldMail, to addr.Address) (*store.Accept, []string) {
	a := &store.Accept{ID: h.Message, Blob: store.NewBlob{ID: h.Blob.ID, Size: h.Blob.Size}, Release: &store.HeldRelease{ID: h.ID}}
	if a.ID.IsZero() { // rebuilt from bytes whose accept was over: what leaves needs a name
		a.ID = mail.NewID(r.now())
	}
	e := &mail.Envelope{Recipients: []mail.Recipient{{Address: to, Original: h.Original, Notify: h.Notify}}}
	var places []string
	for _, ef := range filing.File(view, e, make([]mail.Verdict, 1)) {
		switch ef.Kind {
		case mail.Append:
			d := h.Stored
			d.Account, d.Target = mailbox.AccountID(ef.Account), store.Target{Role: mailbox.Inbox}
			a.Deliveries = append(a.Deliveries, d)
			if acc := view.Account(d.Account); acc != nil {
				places = append(places, acc.Login+" → "+mailbox.Inbox.String())
			}
		case mail.Enqueue:
			out := r.enqueue(a, h, ef.Relayed)
			out.Recipients = append(out.Recipients, store.QueueTo{
				Address: ef.To.String(), Domain: ef.Hop(), Original: ef.Original, Notify: ef.Notify,
			})
			places = append(places, "queue → "+ef.To.String())
		}
	}
	return a, places
}

// enqueue is what leaves of held mail. What our alias sends on may be sealed: then its
// prefix begins with our Authentication-Results, as that of a delivery does below its
// Return-Path.
func (r *Releaser) enqueue(a *store.Accept, h *store.HeldMail, relayed bool) *store.Enqueue {
	seal := ""
	if relayed {
		seal = h.Out.Seal
	}
	for i := range a.Enqueues {
		if a.Enqueues[i].Seal == seal {
			return &a.Enqueues[i]
		}
	}
	out := h.Out
	out.Skip, out.Seal, out.Expires = h.Stored.Skip, seal, r.now().Add(r.lifetime())
	if _, below, ok := bytes.Cut(h.Stored.Prefix, []byte("\r\n")); ok && seal != "" {
		out.Prefix = below
	}
	a.Enqueues = append(a.Enqueues, out)
	return &a.Enqueues[len(a.Enqueues)-1]
}

func (r *Releaser) lifetime() time.Duration {
	if r.Lifetime > 0 {
		return r.Lifetime
	}
	return 5 * 24 * time.Hour
}

// maxPlaces bounds what one line of a trace tells of an alias of thousands.
const maxPlaces = 20

func joined(places []string) string {
	text := ""
	for i, p := range places {
		if i == maxPlaces {
			return text + fmt.Sprintf("; … %d", len(places)-i)
		}
		if i > 0 {
			text += "; "
		}
		text += p
	}
	return text
}
