package train

import (
	"cmp"
	"context"
	"slices"
	"time"

	"posta/internal/addr"
	"posta/internal/mailbox"
	"posta/internal/message"
	"posta/internal/store"
)

// answer is mail that an account submitted, and what it answers.
type answer struct {
	IDs []string `json:"ids"` // of In-Reply-To and References, "<left@right>"
	To  []string `json:"to"`  // its recipients, folded
}

// Bounds of what is looked for, and where. What is answered is mostly new.
const (
	maxIDs  = 20
	maxTo   = 50
	window  = 500 // UIDs that are read at once, the newest first
	perBox  = 4   // windows of one mailbox
	perMail = 20  // and of all
)

// Answered notes that an account submitted mail that answers other mail, named by the
// Message-IDs; to are its recipients. It blocks as long as a commit does.
func (t *Trainer) Answered(ctx context.Context, a mailbox.AccountID, ids []string, to []addr.Address) {
	l := lesson{Account: a, Sign: true, Answer: &answer{IDs: ids[:min(len(ids), maxIDs)]}}
	for _, r := range to[:min(len(to), maxTo)] {
		l.Answer.To = append(l.Answer.To, r.Fold().String())
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	t.add(ctx, &l)
}

// answered finds what was answered among the newest mail of the account, and learns it
// as wanted.
func (t *Trainer) answered(ctx context.Context, l *lesson) error {
	boxes, err := t.cfg.Store.ListMailboxes(ctx, l.Account)
	if err != nil {
		return err
	}
	boxes = slices.DeleteFunc(boxes, func(b mailbox.Mailbox) bool { return !kept(b.Role) })
	slices.SortStableFunc(boxes, func(a, b mailbox.Mailbox) int { return cmp.Compare(rank(a.Role), rank(b.Role)) })
	left := perMail
	for _, b := range boxes {
		for _, w := range windows(b.UIDNext, min(perBox, left)) {
			left--
			if err := t.answeredIn(ctx, l, b.ID, w.from, w.to); err != nil {
				return err
			}
			if len(l.Answer.IDs) == 0 {
				return nil
			}
		}
	}
	return nil
}

// uids is a range of UIDs, both ends included.
type uids struct{ from, to mailbox.UID }

// windows are the newest UIDs of a mailbox whose next one is next, the newest first.
func windows(next mailbox.UID, most int) (out []uids) {
	for to := next; to > 1 && len(out) < most; {
		last := to - 1
		to -= min(last, window)
		out = append(out, uids{to, last})
	}
	return out
}

// rank is where mail that is answered lies first.
func rank(r mailbox.Role) int {
	if r == mailbox.Inbox {
		return 0
	}
	return 1
}

// answeredIn learns what of some UIDs was answered, and takes its id off the list.
func (t *Trainer) answeredIn(ctx context.Context, l *lesson, m mailbox.ID, from, to mailbox.UID) error {
	found, err := t.cfg.Store.Fetch(ctx, l.Account, m, store.FetchQuery{From: from, To: to, Limit: window, Want: store.WantEnvelope})
	if err != nil {
		return err
	}
	for i := range found {
		var e message.Envelope
		if e.UnmarshalBinary(found[i].Envelope) != nil {
			continue
		}
		for id := range message.MessageIDs(e.MessageID) {
			at := slices.Index(l.Answer.IDs, id)
			if at < 0 || !l.Answer.concerns(&e) {
				continue
			}
			one := lesson{Account: l.Account, Mailbox: m, Sign: true}
			if err := t.message(ctx, &one, found[i].UID); err != nil {
				return err
			}
			l.Answer.IDs = slices.Delete(l.Answer.IDs, at, at+1)
		}
	}
	return nil
}

// concerns reports whether the answer goes to one whom the message names. Who sends
// spam on to an abuse desk may name it too, and does not want it.
func (a *answer) concerns(e *message.Envelope) bool {
	for _, field := range []string{e.From, e.ReplyTo, e.To, e.Cc} {
		entries, _ := addr.ParseList(field, 0) // what was understood counts
		for _, m := range entries {
			if who, err := m.Address(); err == nil && slices.Contains(a.To, who.Fold().String()) {
				return true
			}
		}
	}
	return false
}
