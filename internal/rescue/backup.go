package rescue

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"

	"posta/internal/blob"
	"posta/internal/blob/pack"
	"posta/internal/command"
	"posta/internal/durable"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// Backup writes a backup into the folder dir, an absolute path; the folder is made
// and must be empty. Every message that was accepted before the call is in it. The
// server goes on meanwhile; the metadata is copied once beside itself before it is
// sent, so that much space is needed: in the data folder (SQLite) or in that of
// temporary files (PostgreSQL). When Backup fails it leaves what it wrote, without a
// manifest: a torn backup, known as such. ErrRunning.
//
// The sequence: pin the bytes; snapshot of the metadata, fdatasync; each pack,
// fdatasync; fsync of the folder of packs; configuration and certificates, likewise;
// manifest by durable.WriteFile.
//
// Bytes that are not in packs already are packed on the way, and the snapshot is
// told where they are then: a backup is an embedded house, whatever it is of.
func (r *Rescue) Backup(ctx context.Context, dir string) (_ command.Saved, err error) {
	if !filepath.IsAbs(dir) {
		return command.Saved{}, fmt.Errorf("rescue: %q is no absolute path", dir)
	}
	files, err := r.gather()
	if err != nil {
		return command.Saved{}, err
	}
	disk, err := emptyFolder(dir)
	if err != nil {
		return command.Saved{}, err
	}
	defer disk.Close()
	ctx, release, err := r.pin(ctx)
	if err != nil {
		return command.Saved{}, err
	}
	defer func() { err = errors.Join(err, release()) }()
	b := &backup{r: r, dir: dir, disk: disk, kept: files, m: &Manifest{Format: manifestFormat, Created: r.now().UTC()}}
	if err := r.count(ctx, b.m); err != nil {
		return command.Saved{}, err
	}
	steps := []struct {
		point string
		do    func() error
	}{
		{"backup.snapshot", func() error { return b.snapshot(ctx) }},
		{"backup.copy", func() error { return b.copy(ctx) }},
		{"backup.manifest", func() error { return b.seal(ctx) }},
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
	m := b.m
	return command.Saved{Dir: dir, Messages: m.Messages, Octets: m.Octets, Files: len(m.Files), Damaged: m.Damaged}, nil
}

// backup is one backup that is being written.
type backup struct {
	r    *Rescue
	dir  string
	disk *durable.OS
	kept []kept
	m    *Manifest
}

// inPacks tells whether the bytes are files of the data folder.
func (r *Rescue) inPacks() bool { return r.BlobDir != "" }

// pin keeps the bytes from being removed: by this process, and by other nodes
// where they share them. The context ends if that can no longer be promised.
func (r *Rescue) pin(ctx context.Context) (context.Context, func() error, error) {
	unpin := r.Blobs.Pin()
	if r.inPacks() {
		return ctx, func() error { unpin(); return nil }, nil
	}
	held, release, err := r.lease(ctx)
	if err != nil {
		unpin()
		return nil, nil, err
	}
	return held, func() error { unpin(); return release() }, nil
}

// seal writes the manifest, which makes the backup whole, unless the pin was lost
// while it was made.
func (b *backup) seal(ctx context.Context) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return b.m.write(b.disk)
}

// snapshot copies the metadata.
func (b *backup) snapshot(ctx context.Context) error {
	fill := func(w io.Writer) error { return b.r.Store.Snapshot(ctx, w) }
	if b.r.inPacks() {
		return addFile(b.disk, b.m, snapshotName, fill)
	}
	if err := b.disk.Mkdir(packingName); err != nil {
		return err
	}
	// It is listed when its rows have learnt where their bytes are packed.
	return addFile(b.disk, &Manifest{}, path.Join(packingName, snapshotName), fill)
}

// copy copies all but the metadata.
func (b *backup) copy(ctx context.Context) error {
	if err := b.copyBytes(ctx); err != nil {
		return err
	}
	return b.copyKept()
}

// copyBytes copies the message bytes after the snapshot, so that whatever a row
// of it refers to is there.
func (b *backup) copyBytes(ctx context.Context) error {
	if b.r.inPacks() {
		return b.r.copyPacks(ctx, b.disk, b.m)
	}
	return b.pack(ctx)
}

// pack fetches the bytes that the snapshot refers to, puts them into packs, and
// writes the snapshot that knows them there.
func (b *backup) pack(ctx context.Context) (err error) {
	work := filepath.Join(b.dir, packingName)
	rows, err := sqlstore.Open(ctx, sqlstore.Options{Dir: work})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close(), os.RemoveAll(work)) }()
	packs, err := pack.Open(ctx, b.disk, packsName, pack.Config{})
	if err != nil {
		return err
	}
	c := &carrier{rows: rows, open: b.r.Blobs.Open, side: carryFetches, to: packs}
	if err := errors.Join(c.carry(ctx), packs.Close()); err != nil {
		return err
	}
	b.m.Damaged = c.damaged
	if err := b.disk.Remove(path.Join(packsName, lockName)); err != nil {
		return err
	}
	if err := b.listPacks(ctx); err != nil {
		return err
	}
	return addFile(b.disk, b.m, snapshotName, func(w io.Writer) error { return rows.Snapshot(ctx, w) })
}

// listPacks enters the packs that were written into the manifest.
func (b *backup) listPacks(ctx context.Context) error {
	list, err := b.disk.ReadDir(packsName)
	if err != nil {
		return err
	}
	for _, e := range list {
		f := File{Name: path.Join(packsName, e.Name), Bytes: e.Size}
		if f.SHA256, err = sumOf(ctx, b.disk, f); err != nil {
			return fmt.Errorf("%s: %w", f.Name, err)
		}
		b.m.Files = append(b.m.Files, f)
	}
	return b.disk.SyncDir(packsName)
}

// sumOf is the SHA-256 of a file's first Bytes octets.
func sumOf(ctx context.Context, disk durable.FS, f File) (string, error) {
	r, err := disk.Open(f.Name)
	if err != nil {
		return "", err
	}
	defer r.Close()
	sum := sha256.New()
	err = copyFile(ctx, sum, io.NewSectionReader(r, 0, f.Bytes), f.Bytes)
	return hex.EncodeToString(sum.Sum(nil)), err
}

// emptyFolder opens a folder in which nothing is yet.
func emptyFolder(dir string) (*durable.OS, error) {
	list, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if len(list) > 0 {
		return nil, fmt.Errorf("rescue: %s is not empty: name a new folder, or move what is there away: %w", dir, fs.ErrExist)
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
	lockName   = "lock"
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
