package rescue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/durable"
	"posta/internal/store"
)

// ErrForeign: PostgreSQL and S3 have their own backups.
var ErrForeign = errors.New("rescue: this state is not kept in the data folder; back up the database and the bucket with their own tools, the bucket last")

// Backup writes a backup into the folder dir, an absolute path; the folder is made
// and must be empty. Every message that was accepted before the call is in it. The
// server goes on meanwhile; the metadata is copied once beside itself before it is
// sent, so that much space is needed in the data folder. When Backup fails it
// leaves what it wrote, without a manifest: a torn backup, known as such.
//
// The sequence: pin the packs; snapshot of the metadata, fdatasync; each pack,
// fdatasync; fsync of the folder of packs; manifest by durable.WriteFile.
func (r *Rescue) Backup(ctx context.Context, dir string) (command.Saved, error) {
	if !filepath.IsAbs(dir) {
		return command.Saved{}, fmt.Errorf("rescue: %q is no absolute path", dir)
	}
	if r.Disk == nil {
		return command.Saved{}, ErrForeign
	}
	disk, err := emptyFolder(dir)
	if err != nil {
		return command.Saved{}, err
	}
	defer disk.Close()
	release := r.Blobs.Pin()
	defer release()
	m := &Manifest{Format: manifestFormat, Created: r.now().UTC()}
	if err := r.count(ctx, m); err != nil {
		return command.Saved{}, err
	}
	steps := []struct {
		point string
		do    func() error
	}{
		{"backup.snapshot", func() error { return r.copySnapshot(ctx, disk, m) }},
		{"backup.copy", func() error { return r.copyPacks(ctx, disk, m) }},
		{"backup.manifest", func() error { return m.write(disk) }},
		{"backup.done", func() error { return syncFolder(filepath.Dir(dir)) }},
	}
	for _, s := range steps {
		err := r.Failpoints.Hit(s.point)
		if err == nil {
			err = s.do()
		}
		if err != nil {
			return command.Saved{}, err
		}
	}
	return command.Saved{Dir: dir, Messages: m.Messages, Octets: m.Octets, Files: len(m.Files)}, nil
}

// emptyFolder opens a folder in which nothing is yet.
func emptyFolder(dir string) (*durable.OS, error) {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(list) > 0 {
		return nil, fmt.Errorf("rescue: %s is not empty: %w", dir, fs.ErrExist)
	}
	return durable.OpenOS(dir)
}

func syncFolder(dir string) error {
	d, err := durable.OpenOS(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.SyncDir("."), d.Close())
}

// count tells how many messages are alive now.
func (r *Rescue) count(ctx context.Context, m *Manifest) error {
	return r.Store.EachBlob(ctx, func(ref store.BlobRef) error {
		if ref.Doomed.IsZero() {
			m.Messages++
			m.Octets += ref.Size
		}
		return nil
	})
}

func (r *Rescue) copySnapshot(ctx context.Context, disk durable.FS, m *Manifest) error {
	return addFile(disk, m, snapshotName, func(w io.Writer) error { return r.Store.Snapshot(ctx, w) })
}

// addFile writes a file durably and lists it.
func addFile(disk durable.FS, m *Manifest, name string, fill func(io.Writer) error) error {
	f, err := disk.Create(name)
	if err != nil {
		return err
	}
	h := newHashing(f)
	err = fill(h)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	m.Files = append(m.Files, File{Name: name, Bytes: h.at, SHA256: h.sum()})
	return nil
}

// copyPacks copies every unit as far as it is durable now.
func (r *Rescue) copyPacks(ctx context.Context, disk durable.FS, m *Manifest) error {
	units, err := r.Blobs.Units(ctx)
	if err != nil {
		return err
	}
	if err := disk.Mkdir(packsName); err != nil {
		return err
	}
	for _, u := range units {
		if err := r.copyUnit(ctx, disk, m, u); err != nil {
			return err
		}
	}
	return disk.SyncDir(packsName)
}

// copyUnit copies one unit. One that is being written is copied up to its last
// sync under the name that it has while open: it is a pack after a crash.
func (r *Rescue) copyUnit(ctx context.Context, disk durable.FS, m *Manifest, u blob.UnitInfo) error {
	f, name, err := openUnit(r.Disk, r.BlobDir, u.Name)
	if err != nil {
		return err
	}
	defer f.Close()
	size := u.Bytes
	if u.Sealed {
		if size, err = f.Size(); err != nil {
			return err
		}
	} else {
		name = u.Name + openSuffix
	}
	return addFile(disk, m, path.Join(packsName, name), func(w io.Writer) error {
		return copyFile(ctx, w, io.NewSectionReader(f, 0, size), size)
	})
}

// The names of a unit's file in the folder of a pack store (see its manual).
const (
	openSuffix = ".open"
	packSuffix = ".pack"
)

// openUnit opens the file of a unit under the name that it has now.
func openUnit(disk durable.FS, dir, unit string) (f durable.File, name string, err error) {
	// The first name again at the end: it may be sealed between two looks.
	for _, suffix := range []string{openSuffix, packSuffix, openSuffix} {
		name = unit + suffix
		if f, err = disk.Open(path.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return f, name, err
		}
	}
	return nil, "", fmt.Errorf("unit %s: %w: %w", unit, blob.ErrNotFound, err)
}

// copyFile copies exactly size octets.
func copyFile(ctx context.Context, w io.Writer, from io.Reader, size int64) error {
	buf := make([]byte, min(copyBytes, size))
	for left := size; left > 0; {
		if err := ctx.Err(); err != nil {
			return err
		}
		part := buf[:min(int64(len(buf)), left)]
		if _, err := io.ReadFull(from, part); err != nil {
			return err
		}
		if _, err := w.Write(part); err != nil {
			return err
		}
		left -= int64(len(part))
	}
	return nil
}
