package imapserver

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"time"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// Errors of an Authenticator.
var (
	ErrRefused  = errors.New("imapserver: login refused")
	ErrTryLater = errors.New("imapserver: login cannot be verified now")
	ErrExpired  = errors.New("imapserver: the password is too old")
)

// Authenticator verifies a login. It blocks as long as it thinks right: failures
// are delayed there, not here. Errors are ErrRefused, ErrTryLater (nothing is
// wrong with the password as far as we know), ErrExpired (it is right, and must be
// changed) or the context's.
type Authenticator interface {
	Authenticate(ctx context.Context, remote netip.Addr, user, password string) (mailbox.AccountID, error)
}

// Store is what the door needs of the store.
type Store interface {
	store.Mailboxes
	// Subscribe wakes the channel (capacity 1, coalesced) after commits that
	// changed the account.
	Subscribe(account mailbox.AccountID) (wake <-chan struct{}, cancel func())
}

// Blobs opens the bytes of messages. blob.ErrNotFound means that the blob has
// moved: the session reads its place again and retries once.
type Blobs interface {
	Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error)
}

// Appender makes a message of a client durable in a mailbox. It reads all of
// body, which is exactly m.Size octets and comes from the network, before it begins
// any transaction; the last octets come only when the whole command was right. With
// an error of body it stores nothing and returns it. A Placed without UID means
// that the message is stored, but not known where.
// Errors: store.ErrNotFound (the mailbox), store.ErrQuota, store.ErrFull, and
// those of the store.
type Appender interface {
	Append(ctx context.Context, m Appending, body io.Reader) (store.Placed, error)
}

// Appending is a message that a client stores.
type Appending struct {
	Account      mailbox.AccountID
	Mailbox      mailbox.ID
	Name         string // of the mailbox now, for the record beside the bytes
	Flags        mailbox.Flags
	Keywords     []string
	InternalDate time.Time
	Size         int64 // octets
}
