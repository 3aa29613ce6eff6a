package store

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"github.com/klauspost/compress/s2"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
)

// OutboxKind is the kind of the jobs that Split makes.
const OutboxKind = "outbox"

// What an accept costs in rows: a delivery writes email, placement, and the counters
// of account and mailbox; a queued recipient its entry.
const (
	maxAcceptRows    = 1000
	rowsForDelivery  = 4
	rowsForRecipient = 1
	// leastRows is what is left to an accept with many confirm keys, which may be rows.
	leastRows = 200
)

// maxOutbox bounds what DecodeOutbox unpacks.
const maxOutbox = 16 << 20

// ErrOutbox says that the data of a job is not what Split wrote.
var ErrOutbox = errors.New("store: malformed outbox")

// Split leaves in the accept what fits one transaction and gives the rest to a job
// of its outbox, made durable with it: what is acknowledged is whole from the first,
// and is carried out in steps (Outbox.Step) by whoever claims the job. It does
// nothing when all of it fits. The accept must have an id then.
func (a *Accept) Split() error {
	room := maxAcceptRows
	if a.Unread {
		room = max(leastRows, room-len(a.Confirm))
	}
	room = max(leastRows, room-len(a.Holds))
	rows := len(a.Deliveries) * rowsForDelivery
	for i := range a.Enqueues {
		rows += len(a.Enqueues[i].Recipients) * rowsForRecipient
	}
	if rows <= room {
		return nil
	}
	o := &Outbox{Accept: a.ID, Blob: NewBlob{ID: a.Blob.ID, Size: a.Blob.Size}, deliveries: a.Deliveries, enqueues: a.Enqueues}
	if a.ID.IsZero() {
		return fmt.Errorf("%w: an accept without an id cannot be split", ErrInvalid)
	}
	var n int
	a.Deliveries, a.Enqueues, n = o.cut(0, room, o.Len())
	data, err := o.encode()
	if err != nil {
		return err
	}
	key := OutboxKind + "/" + a.ID.String()
	if a.Release != nil { // the message may be released for several recipients
		key += fmt.Sprintf("/held/%d", a.Release.ID)
	}
	a.Jobs = append(a.Jobs, Job{Key: key, Kind: OutboxKind, Data: data, Cursor: cursorOf(n), Blob: a.Blob.ID})
	return nil
}

// Outbox is what is left of an accept that was too large for one transaction. Its
// items are the deliveries, then the queued recipients, in order.
type Outbox struct {
	Accept mail.ID
	Blob   NewBlob // without At: its row is there

	deliveries []Delivery
	enqueues   []Enqueue
	done       int // items
}

// Len is how many items there are.
func (o *Outbox) Len() int {
	n := len(o.deliveries)
	for i := range o.enqueues {
		n += len(o.enqueues[i].Recipients)
	}
	return n
}

// Done is how many items are done.
func (o *Outbox) Done() int { return o.done }

// Step is the next step of the job that the outbox came from: an accept of at most
// most items, and no more than fit one transaction, with what records it. It changes
// nothing; after a step that was committed Advance goes on.
func (o *Outbox) Step(j *Job, most int) *Accept {
	a := &Accept{ID: o.Accept, Blob: o.Blob}
	var n int
	a.Deliveries, a.Enqueues, n = o.cut(o.done, maxAcceptRows, most)
	a.Step = o.stepOf(j, n)
	return a
}

// Skip is the step that leaves the next item out.
func (o *Outbox) Skip(j *Job) *Accept { return &Accept{ID: o.Accept, Step: o.stepOf(j, 1)} }

func (o *Outbox) stepOf(j *Job, n int) *JobStep {
	return &JobStep{ID: j.ID, Fence: j.Fence, From: cursorOf(o.done), Cursor: cursorOf(o.done + n), End: o.done+n >= o.Len()}
}

// Advance goes on behind a step that was committed.
func (o *Outbox) Advance(step *Accept) { o.done, _ = doneBy(step.Step.Cursor) }

