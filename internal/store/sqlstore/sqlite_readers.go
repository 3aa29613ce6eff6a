package sqlstore

import (
	"context"
	"errors"
	"sync"
	"time"
)

// maxReaders bounds how many read transactions run at a time, and so how many
// connections there are.
const maxReaders = 8

// sqliteReaders lends connections that only read. The one that was used last is
// lent first: its cache is warm.
type sqliteReaders struct {
	path  string
	clock func() time.Time
	slots chan struct{}

	mu     sync.Mutex
	idle   []*sqliteConn
	closed bool
}

func newReaders(path string, clock func() time.Time) *sqliteReaders {
	return &sqliteReaders{path: path, clock: clock, slots: make(chan struct{}, maxReaders)}
}

func (p *sqliteReaders) read(ctx context.Context, f func(*tx) error) error {
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return ctx.Err()
	}
	c, err := p.take()
	if err != nil {
		return err
	}
	err = readOn(ctx, c, p.clock, f)
	return errors.Join(err, p.give(c))
}

// readOn runs f over one snapshot of the connection.
func readOn(ctx context.Context, c *sqliteConn, clock func() time.Time, f func(*tx) error) (err error) {
	if _, err := c.exec(ctx, "BEGIN", nil); err != nil {
		return err
	}
	defer func() {
		if _, cerr := c.exec(ctx, "COMMIT", nil); err == nil {
			err = cerr
		}
	}()
	return f(&tx{ctx: ctx, sql: c, clock: clock().UnixMicro(), list: sqliteList})
}

func (p *sqliteReaders) take() (*sqliteConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, errClosed
	}
	if n := len(p.idle); n > 0 {
		c := p.idle[n-1]
		p.idle = p.idle[:n-1]
		return c, nil
	}
	return openSQLite(p.path, "busy_timeout=2000", "cache_size=-4096", "temp_store=MEMORY", "query_only=1")
}

// give takes a connection back; one that has failed is closed.
func (p *sqliteReaders) give(c *sqliteConn) error {
	p.mu.Lock()
	if !p.closed && c.broken == nil {
		p.idle = append(p.idle, c)
		p.mu.Unlock()
		return nil
	}
	p.mu.Unlock()
	return c.close()
}

// close waits for the running reads.
func (p *sqliteReaders) close() error {
	p.mu.Lock()
	p.closed = true
	idle := p.idle
	p.idle = nil
	p.mu.Unlock()
	for range maxReaders {
		p.slots <- struct{}{}
	}
	for range maxReaders {
		<-p.slots // whoever comes now is told that it is closed
	}
	var errs []error
	for _, c := range idle {
		errs = append(errs, c.close())
	}
	return errors.Join(errs...)
}
