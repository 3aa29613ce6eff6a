package storetest

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"posta/internal/mail"
	"posta/internal/store"
)

// traced accepts nothing but a trace.
func traced(t testing.TB, s store.Store, at time.Time, keys ...string) mail.ID {
	t.Helper()
	id := mail.NewID(at)
	_, err := s.Accept(t.Context(), &store.Accept{ID: id, Trace: &store.TraceRecord{ID: id, Body: []byte("accepted " + id.String()), Keys: keys}})
	if err != nil {
		t.Fatalf("Accept: %v", err)
	}
	return id
}

func refuse(s store.Store, at time.Time, keys ...string) mail.ID {
	id := mail.NewID(at)
	s.KeepRefused(store.TraceRecord{ID: id, Body: []byte("refused " + id.String()), Keys: keys})
	return id
}

func flush(t testing.TB, handles ...store.Store) {
	t.Helper()
	for _, s := range handles {
		if err := s.FlushTraces(t.Context()); err != nil {
			t.Fatalf("FlushTraces: %v", err)
		}
	}
}

func testTraces(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	day := 24 * time.Hour
	start := time.Now().Add(-3 * day).Truncate(time.Millisecond)
	var ids []mail.ID // by time
	for i := range 8 {
		at, keys := start.Add(time.Duration(i)*9*time.Hour), []string{"ana@example.org", "@example.org", fmt.Sprint("key", i)}
		if i%3 == 0 {
			ids = append(ids, refuse(a, at, keys...))
		} else {
			ids = append(ids, traced(t, b, at, keys...))
		}
	}
	other := traced(t, a, start.Add(time.Hour), "bob@example.net")
	flush(t, a, b)
	newest := slices.Clone(ids)
	slices.Reverse(newest)
	for _, limit := range []int{0, 3, 100} {
		got, err := b.FindTraces(ctx, "Ana@example.org", limit)
		want := newest
		if limit == 3 {
			want = newest[:3]
		}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("FindTraces up to %d = %v, %v; want %v", limit, got, err, want)
		}
	}
	if got, err := a.FindTraces(ctx, "key5", 1); err != nil || !slices.Equal(got, ids[5:6]) {
		t.Errorf("FindTraces of one = %v, %v", got, err)
	}
	if got, err := a.FindTraces(ctx, "nobody", 1); err != nil || len(got) != 0 {
		t.Errorf("FindTraces of nobody = %v, %v", got, err)
	}
	testEvents(t, a, b, ids[1], ids[0])
	latest, err := b.LatestTraces(ctx, time.Time{}, 4)
	if err != nil || !slices.Equal(idsOfTraces(latest), newest[:4]) {
		t.Errorf("LatestTraces = %v, %v; want %v", idsOfTraces(latest), err, newest[:4])
	}
	latest, err = b.LatestTraces(ctx, ids[2].Time(), 10)
	if want := []mail.ID{ids[1], other, ids[0]}; err != nil || !slices.Equal(idsOfTraces(latest), want) {
		t.Errorf("LatestTraces before %v = %v, %v; want %v", ids[2].Time(), idsOfTraces(latest), err, want)
	}
	testDrop(t, a, b, ids)
}

func idsOfTraces(list []store.StoredTrace) []mail.ID {
	var out []mail.ID
	for _, s := range list {
		out = append(out, s.ID)
	}
	return out
}

