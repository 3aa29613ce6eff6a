package command

import (
	"context"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// QueueItem is one recipient that waits, as people see it.
type QueueItem struct {
	Entry    int64     `json:"entry"`
	ID       string    `json:"id"` // of the message
	From     string    `json:"from"`
	To       string    `json:"to"`
	Domain   string    `json:"domain"`
	State    string    `json:"state"`
	Created  time.Time `json:"created"`
	Due      time.Time `json:"due"`
	Expires  time.Time `json:"expires"`
	Attempts int       `json:"attempts"`
	Last     string    `json:"last,omitempty"`
	Size     int64     `json:"size"`
}

// QueueQuery selects entries; the zero value means all that wait.
type QueueQuery struct {
	ID      string `json:"id,omitempty"`
	Domain  string `json:"domain,omitempty"`
	Address string `json:"address,omitempty"`
	Limit   int    `json:"limit,omitempty"`
}

var stateNames = [...]string{"ready", "held", "done", "failed"}

var queueCommands = []Command{
	run("queue.ls", store.Helpdesk, listQueue),
	editQueue("queue.retry", store.Retry),
	editQueue("queue.hold", store.Hold),
	editQueue("queue.release", store.Release),
	editQueue("queue.drop", store.Drop),
}

func (q QueueQuery) filter() (store.QueueFilter, error) {
	f := store.QueueFilter{Domain: q.Domain, Address: q.Address, Limit: q.Limit, States: []store.QueueState{store.Ready, store.Held}}
	if q.ID != "" {
		id, err := mail.ParseID(q.ID)
		if err != nil {
			return f, fail(ErrUsage, "error.queue.id", q.ID, err)
		}
		f.Message = id
	}
	return f, nil
}

func listQueue(ctx context.Context, h *House, _ Principal, q QueueQuery) (any, error) {
	f, err := q.filter()
	if err != nil {
		return nil, err
	}
	entries, err := h.Store.ListQueue(ctx, f)
	if err != nil {
		return nil, err
	}
	out := make([]QueueItem, 0, len(entries))
	for _, e := range entries {
		out = append(out, QueueItem{
			Entry: e.ID, ID: e.Message.String(), From: e.ReversePath, To: e.Address, Domain: e.Domain,
			State: stateNames[e.State], Created: e.Created, Due: e.Due, Expires: e.Expires,
			Attempts: e.Attempts, Last: e.Last, Size: int64(len(e.Prefix)) + e.Blob.Size - e.Skip,
		})
	}
	return out, nil
}

// Count is how many objects a command changed.
type Count struct {
	Changed int `json:"changed"`
}

// editQueue makes a command that changes every entry that the query selects; an
// empty query is refused, so that nobody drops the whole queue by a slip.
func editQueue(name string, edit store.QueueEdit) Command {
	return run(name, store.Owner, func(ctx context.Context, h *House, p Principal, q QueueQuery) (any, error) {
		if q.ID == "" && q.Domain == "" && q.Address == "" {
			return nil, fail(ErrUsage, "error.queue.which")
		}
		f, err := q.filter()
		if err != nil {
			return nil, err
		}
		entries, err := h.Store.ListQueue(ctx, f)
		if err != nil {
			return nil, err
		}
		ids := make([]int64, len(entries))
		for i, e := range entries {
			ids[i] = e.ID
		}
		if len(ids) == 0 {
			return nil, fail(ErrMissing, "error.queue.none")
		}
		n, err := h.Store.EditQueue(ctx, ids, edit, store.Audit{At: h.now(), Principal: p.Name, Tenant: p.Tenant, Command: name, Object: q.ID + q.Domain + q.Address})
		return Count{n}, err
	})
}
