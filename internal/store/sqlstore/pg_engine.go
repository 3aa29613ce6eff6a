package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"posta/internal/durable"
	"posta/internal/store"
)

// Bounds of a PostgreSQL transaction.
const (
	pgTries     = 6 // of a transaction that met another one or lost its connection
	pgPause     = 10 * time.Millisecond
	pgCommit    = 15 * time.Second // for the reply to COMMIT; not cut short by the caller's context
	pgMaxConns  = 20
	pgConnect   = 10 * time.Second // for a connection, unless connect_timeout says another
	pgMigration = 0x706f737461     // key of the advisory lock under which the schema is upgraded
)

// pgEngine runs each operation in a transaction of its own. Any number of nodes
// may do so at a time.
type pgEngine struct {
	pool  *pgxpool.Pool
	ids   *pgSequences
	wakes *notifier
	fail  *durable.Failpoints
	bus   *pgBus
}

// pgSettings hold on every connection, whatever the server's defaults are.
// synchronous_commit is not among them: "on" is the default, and stronger values
// are the administrator's to choose; openPG refuses weaker ones.
var pgSettings = map[string]string{
	"application_name":                    "posta",
	"timezone":                            "UTC",
	"lock_timeout":                        "10s",
	"idle_in_transaction_session_timeout": "60s",
}

func openPG(ctx context.Context, dsn string, wakes *notifier, fail *durable.Failpoints) (_ *pgEngine, err error) {
	cfg, err := pgxpool.ParseConfig(dsn)
	if err != nil {
		return nil, err
	}
	if given, err := pgx.ParseConfig(dsn); err == nil && given.RuntimeParams["pool_max_conns"] == "" {
		cfg.MaxConns = max(cfg.MaxConns, pgMaxConns)
	} else if err != nil {
		return nil, err
	}
	for k, v := range pgSettings {
		cfg.ConnConfig.RuntimeParams[k] = v
	}
	if cfg.ConnConfig.ConnectTimeout == 0 {
		cfg.ConnConfig.ConnectTimeout = pgConnect
	}
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, mapPG(err)
	}
	e := &pgEngine{pool: pool, ids: newPGSequences(), wakes: wakes, fail: fail}
	if err := e.prepare(ctx); err != nil {
		pool.Close()
		return nil, err
	}
	e.bus = newPGBus(pool, wakes)
	return e, nil
}

// prepare looks whether commits are durable here, and upgrades the schema; other
// nodes that start at the same moment wait.
func (e *pgEngine) prepare(ctx context.Context) error {
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		return mapPG(err)
	}
	defer c.Release()
	weak := ""
	if err := e.durability(ctx, c.Conn(), func(b store.Breach) { weak = b.Detail }); err != nil {
		return err
	}
	if weak != "" {
		return fmt.Errorf("%s: letters would not survive a power cut", weak)
	}
	if _, err := c.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(pgMigration)); err != nil {
		return mapPG(err)
	}
	for _, s := range []schema{mainSchema(), sideSchema(), factSchema()} {
		err = errors.Join(err, migrate(ctx, e, s, pgWords))
	}
	_, uerr := c.Exec(ctx, "SELECT pg_advisory_unlock($1)", int64(pgMigration))
	return errors.Join(err, mapPG(uerr))
}

// durability reports settings of the server that break the promise of a commit.
func (e *pgEngine) durability(ctx context.Context, c *pgx.Conn, report func(store.Breach)) error {
	for _, name := range []string{"fsync", "full_page_writes", "synchronous_commit"} {
		var v string
		if err := c.QueryRow(ctx, "SELECT current_setting($1)", name).Scan(&v); err != nil {
			return mapPG(err)
		}
		if v == "off" {
			report(store.Breach{Invariant: "postgres." + name, Detail: "PostgreSQL runs with " + name + "=off"})
		}
	}
	return nil
}

func (e *pgEngine) write(ctx context.Context, f func(*tx) error) error {
	return e.tries(ctx, func() error { return e.writeOnce(ctx, f) })
}

