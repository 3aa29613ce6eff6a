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
	// Finish, when not nil, ends queue work in the same transaction.
	Finish *store.Finish
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
	e := &mail.Envelope{
		ID: d.ID, Received: now, UTF8: d.UTF8,
		Client:     mail.Client{Door: mail.Internal, Class: mail.Authenticated, HELO: in.cfg.Hostname},
		Recipients: []mail.Recipient{{Address: d.To, Notify: mail.NotifyNever}},
	}
	tree := message.ParseBytes(d.Message, message.Budget{})
	sum := sha256.Sum256(d.Message)
	a := &store.Accept{ID: d.ID, FinishQueue: d.Finish, Digest: d.Digest}
	a.Blob = store.NewBlob{ID: blob.NewID(now), Size: int64(len(d.Message)), SHA256: sum}
	body := blob.Bytes(d.Message)
	rec := &trace.Record{
		ID: d.ID, At: now, Stage: trace.Accepted, Door: e.Client.Door.String(), Class: e.Client.Class.String(),
		Author: tree.Envelope.From, Subject: tree.Envelope.Subject, MessageID: tree.Envelope.MessageID,
		Size: int64(len(d.Message)), SHA256: hex.EncodeToString(sum[:]),
		To: []trace.Recipient{{Address: d.To.String(), Action: mail.Accept.String()}},
	}
	tx := &transaction{env: e, view: in.dir.View()}
	for _, ef := range filing.File(tx.view, e, make([]mail.Verdict, 1)) {
		rec.To[0].AddEffect(func() string { return in.effectText(tx, ef) })
		if ef.Kind == mail.Enqueue {
			a.Enqueues = append(a.Enqueues, store.Enqueue{
				Sign: true, UTF8: d.UTF8, EightBit: tree.Defects.Has(message8Bit), Expires: now.Add(in.cfg.Lifetime),
				Recipients: []store.QueueTo{{Address: ef.To.String(), Domain: string(ef.To.Domain), Notify: mail.NotifyNever}},
			})
			continue
		}
		del := store.Delivery{
			Account: AccountID(ef.Account), Target: store.Target{Role: mailbox.Inbox}, InternalDate: now,
			Prefix: []byte("Return-Path: <>\r\n"),
		}
		if err := describe(&del, tree, body); err != nil {
			return err
		}
		a.Deliveries = append(a.Deliveries, del)
	}
	t := rec.Encode()
	a.Trace = &t
	_, err := in.commit(ctx, a, body)
	return err
}
