package imapserver

import (
	"context"
	"slices"
	"strings"
	"time"

	"posta/internal/imap"
	"posta/internal/mailbox"
	"posta/internal/store"
)

// matcher is a search key made ready: what it costs, what it wants from the store
// and the question itself.
type matcher struct {
	cost  cost
	want  store.Want
	match func(context.Context, *letter) (bool, error)
}

// cost orders keys, so that a message's bytes are only read when everything
// cheaper has said yes.
type cost uint8

const (
	costNumber cost = iota // UID and message number
	costRow                // the row of the message
	costEnvelope
	costBytes // its header
	costBody  // all of it
)

// numberOnly is a message of which nothing but the UID is known.
func numberOnly(u mailbox.UID) *store.Stored {
	return &store.Stored{Message: mailbox.Message{UID: u}}
}

// candidates are the messages that sets at the top of the keys leave over.
func (c *conn) candidates(k *imap.Key) []mailbox.UID {
	s := c.sel
	switch {
	case k.Op == imap.OpUID || k.Op == imap.OpSeq:
		return s.uids.within(c.uidRanges(k))
	case k.Op == imap.OpAnd:
		for i := range k.Keys {
			if op := k.Keys[i].Op; op == imap.OpUID || op == imap.OpSeq {
				return s.uids.within(c.uidRanges(&k.Keys[i]))
			}
		}
	}
	return s.uids.all()
}

// uidRanges gives the UIDs of a set in a search; numbers that do not exist name
// nothing here.
func (c *conn) uidRanges(k *imap.Key) []imap.Range {
	s := c.sel
	switch {
	case k.Set.Saved:
		return s.saved
	case k.Op == imap.OpUID:
		return k.Set.Resolve(uint32(s.uids.last()))
	}
	var out []imap.Range
	for _, u := range s.uids.numbered(k.Set.Resolve(uint32(s.uids.len()))) {
		out = imap.Add(out, uint32(u))
	}
	return out
}

// compile makes a key ready.
func (c *conn) compile(k *imap.Key) (matcher, error) {
	switch k.Op {
	case imap.OpAnd, imap.OpOr, imap.OpNot:
		return c.compileTree(k)
	case imap.OpUID, imap.OpSeq:
		rs := c.uidRanges(k)
		return matcher{cost: costNumber, match: func(_ context.Context, l *letter) (bool, error) {
			return imap.Contains(rs, uint32(l.m.UID)), nil
		}}, nil
	case imap.OpHeader:
		return c.compileHeader(k), nil
	case imap.OpBody, imap.OpText:
		return compileText(k), nil
	}
	return c.compileRow(k), nil
}

// compileTree joins keys; the cheapest is asked first.
func (c *conn) compileTree(k *imap.Key) (matcher, error) {
	var out matcher
	subs := make([]matcher, len(k.Keys))
	for i := range k.Keys {
		m, err := c.compile(&k.Keys[i])
		if err != nil {
			return out, err
		}
		subs[i] = m
		out.cost = max(out.cost, m.cost)
		out.want |= m.want
	}
	slices.SortStableFunc(subs, func(a, b matcher) int { return int(a.cost) - int(b.cost) })
	stop := k.Op == imap.OpOr // the answer of a child that decides
	out.match = func(ctx context.Context, l *letter) (bool, error) {
		for _, m := range subs {
			ok, err := m.match(ctx, l)
			if err != nil {
				return false, err
			}
			if k.Op == imap.OpNot {
				return !ok, nil
			}
			if ok == stop {
				return stop, nil
			}
		}
		return !stop, nil
	}
	return out, nil
}

// compileRow makes a key ready that the message's row answers.
func (c *conn) compileRow(k *imap.Key) matcher {
	now := c.srv.now()
	f := func(*store.Stored) bool { return false }
	switch k.Op {
	case imap.OpFlag:
		bit := mailbox.FlagOf(k.Text)
		f = func(m *store.Stored) bool { return m.Flags&bit != 0 }
	case imap.OpKeyword:
		bit := mailbox.FlagOf(k.Text) // KEYWORD \Seen is not in the grammar, but sent
		f = func(m *store.Stored) bool {
			return m.Flags&bit != 0 || slices.ContainsFunc(m.Keywords, func(w string) bool { return strings.EqualFold(w, k.Text) })
		}
	case imap.OpLarger:
		f = func(m *store.Stored) bool { return m.Size > int64(k.Number) }
	case imap.OpSmaller:
		f = func(m *store.Stored) bool { return m.Size < int64(k.Number) }
	case imap.OpOlder:
		at := now.Add(-seconds(k.Number))
		f = func(m *store.Stored) bool { return !m.InternalDate.After(at) }
	case imap.OpYounger:
		at := now.Add(-seconds(k.Number))
		f = func(m *store.Stored) bool { return !m.InternalDate.Before(at) }
	case imap.OpModSeq:
		f = func(m *store.Stored) bool { return uint64(m.ModSeq) >= k.Number }
	case imap.OpEmailID:
		f = func(m *store.Stored) bool { return k.Text == string(appendUint([]byte{'E'}, uint64(m.Email))) }
	case imap.OpThreadID:
		f = func(m *store.Stored) bool {
			return m.Thread != 0 && k.Text == string(appendUint([]byte{'T'}, uint64(m.Thread)))
		}
	default:
		f = byDate(k)
	}
	return matcher{cost: costRow, match: func(_ context.Context, l *letter) (bool, error) { return f(l.m), nil }}
}

// seconds is a duration of at most two centuries.
func seconds(n uint64) time.Duration {
	return time.Duration(min(n, 200*365*24*3600)) * time.Second
}

// byDate compares days, disregarding time and zone (RFC 9051 §6.4.4). OpRecent,
// which no message has, falls through.
func byDate(k *imap.Key) func(*store.Stored) bool {
	var of func(*store.Stored) time.Time
	switch k.Op {
	case imap.OpBefore, imap.OpOn, imap.OpSince:
		of = func(m *store.Stored) time.Time { return m.InternalDate }
	case imap.OpSentBefore, imap.OpSentOn, imap.OpSentSince:
		of = func(m *store.Stored) time.Time { return m.Sent }
	case imap.OpSavedBefore, imap.OpSavedOn, imap.OpSavedSince:
		of = func(m *store.Stored) time.Time { return m.SaveDate }
	default:
		return func(*store.Stored) bool { return false }
	}
	return func(m *store.Stored) bool {
		t := of(m)
		if t.IsZero() {
			return false
		}
		y, mon, d := t.Date()
		day := time.Date(y, mon, d, 0, 0, 0, 0, time.UTC)
		switch k.Op {
		case imap.OpBefore, imap.OpSentBefore, imap.OpSavedBefore:
			return day.Before(k.Date)
		case imap.OpOn, imap.OpSentOn, imap.OpSavedOn:
			return day.Equal(k.Date)
		}
		return !day.Before(k.Date)
	}
}
