package command

import (
	"context"
	"errors"
	"slices"
	"strings"
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

// TraceQuery finds traces by an id, address, "@domain", IP or Message-ID, or by
// whatever a pasted text (a bounce, a reply, a line of a log) names of these, see
// trace.FindClues; "" are the newest.
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
	out, err := h.tracesOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	if len(out) == 0 {
		return nil, noTrace(q.Query)
	}
	return out, nil
}

// tracesOf reads traces; those that were dropped meanwhile are left out.
func (h *House) tracesOf(ctx context.Context, ids []mail.ID) ([]Trace, error) {
	out := []Trace{}
	for _, id := range ids {
		t, err := h.Trace(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out = append(out, *t)
	}
	return out, nil
}

// noTrace says that nothing was found, and where a pasted refusal has no trace, which
// page explains it.
func noTrace(query string) error {
	if c := trace.FindClues(query); len(c.IDs) == 0 && len(c.Checks) > 0 {
		return fail(ErrMissing, "error.trace.check", string(c.Checks[0]))
	}
	const shown = 200
	if len(query) > shown {
		query = strings.ToValidUTF8(query[:shown], "") + "…"
	}
	return fail(ErrMissing, "error.trace.none", query)
}

// traceIDs finds what a query names: as a key, else by the clues of a pasted text.
func (h *House) traceIDs(ctx context.Context, q TraceQuery) ([]mail.ID, error) {
	if err := h.Store.FlushTraces(ctx); err != nil {
		return nil, err
	}
	key := trace.Key(q.Query)
	if id, err := mail.ParseID(key); err == nil {
		return []mail.ID{id}, nil
	}
	if key == "" {
		return h.latestIDs(ctx, q.Limit)
	}
	if len(key) <= maxKey && !strings.ContainsAny(key, "\r\n") {
		ids, err := h.Store.FindTraces(ctx, key, q.Limit)
		if err != nil || len(ids) > 0 {
			return ids, err
		}
	}
	return h.pastedIDs(ctx, trace.FindClues(q.Query), q.Limit)
}

// maxKey is longer than any key, in octets.
const maxKey = 512

func (h *House) latestIDs(ctx context.Context, limit int) ([]mail.ID, error) {
	latest, err := h.Store.LatestTraces(ctx, time.Time{}, limit)
	if err != nil {
		return nil, err
	}
	ids := make([]mail.ID, len(latest))
	for i, t := range latest {
		ids[i] = t.ID
	}
	return ids, nil
}

// pastedIDs takes the surest clues that lead anywhere: ids of ours, then
// Message-IDs, then what all addresses that are known have in common.
func (h *House) pastedIDs(ctx context.Context, c trace.Clues, limit int) ([]mail.ID, error) {
	var ids []mail.ID
	for _, id := range c.IDs {
		_, err := h.Store.Trace(ctx, id)
		if err == nil {
			ids = append(ids, id)
		} else if !errors.Is(err, store.ErrNotFound) {
			return nil, err
		}
	}
	fromIDs := len(ids) > 0
	for _, m := range c.MessageIDs {
		if fromIDs {
			break
		}
		found, err := h.Store.FindTraces(ctx, m, limit)
		if err != nil {
			return nil, err
		}
		for _, id := range found {
			if !slices.Contains(ids, id) {
				ids = append(ids, id)
			}
		}
	}
	if len(ids) == 0 {
		return h.commonIDs(ctx, c.Others, limit)
	}
	return ids[:min(len(ids), limit)], nil
}

// searched is how many traces of one address are compared with those of another.
const searched = 1000

// commonIDs finds what has all of the keys that are known; one that would leave
// nothing is passed over.
func (h *House) commonIDs(ctx context.Context, keys []string, limit int) (common []mail.ID, err error) {
	for _, k := range keys {
		found, err := h.Store.FindTraces(ctx, k, searched)
		if err != nil {
			return nil, err
		}
		if common == nil {
			common = found
			continue
		}
		both := slices.DeleteFunc(found, func(id mail.ID) bool { return !slices.Contains(common, id) })
		if len(both) > 0 {
			common = both
		}
	}
	return common[:min(len(common), limit)], nil
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
