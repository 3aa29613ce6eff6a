package storetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// mailWalk does random operations on one account, through two handles in turn,
// and compares the store with a plain model on the way.
type mailWalk struct {
	*testing.T
	rng     *rand.Rand
	handles [2]store.Store
	model   *mailModel
	history []string
}

func testMailRandom(t *testing.T, a, b store.Store) {
	for seed := range uint64(3) {
		t.Run(fmt.Sprint("seed", seed), func(t *testing.T) {
			id := person(t, a, 0)
			have, err := a.ListMailboxes(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			w := &mailWalk{T: t, rng: rand.New(rand.NewPCG(seed, 7)), handles: [2]store.Store{a, b}, model: newMailModel(id, have)}
			defer func() {
				if t.Failed() {
					t.Log("what was done:\n" + strings.Join(w.history, "\n"))
				}
			}()
			for i := range 75 {
				w.step()
				if i%15 == 14 {
					w.compare()
				}
				if t.Failed() {
					return
				}
			}
			w.compare()
		})
	}
	sound(t, a)
}

func (w *mailWalk) store() store.Store { return w.handles[w.rng.IntN(2)] }

func (w *mailWalk) did(format string, args ...any) {
	w.history = append(w.history, fmt.Sprintf(format, args...))
}

// box picks a mailbox.
func (w *mailWalk) box() mailbox.ID {
	ids := w.model.ids()
	return ids[w.rng.IntN(len(ids))]
}

// some picks UIDs of a mailbox: live ones, gone ones and such as never were.
func (w *mailWalk) some(box mailbox.ID) []mailbox.UID {
	out := []mailbox.UID{}
	for uid := range w.model.boxes[box].next + 2 {
		if uid > 0 && w.rng.IntN(3) == 0 {
			out = append(out, uid)
		}
	}
	return out
}

func (w *mailWalk) words() []string {
	out := []string{}
	for _, k := range []string{"$Forwarded", "$Junk", "blau", "Rot"} {
		if w.rng.IntN(3) == 0 {
			out = append(out, k)
		}
	}
	return out
}

func (w *mailWalk) step() {
	switch n := w.rng.IntN(100); {
	case n < 30:
		w.accept()
	case n < 55:
		w.setFlags()
	case n < 65:
		w.expunge()
	case n < 77:
		w.move()
	case n < 87:
		w.copy()
	case n < 92:
		w.create()
	case n < 97:
		w.rename()
	default:
		w.delete()
	}
}

func (w *mailWalk) accept() {
	var ds []store.Delivery
	size := 100 + w.rng.Int64N(5000)
	for range 1 + w.rng.IntN(3) {
		d := into(w.model.account, store.Target{ID: w.box()})
		d.Flags, d.Keywords = mailbox.Flags(w.rng.IntN(32)), w.words()
		ds = append(ds, d)
	}
	w.did("accept %d deliveries of %d octets", len(ds), size)
	for i, p := range send(w, w.store(), size, ds...) {
		d := ds[i]
		msg := mailbox.Message{ModSeq: p.ModSeq, Email: p.Email, Flags: d.Flags, Keywords: d.Keywords,
			Size: size + int64(len(d.Prefix)), InternalDate: d.InternalDate}
		w.newer(p.ModSeq)
		if p.Mailbox != d.Target.ID || !w.model.place(p.Mailbox, p.UID, msg) {
			w.Errorf("delivery to mailbox %d was placed in %d as UID %d", d.Target.ID, p.Mailbox, p.UID)
		}
	}
}

// newer checks that a change has a MODSEQ above all that were told before.
func (w *mailWalk) newer(m mailbox.ModSeq) {
	if m <= w.model.modseq {
		w.Errorf("MODSEQ %d is not above %d", m, w.model.modseq)
	}
	w.model.modseq = m
}

func (w *mailWalk) setFlags() {
	box := w.box()
	b, uids := w.model.boxes[box], w.some(box)
	op := store.FlagOp{Mode: store.FlagMode(w.rng.IntN(3)), Flags: mailbox.Flags(w.rng.IntN(32)), Keywords: w.words()}
	var unchanged mailbox.ModSeq
	if w.model.modseq > 0 && w.rng.IntN(2) == 0 {
		unchanged = max(1, w.model.modseq-mailbox.ModSeq(w.rng.IntN(10)))
	}
	w.did("set flags %v of %v in %d unchanged since %d", op, uids, box, unchanged)
	changed, failed, err := w.store().SetFlags(w.Context(), w.model.account, box, uids, op, unchanged)
	if err != nil {
		w.Fatalf("SetFlags: %v", err)
	}
	got := map[mailbox.UID]mailbox.Message{}
	for _, m := range changed {
		got[m.UID] = m
		w.newer(m.ModSeq)
	}
	for _, uid := range uids {
		msg := b.live[uid]
		if msg == nil {
			continue
		}
		if refused := unchanged != 0 && msg.ModSeq > unchanged; refused != slices.Contains(failed, uid) {
			w.Errorf("UID %d with MODSEQ %d unchanged since %d: failed is %v", uid, msg.ModSeq, unchanged, failed)
		} else if refused {
			continue
		}
		flags, words, changes := wanted(msg, op)
		now, told := got[uid]
		if told != changes {
			w.Errorf("UID %d with %v %v: told as changed is %v", uid, msg.Flags, msg.Keywords, told)
		}
		if told {
			if now.Flags != flags || !sameWords(now.Keywords, words) {
				w.Errorf("UID %d became %v %v, want %v %v", uid, now.Flags, now.Keywords, flags, words)
			}
			msg.Flags, msg.Keywords, msg.ModSeq = flags, words, now.ModSeq
			delete(got, uid)
		}
	}
	if len(got) > 0 {
		w.Errorf("also changed: %v", got)
	}
}

func (w *mailWalk) expunge() {
	box, only := w.box(), w.rng.IntN(2) == 0
	uids := w.some(box)
	if w.rng.IntN(4) == 0 {
		uids = nil
	}
	w.did("expunge %v of %d, only deleted %v", uids, box, only)
	got, high, err := w.store().Expunge(w.Context(), w.model.account, box, uids, only)
	if err != nil {
		w.Fatalf("Expunge: %v", err)
	}
	b := w.model.boxes[box]
	var want []mailbox.UID
	for _, uid := range b.uids() {
		if (uids == nil || slices.Contains(uids, uid)) && (!only || b.live[uid].Flags&mailbox.Deleted != 0) {
			want = append(want, uid)
			w.model.remove(box, uid)
		}
	}
	if !slices.Equal(got, want) {
		w.Errorf("Expunge took %v, want %v", got, want)
	}
	if len(want) > 0 {
		w.newer(high)
	}
}

func (w *mailWalk) move() {
	src, dst := w.box(), w.box()
	uids := w.some(src)
	w.did("move %v from %d to %d", uids, src, dst)
	from, to, err := w.store().Move(w.Context(), w.model.account, src, uids, dst)
	if err != nil {
		w.Fatalf("Move: %v", err)
	}
	w.transferred(src, dst, uids, from, to, true)
}

func (w *mailWalk) copy() {
	src, dst := w.box(), w.box()
	uids := w.some(src)
	w.did("copy %v from %d to %d", uids, src, dst)
	from, to, err := w.store().Copy(w.Context(), w.model.account, src, uids, dst)
	if err != nil {
		w.Fatalf("Copy: %v", err)
	}
	w.transferred(src, dst, uids, from, to, false)
}

// transferred brings the model to what Move or Copy said, and checks it.
func (w *mailWalk) transferred(src, dst mailbox.ID, uids, from, to []mailbox.UID, move bool) {
	var want []mailbox.UID
	for _, uid := range uids {
		if w.model.boxes[src].live[uid] != nil {
			want = append(want, uid)
		}
	}
	if !slices.Equal(from, want) || len(to) != len(from) {
		w.Fatalf("transferred %v to %v, want %v", from, to, want)
	}
	// The answers tell no MODSEQ: learn it, and see that the new places hold
	// what the old ones held.
	landed := map[mailbox.UID]mailbox.Message{}
	for _, s := range fetchAll(w, w.store(), w.model.account, dst, 0, 50) {
		landed[s.UID] = s.Message
	}
	emails := map[mailbox.EmailID]bool{}
	for i, uid := range from {
		old := *w.model.boxes[src].live[uid]
		if move {
			w.model.remove(src, uid)
		}
		now, ok := landed[to[i]]
		if !ok {
			w.Fatalf("UID %d was to become %d, which is not there", uid, to[i])
		}
		w.newer(now.ModSeq)
		if now.Flags != old.Flags || !sameWords(now.Keywords, old.Keywords) || now.Size != old.Size || !now.InternalDate.Equal(old.InternalDate) {
			w.Errorf("UID %d was %+v and arrived as %+v", uid, old, now)
		}
		if move != (now.Email == old.Email) || emails[now.Email] {
			w.Errorf("email %d became %d (moved: %v)", old.Email, now.Email, move)
		}
		emails[now.Email] = true
		old.ModSeq, old.Email = now.ModSeq, now.Email
		if !w.model.place(dst, to[i], old) {
			w.Errorf("UID %d given again in mailbox %d", to[i], dst)
		}
	}
}

func (w *mailWalk) create() {
	name := fmt.Sprintf("new%d/sub%d", w.rng.IntN(4), w.rng.IntN(4))
	w.did("create %s", name)
	before, _ := w.store().ListMailboxes(w.Context(), w.model.account)
	exists := slices.ContainsFunc(before, func(m mailbox.Mailbox) bool { return m.Name == name })
	_, err := w.store().CreateMailbox(w.Context(), w.model.account, name, mailbox.None)
	if exists != errors.Is(err, store.ErrExists) || (!exists && err != nil) {
		w.Fatalf("CreateMailbox(%s): %v", name, err)
	}
	w.adopt()
}

// adopt takes mailboxes into the model that are new in the store.
func (w *mailWalk) adopt() {
	after, err := w.store().ListMailboxes(w.Context(), w.model.account)
	if err != nil {
		w.Fatal(err)
	}
	for _, m := range after {
		if w.model.boxes[m.ID] == nil {
			w.model.add(m)
		}
	}
}

func (w *mailWalk) rename() {
	box := w.box()
	old, name := w.model.boxes[box].name, fmt.Sprintf("new%d/ren%d", w.rng.IntN(4), w.rng.IntN(100))
	if old == "INBOX" || under(name, old) {
		return
	}
	w.did("rename %s to %s", old, name)
	taken := false
	for _, b := range w.model.boxes {
		taken = taken || b.name == name
	}
	err := w.store().RenameMailbox(w.Context(), w.model.account, box, name)
	if taken {
		if !errors.Is(err, store.ErrExists) {
			w.Errorf("RenameMailbox to %s, which is there: %v", name, err)
		}
		return
	}
	if err != nil {
		w.Fatalf("RenameMailbox %s to %s: %v", old, name, err)
	}
	for _, b := range w.model.boxes {
		if b.name == old || under(b.name, old) {
			b.name = name + b.name[len(old):]
		}
	}
	w.adopt()
}

func (w *mailWalk) delete() {
	box := w.box()
	name := w.model.boxes[box].name
	w.did("delete %s", name)
	children := false
	for _, b := range w.model.boxes {
		children = children || under(b.name, name)
	}
	err := w.store().DeleteMailbox(w.Context(), w.model.account, box)
	if children || name == "INBOX" {
		if !errors.Is(err, store.ErrConflict) {
			w.Errorf("DeleteMailbox of %s: %v", name, err)
		}
		return
	}
	if err != nil {
		w.Fatalf("DeleteMailbox: %v", err)
	}
	for _, uid := range w.model.boxes[box].uids() {
		w.model.remove(box, uid)
	}
	delete(w.model.boxes, box)
}

// compare holds the whole account against the model.
func (w *mailWalk) compare() {
	s := w.store()
	all, err := s.ListMailboxes(w.Context(), w.model.account)
	if err != nil {
		w.Fatal(err)
	}
	if len(all) != len(w.model.boxes) {
		w.Errorf("%d mailboxes, want %d", len(all), len(w.model.boxes))
	}
	for _, m := range all {
		if b := w.model.boxes[m.ID]; b != nil {
			w.compareBox(s, m, b)
		} else {
			w.Errorf("mailbox %q should not be there", m.Name)
		}
	}
	octets, messages, _, err := s.Usage(w.Context(), w.model.account)
	count := int64(0)
	for _, b := range w.model.boxes {
		count += int64(len(b.live))
	}
	if err != nil || octets != w.model.used || messages != count {
		w.Errorf("Usage %d octets, %d messages, %v; want %d, %d", octets, messages, err, w.model.used, count)
	}
	high, err := s.ModSeq(w.Context(), w.model.account)
	if err != nil || high < w.model.modseq {
		w.Errorf("ModSeq %d, %v; %d was told", high, err, w.model.modseq)
	}
	w.model.modseq = high
}

func (w *mailWalk) compareBox(s store.Store, m mailbox.Mailbox, b *boxModel) {
	var size int64
	unseen := 0
	for _, msg := range b.live {
		size += msg.Size
		if msg.Flags&mailbox.Seen == 0 {
			unseen++
		}
	}
	if m.Name != b.name || m.Exists != len(b.live) || m.Unseen != unseen || m.Size != size || m.UIDNext < b.next || m.Account != w.model.account {
		w.Errorf("mailbox %+v; want %s with %d messages, %d unseen, %d octets, next UID at least %d", m, b.name, len(b.live), unseen, size, b.next)
	}
	uids, high, err := s.UIDs(w.Context(), w.model.account, m.ID)
	if err != nil || !slices.Equal(uids, b.uids()) || high < m.HighModSeq {
		w.Errorf("UIDs %v at %d, %v; want %v", uids, high, err, b.uids())
	}
	page := 1 + w.rng.IntN(9)
	for _, got := range fetchAll(w, s, w.model.account, m.ID, store.WantBytes, page) {
		want := b.live[got.UID]
		if want == nil || !sameMessage(got.Message, *want) {
			w.Errorf("fetched %+v, want %+v", got.Message, want)
		}
		if got.Size != got.Blob.Size-got.Skip+int64(len(got.Prefix)) {
			w.Errorf("size %d of a prefix of %d and a blob of %d", got.Size, len(got.Prefix), got.Blob.Size)
		}
	}
	w.compareChanges(s, m, b, page)
}

func (w *mailWalk) compareChanges(s store.Store, m mailbox.Mailbox, b *boxModel, page int) {
	since := mailbox.ModSeq(w.rng.Uint64N(uint64(w.model.modseq) + 1))
	changes, floor := changesAll(w, s, w.model.account, m.ID, since, page)
	if floor > since {
		w.Errorf("floor %d after few changes", floor)
	}
	told := map[mailbox.UID]bool{}
	for _, ch := range changes {
		told[ch.UID] = true
		if ch.Expunged != b.gone[ch.UID] || (!ch.Expunged && (b.live[ch.UID] == nil || !sameMessage(ch, *b.live[ch.UID]))) {
			w.Errorf("change %+v, want %+v (gone: %v)", ch, b.live[ch.UID], b.gone[ch.UID])
		}
		if ch.ModSeq > m.HighModSeq {
			w.Errorf("MODSEQ %d above the mailbox's highest %d", ch.ModSeq, m.HighModSeq)
		}
	}
	for uid, msg := range b.live {
		if (msg.ModSeq > since) != told[uid] {
			w.Errorf("UID %d with MODSEQ %d: in the changes since %d is %v", uid, msg.ModSeq, since, told[uid])
		}
	}
	if since == 0 {
		for uid := range b.gone {
			if !told[uid] {
				w.Errorf("UID %d went and no change tells it", uid)
			}
		}
	}
}

func sameMessage(a, b mailbox.Message) bool {
	return a.Mailbox == b.Mailbox && a.UID == b.UID && a.ModSeq == b.ModSeq && a.Email == b.Email && a.Flags == b.Flags &&
		sameWords(a.Keywords, b.Keywords) && a.Size == b.Size && a.InternalDate.Equal(b.InternalDate) && a.Expunged == b.Expunged
}