// testEvents: lines are added to what was accepted.
func testEvents(t *testing.T, a, b store.Store, accepted, refused mail.ID) {
	ctx := t.Context()
	for i := range 3 {
		e := store.TraceEvent{At: epoch.Add(time.Duration(i) * time.Second), Body: fmt.Append(nil, "event ", i)}
		if err := a.AddEvent(ctx, accepted, e); err != nil {
			t.Errorf("AddEvent: %v", err)
		}
	}
	got, err := b.Trace(ctx, accepted)
	if err != nil || got.ID != accepted || !bytes.HasPrefix(got.Body, []byte("accepted ")) || len(got.Keys) != 3 || len(got.Events) != 3 ||
		string(got.Events[2].Body) != "event 2" || !got.Events[2].At.Equal(epoch.Add(2*time.Second)) {
		t.Errorf("Trace = %+v, %v", got, err)
	}
	got, err = b.Trace(ctx, refused)
	if err != nil || !bytes.HasPrefix(got.Body, []byte("refused ")) || len(got.Events) != 0 || !slices.Contains(got.Keys, "@example.org") {
		t.Errorf("Trace of a refusal = %+v, %v", got, err)
	}
	unknown := mail.NewID(time.Now())
	if err := a.AddEvent(ctx, unknown, store.TraceEvent{Body: []byte("x")}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("AddEvent to nothing: %v", err)
	}
	if _, err := a.Trace(ctx, unknown); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("Trace of nothing: %v", err)
	}
}

// testUse: what traces take is the sum of its parts, and at least the bodies. It
// gives what those before a moment take.
func testUse(t *testing.T, s store.Store, moment time.Time) int64 {
	use := func(from, to time.Time) int64 {
		n, err := s.TraceUse(t.Context(), from, to)
		if err != nil {
			t.Errorf("TraceUse(%v, %v): %v", from, to, err)
		}
		return n
	}
	end := time.Now().Add(24 * time.Hour)
	all, before, after := use(time.Time{}, end), use(time.Time{}, moment), use(moment, end)
	if before <= 0 || after <= 0 || all != before+after {
		t.Errorf("TraceUse = %d before, %d after, %d in all", before, after, all)
	}
	if least := int64(8 * len("refused 0123456789abcdefghjkmnpqrs")); all < least || all > 100*least {
		t.Errorf("TraceUse = %d of about %d octets", all, least)
	}
	if n := use(moment, moment); n != 0 {
		t.Errorf("TraceUse of no time = %d", n)
	}
	return before
}

// testDrop: whole days go, the accepts stay known.
func testDrop(t *testing.T, a, b store.Store, ids []mail.ID) {
	ctx := t.Context()
	before := ids[5].Time()
	midnight := before.UTC().Truncate(24 * time.Hour)
	older := testUse(t, b, midnight)
	if err := a.DropTraces(ctx, before); err != nil {
		t.Fatalf("DropTraces: %v", err)
	}
	if left, err := b.TraceUse(ctx, time.Time{}, midnight); err != nil || left != 0 {
		t.Errorf("TraceUse of what was dropped = %d, %v; it was %d", left, err, older)
	}
	var want []mail.ID
	for i, id := range ids {
		_, err := b.Trace(ctx, id)
		if kept := !id.Time().Before(midnight); kept != (err == nil) {
			t.Errorf("record %d of %v after DropTraces(%v): %v", i, id.Time().UTC(), before, err)
		} else if kept {
			want = append([]mail.ID{id}, want...)
		}
	}
	if got, err := b.FindTraces(ctx, "ana@example.org", 0); err != nil || !slices.Equal(got, want) {
		t.Errorf("FindTraces after the drop = %v, %v; want %v", got, err, want)
	}
	if yes, err := a.Accepted(ctx, ids[1]); !yes || err != nil {
		t.Errorf("Accepted of an id whose trace is gone: %v, %v", yes, err)
	}
}

// testTracesMany writes more than one batch from both handles at once.
func testTracesMany(t *testing.T, a, b store.Store) {
	const each = 2500
	handles := [2]store.Store{a, b}
	done := make(chan bool)
	for n, s := range handles {
		go func() {
			for i := range each {
				refuse(s, time.Now(), "192.0.2.1", fmt.Sprintf("k%d.%d", n, i))
			}
			done <- true
		}()
	}
	<-done
	<-done
	flush(t, a, b)
	for n := range handles {
		for _, i := range []int{0, 1, each / 2, each - 1} {
			got, err := b.FindTraces(t.Context(), fmt.Sprintf("k%d.%d", n, i), 5)
			if err != nil || len(got) != 1 {
				t.Errorf("record %d of handle %d is found %d times, %v", i, n, len(got), err)
			}
		}
	}
	if got, err := a.FindTraces(t.Context(), "192.0.2.1", 5000); err != nil || len(got) != 1000 {
		t.Errorf("a page has %d, %v; want 1000", len(got), err)
	}
}

