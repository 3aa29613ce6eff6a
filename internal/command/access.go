package command

import (
	"context"
	"path"
	"strings"
	"time"
	"unicode/utf8"

	"posta/internal/access"
	"posta/internal/store"
)

// AccessEntry is one entry of the access map as people see it.
type AccessEntry struct {
	Key     string    `json:"key"`
	Value   string    `json:"value"`
	Note    string    `json:"note,omitempty"`
	Who     string    `json:"who,omitempty"`
	At      time.Time `json:"at,omitzero"`
	Expires time.Time `json:"expires,omitzero"`
}

// AccessQuery selects entries: those whose key contains Pattern or, when it has a *
// or ?, is as it says. Lists come in pages in the order of the keys.
type AccessQuery struct {
	Pattern string `json:"pattern,omitempty"`
	After   string `json:"after,omitempty"` // Next of the page before
	Limit   int    `json:"limit,omitempty"` // 0 means 2,000, which is the most
}

// AccessPage is one page of entries; Next is "" at the end.
type AccessPage struct {
	Entries []AccessEntry `json:"entries"`
	Next    string        `json:"next,omitempty"`
}

// AccessEdit changes many entries in one transaction: at most store.MaxAccessStep of
// Put and Remove together.
type AccessEdit struct {
	Put    []AccessEntry `json:"put,omitempty"` // Who and At are not looked at
	Remove []string      `json:"remove,omitempty"`
}

// AccessChanged is what came of it.
type AccessChanged struct {
	Added   int `json:"added"`
	Changed int `json:"changed"`
	Removed int `json:"removed"`
}

const maxAccessPage = 2000

var accessCommands = []Command{
	run("access.ls", store.Helpdesk, listAccess),
	run("access.show", store.Helpdesk, showAccess),
	run("access.add", store.Owner, addAccess),
	run("access.remove", store.Owner, removeAccess),
	run("access.edit", store.Owner, func(ctx context.Context, h *House, p Principal, e AccessEdit) (any, error) {
		return h.changeAccess(ctx, p, "access.edit", e)
	}),
}

func shownAccess(e store.AccessEntry) AccessEntry {
	return AccessEntry{Key: e.Key, Value: e.Value, Note: e.Note, Who: e.Who, At: e.At, Expires: e.Until}
}

func listAccess(ctx context.Context, h *House, _ Principal, q AccessQuery) (any, error) {
	if q.Limit <= 0 || q.Limit > maxAccessPage {
		q.Limit = maxAccessPage
	}
	matches, err := accessPattern(q.Pattern)
	if err != nil {
		return nil, err
	}
	out := AccessPage{Entries: []AccessEntry{}}
	for after := q.After; ; {
		page, err := h.Store.ListAccess(ctx, after, maxAccessPage)
		if err != nil {
			return nil, err
		}
		for _, e := range page {
			after = e.Key
			if !matches(e.Key) {
				continue
			}
			if out.Entries = append(out.Entries, shownAccess(e)); len(out.Entries) == q.Limit {
				out.Next = e.Key
				return out, nil
			}
		}
		if len(page) < maxAccessPage {
			return out, nil
		}
	}
}

