package imapserver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"io"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
)

// memory is a store in memory with the promises of store.Mailboxes: one change
// counter for each account, no two placements with the same MODSEQ. It is the
// Appender, the Blobs and the Authenticator too.
type memory struct {
	mu       sync.Mutex
	accounts map[mailbox.AccountID]*memAccount
	blobs    map[blob.ID][]byte
	calls    map[string]int
	next     int64
	now      func() time.Time
}

type memAccount struct {
	modseq mailbox.ModSeq
	floor  mailbox.ModSeq
	boxes  []*memBox
	subs   []string
	wakes  map[chan struct{}]bool
	quota  int64
}

type memBox struct {
	mailbox.Mailbox
	msgs []*store.Stored // ascending UID, expunged ones too
}

// passwords of the test's accounts.
var passwords = map[string]mailbox.AccountID{"alice@example.org secret": 1, "bob@example.org secret": 2}

func newMemory(now func() time.Time) *memory {
	s := &memory{accounts: map[mailbox.AccountID]*memAccount{}, blobs: map[blob.ID][]byte{}, calls: map[string]int{}, now: now}
	for _, id := range []mailbox.AccountID{1, 2} {
		a := &memAccount{wakes: map[chan struct{}]bool{}}
		s.accounts[id] = a
		for _, d := range mailbox.Defaults {
			s.addBox(id, d.Name, d.Role)
			a.subs = append(a.subs, d.Name)
		}
	}
	return s
}

func (s *memory) Authenticate(_ context.Context, _ netip.Addr, user, password string) (mailbox.AccountID, error) {
	if user == "later@example.org" {
		return 0, ErrTryLater
	}
	if user == "expired@example.org" && password == "old" {
		return 0, ErrExpired
	}
	if id, ok := passwords[user+" "+password]; ok {
		return id, nil
	}
	return 0, ErrRefused
}

func (s *memory) lock(call string) func() {
	s.mu.Lock()
	s.calls[call]++
	return s.mu.Unlock
}

func (s *memory) addBox(a mailbox.AccountID, name string, r mailbox.Role) *memBox {
	s.next++
	b := &memBox{Mailbox: mailbox.Mailbox{ID: mailbox.ID(s.next), Account: a, Name: name, Role: r, UIDValidity: uint32(1000 + s.next), UIDNext: 1}}
	s.accounts[a].boxes = append(s.accounts[a].boxes, b)
	return b
}

func (s *memory) box(a mailbox.AccountID, id mailbox.ID) (*memBox, error) {
	acc := s.accounts[a]
	if acc == nil {
		return nil, store.ErrNotFound
	}
	for _, b := range acc.boxes {
		if b.ID == id {
			return b, nil
		}
	}
	return nil, store.ErrNotFound
}

func (s *memory) changed(a mailbox.AccountID, b *memBox, m *store.Stored) {
	acc := s.accounts[a]
	acc.modseq++
	m.ModSeq, b.HighModSeq = acc.modseq, acc.modseq
	for w := range acc.wakes {
		select {
		case w <- struct{}{}:
		default:
		}
	}
}

func (b *memBox) view() mailbox.Mailbox {
	m := b.Mailbox
	for _, x := range b.msgs {
		if x.Expunged {
			continue
		}
		m.Exists++
		m.Size += x.Size
		if x.Flags&mailbox.Seen == 0 {
			m.Unseen++
		}
	}
	return m
}

func (s *memory) ListMailboxes(_ context.Context, a mailbox.AccountID) (out []mailbox.Mailbox, err error) {
	defer s.lock("ListMailboxes")()
	for _, b := range s.accounts[a].boxes {
		out = append(out, b.view())
	}
	return out, nil
}

func (s *memory) GetMailbox(_ context.Context, a mailbox.AccountID, id mailbox.ID) (mailbox.Mailbox, error) {
	defer s.lock("GetMailbox")()
	b, err := s.box(a, id)
	if err != nil {
		return mailbox.Mailbox{}, err
	}
	return b.view(), nil
}

func (s *memory) named(a mailbox.AccountID, name string) *memBox {
	for _, b := range s.accounts[a].boxes {
		if b.Name == name {
			return b
		}
	}
	return nil
}

