package durable

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
)

// OS is a folder of the operating system. Names cannot lead out of it, not even through symbolic
// links (os.Root).
type OS struct {
	root *os.Root
}

// OpenOS opens the folder dir, which is made (mode 0700) if it is missing.
func OpenOS(dir string) (*OS, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	return &OS{root: root}, nil
}

// Close releases the folder; open files stay open.
func (o *OS) Close() error { return o.root.Close() }

func (o *OS) Create(name string) (File, error) {
	return o.open(name, os.O_RDWR|os.O_CREATE|os.O_EXCL)
}

func (o *OS) Open(name string) (File, error) { return o.open(name, os.O_RDONLY) }

func (o *OS) Edit(name string) (File, error) { return o.open(name, os.O_RDWR) }

func (o *OS) open(name string, flag int) (File, error) {
	f, err := o.root.OpenFile(name, flag, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

// Mkdir makes each missing folder and syncs its parent.
func (o *OS) Mkdir(name string) error {
	name = path.Clean(name)
	if name == "." {
		return nil
	}
	if err := o.Mkdir(path.Dir(name)); err != nil {
		return err
	}
	switch err := o.root.Mkdir(name, 0o700); {
	case errors.Is(err, fs.ErrExist):
		return nil
	case err != nil:
		return err
	}
	return o.SyncDir(path.Dir(name))
}

func (o *OS) Rename(oldName, newName string) error { return o.root.Rename(oldName, newName) }

func (o *OS) Remove(name string) error { return o.root.Remove(name) }

func (o *OS) ReadDir(name string) ([]Info, error) {
	d, err := o.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	list, err := d.Readdir(-1)
	if err != nil {
		return nil, err
	}
	infos := make([]Info, len(list))
	for i, fi := range list {
		infos[i] = infoOf(fi)
	}
	slices.SortFunc(infos, func(a, b Info) int { return cmp.Compare(a.Name, b.Name) })
	return infos, nil
}

func (o *OS) Stat(name string) (Info, error) {
	fi, err := o.root.Stat(name)
	if err != nil {
		return Info{}, err
	}
	return infoOf(fi), nil
}

func infoOf(fi fs.FileInfo) Info {
	return Info{Name: fi.Name(), Size: fi.Size(), Dir: fi.IsDir(), Modified: fi.ModTime()}
}

// SyncDir is fsync on the folder: there is no fdatasync for names.
func (o *OS) SyncDir(name string) error {
	d, err := o.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

func (o *OS) Lock(name string) (io.Closer, error) {
	f, err := o.root.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := flock(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

type osFile struct{ *os.File }

func (f osFile) Sync() error { return datasync(f.File) }

func (f osFile) Preallocate(size int64) error {
	now, err := f.Size()
	if err != nil || now >= size {
		return err
	}
	return allocate(f.File, now, size-now)
}

func (f osFile) Size() (int64, error) {
	fi, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return fi.Size(), nil
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
