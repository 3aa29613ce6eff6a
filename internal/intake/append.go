package intake

import (
	"context"
	"io"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
)

// Stored is a message that one of our own stores in a mailbox without sending it
// (IMAP APPEND, an import).
type Stored struct {
	Account      AccountID
	Target       store.Target
	Flags        mailbox.Flags
	Keywords     []string
	InternalDate time.Time // zero: now
	Size         int64     // octets of the body
}

// Append makes a message durable in a mailbox. It reads exactly m.Size octets of
// body before it begins any transaction; an error of body is returned and
// nothing is stored. Errors are those of store.Acceptor.
func (in *Intake) Append(ctx context.Context, m Stored, body io.Reader) (store.Placed, error) {
	sp := in.spools.open(m.Size)
	defer sp.free()
	p := message.NewParser(message.Budget{})
	if _, err := io.CopyN(io.MultiWriter(sp, p), body, m.Size); err != nil {
		return store.Placed{}, err
	}
	tree, err := p.Close()
	if err != nil {
		return store.Placed{}, err
	}
	now := in.cfg.Now()
	if m.InternalDate.IsZero() {
		m.InternalDate = now
	}
	d := store.Delivery{
		Account: m.Account, Target: m.Target, Flags: m.Flags, Keywords: m.Keywords,
		InternalDate: m.InternalDate, CheckQuota: true,
	}
	if err := describe(&d, tree, sp.body()); err != nil {
		return store.Placed{}, err
	}
	a := &store.Accept{ID: mail.NewID(now), Deliveries: []store.Delivery{d}}
	a.Blob = store.NewBlob{ID: blob.NewID(now), Size: sp.size, SHA256: sp.sum()}
	placed, err := in.commit(ctx, a, sp.body())
	switch {
	case err != nil:
		return store.Placed{}, err
	case len(placed) == 0: // it is there, but the database's reply was lost
		return store.Placed{Account: m.Account}, nil
	}
	return placed[0], nil
}

// describe fills what the readers of mail ask for first: envelope, structure,
// preview, the Date.
func describe(d *store.Delivery, tree *message.Part, body blob.Body) (err error) {
	if d.Envelope, err = tree.Envelope.MarshalBinary(); err != nil {
		return err
	}
	if d.Preview, err = message.Preview(body, tree, previewLength); err != nil {
		return err
	}
	if t, err := message.ParseDate(tree.Envelope.Date); err == nil {
		d.Sent = t
	}
	d.Structure, err = tree.MarshalBinary() // without the envelope, which has its own column
	return err
}