// accessPattern gives what tells the keys that a pattern means.
func accessPattern(pattern string) (func(string) bool, error) {
	p := strings.ToLower(pattern)
	if !strings.ContainsAny(p, "*?") {
		return func(key string) bool { return strings.Contains(strings.ToLower(key), p) }, nil
	}
	// In a path pattern [ and \ mean something; in keys they stand for themselves.
	p = strings.NewReplacer(`\`, `\\`, "[", `\[`).Replace(p)
	if _, err := path.Match(p, ""); err != nil {
		return nil, fail(ErrUsage, "error.access.pattern", pattern)
	}
	return func(key string) bool {
		ok, _ := path.Match(p, strings.ReplaceAll(strings.ToLower(key), "/", "\x00"))
		return ok
	}, nil
}

func showAccess(ctx context.Context, h *House, _ Principal, a struct {
	Key string `json:"key"`
}) (any, error) {
	k, err := accessKey(a.Key)
	if err != nil {
		return nil, err
	}
	found, err := h.Store.AccessEntries(ctx, k.String())
	if err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, fail(ErrMissing, "error.access.missing", k)
	}
	return shownAccess(found[0]), nil
}

func accessKey(s string) (access.Key, error) {
	k, err := access.ParseKey(s)
	if err != nil {
		return k, fail(ErrUsage, "error.access.key", s, err)
	}
	return k, nil
}

func addAccess(ctx context.Context, h *House, p Principal, a AccessEntry) (any, error) {
	if _, err := h.changeAccess(ctx, p, "access.add", AccessEdit{Put: []AccessEntry{a}}); err != nil {
		return nil, err
	}
	return showAccess(ctx, h, p, struct {
		Key string `json:"key"`
	}{a.Key})
}

func removeAccess(ctx context.Context, h *House, p Principal, a struct {
	Key string `json:"key"`
}) (any, error) {
	k, err := accessKey(a.Key)
	if err != nil {
		return nil, err
	}
	out, err := h.changeAccess(ctx, p, "access.remove", AccessEdit{Remove: []string{a.Key}})
	if err == nil && out.Removed == 0 {
		err = fail(ErrMissing, "error.access.missing", k)
	}
	return out, err
}

// maxNote is the longest note, in octets.
const maxNote = 400

// oneLine reports whether a text can be a note.
func oneLine(s string) bool {
	return len(s) <= maxNote && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// entryOf validates an entry and gives its row.
func (h *House) entryOf(p Principal, a AccessEntry) (store.AccessEntry, error) {
	k, err := accessKey(a.Key)
	if err != nil {
		return store.AccessEntry{}, err
	}
	v, err := access.ParseValue(a.Value)
	if err == nil {
		err = access.CheckEntry(k, v)
	}
	if err == nil {
		err = access.Unasked(k, v)
	}
	if err != nil {
		return store.AccessEntry{}, fail(ErrUsage, "error.access.value", a.Key, err)
	}
	if !oneLine(a.Note) {
		return store.AccessEntry{}, fail(ErrUsage, "error.access.note", maxNote)
	}
	if !a.Expires.IsZero() && !a.Expires.After(h.now()) {
		return store.AccessEntry{}, fail(ErrUsage, "error.access.expired", a.Key, a.Expires.UTC().Format(time.RFC3339))
	}
	return store.AccessEntry{Key: k.String(), Value: v.String(), Note: a.Note, Who: p.Name, At: h.now(), Until: a.Expires}, nil
}

// changeAccess makes the changes to the access map.
func (h *House) changeAccess(ctx context.Context, p Principal, cmd string, e AccessEdit) (*AccessChanged, error) {
	if n := len(e.Put) + len(e.Remove); n > store.MaxAccessStep {
		return nil, fail(ErrUsage, "error.access.many", n, store.MaxAccessStep)
	}
	put, keys, err := h.readEdit(p, e)
	if err != nil {
		return nil, err
	}
	out, err := h.changeRows(ctx, h.Store, p, cmd, put, keys)
	if err == nil && h.Access != nil && h.Access.Loaded() {
		err = h.Access.Refresh(ctx)
	}
	return out, err
}

// changeRows makes changes to the access map or the rules in one transaction, with its
// audit record: what was before stands in it whole, since it is nowhere else afterwards.
// keys are those of put, and then those to remove.
func (h *House) changeRows(ctx context.Context, rows store.Access, p Principal, cmd string, put []store.AccessEntry, keys []string) (*AccessChanged, error) {
	out := &AccessChanged{}
	err := rows.ChangeAccess(ctx, func(tx store.AccessTx) (store.Audit, error) {
		*out = AccessChanged{}
		before, err := tx.Entries(keys...)
		if err != nil {
			return store.Audit{}, err
		}
		was := map[string]AccessEntry{}
		for _, b := range before {
			was[b.Key] = shownAccess(b)
		}
		a := store.Audit{At: h.now(), Principal: p.Name, Tenant: p.Tenant, Command: cmd, Object: objectOf(keys)}
		is := map[string]AccessEntry{}
		for _, n := range put {
			if is[n.Key] = shownAccess(n); was[n.Key].Key == "" {
				out.Added++
			} else {
				out.Changed++
			}
		}
		gone := []string{}
		for _, k := range keys[len(put):] {
			if was[k].Key != "" {
				gone = append(gone, k)
			}
		}
		out.Removed = len(gone)
		a.Before, a.After = auditAccess(keys, was), auditAccess(keys, is)
		if err := tx.Put(put...); err != nil {
			return a, err
		}
		return a, tx.Delete(gone...)
	})
	return out, err
}

// auditAccess is the side of an audit record: an entry whole, of many their values.
func auditAccess(keys []string, entries map[string]AccessEntry) string {
	switch {
	case len(entries) == 0:
		return ""
	case len(keys) == 1:
		return asJSON(entries[keys[0]])
	}
	values := make(map[string]string, len(entries))
	for k, e := range entries {
		values[k] = e.Value
	}
	return asJSON(values)
}

// readEdit gives the rows to put, and all keys: first theirs, then those to remove.
func (h *House) readEdit(p Principal, e AccessEdit) (put []store.AccessEntry, keys []string, err error) {
	for _, a := range e.Put {
		row, err := h.entryOf(p, a)
		if err != nil {
			return nil, nil, err
		}
		put, keys = append(put, row), append(keys, row.Key)
	}
	for _, s := range e.Remove {
		k, err := accessKey(s)
		if err != nil {
			return nil, nil, err
		}
		keys = append(keys, k.String())
	}
	seen := map[string]bool{}
	for _, k := range keys {
		if seen[k] {
			return nil, nil, fail(ErrUsage, "error.access.twice", k)
		}
		seen[k] = true
	}
	return put, keys, nil
}

// objectOf names what a change is about: the key, or the first and the last of many.
func objectOf(keys []string) string {
	switch len(keys) {
	case 0:
		return ""
	case 1:
		return keys[0]
	}
	return keys[0] + " … " + keys[len(keys)-1]
}
