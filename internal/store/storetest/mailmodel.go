package storetest

import (
	"maps"
	"slices"
	"strings"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// mailModel is one account's mail as plain maps: what the store must agree with
// after any sequence of operations. It takes UIDs and MODSEQs from the store's
// answers, and checks that they grow.
type mailModel struct {
	account mailbox.AccountID
	boxes   map[mailbox.ID]*boxModel
	modseq  mailbox.ModSeq // the highest that any answer told
	used    int64
}

type boxModel struct {
	name string
	next mailbox.UID // above every UID that was given
	live map[mailbox.UID]*mailbox.Message
	gone map[mailbox.UID]bool
}

func newMailModel(a mailbox.AccountID, have []mailbox.Mailbox) *mailModel {
	m := &mailModel{account: a, boxes: map[mailbox.ID]*boxModel{}}
	for _, b := range have {
		m.add(b)
	}
	return m
}

func (m *mailModel) add(b mailbox.Mailbox) {
	m.boxes[b.ID] = &boxModel{name: b.Name, next: b.UIDNext, live: map[mailbox.UID]*mailbox.Message{}, gone: map[mailbox.UID]bool{}}
}

// ids lists the mailboxes in an order that repeats.
func (m *mailModel) ids() []mailbox.ID { return slices.Sorted(maps.Keys(m.boxes)) }

// uids lists the live messages of a mailbox, ascending.
func (b *boxModel) uids() []mailbox.UID { return slices.Sorted(maps.Keys(b.live)) }

// place puts a message that the store says it has placed.
func (m *mailModel) place(box mailbox.ID, uid mailbox.UID, msg mailbox.Message) bool {
	b := m.boxes[box]
	if b == nil || uid < b.next {
		return false
	}
	b.next = uid + 1
	msg.Mailbox, msg.UID = box, uid
	b.live[uid] = &msg
	m.used += msg.Size
	return true
}

// remove expunges.
func (m *mailModel) remove(box mailbox.ID, uid mailbox.UID) *mailbox.Message {
	b := m.boxes[box]
	msg := b.live[uid]
	if msg != nil {
		delete(b.live, uid)
		b.gone[uid] = true
		m.used -= msg.Size
	}
	return msg
}

// wanted applies a flag operation and tells whether it changed anything.
func wanted(msg *mailbox.Message, op store.FlagOp) (mailbox.Flags, []string, bool) {
	flags, words := msg.Flags, msg.Keywords
	has := func(list []string, w string) bool {
		return slices.ContainsFunc(list, func(x string) bool { return strings.EqualFold(x, w) })
	}
	switch op.Mode {
	case store.Replace:
		flags, words = op.Flags, op.Keywords
	case store.Add:
		flags |= op.Flags
		words = slices.Concat(words, op.Keywords)
	case store.Remove:
		flags &^= op.Flags
		words = slices.DeleteFunc(slices.Clone(words), func(w string) bool { return has(op.Keywords, w) })
	}
	return flags, words, flags != msg.Flags || !sameWords(words, msg.Keywords)
}

// under tells whether name lies below top.
func under(name, top string) bool { return strings.HasPrefix(name, top+"/") }
