package pack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"posta/internal/blob"
	"posta/internal/blob/record"
	"posta/internal/durable"
)

// recover lists the packs and ends those that were being written when the last process died.
func (s *Store) recover(ctx context.Context) error {
	list, err := s.fs.ReadDir(s.dir)
	if err != nil {
		return err
	}
	for _, info := range list {
		name := strings.TrimSuffix(info.Name, path.Ext(info.Name))
		ext := path.Ext(info.Name)
		if _, err := blob.ParseID(name); err != nil || info.Dir || ext != openSuffix && ext != packSuffix {
			continue
		}
		// Both names of one pack can only be there if somebody copied files by hand; the sealed one wins,
		// and sorts last.
		s.units[name] = &unit{name: name, bytes: info.Size, modified: info.Modified, sealed: true, open: ext == openSuffix}
	}
	for _, u := range s.units {
		if !u.open {
			continue
		}
		if err := s.end(ctx, u); err != nil && !errors.Is(err, errGone) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			// Reading goes on under the open name; a full or failing disk must not keep the mail from
			// being read. The next Open tries again.
			s.cfg.Damaged(blob.Damage{Unit: u.name, Err: err})
		}
	}
	return nil
}

// end seals a pack found open: the zeros at its end go, the footer comes behind whatever else is there.
func (s *Store) end(ctx context.Context, u *unit) error {
	f, err := s.fs.Edit(s.file(u.name, true))
	if err != nil {
		return err
	}
	err = s.endFile(ctx, u, f)
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return s.promote(u)
}

func (s *Store) endFile(ctx context.Context, u *unit, f durable.File) error {
	size, err := f.Size()
	if err != nil {
		return err
	}
	src := &handle{file: f}
	salt, err := record.ReadSalt(src)
	if salt == (record.Salt{}) {
		return s.endEmpty(u, err)
	}
	if err != nil {
		s.cfg.Damaged(blob.Damage{Unit: u.name, Length: record.UnitHeaderBytes, Err: err})
	}
	u.salt, u.known = salt, true
	if _, err := record.ReadFooter(src, size, salt); err == nil {
		return nil // only the rename is missing
	}
	res, err := record.Scan(ctx, src, u.name, size, salt, func(blob.Entry) error { return nil })
	if err != nil {
		return err
	}
	for _, d := range res.DamageBefore(res.Batch) {
		s.cfg.Damaged(d)
	}
	used := res.End + res.Tail
	if err := f.Truncate(used); err != nil {
		return err
	}
	footer := record.AppendFooter(nil, salt, record.Footer{End: res.End, Records: res.Records, LastBatch: res.End - res.Batch})
	if _, err := f.WriteAt(footer, used); err != nil {
		return err
	}
	u.bytes = used + int64(len(footer))
	return f.Sync()
}

// endEmpty deals with a pack that has no readable header. A crash between creating and syncing a pack
// leaves one, at most as long as a header; that one can go.
func (s *Store) endEmpty(u *unit, cause error) error {
	if u.bytes <= s.cfg.ReserveBytes && s.blank(u) {
		delete(s.units, u.name)
		return errors.Join(s.fs.Remove(s.file(u.name, true)), errGone)
	}
	return fmt.Errorf("pack %s: %w", u.name, cause)
}

var errGone = errors.New("pack: was empty")

// blank tells whether a pack holds nothing behind the place of its header.
func (s *Store) blank(u *unit) bool {
	f, err := s.fs.Open(s.file(u.name, true))
	if err != nil {
		return false
	}
	defer f.Close()
	buf := make([]byte, 64<<10)
	for off := int64(record.UnitHeaderBytes); ; {
		n, err := f.ReadAt(buf, off)
		for _, c := range buf[:n] {
			if c != 0 {
				return false
			}
		}
		off += int64(n)
		if n < len(buf) {
			return err == io.EOF
		}
	}
}

// check reads an abandoned pack through and reports what of its acknowledged records is missing.
func (s *Store) check(u *unit, records int64) {
	intact := int64(0)
	damage, err := s.scanUnit(context.Background(), u.name, func(blob.Entry) error { intact++; return nil })
	for _, d := range damage {
		s.cfg.Damaged(d)
	}
	if err == nil && intact < records && len(damage) == 0 {
		err = fmt.Errorf("%w: %d of %d records", blob.ErrCorrupt, intact, records)
	}
	if err != nil {
		s.cfg.Damaged(blob.Damage{Unit: u.name, Err: err})
	}
}
