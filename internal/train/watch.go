package train

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// Keywords by which a client says what a message is (the IANA registry of IMAP
// keywords, RFC 5788).
const (
	junkWord    = "$Junk"
	notJunkWord = "$NotJunk"
)

// lesson is what a job has to do: messages of a mailbox that somebody called spam or
// wanted; or, with Sign, of which he showed that they were wanted.
type lesson struct {
	Account mailbox.AccountID `json:"account"`
	Mailbox mailbox.ID        `json:"mailbox,omitempty"`
	UIDs    []mailbox.UID     `json:"uids,omitempty"`
	Spam    bool              `json:"spam,omitempty"`
	Sign    bool              `json:"sign,omitempty"`
	Answer  *answer           `json:"answer,omitempty"` // in the place of Mailbox and UIDs: the messages are to be found
}

// maxLesson bounds the messages of one job.
const maxLesson = 1000

// Watch is the mailboxes of a door of reading, seen through: what it does is what
// they do, and afterwards a job is noted for what is to be learned of it. That a job
// could not be noted is logged, and the command is done all the same.
type Watch struct {
	store.Mailboxes
	t *Trainer
}

// Watch gives the mailboxes to a door.
func (t *Trainer) Watch() *Watch { return &Watch{t.cfg.Store, t} }

// Subscribe is the store's.
func (w *Watch) Subscribe(a mailbox.AccountID) (<-chan struct{}, func()) {
	return w.t.cfg.Store.Subscribe(a)
}

// Move moves messages, and learns of those that went into Junk or out of it.
func (w *Watch) Move(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error) {
	from, to, err = w.Mailboxes.Move(ctx, a, src, uids, dst)
	w.placed(ctx, a, src, dst, to)
	return from, to, err
}

// Copy copies messages, and learns as Move does. After an error its copies are taken
// away again, so nothing is learned.
func (w *Watch) Copy(ctx context.Context, a mailbox.AccountID, src mailbox.ID, uids []mailbox.UID, dst mailbox.ID) (from, to []mailbox.UID, err error) {
	from, to, err = w.Mailboxes.Copy(ctx, a, src, uids, dst)
	if err == nil {
		w.placed(ctx, a, src, dst, to)
	}
	return from, to, err
}

// SetFlags sets flags, and learns of messages that are called junk or not, or are
// answered or flagged.
func (w *Watch) SetFlags(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uids []mailbox.UID, op store.FlagOp, unchangedSince mailbox.ModSeq) ([]mailbox.Message, []mailbox.UID, error) {
	changed, failed, err := w.Mailboxes.SetFlags(ctx, a, m, uids, op, unchangedSince)
	if op.Mode == store.Remove || len(changed) == 0 {
		return changed, failed, err
	}
	junk, not := has(op.Keywords, junkWord), has(op.Keywords, notJunkWord)
	switch {
	case junk != not:
		w.t.note(ctx, lesson{Account: a, Mailbox: m, UIDs: uidsOf(changed), Spam: junk})
	case !junk && op.Flags&(mailbox.Answered|mailbox.Flagged) != 0 && kept(w.role(ctx, a, m)):
		w.t.note(ctx, lesson{Account: a, Mailbox: m, Sign: true, UIDs: uidsOf(slices.DeleteFunc(slices.Clone(changed), func(m mailbox.Message) bool {
			return has(m.Keywords, junkWord)
		}))})
	}
	return changed, failed, err
}

func uidsOf(all []mailbox.Message) []mailbox.UID {
	out := make([]mailbox.UID, len(all))
	for i := range all {
		out[i] = all[i].UID
	}
	return out
}

func has(words []string, word string) bool {
	return slices.ContainsFunc(words, func(k string) bool { return strings.EqualFold(k, word) })
}

// kept reports whether a mailbox is one in which people keep what others wrote to
// them and they wanted.
func kept(r mailbox.Role) bool {
	return r == mailbox.None || r == mailbox.Inbox || r == mailbox.Archive
}

// placed learns of messages that came from one mailbox to another.
func (w *Watch) placed(ctx context.Context, a mailbox.AccountID, src, dst mailbox.ID, to []mailbox.UID) {
	if len(to) == 0 || src == dst {
		return
	}
	was, is := w.role(ctx, a, src), w.role(ctx, a, dst)
	switch {
	case is == mailbox.Junk && was != mailbox.Junk:
		w.t.note(ctx, lesson{Account: a, Mailbox: dst, UIDs: to, Spam: true})
	case was == mailbox.Junk && is != mailbox.Junk && is != mailbox.Trash:
		w.t.note(ctx, lesson{Account: a, Mailbox: dst, UIDs: to})
	case was != mailbox.Junk && kept(is):
		w.t.note(ctx, lesson{Account: a, Mailbox: dst, UIDs: to, Sign: true})
	}
}

// Appended learns of a message that a client put into a mailbox.
func (w *Watch) Appended(ctx context.Context, a mailbox.AccountID, m mailbox.ID, uid mailbox.UID) {
	if uid != 0 && w.role(ctx, a, m) == mailbox.Junk {
		w.t.note(ctx, lesson{Account: a, Mailbox: m, UIDs: []mailbox.UID{uid}, Spam: true})
	}
}

func (w *Watch) role(ctx context.Context, a mailbox.AccountID, m mailbox.ID) mailbox.Role {
	box, err := w.Mailboxes.GetMailbox(ctx, a, m)
	if err != nil {
		return mailbox.None
	}
	return box.Role
}

// note leaves jobs for a lesson.
func (t *Trainer) note(ctx context.Context, l lesson) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	for uids := range slices.Chunk(l.UIDs, maxLesson) {
		part := l
		part.UIDs = uids
		t.add(ctx, &part)
	}
}

// add leaves one job.
func (t *Trainer) add(ctx context.Context, l *lesson) {
	data, err := json.Marshal(l)
	if err == nil {
		err = t.cfg.Store.AddJob(ctx, store.Job{Kind: Kind, Data: data})
	}
	if err != nil {
		t.cfg.Log.WarnContext(ctx, "not noted what is to be learned", "account", l.Account, "messages", len(l.UIDs), "err", err)
	}
}