// testTracesMerged: a flood of refusals is kept one by one up to a budget, and
// counted above it; whoever was told an id finds a record under it.
func testTracesMerged(t *testing.T, a, b store.Store) {
	ctx := t.Context()
	const each = 400
	start := time.Now().Truncate(24 * time.Hour).Add(-34 * time.Hour) // within one hour, in a day that is over
	handles := [2]store.Store{a, b}
	own, told := map[mail.ID]bool{}, map[mail.ID]int64{} // by id: how many were counted there
	place := func(s store.Store, i int, ip, check string) mail.ID {
		r := store.Refusal{ID: mail.NewID(start.Add(time.Duration(i) * time.Millisecond)), IP: netip.MustParseAddr(ip), Check: check, Keys: []string{fmt.Sprintf("to%d@example.org", i)}}
		id := s.PlaceRefused(r)
		if id == r.ID {
			s.KeepRefused(store.TraceRecord{ID: id, Body: []byte("one"), Keys: append(r.Keys, ip)})
			own[id] = true
		} else {
			told[id]++
		}
		return id
	}
	for i := range each {
		place(handles[i%2], i, fmt.Sprintf("192.0.2.%d", i%256), "dnsbl.listed")
	}
	for i := range each {
		place(a, each+i, fmt.Sprintf("2001:db8:1:2::%x", i), "helo.fqdn")
	}
	flush(t, a, b)
	if len(own) == 0 || len(own) >= 2*each || len(told) == 0 || len(told) > 3 {
		t.Fatalf("%d refusals are kept one by one, %d merged records", len(own), len(told))
	}
	for i := range 3 { // what is counted later is added
		place(a, 2*each+i, "2001:db8:1:2::ffff", "helo.fqdn")
	}
	flush(t, a)
	for id, n := range told {
		got, err := b.Trace(ctx, id)
		if err != nil || got.Merged == nil || got.Merged.Count != n {
			t.Errorf("Trace of a merged record = %+v, %v; want a count of %d", got, err, n)
			continue
		}
		m := got.Merged
		network, in := "192.0.2.0/24", "192.0.2.200"
		if m.Check == "helo.fqdn" {
			network, in = "2001:db8:1:2::/64", "2001:db8:1:2:aaaa::1"
		}
		if m.Network.String() != network || m.First.Before(start) || m.Last.Before(m.First) || !m.First.Equal(id.Time()) {
			t.Errorf("merged: %+v", m)
		}
		for _, key := range []string{in, network} {
			if found, err := a.FindTraces(ctx, key, 0); err != nil || !slices.Contains(found, id) {
				t.Errorf("FindTraces(%s) = %v, %v; want %s in it", key, found, err, id)
			}
		}
	}
	for id := range own {
		if got, err := a.Trace(ctx, id); err != nil || got.Merged != nil || string(got.Body) != "one" {
			t.Fatalf("Trace of one kept by itself = %+v, %v", got, err)
		}
	}
	if local := (store.Refusal{ID: mail.NewID(start)}); a.PlaceRefused(local) != local.ID {
		t.Error("a refusal of a local client was merged")
	}
	latest, err := b.LatestTraces(ctx, time.Time{}, 1000)
	if merged := slices.DeleteFunc(latest, func(s store.StoredTrace) bool { return s.Merged == nil }); err != nil || len(merged) != len(told) {
		t.Errorf("LatestTraces has %d merged records, %v; want %d", len(merged), err, len(told))
	}
	if err := a.DropTraces(ctx, start.Add(24*time.Hour)); err != nil {
		t.Fatal(err)
	}
	for id := range told {
		if _, err := b.Trace(ctx, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("Trace after the day was dropped: %v", err)
		}
	}
}
