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
)

// Intervals of the keeper.
const (
	walPause = 100 * time.Millisecond
	walIdle  = 3 * time.Second
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
}

// run keeps the log short until quit.
func (k *walKeeper) run(quit <-chan struct{}) {
	defer close(k.done)
	tick := time.NewTicker(walPause)
	defer tick.Stop()
	var copied int64 // size of the log at the last checkpoint
	var copiedAt int64
	for {
		select {
		case <-quit:
			return
		case <-tick.C:
		}
		size, last := k.size(), k.last.Load()
		switch idle := time.Since(time.UnixMicro(last)) > walIdle; {
		case idle && size > walTruncate && copiedAt != -last:
			// A reader that is in the way makes it fail; then once more after the next write.
			_ = k.checkpoint("TRUNCATE")
			copiedAt = -last
		case size >= walCheckpoint && last != copiedAt && (size != copied || size >= walCheckpoint):
			copiedAt = last
			if k.checkpoint("PASSIVE") == nil {
				copied = size
				k.need.Store(size >= walRelief)
			}
		}
	}
}

// relieve is called by the writer between groups.
func (k *walKeeper) relieve(c *sqliteConn) {
	k.last.Store(time.Now().UnixMicro())
	if k.need.CompareAndSwap(true, false) {
		_ = checkpoint(c, "RESTART") // when readers are in the way it is tried again later
		c.broken = nil
	}
}

func (k *walKeeper) checkpoint(mode string) error { return checkpoint(k.conn, mode) }

var errBusy = errors.New("sqlstore: somebody reads the log")

func checkpoint(c *sqliteConn, mode string) error {
	var busy, logged, copied int64
	if err := c.numbers("PRAGMA wal_checkpoint("+mode+")", &busy, &logged, &copied); err != nil {
		return err
	}
	if busy != 0 {
		return errBusy
	}
	return nil
}

func (k *walKeeper) size() int64 {
	info, err := os.Stat(k.path)
	if err != nil {
		return 0
	}
	return info.Size()
}
