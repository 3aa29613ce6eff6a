package pop3server

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"posta/internal/blob"
	"posta/internal/gate"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// Errors of an Authenticator.
var (
	ErrRefused  = errors.New("pop3server: login refused")
	ErrTryLater = errors.New("pop3server: login cannot be verified now")
	ErrExpired  = errors.New("pop3server: the password is too old")
)

// Authenticator verifies a login. It blocks as long as it thinks right: failures
// are delayed there, not here. Errors are ErrRefused, ErrTryLater, ErrExpired (it
// is right, and must be changed) or the context's.
type Authenticator interface {
	Authenticate(ctx context.Context, remote netip.Addr, user, password string) (mailbox.AccountID, error)
}

// Store is what the door needs of store.Mailboxes, in its words.
type Store interface {
	ListMailboxes(ctx context.Context, a mailbox.AccountID) ([]mailbox.Mailbox, error)
	Fetch(ctx context.Context, a mailbox.AccountID, m mailbox.ID, q store.FetchQuery) ([]store.Stored, error)
	SetFlags(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, op store.FlagOp, unchangedSince mailbox.ModSeq) (changed []mailbox.Message, failed []mailbox.UID, err error)
	Expunge(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, onlyDeleted bool) ([]mailbox.UID, mailbox.ModSeq, error)
}

// Blobs opens the bytes of messages. blob.ErrNotFound means that the blob has
// moved: its place is read again and it is tried once more.
type Blobs interface {
	Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error)
}

// Limits is the budget of the door and of each connection. A field that is zero
// takes the value of DefaultLimits.
type Limits struct {
	gate.Limits // of the door's connections

	Login        time.Duration // from connect to a successful login
	Idle         time.Duration // without a command; RFC 1939 §3: at least 10 minutes
	Write        time.Duration // for one write
	PreCommands  int           // commands before login
	FailedLogins int           // then the connection ends
	BadCommands  int           // commands in error since the last good one
}

// DefaultLimits are the values for a server of any size.
var DefaultLimits = Limits{
	// One office behind one address, several connections each.
	Limits:       gate.Limits{Connections: 5_000, PerNetwork: 500, PerHost: 50},
	Login:        time.Minute,
	Idle:         10 * time.Minute,
	Write:        2 * time.Minute,
	PreCommands:  30,
	FailedLogins: 5,
	BadCommands:  20,
}

// orDefault fills what is zero.
func (l Limits) orDefault() Limits {
	d := DefaultLimits
	l.Limits = l.Limits.Or(d.Limits)
	for _, f := range []struct{ have, def *int }{
		{&l.PreCommands, &d.PreCommands},
		{&l.FailedLogins, &d.FailedLogins}, {&l.BadCommands, &d.BadCommands},
	} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	for _, f := range []struct{ have, def *time.Duration }{{&l.Login, &d.Login}, {&l.Idle, &d.Idle}, {&l.Write, &d.Write}} {
		if *f.have == 0 {
			*f.have = *f.def
		}
	}
	return l
}
