package storetest

import (
	"bytes"
	"errors"
	"fmt"
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

// testDrop: whole days go, the accepts stay known.
func testDrop(t *testing.T, a, b store.Store, ids []mail.ID) {
	ctx := t.Context()
	before := ids[5].Time()
	if err := a.DropTraces(ctx, before); err != nil {
		t.Fatalf("DropTraces: %v", err)
	}
	midnight := before.UTC().Truncate(24 * time.Hour)
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
