package rescue

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
)

// placed is what came of one message, or the sum of many.
type placed struct {
	messages, recovered, held, past, quarantined int64
	problems                                     []string
}

func (p *placed) add(q placed) {
	p.messages += q.messages
	p.recovered += q.recovered
	p.held += q.held
	p.past += q.past
	p.quarantined += q.quarantined
	p.problems = append(p.problems, q.problems...)
}

// previewLength is how many characters of text a message list shows.
const previewLength = 200

// maxHeader bounds what is looked at of a header.
const maxHeader = 1 << 20

// place files one message in one transaction.
func (b *rebuilder) place(ctx context.Context, t task) (placed, error) {
	var p placed
	body, err := b.r.Blobs.Open(ctx, t.entry.ID, t.entry.Location)
	if errors.Is(err, blob.ErrCorrupt) || errors.Is(err, errors.ErrUnsupported) {
		return placed{problems: []string{err.Error()}}, nil
	}
	if err != nil {
		return p, err
	}
	defer body.Close()
	a, err := b.accept(t, body, &p)
	if err != nil {
		return placed{problems: []string{fmt.Sprintf("blob %s at %s: %v", t.entry.ID, t.entry.Location, err)}}, nil
	}
	if len(a.Deliveries)+len(a.Enqueues)+len(a.Holds) == 0 {
		return p, nil
	}
	err = b.commit(ctx, a)
	if errors.Is(err, store.ErrInvalid) {
		// A folder that cannot be made by its name any more.
		recoverAll(a, &p)
		err = b.commit(ctx, a)
	}
	if errors.Is(err, store.ErrExists) {
		// A second copy of the record, from a compaction that was broken off.
		if _, err := b.r.Store.BlobRef(ctx, t.entry.ID); err == nil {
			return placed{}, nil
		}
	}
	if err != nil {
		return placed{}, fmt.Errorf("blob %s at %s: %w", t.entry.ID, t.entry.Location, err)
	}
	return p, nil
}

// commit makes durable what a record says; what is too much for one transaction is done
// by the next server.
func (b *rebuilder) commit(ctx context.Context, a *store.Accept) error {
	part := *a
	if !a.ID.IsZero() {
		if err := part.Split(); err != nil {
			return err
		}
	}
	_, err := b.r.Store.Accept(ctx, &part)
	return err
}

// accept makes the transaction of the record again. An error is the record's.
func (b *rebuilder) accept(t task, body blob.Reader, p *placed) (*store.Accept, error) {
	r := t.accept
	if r.Skip < 0 || r.Skip > body.Size() {
		return nil, fmt.Errorf("it skips %d of %d octets", r.Skip, body.Size())
	}
	tree, err := message.Parse(body, body.Size(), message.Budget{})
	if err != nil {
		return nil, err
	}
	common := store.Delivery{Prefix: r.Prefix, Skip: r.Skip, InternalDate: r.At}
	if err := describe(&common, tree, body); err != nil {
		return nil, err
	}
	a := &store.Accept{ID: r.Accept}
	a.Blob = store.NewBlob{ID: t.entry.ID, At: t.entry.Location, Size: t.entry.Size, SHA256: t.entry.SHA256}
	for _, to := range r.Deliveries {
		acc := b.people.accountOf(to.Login)
		if acc == 0 {
			continue // told of by ensure
		}
		d := common
		if to.Own {
			if to.Skip < 0 || to.Skip > body.Size() {
				return nil, fmt.Errorf("a place skips %d of %d octets", to.Skip, body.Size())
			}
			d.Prefix, d.Skip = to.Prefix, to.Skip
			if err := describe(&d, tree, body); err != nil {
				return nil, err
			}
		}
		d.Account, d.Keywords, d.Flags = acc, to.Keywords, mailbox.Flags(to.Flags)
		if !to.Internal.IsZero() {
			d.InternalDate = to.Internal
		}
		d.Target = targetOf(to)
		if d.Target.Role == mailbox.Recovered {
			p.recovered++
		}
		p.messages++
		a.Deliveries = append(a.Deliveries, d)
	}
	b.quarantine(a, r, tree, common, p)
	if t.revive {
		a.ID = mail.ID{} // it is over, and its queue work with it
	} else {
		b.enqueue(a, r, tree, p)
	}
	return a, nil
}

