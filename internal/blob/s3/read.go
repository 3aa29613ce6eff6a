package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/minio/minio-go/v7"

	"posta/internal/blob"
	"posta/internal/blob/record"
)

// windowBytes is how much one GET fetches at most: a small message whole, a large one in steps.
const windowBytes = 1 << 20

// object reads a range of an object through a window. It is used by one goroutine at a time.
type object struct {
	s      *Store
	ctx    context.Context
	unit   string
	end    int64 // do not ask beyond
	window []byte
	at     int64 // where the window lies
	ahead  int64 // bytes to fetch at once
}

// errPastEnd: the object has no such range.
var errPastEnd = errors.New("past the end")

// ReadAt implements io.ReaderAt.
func (o *object) ReadAt(p []byte, off int64) (int, error) {
	n := 0
	for n < len(p) {
		if off < o.at || off >= o.at+int64(len(o.window)) {
			err := o.fetch(off, int64(len(p)-n))
			if errors.Is(err, errPastEnd) {
				return n, io.EOF
			}
			if err != nil {
				return n, err
			}
		}
		k := copy(p[n:], o.window[off-o.at:])
		n, off = n+k, off+int64(k)
	}
	return n, nil
}

// fetch fills the window from off on.
func (o *object) fetch(off, want int64) error {
	want = min(max(want, o.ahead), windowBytes, o.end-off)
	if want <= 0 {
		return errPastEnd
	}
	o.window = nil
	var opts minio.GetObjectOptions
	if err := opts.SetRange(off, off+want-1); err != nil {
		return errPastEnd
	}
	var got []byte
	err := o.s.retry(o.ctx, want, func(ctx context.Context) error {
		body, _, _, err := o.s.core().GetObject(ctx, o.s.cfg.Bucket, o.s.key(o.unit), opts)
		if err != nil {
			answer, _ := errors.AsType[minio.ErrorResponse](err)
			if answer.StatusCode == http.StatusRequestedRangeNotSatisfiable || answer.Code == "InvalidRange" {
				return errPastEnd
			}
			return err
		}
		defer body.Close()
		got, err = io.ReadAll(io.LimitReader(body, want))
		return err
	})
	if err != nil {
		return err
	}
	if len(got) == 0 {
		return errPastEnd
	}
	o.window, o.at = got, off
	return nil
}

func (s *Store) core() minio.Core { return minio.Core{Client: s.client} }

// Open implements blob.Store. It costs one GET for a message of up to 1 MiB.
func (s *Store) Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if _, err := blob.ParseID(at.Unit); err != nil || at.Offset < record.UnitHeaderBytes || at.Length < record.MinBytes {
		return nil, fmt.Errorf("blob %v at %v: %w", id, at, blob.ErrNotFound)
	}
	src := &object{s: s, ctx: ctx, unit: at.Unit, end: at.Offset + at.Length, ahead: windowBytes}
	salt, err := record.SaltAt(src, at.Offset)
	if err != nil {
		return nil, fmt.Errorf("blob %v at %v: %w", id, at, err)
	}
	r, err := record.Open(src, nil, salt, id, at, s.codec)
	if err != nil {
		return nil, fmt.Errorf("blob %v at %v: %w", id, at, err)
	}
	return r, nil
}

// Verify implements blob.Store.
func (s *Store) Verify(ctx context.Context, id blob.ID, at blob.Location) error {
	r, err := s.Open(ctx, id, at)
	if err != nil {
		return err
	}
	return errors.Join(record.Verify(ctx, r), r.Close())
}

// Units implements blob.Store.
func (s *Store) Units(ctx context.Context) ([]blob.UnitInfo, error) {
	var list []blob.UnitInfo
	err := s.retry(ctx, 0, func(ctx context.Context) error {
		list = nil
		for o := range s.client.ListObjects(ctx, s.cfg.Bucket, minio.ListObjectsOptions{Prefix: s.cfg.Prefix, Recursive: true}) {
			if o.Err != nil {
				return o.Err
			}
			name := strings.TrimPrefix(o.Key, s.cfg.Prefix)
			if _, err := blob.ParseID(name); err == nil {
				list = append(list, blob.UnitInfo{Name: name, Bytes: o.Size, Sealed: true, Modified: o.LastModified})
			}
		}
		return ctx.Err() // a listing that was cut off ends without an error
	})
	return list, err
}

// Scan implements blob.Store. It reads every object.
func (s *Store) Scan(ctx context.Context, visit func(blob.Entry) error) ([]blob.Damage, error) {
	units, err := s.Units(ctx)
	if err != nil {
		return nil, err
	}
	var damage []blob.Damage
	var stop error // of the visitor
	for _, u := range units {
		d, err := s.scanUnit(ctx, u.Name, func(e blob.Entry) error {
			stop = visit(e)
			return stop
		})
		damage = append(damage, d...)
		switch {
		case stop != nil:
			return damage, stop
		case errors.Is(err, blob.ErrNotFound): // removed meanwhile
		case err != nil:
			return damage, err
		}
	}
	return damage, nil
}

// size asks for the length of a unit.
func (s *Store) size(ctx context.Context, unit string) (int64, error) {
	if _, err := blob.ParseID(unit); err != nil {
		return 0, fmt.Errorf("object %q: %w", unit, blob.ErrNotFound)
	}
	var size int64
	err := s.retry(ctx, 0, func(ctx context.Context) error {
		info, err := s.client.StatObject(ctx, s.cfg.Bucket, s.key(unit), minio.StatObjectOptions{})
		size = info.Size
		return err
	})
	return size, err
}

func (s *Store) scanUnit(ctx context.Context, unit string, visit func(blob.Entry) error) ([]blob.Damage, error) {
	size, err := s.size(ctx, unit)
	if err != nil {
		return nil, err
	}
	src := &object{s: s, ctx: ctx, unit: unit, end: size, ahead: windowBytes}
	salt, err := record.ReadSalt(src)
	if err != nil && !errors.Is(err, blob.ErrCorrupt) {
		return nil, err
	}
	var damage []blob.Damage
	if err != nil {
		damage = append(damage, blob.Damage{Unit: unit, Length: min(size, record.UnitHeaderBytes), Err: err})
		if salt == (record.Salt{}) {
			damage[0].Length = size
			return damage, nil
		}
	}
	res, err := record.Scan(ctx, src, unit, size, salt, visit)
	damage = append(damage, res.Damage...)
	if err == nil && res.End < size {
		damage = append(damage, blob.Damage{Unit: unit, Offset: res.End, Length: size - res.End, Err: fmt.Errorf("%w: no record at the end", blob.ErrCorrupt)})
	}
	return damage, err
}