func (s *memory) CreateMailbox(_ context.Context, a mailbox.AccountID, name string, r mailbox.Role) (mailbox.Mailbox, error) {
	defer s.lock("CreateMailbox")()
	if s.named(a, name) != nil {
		return mailbox.Mailbox{}, store.ErrExists
	}
	for i := range name {
		if name[i] == '/' && s.named(a, name[:i]) == nil {
			s.addBox(a, name[:i], mailbox.None)
		}
	}
	return s.addBox(a, name, r).view(), nil
}

func (s *memory) RenameMailbox(_ context.Context, a mailbox.AccountID, id mailbox.ID, name string) error {
	defer s.lock("RenameMailbox")()
	b, err := s.box(a, id)
	if err != nil {
		return err
	}
	if s.named(a, name) != nil {
		return store.ErrExists
	}
	if b.Name == "INBOX" {
		dst := s.addBox(a, name, mailbox.None)
		for _, m := range slices.Clone(b.msgs) {
			if !m.Expunged {
				s.take(a, b, m, dst)
			}
		}
		return nil
	}
	old := b.Name
	for _, x := range s.accounts[a].boxes {
		if x == b {
			x.Name = name
		} else if strings.HasPrefix(x.Name, old+"/") {
			x.Name = name + x.Name[len(old):]
		}
	}
	return nil
}

func (s *memory) DeleteMailbox(_ context.Context, a mailbox.AccountID, id mailbox.ID) error {
	defer s.lock("DeleteMailbox")()
	b, err := s.box(a, id)
	if err != nil {
		return err
	}
	acc := s.accounts[a]
	if b.Name == "INBOX" || slices.ContainsFunc(acc.boxes, func(x *memBox) bool { return strings.HasPrefix(x.Name, b.Name+"/") }) {
		return store.ErrConflict
	}
	acc.boxes = slices.DeleteFunc(acc.boxes, func(x *memBox) bool { return x == b })
	s.changed(a, b, &store.Stored{})
	return nil
}

func (s *memory) SetSubscribed(_ context.Context, a mailbox.AccountID, name string, on bool) error {
	defer s.lock("SetSubscribed")()
	acc := s.accounts[a]
	acc.subs = slices.DeleteFunc(acc.subs, func(x string) bool { return x == name })
	if on {
		acc.subs = append(acc.subs, name)
	}
	slices.Sort(acc.subs)
	return nil
}

func (s *memory) Subscriptions(_ context.Context, a mailbox.AccountID) ([]string, error) {
	defer s.lock("Subscriptions")()
	return slices.Clone(s.accounts[a].subs), nil
}

func (s *memory) UIDs(_ context.Context, a mailbox.AccountID, id mailbox.ID) (out []mailbox.UID, at mailbox.ModSeq, err error) {
	defer s.lock("UIDs")()
	b, err := s.box(a, id)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range b.msgs {
		if !m.Expunged {
			out = append(out, m.UID)
		}
	}
	return out, s.accounts[a].modseq, nil
}

func (s *memory) Fetch(_ context.Context, a mailbox.AccountID, id mailbox.ID, q store.FetchQuery) (out []store.Stored, err error) {
	defer s.lock("Fetch")()
	b, err := s.box(a, id)
	if err != nil {
		return nil, err
	}
	if q.Limit == 0 || q.Limit > 1000 {
		q.Limit = 1000
	}
	var want map[mailbox.UID]bool
	if q.UIDs != nil {
		want = map[mailbox.UID]bool{}
		for _, u := range q.UIDs {
			want[u] = true
		}
	}
	i, _ := slices.BinarySearchFunc(b.msgs, q.From, func(m *store.Stored, u mailbox.UID) int { return cmp.Compare(m.UID, u) })
	for _, m := range b.msgs[i:] {
		if m.Expunged || q.To != 0 && m.UID > q.To || want != nil && !want[m.UID] {
			continue
		}
		if len(out) == q.Limit {
			break
		}
		c := *m
		c.Keywords = slices.Clone(m.Keywords)
		if q.Want&store.WantEnvelope == 0 {
			c.Envelope = nil
		}
		if q.Want&store.WantStructure == 0 {
			c.Structure = nil
		}
		if q.Want&store.WantBytes == 0 {
			c.Prefix, c.Skip, c.Blob = nil, 0, store.BlobRef{}
		}
		out = append(out, c)
	}
	return out, nil
}

