package intake

import (
	"context"
	"crypto/sha256"
	"encoding/hex"

	"posta/internal/addr"
	"posta/internal/blob"
	"posta/internal/filing"
	"posta/internal/mail"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
	"posta/internal/trace"
)

// Deposit is a message that Posta itself writes: a DSN, a report.
type Deposit struct {
	ID      mail.ID
	To      addr.Address
	Message []byte // with CRLF
	UTF8    bool   // it needs SMTPUTF8
	// TLSOptional: where it leaves, no TLS policy holds it up (store.TLSOptional).
	TLSOptional bool
	// Finish, when not nil, ends queue work in the same transaction.
	Finish *store.Finish
	// Copy, when not nil, is a placement of the message that is made with it; its Prefix,
	// Envelope and so on are made here.
	Copy *store.Delivery
	// Digest, when not nil, says which held mail the message tells of, and is recorded
	// in the same transaction.
	Digest *store.Digest
}

// Deposit files a message of our own, from the null reverse-path, and commits it
// together with what it answers. When the address leads nowhere any more the
// message is dropped, and Finish committed all the same: a DSN about a DSN is
// nobody's (RFC 5321 §6.1).
func (in *Intake) Deposit(ctx context.Context, d Deposit) error {
	now := in.cfg.Now()
	d.To = in.StandsFor(d.To)
	e := &mail.Envelope{
		ID: d.ID, Received: now, UTF8: d.UTF8,
		Client:     mail.Client{Door: mail.Internal, Class: mail.Authenticated, HELO: in.cfg.Hostname},
		Recipients: []mail.Recipient{{Address: d.To, Notify: mail.NotifyNever}},
	}
	rec := &trace.Record{
		ID: d.ID, At: now, Stage: trace.Accepted, Door: e.Client.Door.String(), Class: e.Client.Class.String(),
		To: []trace.Recipient{{Address: d.To.String(), Action: mail.Accept.String()}},
	}
	a := &store.Accept{ID: d.ID, FinishQueue: d.Finish, Digest: d.Digest}
	tree, err := in.write(a, e, d.Message, &rec.To[0])
	if err != nil {
		return err
	}
	for i := range a.Enqueues {
		if d.TLSOptional {
			a.Enqueues[i].Prefix = []byte(store.TLSOptional)
		}
	}
	if d.Copy != nil {
		own := *d.Copy
		own.InternalDate = now
		if err := describe(&own, tree, blob.Bytes(d.Message)); err != nil {
			return err
		}
		a.Deliveries = append(a.Deliveries, own)
	}
	rec.Author, rec.Subject, rec.MessageID = tree.Envelope.From, tree.Envelope.Subject, tree.Envelope.MessageID
	rec.Size, rec.SHA256 = a.Blob.Size, hex.EncodeToString(a.Blob.SHA256[:])
	t := rec.Encode()
	a.Trace = &t
	_, err = in.commit(ctx, a, blob.Bytes(d.Message))
	return err
}

// write puts a message of our own, from the null reverse-path, into an accept: its
// bytes, and the effects that filing gives for the one recipient of its envelope,
// which are told in the trace.
func (in *Intake) write(a *store.Accept, e *mail.Envelope, text []byte, told *trace.Recipient) (*message.Part, error) {
	now := in.cfg.Now()
	tree := message.ParseBytes(text, message.Budget{})
	a.Blob = store.NewBlob{ID: blob.NewID(now), Size: int64(len(text)), SHA256: sha256.Sum256(text)}
	tx := &transaction{env: e, view: in.dir.View()}
	for _, ef := range filing.File(tx.view, e, make([]mail.Verdict, 1)) {
		told.AddEffect(func() string { return in.effectText(tx, ef) })
		if ef.Kind == mail.Enqueue {
			a.Enqueues = append(a.Enqueues, store.Enqueue{
				Sign: true, UTF8: e.UTF8, EightBit: tree.Defects.Has(message8Bit), Expires: now.Add(in.cfg.Lifetime),
				Recipients: []store.QueueTo{{Address: ef.To.String(), Domain: ef.Hop(), Notify: mail.NotifyNever}},
			})
			continue
		}
		del := store.Delivery{
			Account: AccountID(ef.Account), Target: store.Target{Role: mailbox.Inbox}, InternalDate: now,
			Prefix: []byte("Return-Path: <>\r\n"),
		}
		if err := describe(&del, tree, blob.Bytes(text)); err != nil {
			return nil, err
		}
		a.Deliveries = append(a.Deliveries, del)
	}
	return tree, nil
}