func (e *pgEngine) read(ctx context.Context, f func(*tx) error) error {
	return e.tries(ctx, func() error { return e.readOnce(ctx, f) })
}

// tries runs a transaction again when another one was in its way or when its
// connection was lost before the COMMIT.
func (e *pgEngine) tries(ctx context.Context, once func() error) error {
	for try := 1; ; try++ {
		err := once()
		if err == nil || try == pgTries || !errors.Is(err, errAgain) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pgPause<<try/2 + rand.N(pgPause)):
		}
	}
}

func (e *pgEngine) writeOnce(ctx context.Context, f func(*tx) error) error {
	c, t, err := e.begin(ctx, "BEGIN")
	if err != nil {
		return err
	}
	defer c.Release()
	conn := t.sql.(*pgConn)
	t.counts, t.newIDs, t.forUp, t.batch = newCounters(), e.ids.id, " FOR UPDATE", conn
	t.counts.begin()
	err = f(t)
	if err == nil && conn.broken == nil {
		err = errors.Join(t.flush(), conn.flush(ctx))
	}
	if err == nil {
		err = conn.broken // f has passed over an error after which nothing is kept
	}
	if err == nil {
		err = mapFailpoint(e.fail.Hit("store.commit"))
	}
	if err != nil {
		rollback(ctx, c)
		return err
	}
	if err := e.commit(ctx, c); err != nil {
		return err
	}
	for _, f := range t.after {
		f()
	}
	e.wakes.wake(t.woken)
	e.bus.tell(t.woken)
	return nil
}

// commit waits for the reply even when the caller has gone: an outcome that is
// not known helps nobody.
func (e *pgEngine) commit(ctx context.Context, c *pgxpool.Conn) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pgCommit)
	defer cancel()
	tag, err := c.Exec(ctx, "COMMIT")
	switch {
	case err != nil:
		err = mapPG(err)
		if errors.Is(err, errLost) {
			return fmt.Errorf("%w: %v", store.ErrUnknown, err) // not %w: it must not be run again
		}
		return err
	case tag.String() != "COMMIT":
		return fmt.Errorf("%w: postgres answered COMMIT with %s", store.ErrTemporary, tag)
	}
	if err := e.fail.Hit("store.committed"); err != nil {
		return errors.Join(store.ErrUnknown, err)
	}
	return nil
}

func (e *pgEngine) readOnce(ctx context.Context, f func(*tx) error) error {
	c, t, err := e.begin(ctx, "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
	if err != nil {
		return err
	}
	defer c.Release()
	defer rollback(ctx, c)
	return f(t)
}

// begin starts a transaction and reads the database's clock in one round trip.
func (e *pgEngine) begin(ctx context.Context, q string) (*pgxpool.Conn, *tx, error) {
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		return nil, nil, mapPG(err)
	}
	results, err := c.Conn().PgConn().Exec(ctx, q+"; SELECT (extract(epoch FROM now()) * 1000000)::bigint").ReadAll()
	var now int64
	if err == nil {
		_, err = fmt.Sscan(string(results[len(results)-1].Rows[0][0]), &now)
	}
	if err != nil {
		rollback(ctx, c)
		c.Release()
		return nil, nil, mapPG(err)
	}
	return c, &tx{ctx: ctx, sql: &pgConn{c: c.Conn()}, clock: now, list: pgList}, nil
}

// rollback ends the transaction; a connection on which that fails is closed, which
// ends it too.
func rollback(ctx context.Context, c *pgxpool.Conn) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), pgCommit)
	defer cancel()
	if _, err := c.Exec(ctx, "ROLLBACK"); err != nil {
		_ = c.Conn().Close(ctx)
	}
}

func (e *pgEngine) verify(ctx context.Context, report func(store.Breach)) error {
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		return mapPG(err)
	}
	defer c.Release()
	return e.durability(ctx, c.Conn(), report)
}

func (e *pgEngine) close() error {
	e.bus.close()
	e.pool.Close()
	return nil
}
