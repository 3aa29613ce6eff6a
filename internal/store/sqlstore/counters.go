package sqlstore

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"posta/internal/mailbox"
	"posta/internal/store"
)

// counters are the account and mailbox rows that a transaction has in hand. What
// changed is written back once, at its end; SQLite keeps them over transactions,
// because nobody else writes. Inside a write transaction they are the truth, and
// the columns in the database are not.
type counters struct {
	accounts map[mailbox.AccountID]*account
	boxes    map[mailbox.ID]*box
	roles    map[accountRole]mailbox.ID

	// what this transaction has in hand, and may have changed
	usedAccounts []*account
	usedBoxes    []*box

	// what the operation in hand found, to put back when it fails
	undoAccounts []undone[*account, accountState]
	undoBoxes    []undone[*box, boxState]
	epoch        int64 // of the operation in hand
}

// undone is a row as an operation found it.
type undone[P, S any] struct {
	row    P
	state  S
	loaded bool // by this operation
}

// begin starts an operation.
func (c *counters) begin() {
	c.epoch++
	c.undoAccounts, c.undoBoxes = c.undoAccounts[:0], c.undoBoxes[:0]
}

// undo puts back what the operation found. Rows that it loaded are dropped, since
// it may have made them.
func (c *counters) undo() {
	for _, u := range c.undoAccounts {
		if u.loaded {
			c.dropAccount(u.row.id)
			continue
		}
		u.row.accountState = u.state
		c.accounts[u.row.id] = u.row
		c.useAccount(u.row)
	}
	for _, u := range c.undoBoxes {
		if u.loaded {
			c.dropBox(u.row.id)
			continue
		}
		u.row.boxState = u.state
		c.boxes[u.row.id] = u.row
		c.useBox(u.row)
	}
	clear(c.roles)
}

type accountRole struct {
	account mailbox.AccountID
	role    mailbox.Role
}

// maxCounters bounds what is kept over transactions.
const maxCounters = 20_000

func newCounters() *counters {
	return &counters{
		accounts: map[mailbox.AccountID]*account{},
		boxes:    map[mailbox.ID]*box{},
		roles:    map[accountRole]mailbox.ID{},
	}
}

// forget empties the cache, after a rollback or when it is large.
func (c *counters) forget() {
	clear(c.accounts)
	clear(c.boxes)
	clear(c.roles)
	c.usedAccounts, c.usedBoxes = nil, nil
	c.undoAccounts, c.undoBoxes = nil, nil
}

// account is a ledger row; its fields may be changed.
type account struct {
	accountState
	saved accountState
	used  bool  // is in usedAccounts
	epoch int64 // of the operation that has it in undoAccounts
}

type accountState struct {
	id       mailbox.AccountID
	modseq   mailbox.ModSeq
	octets   int64
	messages int64
	validity int64
	quota    int64
}

// next raises the change counter.
func (a *account) next() mailbox.ModSeq {
	a.modseq++
	return a.modseq
}

// newValidity gives a UIDVALIDITY that this account never had.
func (a *account) newValidity(now int64) uint32 {
	a.validity = max(a.validity+1, now/1e6)
	return uint32(a.validity)
}

// box is the counters of a mailbox row; they may be changed.
type box struct {
	boxState
	saved boxState
	used  bool  // is in usedBoxes
	epoch int64 // of the operation that has it in undoBoxes
}

type boxState struct {
	id          mailbox.ID
	account     mailbox.AccountID
	role        mailbox.Role
	uidvalidity uint32
	uidnext     mailbox.UID
	highmodseq  mailbox.ModSeq
	live        int64
	unseen      int64
	size        int64
	tombs       int64
	floor       mailbox.ModSeq
}

// takeUID gives the next UID.
func (b *box) takeUID() (mailbox.UID, error) {
	if b.uidnext == 0 || b.uidnext == 1<<32-1 {
		return 0, fmt.Errorf("mailbox %d has used all UIDs: %w", b.id, store.ErrConflict)
	}
	b.uidnext++
	return b.uidnext - 1, nil
}

// account locks an account's ledger row for the transaction. Accounts must be
// asked for in ascending order, so that two writers cannot deadlock.
func (t *tx) account(id mailbox.AccountID) (*account, error) {
	if t.counts == nil {
		return nil, store.ErrReadOnly
	}
	a := t.counts.accounts[id]
	if id < t.lastLock && !t.anyOrder && (a == nil || a.epoch != t.counts.epoch) {
		return nil, fmt.Errorf("sqlstore: account %d locked after %d", id, t.lastLock)
	}
	t.lastLock = max(id, t.lastLock)
	if a != nil {
		t.counts.takeAccount(a, false)
		return a, nil
	}
	a = &account{}
	s := &a.accountState
	err := t.row("SELECT account, modseq, octets, messages, validity, quota FROM ledger WHERE account = $1"+t.lock(), id).
		scan(&s.id, &s.modseq, &s.octets, &s.messages, &s.validity, &s.quota)
	if err != nil {
		return nil, wrap(err, "account %d", id)
	}
	a.saved = *s
	t.counts.accounts[id] = a
	t.counts.takeAccount(a, true)
	return a, nil
}

// takeAccount hands a row to the operation.
func (c *counters) takeAccount(a *account, loaded bool) {
	if a.epoch != c.epoch {
		a.epoch = c.epoch
		c.undoAccounts = append(c.undoAccounts, undone[*account, accountState]{a, a.accountState, loaded})
	}
	c.useAccount(a)
}