// cut gives the items from one on, at most most and as many as fit the rows, but
// at least one; n is how many.
func (o *Outbox) cut(from, rows, most int) (deliveries []Delivery, enqueues []Enqueue, n int) {
	take := func(have, cost int) int { // how many of the next items
		m := min(have, most-n, rows/cost)
		if n == 0 {
			m = max(m, 1)
		}
		n += m
		rows -= m * cost
		return m
	}
	if left := len(o.deliveries) - from; left > 0 {
		m := take(left, rowsForDelivery)
		deliveries = o.deliveries[from : from+m : from+m]
		if m < left {
			return deliveries, nil, n
		}
	}
	from = max(0, from-len(o.deliveries))
	for _, e := range o.enqueues {
		all := e.Recipients
		if from >= len(all) {
			from -= len(all)
			continue
		}
		m := take(len(all)-from, rowsForRecipient)
		if m == 0 {
			break
		}
		e.Recipients = all[from : from+m : from+m]
		enqueues = append(enqueues, e)
		if from+m < len(all) {
			break
		}
		from = 0
	}
	return deliveries, enqueues, n
}

// outboxForm is an Outbox as it is kept: JSON, compressed (S2). What the deliveries
// have in common stands once.
type outboxForm struct {
	Accept   mail.ID       `json:"accept"`
	Blob     blob.ID       `json:"blob"`
	Size     int64         `json:"size"`
	Common   []Delivery    `json:"common,omitempty"`
	Places   []outboxPlace `json:"places,omitempty"`
	Enqueues []Enqueue     `json:"enqueues,omitempty"`
}

type outboxPlace struct {
	Common   int               `json:"c,omitempty"` // index
	Account  mailbox.AccountID `json:"a"`
	Target   Target            `json:"t"`
	Flags    mailbox.Flags     `json:"f,omitempty"`
	Keywords []string          `json:"k,omitempty"`
}

// common is a delivery without what an outboxPlace tells.
func common(d Delivery) Delivery {
	d.Account, d.Target, d.Flags, d.Keywords = 0, Target{}, 0, nil
	return d
}

func alike(a, b *Delivery) bool {
	return bytes.Equal(a.Prefix, b.Prefix) && a.Skip == b.Skip && a.InternalDate.Equal(b.InternalDate) && a.Sent.Equal(b.Sent) &&
		bytes.Equal(a.Envelope, b.Envelope) && bytes.Equal(a.Structure, b.Structure) && a.Preview == b.Preview && a.CheckQuota == b.CheckQuota
}

func (o *Outbox) encode() ([]byte, error) {
	f := outboxForm{Accept: o.Accept, Blob: o.Blob.ID, Size: o.Blob.Size, Enqueues: o.enqueues}
	for _, d := range o.deliveries {
		if n := len(f.Common); n == 0 || !alike(&f.Common[n-1], &d) {
			f.Common = append(f.Common, common(d))
		}
		f.Places = append(f.Places, outboxPlace{len(f.Common) - 1, d.Account, d.Target, d.Flags, d.Keywords})
	}
	b, err := json.Marshal(&f)
	if err == nil && len(b) > maxOutbox {
		err = fmt.Errorf("%w: an outbox of %d octets", ErrInvalid, len(b))
	}
	return s2.Encode(nil, b), err
}

// DecodeOutbox reads what a job of the kind OutboxKind has to do.
func DecodeOutbox(j *Job) (*Outbox, error) {
	n, err := s2.DecodedLen(j.Data)
	if err != nil || n > maxOutbox {
		return nil, errors.Join(ErrOutbox, err)
	}
	b, err := s2.Decode(nil, j.Data)
	if err != nil {
		return nil, errors.Join(ErrOutbox, err)
	}
	var f outboxForm
	if err := json.Unmarshal(b, &f); err != nil {
		return nil, errors.Join(ErrOutbox, err)
	}
	o := &Outbox{Accept: f.Accept, Blob: NewBlob{ID: f.Blob, Size: f.Size}, enqueues: f.Enqueues}
	for _, p := range f.Places {
		if p.Common < 0 || p.Common >= len(f.Common) {
			return nil, fmt.Errorf("%w: place %d", ErrOutbox, p.Common)
		}
		d := f.Common[p.Common]
		d.Account, d.Target, d.Flags, d.Keywords = p.Account, p.Target, p.Flags, p.Keywords
		o.deliveries = append(o.deliveries, d)
	}
	if o.done, err = doneBy(j.Cursor); err != nil || o.done >= o.Len() {
		return nil, fmt.Errorf("%w: %q of %d items are done", ErrOutbox, j.Cursor, o.Len())
	}
	return o, nil
}

// cursorOf is the cursor of a job of which n items are done.
func cursorOf(n int) []byte { return strconv.AppendInt(nil, int64(n), 10) }

func doneBy(cursor []byte) (int, error) {
	n, err := strconv.ParseUint(string(cursor), 10, 31)
	return int(n), err
}
