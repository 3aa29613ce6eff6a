package pop3server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// memory is an INBOX in memory, with its blobs and its owner's password.
type memory struct {
	mu      sync.Mutex
	msgs    []store.Stored
	blobs   map[blob.ID]string
	expunge error // what Expunge answers
	moved   bool  // the next Open finds the blob gone
	calls   int   // of Expunge
}

func (m *memory) deliver(text string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	uid := mailbox.UID(2*len(m.msgs) + 1)
	var id blob.ID
	binary.BigEndian.PutUint32(id[:], uint32(uid))
	st := store.Stored{Message: mailbox.Message{Mailbox: 7, UID: uid, Size: int64(len(text))}, Blob: store.BlobRef{ID: id}}
	if first, _, ok := strings.Cut(text, "\n"); ok { // a header that was edited
		st.Prefix, st.Skip = []byte(first+"\n"), int64(len(first)+1)
	}
	m.blobs[id] = text
	m.msgs = append(m.msgs, st)
}

func (m *memory) Authenticate(_ context.Context, _ netip.Addr, user, password string) (mailbox.AccountID, error) {
	switch {
	case user == "later@example.org":
		return 0, ErrTryLater
	case user == "alice@example.org" && password == "a secret":
		return 1, nil
	case user == "expired@example.org" && password == "old":
		return 0, ErrExpired
	}
	return 0, ErrRefused
}

func (m *memory) ListMailboxes(context.Context, mailbox.AccountID) ([]mailbox.Mailbox, error) {
	return []mailbox.Mailbox{{ID: 3, Name: "Archive"}, {ID: 7, Name: "INBOX", UIDValidity: 42}}, nil
}

func (m *memory) Fetch(_ context.Context, _ mailbox.AccountID, box mailbox.ID, q store.FetchQuery) (out []store.Stored, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.msgs {
		if box == s.Mailbox && s.UID >= q.From && (q.To == 0 || s.UID <= q.To) && len(out) < q.Limit {
			out = append(out, s)
		}
	}
	return out, nil
}

func (m *memory) SetFlags(_ context.Context, _ mailbox.AccountID, _ mailbox.ID, uids []mailbox.UID, op store.FlagOp, _ mailbox.ModSeq) ([]mailbox.Message, []mailbox.UID, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range m.msgs {
		if slices.Contains(uids, m.msgs[i].UID) {
			m.msgs[i].Flags |= op.Flags
		}
	}
	return nil, nil, nil
}

func (m *memory) Expunge(_ context.Context, _ mailbox.AccountID, _ mailbox.ID, uids []mailbox.UID, onlyDeleted bool) ([]mailbox.UID, mailbox.ModSeq, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls++
	if onlyDeleted {
		return nil, 0, errors.New("POP3 does not set \\Deleted")
	}
	if m.expunge != nil {
		return nil, 0, m.expunge
	}
	m.msgs = slices.DeleteFunc(m.msgs, func(s store.Stored) bool { return slices.Contains(uids, s.UID) })
	return uids, 0, nil
}

func (m *memory) Open(_ context.Context, id blob.ID, _ blob.Location) (blob.Reader, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.moved {
		m.moved = false
		return nil, blob.ErrNotFound
	}
	return memBlob{bytes.NewReader([]byte(m.blobs[id]))}, nil
}

type memBlob struct{ *bytes.Reader }

func (memBlob) Close() error      { return nil }
func (memBlob) Entry() blob.Entry { return blob.Entry{} }