func (c *counters) useAccount(a *account) {
	if !a.used {
		a.used = true
		c.usedAccounts = append(c.usedAccounts, a)
	}
}

// mailbox gives the counters of a mailbox, whose account must be locked.
func (t *tx) mailbox(id mailbox.ID) (*box, error) {
	if t.counts == nil {
		return nil, store.ErrReadOnly
	}
	if b := t.counts.boxes[id]; b != nil {
		t.counts.takeBox(b, false)
		return b, nil
	}
	b, err := t.loadBox("WHERE id = $1", id)
	if err != nil {
		return nil, wrap(err, "mailbox %d", id)
	}
	return b, nil
}

// loadBox reads a mailbox's counters; those that are in hand already win.
func (t *tx) loadBox(where string, args ...any) (*box, error) {
	b := &box{}
	s := &b.boxState
	err := t.row("SELECT id, account, role, uidvalidity, uidnext, highmodseq, live, unseen, size, tombs, floor FROM mailbox "+where, args...).
		scan(&s.id, &s.account, &s.role, &s.uidvalidity, &s.uidnext, &s.highmodseq, &s.live, &s.unseen, &s.size, &s.tombs, &s.floor)
	if err != nil {
		return nil, err
	}
	if have := t.counts.boxes[s.id]; have != nil {
		t.counts.takeBox(have, false)
		return have, nil
	}
	b.saved = *s
	t.counts.boxes[s.id] = b
	t.counts.takeBox(b, true)
	return b, nil
}

// takeBox hands a row to the operation.
func (c *counters) takeBox(b *box, loaded bool) {
	if b.epoch != c.epoch {
		b.epoch = c.epoch
		c.undoBoxes = append(c.undoBoxes, undone[*box, boxState]{b, b.boxState, loaded})
	}
	c.useBox(b)
}

func (c *counters) useBox(b *box) {
	if !b.used {
		b.used = true
		c.usedBoxes = append(c.usedBoxes, b)
	}
}

// mailboxOf locks the account and gives a mailbox of it; one of another account
// is ErrNotFound.
func (t *tx) mailboxOf(a mailbox.AccountID, id mailbox.ID) (*account, *box, error) {
	acc, err := t.account(a)
	if err != nil {
		return nil, nil, err
	}
	b, err := t.mailbox(id)
	if err != nil {
		return nil, nil, err
	}
	if b.account != a {
		return nil, nil, wrap(store.ErrNotFound, "mailbox %d", id)
	}
	return acc, b, nil
}

// forgetMailbox drops the counters of a mailbox whose row is deleted or whose
// role has changed. Unwritten changes are lost.
func (t *tx) forgetMailbox(id mailbox.ID) { t.counts.dropBox(id) }

// forgetAccount does so for an account that is deleted.
func (t *tx) forgetAccount(id mailbox.AccountID) { t.counts.dropAccount(id) }

func (c *counters) dropBox(id mailbox.ID) {
	if b := c.boxes[id]; b != nil {
		b.used = false
		delete(c.boxes, id)
		c.usedBoxes = slices.DeleteFunc(c.usedBoxes, func(u *box) bool { return u == b })
	}
	maps.DeleteFunc(c.roles, func(_ accountRole, m mailbox.ID) bool { return m == id })
}

func (c *counters) dropAccount(id mailbox.AccountID) {
	if a := c.accounts[id]; a != nil {
		a.used = false
		delete(c.accounts, id)
		c.usedAccounts = slices.DeleteFunc(c.usedAccounts, func(u *account) bool { return u == a })
	}
	maps.DeleteFunc(c.roles, func(r accountRole, _ mailbox.ID) bool { return r.account == id })
}

// flush writes back what has changed.
func (t *tx) flush() error {
	c := t.counts
	for _, a := range c.usedAccounts {
		a.used = false
		s := a.accountState
		if s == a.saved {
			continue
		}
		err := t.later(exactlyOne("ledger", int64(s.id)), "UPDATE ledger SET modseq = $1, octets = $2, messages = $3, validity = $4, quota = $5 WHERE account = $6",
			s.modseq, s.octets, s.messages, s.validity, s.quota, s.id)
		if err != nil {
			return err
		}
		a.saved = s
	}
	for _, b := range c.usedBoxes {
		b.used = false
		s := b.boxState
		if s == b.saved {
			continue
		}
		err := t.later(exactlyOne("mailbox", int64(s.id)), "UPDATE mailbox SET uidnext = $1, highmodseq = $2, live = $3, unseen = $4, size = $5, tombs = $6, floor = $7 WHERE id = $8",
			s.uidnext, s.highmodseq, s.live, s.unseen, s.size, s.tombs, s.floor, s.id)
		if err != nil {
			return err
		}
		b.saved = s
	}
	c.usedAccounts, c.usedBoxes = c.usedAccounts[:0], c.usedBoxes[:0]
	return nil
}

var errCounters = errors.New("sqlstore: counters have no row")

func exactlyOne(table string, id int64) func(int64) error {
	return func(n int64) error {
		if n != 1 {
			return wrap(errCounters, "%s %d", table, id)
		}
		return nil
	}
}

// wrap says what an error is about, for errors.Is to see through.
func wrap(err error, format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, err)...)
}
