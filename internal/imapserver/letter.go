package imapserver

import (
	"context"
	"errors"
	"fmt"
	"io"

	"posta/internal/blob"
	"posta/internal/imap"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
)

// maxHeader is how much of a header is read for HEADER.FIELDS and SEARCH.
const maxHeader = 1 << 20

// letter is one message that is being told: its bytes are prefix, then the blob
// from skip on. The blob is opened and the structure read when they are needed.
type letter struct {
	c    *conn
	m    *store.Stored
	blob blob.Reader
	root *message.Part
	env  *message.Envelope
}

func (l *letter) close() {
	if l.blob != nil {
		l.blob.Close()
	}
}

// ReadAt reads the message as the client sees it.
func (l *letter) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	if head := int64(len(l.m.Prefix)); off < head {
		n = copy(p, l.m.Prefix[off:])
		if n == len(p) {
			return n, nil
		}
		off = head
	}
	k, err := l.blob.ReadAt(p[n:], off-int64(len(l.m.Prefix))+l.m.Skip)
	return n + k, err
}

// open opens the blob; one that has moved is looked for again once.
func (l *letter) open(ctx context.Context) error {
	if l.blob != nil {
		return nil
	}
	r, err := l.c.srv.Blobs.Open(ctx, l.m.Blob.ID, l.m.Blob.At)
	if errors.Is(err, blob.ErrNotFound) {
		var again []store.Stored
		again, err = l.c.srv.Store.Fetch(ctx, l.c.account, l.m.Mailbox, fetchUIDs([]mailbox.UID{l.m.UID}, store.WantBytes))
		if err == nil && len(again) == 0 {
			return imap.No("EXPUNGEISSUED", "a message is gone")
		}
		if err == nil {
			l.m.Blob, l.m.Prefix, l.m.Skip = again[0].Blob, again[0].Prefix, again[0].Skip
			r, err = l.c.srv.Blobs.Open(ctx, l.m.Blob.ID, l.m.Blob.At)
		}
	}
	if err != nil {
		return fmt.Errorf("UID %d of mailbox %d: %w", l.m.UID, l.m.Mailbox, err)
	}
	l.blob = r
	return nil
}

// size is the octets of the whole message: of what is there, once it is open, so
// that no literal announces octets that cannot follow.
func (l *letter) size() int64 {
	if l.blob != nil {
		return int64(len(l.m.Prefix)) + l.blob.Size() - l.m.Skip
	}
	return l.m.Size
}

// part gives the structure with offsets of the message as the client sees it. One
// that is not stored, or cannot be read, is made from the bytes.
func (l *letter) part(ctx context.Context) (*message.Part, error) {
	if l.root != nil {
		return l.root, nil
	}
	if len(l.m.Structure) > 0 {
		p := new(message.Part)
		if err := p.UnmarshalBinary(l.m.Structure); err == nil {
			p.Shift(int64(len(l.m.Prefix)) - l.m.Skip)
			l.root = p
			return p, nil
		}
	}
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	p, err := message.Parse(l, l.size(), message.Budget{})
	if err != nil {
		return nil, err
	}
	l.root = p
	return p, nil
}

// envelope gives the stored envelope, or that of the structure.
func (l *letter) envelope(ctx context.Context) (*message.Envelope, error) {
	if l.env != nil {
		return l.env, nil
	}
	if len(l.m.Envelope) > 0 {
		e := new(message.Envelope)
		if err := e.UnmarshalBinary(l.m.Envelope); err == nil {
			l.env = e
			return e, nil
		}
	}
	p, err := l.part(ctx)
	if err != nil {
		return nil, err
	}
	if l.env = p.Envelope; l.env == nil {
		l.env = &message.Envelope{}
	}
	return l.env, nil
}

// header reads the header of the message, at most maxHeader octets of it.
func (l *letter) header(ctx context.Context, r message.Range) (message.Header, error) {
	b := make([]byte, min(r.Len(), maxHeader))
	if err := l.open(ctx); err != nil {
		return nil, err
	}
	_, err := io.ReadFull(io.NewSectionReader(l, r.Start, int64(len(b))), b)
	return b, err
}
