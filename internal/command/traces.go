package command

import (
	"context"
	"errors"
	"time"

	"posta/internal/finding"
	"posta/internal/mail"
	"posta/internal/store"
	"posta/internal/trace"
)

// Trace is a message's or a refusal's whole story as people see it.
type Trace struct {
	ID     string       `json:"id"`
	Passes []finding.ID `json:"passes"`
	*trace.Record
	Events []TraceLine `json:"events,omitempty"`
	Queue  []QueueItem `json:"queue,omitempty"`
}

// TraceLine is a later event with its time.
type TraceLine struct {
	At time.Time `json:"at"`
	*trace.Event
}

// TraceQuery finds traces by an id, address, "@domain", IP or Message-ID.
type TraceQuery struct {
	Query string `json:"query"`
	Limit int    `json:"limit,omitempty"` // 0 means 20
}

var traceCommands = []Command{
	run("trace.find", store.Helpdesk, findTraces),
}

func findTraces(ctx context.Context, h *House, _ Principal, q TraceQuery) (any, error) {
	if q.Limit <= 0 || q.Limit > 1000 {
		q.Limit = 20
	}
	ids, err := h.traceIDs(ctx, q)
	if err != nil {
		return nil, err
	}
	out := []Trace{}
	for _, id := range ids {
		t, err := h.Trace(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue // dropped meanwhile
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *t)
	}
	if len(out) == 0 {
		return nil, fail(ErrMissing, "error.trace.none", q.Query)
	}
	return out, nil
}

func (h *House) traceIDs(ctx context.Context, q TraceQuery) ([]mail.ID, error) {
	key := trace.Key(q.Query)
	if id, err := mail.ParseID(key); err == nil {
		return []mail.ID{id}, nil
	}
	if err := h.Store.FlushTraces(ctx); err != nil {
		return nil, err
	}
	if key != "" {
		return h.Store.FindTraces(ctx, key, q.Limit)
	}
	latest, err := h.Store.LatestTraces(ctx, time.Time{}, q.Limit)
	if err != nil {
		return nil, err
	}
	ids := make([]mail.ID, len(latest))
	for i, t := range latest {
		ids[i] = t.ID
	}
	return ids, nil
}

// Trace reads one trace with its events and what still waits in the queue.
func (h *House) Trace(ctx context.Context, id mail.ID) (*Trace, error) {
	st, err := h.Store.Trace(ctx, id)
	if err != nil {
		return nil, err
	}
	rec, err := trace.Decode(st.TraceRecord)
	if err != nil {
		return nil, err
	}
	t := &Trace{ID: id.String(), Passes: rec.Findings.Passes(), Record: rec}
	for _, e := range st.Events {
		ev, err := trace.DecodeEvent(e)
		if err != nil {
			return nil, err
		}
		t.Events = append(t.Events, TraceLine{ev.At, ev})
	}
	q, err := listQueue(ctx, h, Principal{}, QueueQuery{ID: t.ID})
	if err != nil {
		return nil, err
	}
	t.Queue = q.([]QueueItem)
	return t, nil
}
