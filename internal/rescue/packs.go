package rescue

import (
	"context"
	"fmt"

	"posta/internal/blob"
	"posta/internal/blob/record"
	"posta/internal/durable"
)

// packs reads records from a folder of packs that must not be changed: a backup,
// perhaps on a medium that cannot be written. It keeps the last unit open, since
// rows come nearly in the order of their records.
type packs struct {
	disk  durable.FS
	dir   string
	codec *record.Codec

	unit string
	file durable.File
	salt record.Salt
}

func newPacks(disk durable.FS, dir string) (*packs, error) {
	codec, err := record.NewCodec(record.None)
	if err != nil {
		return nil, err
	}
	return &packs{disk: disk, dir: dir, codec: codec}, nil
}

// open implements opener; one goroutine at a time.
func (p *packs) open(_ context.Context, id blob.ID, at blob.Location) (blob.Reader, error) {
	if p.unit != at.Unit {
		if err := p.turn(at.Unit); err != nil {
			return nil, err
		}
	}
	r, err := record.Open(p.file, nil, p.salt, id, at, p.codec)
	if err != nil {
		return nil, err
	}
	return r, nil
}

// turn goes to another unit.
func (p *packs) turn(unit string) error {
	if err := p.close(); err != nil {
		return err
	}
	f, name, err := openUnit(p.disk, p.dir, unit)
	if err != nil {
		return err
	}
	salt, err := record.ReadSalt(f)
	if err != nil && salt == (record.Salt{}) {
		f.Close()
		return fmt.Errorf("%s: %w", name, err)
	}
	p.unit, p.file, p.salt = unit, f, salt
	return nil
}

func (p *packs) close() error {
	if p.file == nil {
		return nil
	}
	f := p.file
	p.unit, p.file = "", nil
	return f.Close()
}