func (s *memory) Changes(_ context.Context, a mailbox.AccountID, id mailbox.ID, since mailbox.ModSeq, limit int) (out []mailbox.Message, floor mailbox.ModSeq, err error) {
	defer s.lock("Changes")()
	b, err := s.box(a, id)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range b.msgs {
		if m.ModSeq > since {
			c := m.Message
			c.Keywords = slices.Clone(m.Keywords)
			out = append(out, c)
		}
	}
	slices.SortFunc(out, func(a, b mailbox.Message) int { return cmp.Compare(a.ModSeq, b.ModSeq) })
	if len(out) > limit {
		out = out[:limit]
	}
	return out, s.accounts[a].floor, nil
}

func (s *memory) ModSeq(_ context.Context, a mailbox.AccountID) (mailbox.ModSeq, error) {
	defer s.lock("ModSeq")()
	return s.accounts[a].modseq, nil
}

func (s *memory) SetFlags(_ context.Context, a mailbox.AccountID, id mailbox.ID, uids []mailbox.UID, op store.FlagOp, unchanged mailbox.ModSeq) (out []mailbox.Message, failed []mailbox.UID, err error) {
	defer s.lock("SetFlags")()
	b, err := s.box(a, id)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range b.live(uids) {
		if unchanged != 0 && m.ModSeq > unchanged {
			failed = append(failed, m.UID)
			continue
		}
		flags, words := m.Flags, slices.Clone(m.Keywords)
		has := func(l []string, w string) bool {
			return slices.ContainsFunc(l, func(x string) bool { return strings.EqualFold(x, w) })
		}
		switch op.Mode {
		case store.Replace:
			flags, words = op.Flags, slices.Clone(op.Keywords)
		case store.Add:
			flags |= op.Flags
			for _, w := range op.Keywords {
				if !has(words, w) {
					words = append(words, w)
				}
			}
		case store.Remove:
			flags &^= op.Flags
			words = slices.DeleteFunc(words, func(w string) bool { return has(op.Keywords, w) })
		}
		slices.Sort(words)
		if flags == m.Flags && slices.Equal(words, m.Keywords) {
			continue
		}
		m.Flags, m.Keywords = flags, words
		s.changed(a, b, m)
		out = append(out, m.Message)
	}
	return out, failed, nil
}

// live gives the messages of UIDs, nil for all, that are there.
func (b *memBox) live(uids []mailbox.UID) (out []*store.Stored) {
	want := map[mailbox.UID]bool{}
	for _, u := range uids {
		want[u] = true
	}
	for _, m := range b.msgs {
		if !m.Expunged && (uids == nil || want[m.UID]) {
			out = append(out, m)
		}
	}
	return out
}

func (s *memory) Expunge(_ context.Context, a mailbox.AccountID, id mailbox.ID, uids []mailbox.UID, onlyDeleted bool) (out []mailbox.UID, at mailbox.ModSeq, err error) {
	defer s.lock("Expunge")()
	b, err := s.box(a, id)
	if err != nil {
		return nil, 0, err
	}
	for _, m := range b.live(uids) {
		if onlyDeleted && m.Flags&mailbox.Deleted == 0 {
			continue
		}
		m.Expunged = true
		s.changed(a, b, m)
		out = append(out, m.UID)
	}
	return out, s.accounts[a].modseq, nil
}

func (s *memory) put(a mailbox.AccountID, b *memBox, m store.Stored) *store.Stored {
	m.Mailbox, m.UID, m.Expunged = b.ID, b.UIDNext, false
	m.SaveDate = s.now()
	b.UIDNext++
	c := &m
	b.msgs = append(b.msgs, c)
	s.changed(a, b, c)
	return c
}

func (s *memory) take(a mailbox.AccountID, src *memBox, m *store.Stored, dst *memBox) mailbox.UID {
	c := *m
	c.Flags &^= mailbox.Deleted
	u := s.put(a, dst, c).UID
	m.Expunged = true
	s.changed(a, src, m)
	return u
}

