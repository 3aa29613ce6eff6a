package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"

	"posta/internal/store"
)

// pgConn implements statements.
type pgConn struct {
	c       *pgx.Conn
	batch   *pgx.Batch // what waits to be sent, nil for nothing
	refused error      // what a check of the batch said
	broken  error      // after it PostgreSQL ignores everything up to the ROLLBACK
}

func (p *pgConn) exec(ctx context.Context, q string, args []any) (int64, error) {
	vals, err := pgValues(args)
	if err != nil {
		return 0, err
	}
	if err := p.flush(ctx); err != nil {
		return 0, err
	}
	tag, err := p.c.Exec(ctx, q, vals...)
	if err != nil {
		return 0, p.failed(err, q)
	}
	return tag.RowsAffected(), nil
}

func (p *pgConn) query(ctx context.Context, q string, args []any) (cursor, error) {
	vals, err := pgValues(args)
	if err != nil {
		return nil, err
	}
	if err := p.flush(ctx); err != nil {
		return nil, err
	}
	r, err := p.c.Query(ctx, q, vals...)
	if err != nil {
		return nil, p.failed(err, q)
	}
	return &pgCursor{p: p, r: r, q: q}, nil
}

// queue implements batcher.
func (p *pgConn) queue(q string, args []any, check func(n int64) error) error {
	vals, err := pgValues(args)
	if err != nil {
		return err
	}
	if p.batch == nil {
		p.batch = &pgx.Batch{}
	}
	p.batch.Queue(q, vals...).Exec(func(tag pgconn.CommandTag) error {
		if check != nil {
			p.refused = check(tag.RowsAffected())
		}
		return p.refused
	})
	return nil
}

// flush sends what was queued and waits for it, in one round trip.
func (p *pgConn) flush(ctx context.Context) error {
	if p.batch == nil {
		return nil
	}
	b := p.batch
	p.batch = nil
	err := p.c.SendBatch(ctx, b).Close() // it calls each statement's function
	switch {
	case p.refused != nil:
		p.broken = p.refused
		return p.refused
	case err != nil:
		return p.failed(err, "batch")
	}
	return nil
}

func (p *pgConn) failed(err error, q string) error {
	p.broken = fmt.Errorf("%w in %.60q", mapPG(err), q)
	return p.broken
}

// pgValues converts arguments. TEXT in PostgreSQL is valid UTF-8 without NUL.
func pgValues(args []any) ([]any, error) {
	vals := make([]any, len(args))
	for i, a := range args {
		v, err := value(a)
		if err != nil {
			return nil, err
		}
		if s, ok := v.(string); ok && (!utf8.ValidString(s) || strings.IndexByte(s, 0) >= 0) {
			v = strings.ReplaceAll(strings.ToValidUTF8(s, "\uFFFD"), "\x00", "\uFFFD")
		}
		vals[i] = v
	}
	return vals, nil
}

// pgList passes a list as an array.
func pgList(n int, ids []int64) (string, any) {
	return "(SELECT unnest($" + strconv.Itoa(n) + "::bigint[]))", driverList{ids}
}

type pgCursor struct {
	p *pgConn
	r pgx.Rows
	q string
}

func (k *pgCursor) next() ([]any, error) {
	if !k.r.Next() {
		return nil, k.close()
	}
	vals, err := k.r.Values()
	if err != nil {
		return nil, err
	}
	for i, v := range vals {
		if vals[i], err = pgPlain(v); err != nil {
			return nil, err
		}
	}
	return vals, nil
}

// pgPlain makes int64, float64, string, []byte or nil of what pgx decodes.
func pgPlain(v any) (any, error) {
	switch n := v.(type) {
	case int16:
		return int64(n), nil
	case int32:
		return int64(n), nil
	case bool:
		if n {
			return int64(1), nil
		}
		return int64(0), nil
	case pgtype.Numeric: // SUM of BIGINT
		i, err := n.Int64Value()
		return i.Int64, err
	}
	return v, nil
}

func (k *pgCursor) close() error {
	k.r.Close()
	if err := k.r.Err(); err != nil {
		return k.p.failed(err, k.q)
	}
	return nil
}

var (
	// errAgain is in errors after which the whole transaction may be run again:
	// nothing of it was kept.
	errAgain = errors.New("the transaction may be run again")
	// errLost is in errors of the connection, also of a COMMIT without a reply.
	errLost = fmt.Errorf("connection lost, %w", errAgain)
)

// mapPG gives an error of PostgreSQL the meaning that store names.
func mapPG(err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, context.Canceled) {
		return err
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	if !ok {
		return fmt.Errorf("%w: postgres: %w: %w", store.ErrTemporary, errLost, err)
	}
	switch code := e.Code; {
	case code == "23505":
		return fmt.Errorf("%w: postgres: %w", store.ErrExists, err)
	case code == "53100":
		return fmt.Errorf("%w: postgres: %w", store.ErrFull, err)
	case code == "25006":
		return fmt.Errorf("%w: postgres: %w", store.ErrReadOnly, err)
	case code == "40001" || code == "40P01":
		return fmt.Errorf("%w: postgres: %w: %w", store.ErrTemporary, errAgain, err)
	case strings.HasPrefix(code, "08") || strings.HasPrefix(code, "57P"):
		return fmt.Errorf("%w: postgres: %w: %w", store.ErrTemporary, errLost, err)
	case strings.HasPrefix(code, "53") || strings.HasPrefix(code, "55") || strings.HasPrefix(code, "57") || strings.HasPrefix(code, "58"):
		return fmt.Errorf("%w: postgres: %w", store.ErrTemporary, err)
	}
	return fmt.Errorf("postgres: %w", err)
}
