package app

import (
	"context"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/config"
	"posta/internal/mail"
	"posta/internal/trace"
)

// hourly is a store in which traces take so much in each hour, by their moments.
type hourly struct {
	at     map[time.Time]int64
	reads  int
	drops  int
	oldest time.Time
}

func (h *hourly) TraceUse(_ context.Context, from, to time.Time) (n int64, _ error) {
	h.reads++
	for at, octets := range h.at {
		if !at.Before(from) && at.Before(to) {
			n += octets
		}
	}
	return n, nil
}

func (h *hourly) DropTraces(_ context.Context, before time.Time) error {
	h.drops++
	for at := range h.at {
		if at.Before(before) {
			delete(h.at, at)
		}
	}
	h.oldest = before
	return nil
}

func (h *hourly) days() (out []string) {
	for at := range h.at {
		if d := at.UTC().Format(time.DateOnly); !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	slices.Sort(out)
	return out
}

// Ten days of mail in fake time: what is older than keep goes, and when all takes
// more than its bound the oldest days go, never the present one. A sweep reads only
// the hours that may have changed.
func TestRetention(t *testing.T) {
	for _, c := range []struct {
		name string
		keep time.Duration
		size config.Size
		days int // kept besides the present one
	}{
		{"all of it", 45 * day, 1 << 40, 9},
		{"three days", 3 * day, 1 << 40, 3},
		{"as much as four days take", 45 * day, 4 * 24 * 1000, 3},
		{"less than one day takes", 45 * day, 100, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				st := &hourly{at: map[time.Time]int64{}}
				r := newRetention(config.Trace{Keep: config.Duration(c.keep), Size: c.size})
				time.Sleep(time.Until(time.Now().Truncate(day).Add(day))) // midnight
				for range 10 * 24 {
					st.at[time.Now()] += 1000
					time.Sleep(time.Hour - time.Second)
					if err := r.sweep(t.Context(), st, time.Now(), slog.New(slog.DiscardHandler)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
				}
				if got := st.days(); len(got) != c.days+1 || got[len(got)-1] != time.Now().Add(-time.Hour).UTC().Format(time.DateOnly) {
					t.Errorf("kept %v", got)
				}
				st.reads = 0
				if err := r.sweep(t.Context(), st, time.Now(), slog.New(slog.DiscardHandler)); err != nil {
					t.Fatal(err)
				}
				if st.reads > 6 {
					t.Errorf("a sweep asked for %d hours", st.reads)
				}
				if len(r.hours) > int(c.keep/time.Hour)+48 {
					t.Errorf("%d hours are remembered", len(r.hours))
				}
			})
		})
	}
}

// The same with a real store: a bound of octets takes the oldest day.
func TestRetentionOfAStore(t *testing.T) {
	cfg := config.Default()
	cfg.Data = t.TempDir()
	st, err := OpenState(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer st.Close()
	now := time.Now()
	keep := func(age time.Duration) mail.ID {
		at := now.Add(-age)
		r := &trace.Record{ID: mail.NewID(at), At: at, Stage: trace.AtRcpt, From: "a@x.test"}
		st.Store.KeepRefused(r.Encode())
		return r.ID
	}
	old, older, fresh := keep(3*day), keep(4*day), keep(0)
	if err := st.Store.FlushTraces(t.Context()); err != nil {
		t.Fatal(err)
	}
	one, err := st.Store.TraceUse(t.Context(), now.Add(-3*day-time.Hour), now.Add(-3*day+time.Hour))
	if err != nil || one == 0 {
		t.Fatal(one, err)
	}
	r := newRetention(config.Trace{Keep: cfg.Trace.Keep, Size: config.Size(one * 5 / 2)})
	if err := r.sweep(t.Context(), st.Store, now, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[mail.ID]bool{old: true, older: false, fresh: true} {
		if _, err := st.Store.Trace(t.Context(), id); (err == nil) != want {
			t.Errorf("the record of %v: %v, want it kept: %v", id.Time(), err, want)
		}
	}
}