func (s *memory) Copy(_ context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error) {
	defer s.lock("Copy")()
	return s.each(a, src, uids, dst, func(_, to *memBox, m *store.Stored) mailbox.UID {
		c := *m
		s.next++
		c.Email = mailbox.EmailID(s.next)
		return s.put(a, to, c).UID
	})
}

func (s *memory) Move(_ context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error) {
	defer s.lock("Move")()
	return s.each(a, src, uids, dst, func(from, to *memBox, m *store.Stored) mailbox.UID { return s.take(a, from, m, to) })
}

func (s *memory) each(a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID, f func(from, to *memBox, m *store.Stored) mailbox.UID) (from, to []mailbox.UID, err error) {
	b, err := s.box(a, src)
	if err != nil {
		return nil, nil, err
	}
	d, err := s.box(a, dst)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range b.live(uids) {
		from = append(from, m.UID)
		to = append(to, f(b, d, m))
	}
	return from, to, nil
}

func (s *memory) Usage(_ context.Context, a mailbox.AccountID) (octets, messages, quota int64, err error) {
	defer s.lock("Usage")()
	for _, b := range s.accounts[a].boxes {
		v := b.view()
		octets += v.Size
		messages += int64(v.Exists)
	}
	return octets, messages, s.accounts[a].quota, nil
}

func (s *memory) Subscribe(a mailbox.AccountID) (<-chan struct{}, func()) {
	defer s.lock("Subscribe")()
	w := make(chan struct{}, 1)
	s.accounts[a].wakes[w] = true
	return w, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.accounts[a].wakes, w)
	}
}

func (s *memory) Append(_ context.Context, m Appending, body io.Reader) (store.Placed, error) {
	raw := make([]byte, m.Size)
	if _, err := io.ReadFull(body, raw); err != nil { // it does not ask for io.EOF
		return store.Placed{}, err
	}
	defer s.lock("Append")()
	b, err := s.box(m.Account, m.Mailbox)
	if err != nil {
		return store.Placed{}, err
	}
	st := s.parse(raw)
	st.Flags, st.Keywords, st.InternalDate = m.Flags, m.Keywords, m.InternalDate
	p := s.put(m.Account, b, st)
	return store.Placed{Account: m.Account, Mailbox: b.ID, UIDValidity: b.UIDValidity, UID: p.UID, Email: p.Email, ModSeq: p.ModSeq}, nil
}

// parse makes of the bytes what a delivery would: the first line goes into the
// prefix and is skipped in the blob, so that offsets are put to the test.
func (s *memory) parse(raw []byte) store.Stored {
	s.next++
	var id blob.ID
	rand.Read(id[:])
	binary.BigEndian.PutUint64(id[:], uint64(s.next))
	s.blobs[id] = raw
	part := message.ParseBytes(raw, message.Budget{})
	structure, _ := part.MarshalBinary()
	envelope, _ := part.Envelope.MarshalBinary()
	preview, _ := message.Preview(bytes.NewReader(raw), part, 100)
	st := store.Stored{Structure: structure, Envelope: envelope, Preview: preview, Blob: store.BlobRef{ID: id, Size: int64(len(raw))}}
	st.Sent, _ = time.Parse("Mon, 2 Jan 2006 15:04:05 -0700", part.Envelope.Date)
	st.Email, st.Thread, st.Size = mailbox.EmailID(s.next), s.next, int64(len(raw))
	if i := bytes.Index(raw, []byte("\r\n")); i > 0 && i+2 < int(part.Body) {
		st.Prefix, st.Skip = raw[:i+2], int64(i+2)
	}
	return st
}

func (s *memory) Open(_ context.Context, id blob.ID, _ blob.Location) (blob.Reader, error) {
	defer s.lock("Open")()
	b, ok := s.blobs[id]
	if !ok {
		return nil, blob.ErrNotFound
	}
	return memBlob{bytes.NewReader(b)}, nil
}

type memBlob struct{ *bytes.Reader }

func (memBlob) Close() error        { return nil }
func (b memBlob) Entry() blob.Entry { return blob.Entry{Size: b.Size()} }