// targetOf is the mailbox of a delivery: by name, by role, or Recovered.
func targetOf(to store.AcceptPlace) store.Target {
	if to.Mailbox != "" {
		return store.Target{Name: to.Mailbox}
	}
	for role := mailbox.Inbox; role <= mailbox.Recovered; role++ {
		if role.String() == to.Role {
			return store.Target{Role: role}
		}
	}
	return store.Target{Role: mailbox.Recovered}
}

// recoverAll sends what was to go to a mailbox by name to Recovered.
func recoverAll(a *store.Accept, p *placed) {
	for i := range a.Deliveries {
		if d := &a.Deliveries[i]; d.Target.Name != "" {
			d.Target = store.Target{Role: mailbox.Recovered}
			p.recovered++
		}
	}
}

// enqueue queues again what may not have left yet, held: some of it has left, and
// only a person can tell.
func (b *rebuilder) enqueue(a *store.Accept, r *store.AcceptRecord, tree *message.Part, p *placed) {
	if len(r.Queued) == 0 {
		return
	}
	if b.r.now().Sub(r.At) > b.o.Lifetime {
		p.past += int64(len(r.Queued))
		return
	}
	for _, to := range r.Queued {
		asked := r.AskedOf(to)
		q := b.leaving(a, r, tree, asked)
		q.Recipients = append(q.Recipients, store.QueueTo{
			Address: to.Address, Domain: to.Domain, Original: asked.Original, Notify: mail.Notify(asked.Notify),
		})
		p.held++
	}
}

// leaving is what of the message leaves from a reverse-path, sealed by a domain or by none.
func (b *rebuilder) leaving(a *store.Accept, r *store.AcceptRecord, tree *message.Part, asked store.AcceptAsked) *store.Enqueue {
	seal, from := asked.Seal, cmp.Or(asked.From, r.From)
	for i := range a.Enqueues {
		if a.Enqueues[i].Seal == seal && a.Enqueues[i].ReversePath == from {
			return &a.Enqueues[i]
		}
	}
	q := b.wishes(r, tree)
	q.ReversePath = from
	q.Skip, q.Held, q.Expires = r.Skip, true, b.r.now().Add(b.o.Lifetime)
	if plain, sealed := r.Prefixes(); seal == "" {
		q.Prefix = plain
	} else {
		q.Prefix, q.Seal = sealed, seal
	}
	a.Enqueues = append(a.Enqueues, q)
	return &a.Enqueues[len(a.Enqueues)-1]
}

// wishes is how the message of a record leaves, unsealed and without its prefix. What
// records of version 0 do not tell is guessed from the message.
func (b *rebuilder) wishes(r *store.AcceptRecord, tree *message.Part) store.Enqueue {
	q := store.Enqueue{ReversePath: r.From}
	if r.Version > 0 {
		r.Wishes.Grant(&q)
		if r.Wishes != nil {
			q.Account = b.people.accountOf(r.Wishes.Login)
		}
		return q
	}
	q.EightBit, q.Account = tree.Defects.Has(message.EightBitBody), b.people.accountOf(r.From)
	// Only what came with BODY=BINARYMIME is stored with such line ends.
	q.Binary = tree.Defects&(message.BareLF|message.BareCR) != 0
	return q
}

// describe fills what the readers of mail ask for first. Fields of the prefix
// belong to the envelope: a submitted message may have lacked its Date.
func describe(d *store.Delivery, tree *message.Part, body blob.Reader) error {
	header := append([]byte(nil), d.Prefix...)
	if n := min(tree.Body-d.Skip, maxHeader); n > 0 {
		part := make([]byte, n)
		if k, err := body.ReadAt(part, d.Skip); k < len(part) && err != nil && err != io.EOF {
			return err
		}
		header = append(header, part...)
	}
	env := message.ParseEnvelope(message.Header(header))
	var err error
	if d.Envelope, err = env.MarshalBinary(); err != nil {
		return err
	}
	if d.Preview, err = message.Preview(body, tree, previewLength); err != nil {
		return err
	}
	if t, err := message.ParseDate(env.Date); err == nil {
		d.Sent = t
	}
	root := *tree
	root.Envelope = nil // it has its own column
	d.Structure, err = root.MarshalBinary()
	return err
}
