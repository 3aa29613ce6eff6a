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
	"slices"

	"posta/internal/command"
	"posta/internal/durable"
	"posta/internal/store/sqlstore"
)

// VerifyBackup reads the backup in dir whole and changes nothing in it: the hash
// of every file, every invariant of the snapshot, every message. The snapshot is
// opened in a new folder in temp ("": the system's), which is removed. A folder
// that is no whole backup is ErrTorn; what is wrong inside of one is a breach.
func VerifyBackup(ctx context.Context, dir, temp string) (_ command.Verified, err error) {
	f := &findings{}
	disk, m, err := openBackup(dir)
	if err != nil {
		return f.Verified, err
	}
	defer disk.Close()
	for _, file := range m.Files {
		if err := checkFile(ctx, disk, file); errors.Is(err, errDiffers) {
			f.add("backup.file", err.Error())
		} else if err != nil {
			return f.Verified, err
		}
	}
	work, err := os.MkdirTemp(temp, "posta-verify-")
	if err != nil {
		return f.Verified, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(work)) }()
	err = f.contents(ctx, disk, m, work)
	return f.Verified, err
}

// openBackup opens a folder that has a good manifest; it is not made.
func openBackup(dir string) (*durable.OS, *Manifest, error) {
	if info, err := os.Stat(dir); err != nil {
		return nil, nil, err
	} else if !info.IsDir() {
		return nil, nil, fmt.Errorf("%s: %w", dir, ErrTorn)
	}
	disk, err := durable.OpenOS(dir)
	if err != nil {
		return nil, nil, err
	}
	m, err := readManifest(disk)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("%s: %w", dir, err), disk.Close())
	}
	return disk, m, nil
}

// errDiffers: a file of a backup is not what the manifest says.
var errDiffers = errors.New("rescue: the file differs from the manifest")

func checkFile(ctx context.Context, disk durable.FS, want File) error {
	return readFile(ctx, disk, want, io.Discard)
}

// readFile copies a file of a backup to w and compares it with the manifest.
func readFile(ctx context.Context, disk durable.FS, want File, w io.Writer) error {
	f, err := disk.Open(want.Name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %s is missing", errDiffers, want.Name)
	}
	if err != nil {
		return err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return err
	}
	if size != want.Bytes {
		return fmt.Errorf("%w: %s has %d octets, it had %d", errDiffers, want.Name, size, want.Bytes)
	}
	sum := sha256.New()
	if err := copyFile(ctx, io.MultiWriter(sum, w), io.NewSectionReader(f, 0, size), size); err != nil {
		return err
	}
	if hex.EncodeToString(sum.Sum(nil)) != want.SHA256 {
		return fmt.Errorf("%w: %s has other contents", errDiffers, want.Name)
	}
	return nil
}

// contents opens a copy of the snapshot in work and checks it with the packs.
func (f *findings) contents(ctx context.Context, disk durable.FS, m *Manifest, work string) (err error) {
	i := slices.IndexFunc(m.Files, func(f File) bool { return f.Name == snapshotName })
	if i < 0 {
		f.add("backup.snapshot", "there is no "+snapshotName)
		return nil
	}
	to, err := durable.OpenOS(work)
	if err != nil {
		return err
	}
	defer to.Close()
	if err := restoreFile(ctx, disk, m.Files[i], to, snapshotName); errors.Is(err, errDiffers) {
		return nil // reported already, and not to be opened
	} else if err != nil {
		return err
	}
	st, err := sqlstore.Open(ctx, sqlstore.Options{Dir: work})
	if err != nil {
		f.add("backup.snapshot", err.Error())
		return nil
	}
	defer func() { err = errors.Join(err, st.Close()) }()
	if err := f.metadata(ctx, st); err != nil {
		return err
	}
	p, err := newPacks(disk, packsName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	return f.bytes(ctx, st, p.open)
}
