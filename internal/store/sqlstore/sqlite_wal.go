package sqlstore

import (
	"errors"
	"os"
	"sync/atomic"
	"time"
)

// Sizes of the write-ahead log, in octets.
const (
	walCheckpoint = 4 << 20  // from here on it is copied into the main file, beside the writer
	walRelief     = 48 << 20 // from here on the writer lends a hand, so that the log can start anew
	walTruncate   = 1 << 20  // an idle store gives back a log that is longer
	walFrame      = 4096 + 24
)

// Intervals of the keeper.
const (
	walPause = 250 * time.Millisecond
	walIdle  = 3 * time.Second
	// how long the writer leaves the log alone when a reader was in the way
	walPatience = 5 * time.Second
)

// How long the writing connection waits for a lock: in relieve, and else (for a
// TRUNCATE that has just begun).
const (
	walShortWait = "PRAGMA busy_timeout=50"
	walLongWait  = "PRAGMA busy_timeout=5000"
)

// walKeeper copies the log into the main file on a connection of its own, so that
// no commit waits for it. SQLite can reuse the log from its start only at a moment
// when all of it is copied; under constant load that moment never comes by itself,
// so beyond walRelief the writer copies the short rest between two groups.
type walKeeper struct {
	conn *sqliteConn
	path string // of the log
	need atomic.Bool
	last atomic.Int64 // microseconds of the last group
	done chan struct{}

	patience time.Time // the writer's own: when it may try again
}

// run keeps the log short until quit.
func (k *walKeeper) run(quit <-chan struct{}) {
	defer close(k.done)
	tick := time.NewTicker(walPause)
	defer tick.Stop()
	var copied, truncated int64 // the last group when it was done
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		last, size := k.last.Load(), k.size()
		switch idle := time.Since(time.UnixMicro(last)) > walIdle; {
		case idle && size > walTruncate && truncated != last:
			truncated = last
			// TRUNCATE keeps writers out, so most is copied before. With a reader in
			// the way it fails; then again after the next write.
			if _, err := checkpoint(k.conn, "PASSIVE"); err == nil {
				_, _ = checkpoint(k.conn, "TRUNCATE")
			}
		case size >= walCheckpoint && copied != last:
			copied = last
			logged, err := checkpoint(k.conn, "PASSIVE")
			k.need.Store(err == nil && logged >= walRelief)
		}
	}
}

// relieve is called by the writer between groups.
func (k *walKeeper) relieve(c *sqliteConn) {
	now := time.Now()
	k.last.Store(now.UnixMicro())
	if !k.need.CompareAndSwap(true, false) || now.Before(k.patience) {
		return
	}
	_ = c.run(walShortWait)
	if _, err := checkpoint(c, "RESTART"); err != nil {
		k.patience = now.Add(walPatience) // somebody reads for long, a backup perhaps
	}
	_ = c.run(walLongWait)
	c.broken = nil
}

var errBusy = errors.New("sqlstore: somebody reads the log")

// checkpoint copies the log and tells how many octets are in use in it. (The file
// does not shrink when the log starts anew.)
func checkpoint(c *sqliteConn, mode string) (logged int64, err error) {
	var busy, frames, copied int64
	if err := c.numbers("PRAGMA wal_checkpoint("+mode+")", &busy, &frames, &copied); err != nil {
		return 0, err
	}
	if busy != 0 {
		return 0, errBusy
	}
	return frames * walFrame, nil
}

func (k *walKeeper) size() int64 {
	info, err := os.Stat(k.path)
	if err != nil {
		return 0
	}
	return info.Size()
}
