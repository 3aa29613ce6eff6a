package app

import (
	"log/slog"
	"testing"
	"time"

	"posta/internal/config"
	"posta/internal/store"
)

// A sweep that finds a backup running, at whatever node, removes nothing and comes
// back soon; otherwise it is done and comes back in a while.
func TestSweepWaitsForBackup(t *testing.T) {
	for _, c := range []struct {
		name    string
		backup  bool
		after   time.Duration // the sweep comes back not before this, from now
		notLate time.Duration
	}{
		{"no backup", false, sweepAgain, sweepEvery},
		{"a backup runs", true, 0, sweepAgain},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := config.Default()
			cfg.Data = t.TempDir()
			st, err := OpenState(t.Context(), cfg, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer st.Close()
			s := &server{cfg: cfg, state: st, log: slog.New(slog.DiscardHandler), opt: Options{Now: time.Now}, traces: newRetention(cfg.Trace)}
			if err := st.Store.AddJob(t.Context(), store.Job{Key: sweepJob, Kind: sweepJob}); err != nil {
				t.Fatal(err)
			}
			if c.backup {
				if err := st.Store.AddJob(t.Context(), store.Job{Key: "backup", Kind: "backup"}); err != nil {
					t.Fatal(err)
				}
				if _, err := st.Store.ClaimJob(t.Context(), "another node", []string{"backup"}, time.Hour); err != nil {
					t.Fatal(err)
				}
			}
			s.runSweep(t.Context())
			at, err := st.Store.NextJob(t.Context(), []string{sweepJob})
			if err != nil {
				t.Fatal(err)
			}
			if in := time.Until(at); in < c.after || in > c.notLate {
				t.Errorf("the sweep comes back in %v, want %v to %v", in, c.after, c.notLate)
			}
		})
	}
}
