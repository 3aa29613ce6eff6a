package rescue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"posta/internal/durable"
)

// maxFile bounds a file of the configuration.
const maxFile = 1 << 20

// Source is a file that a backup has a copy of beside the mail: its name is
// "posta.toml", or the key of the configuration that names the file.
type Source struct {
	Name string
	Path string // where it is, and where a restore puts it
	Text []byte // if not nil, what is in it: it need not be read again
}

// nameOf is a source's name in a backup.
func (s Source) nameOf() string {
	if s.Name == configName {
		return configName
	}
	return path.Join(filesName, s.Name)
}

// kept is one of them in memory.
type kept struct {
	name string // in the backup
	text []byte
	mode fs.FileMode
}

// gather reads the configuration and the certificates: all of it before anything
// is copied, so that what cannot be read is told at once.
func (r *Rescue) gather() ([]kept, error) {
	var out []kept
	for _, s := range r.Files {
		text := s.Text
		if text == nil {
			var err error
			if text, err = readSmall(s.Path); err != nil {
				return nil, fmt.Errorf("%s: %w: a backup without it would be none", s.Name, err)
			}
		}
		out = append(out, kept{s.nameOf(), text, permissions(s.Path)})
	}
	if r.CertDir == "" {
		return out, nil
	}
	err := walk(r.Disk, r.CertDir, func(name string) error {
		text, err := durable.ReadFile(r.Disk, name, maxFile)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // renewed meanwhile
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		out = append(out, kept{path.Join(certsName, strings.TrimPrefix(name, r.CertDir+"/")), text, 0})
		return nil
	})
	return out, err
}

// permissions of a file; its owner's alone if they cannot be asked.
func permissions(name string) fs.FileMode {
	info, err := os.Stat(name)
	if err != nil {
		return 0o600
	}
	return info.Mode().Perm()
}

func readSmall(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("%s has more than %d octets", name, maxFile)
	}
	return text, err
}

// transient are folders of locks: they mean nothing elsewhere.
const transient = "locks"

// walk visits the files below a folder; one that is missing has none.
func walk(disk durable.FS, dir string, visit func(name string) error) error {
	list, err := disk.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		name := path.Join(dir, e.Name)
		switch {
		case e.Dir && e.Name == transient:
		case e.Dir:
			err = walk(disk, name, visit)
		default:
			err = visit(name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyKept writes what gather has read.
func (b *backup) copyKept() error {
	for _, k := range b.kept {
		if err := b.disk.Mkdir(path.Dir(k.name)); err != nil {
			return err
		}
		err := addFile(b.disk, b.m, k.name, func(w io.Writer) error {
			_, err := w.Write(k.text)
			return err
		})
		if err != nil {
			return err
		}
		b.m.Files[len(b.m.Files)-1].Mode = k.mode
		if err := b.disk.SyncDir(path.Dir(k.name)); err != nil {
			return err
		}
	}
	return nil
}

// Config is the posta.toml of the backup in dir, compared with the manifest. Nil:
// it has none. ErrTorn.
func Config(ctx context.Context, dir string) ([]byte, error) {
	disk, m, err := openBackup(dir)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	for _, f := range m.Files {
		if f.Name == configName {
			return contentsOf(ctx, disk, f)
		}
	}
	return nil, nil
}

// contentsOf reads a small file of a backup.
func contentsOf(ctx context.Context, disk durable.FS, f File) ([]byte, error) {
	if f.Bytes > maxFile {
		return nil, fmt.Errorf("%w: %s has %d octets", ErrTorn, f.Name, f.Bytes)
	}
	var b bytes.Buffer
	err := readFile(ctx, disk, f, &b)
	return b.Bytes(), err
}

// outcome is what came of a file of the configuration.
type outcome int

const (
	same outcome = iota // it stands there already
	left                // something else stands there
	written
)

// settle writes a file of the configuration, unless something else stands there
// and is not to be replaced. own gives it to whoever is to read it; it may be nil.
// Until it has its mode it is its owner's alone.
func settle(at string, k kept, replace bool, own func(path string) error) (outcome, error) {
	there, err := readSmall(at)
	switch {
	case err == nil && bytes.Equal(there, k.text):
		return same, nil
	case !errors.Is(err, fs.ErrNotExist) && !replace:
		return left, nil
	}
	dir, name := filepath.Split(at)
	dir = filepath.Clean(dir) // "." for none
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return left, err
	}
	disk, err := durable.OpenOS(dir)
	if err != nil {
		return left, err
	}
	defer disk.Close()
	if err := durable.WriteFile(disk, name, k.text); err != nil {
		return left, fmt.Errorf("%s: %w", at, err)
	}
	if own != nil {
		err = own(at)
	}
	if k.mode != 0 {
		err = errors.Join(err, os.Chmod(at, k.mode.Perm()))
	}
	return written, err
}
