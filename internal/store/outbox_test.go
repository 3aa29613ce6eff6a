package store

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/mailbox"
)

// large is an accept with deliveries and queued recipients in two groups.
func large(deliveries, first, second int) *Accept {
	at := time.Date(2026, 11, 30, 10, 0, 0, 0, time.UTC)
	a := &Accept{ID: mail.NewID(at), Blob: NewBlob{ID: blob.NewID(at), At: blob.Location{Unit: "p"}, Size: 100}}
	for i := range deliveries {
		d := Delivery{Account: mailbox.AccountID(i + 1), Target: Target{Role: mailbox.Inbox}, Prefix: []byte("P: 1\r\n"), InternalDate: at, Preview: "hola", Envelope: []byte{1, 0}}
		if i%7 == 0 {
			d.Target, d.Flags, d.Keywords = Target{Name: "Listas"}, 3, []string{"$Junk"}
		}
		if i%100 == 99 {
			d.Prefix = []byte("P: 2\r\n")
		}
		a.Deliveries = append(a.Deliveries, d)
	}
	for g, n := range []int{first, second} {
		e := Enqueue{ReversePath: fmt.Sprintf("ana%d@example.org", g), Prefix: []byte("Q: 1\r\n"), Expires: at.Add(time.Hour), Sign: true}
		for i := range n {
			e.Recipients = append(e.Recipients, QueueTo{Address: fmt.Sprintf("u%d.%d@example.net", g, i), Domain: "example.net", Original: "rfc822;todos@example.org"})
		}
		if n > 0 {
			a.Enqueues = append(a.Enqueues, e)
		}
	}
	return a
}

// items lists what an accept does, in order.
func items(list ...*Accept) (out []string) {
	for _, a := range list {
		for _, d := range a.Deliveries {
			out = append(out, fmt.Sprintf("%d %+v %v %v %s %s %v", d.Account, d.Target, d.Flags, d.Keywords, d.Prefix, d.Preview, d.InternalDate.UTC()))
		}
	}
	for _, a := range list {
		for _, e := range a.Enqueues {
			for _, r := range e.Recipients {
				out = append(out, fmt.Sprintf("%s %s %+v %v", e.ReversePath, e.Prefix, r, e.Sign))
			}
		}
	}
	return out
}

// Whatever the size, the accept and the steps of its outbox do what was asked, each
// item once and in order, and none is above the bound of a transaction.
func TestSplit(t *testing.T) {
	for _, c := range []struct{ deliveries, first, second, most, steps int }{
		{0, 0, 0, 1000, 0}, {1, 0, 0, 1000, 0}, {250, 0, 0, 1000, 0}, {200, 200, 0, 1000, 0}, {0, 1000, 0, 1000, 0},
		{251, 0, 0, 1000, 1}, {249, 5, 0, 1000, 1}, {0, 1001, 0, 1000, 1}, {0, 600, 600, 1000, 1}, {5000, 0, 0, 10_000, 19},
		{333, 1500, 1, 1000, 2}, {300, 10, 10, 7, 10},
	} {
		a := large(c.deliveries, c.first, c.second)
		want := items(a)
		if err := a.Split(); err != nil {
			t.Fatal(err)
		}
		all, n := []*Accept{a}, 0
		if len(a.Jobs) > 0 {
			j := a.Jobs[0]
			if j.Kind != OutboxKind || j.Blob != a.Blob.ID {
				t.Errorf("%+v: job %+v", c, j)
			}
			for over := false; !over; n++ {
				o, err := DecodeOutbox(&j) // as after a crash
				if err != nil {
					t.Fatalf("%+v: %v", c, err)
				}
				step := o.Step(&j, c.most)
				if step.ID != a.ID || step.Blob.ID != a.Blob.ID || step.Blob.At.Unit != "" {
					t.Fatalf("%+v: step %+v", c, step)
				}
				all = append(all, step)
				over, j.Cursor = step.Step.End, step.Step.Cursor
			}
		}
		if n != c.steps {
			t.Errorf("%+v: %d steps", c, n)
		}
		for i, s := range all {
			rows := len(s.Deliveries) * rowsForDelivery
			for _, e := range s.Enqueues {
				rows += len(e.Recipients)
			}
			if rows > maxAcceptRows {
				t.Errorf("%+v: step %d has %d rows", c, i, rows)
			}
		}
		if got := items(all...); !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: %d items became %d", c, len(want), len(got))
		}
	}
}

// What an outbox takes in the accept's own row, and what no job can hold.
func TestSplitBounds(t *testing.T) {
	a := large(230, 0, 0)
	a.Unread, a.Confirm = true, make([]ConfirmKey, 900)
	if err := a.Split(); err != nil || len(a.Deliveries) != leastRows/rowsForDelivery || len(a.Jobs) != 1 {
		t.Errorf("beside 900 rows of keys: %d deliveries, %v", len(a.Deliveries), err)
	}
	a = large(300, 0, 0)
	a.ID = mail.ID{}
	if err := a.Split(); !errors.Is(err, ErrInvalid) {
		t.Errorf("without an id: %v", err)
	}
}

// Skip leaves one item out.
func TestOutboxSkip(t *testing.T) {
	a := large(252, 0, 0)
	want := a.Deliveries[251].Account
	if err := a.Split(); err != nil {
		t.Fatal(err)
	}
	o, err := DecodeOutbox(&a.Jobs[0])
	if err != nil {
		t.Fatal(err)
	}
	skip := o.Skip(&a.Jobs[0])
	if o.Advance(skip); skip.Step.End || len(skip.Deliveries) > 0 || o.Done() != 251 {
		t.Errorf("%+v, %d done", skip, o.Done())
	}
	if step := o.Step(&a.Jobs[0], 10); len(step.Deliveries) != 1 || step.Deliveries[0].Account != want || !step.Step.End {
		t.Errorf("%+v", step)
	}
}

// FuzzDecodeOutbox: no bytes cost more than the bound, and what is read can be
// carried out in steps that end.
func FuzzDecodeOutbox(f *testing.F) {
	a := large(260, 3, 0)
	if err := a.Split(); err != nil {
		f.Fatal(err)
	}
	f.Add(a.Jobs[0].Data, []byte("250"))
	f.Add([]byte("x"), []byte("-1"))
	f.Fuzz(func(t *testing.T, data, cursor []byte) {
		j := &Job{Data: data, Cursor: cursor}
		o, err := DecodeOutbox(j)
		if err != nil {
			return
		}
		for steps := 0; o.Done() < o.Len(); steps++ {
			step := o.Step(j, 100)
			before := o.Done()
			if o.Advance(step); o.Done() <= before || bytes.Equal(cursorOf(before), step.Step.Cursor) {
				t.Fatalf("step %d stands still at %d", steps, before)
			}
		}
	})
}
