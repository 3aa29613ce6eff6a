package crashtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"strings"

	"posta/internal/durable"
)

// disk replays the calls of a server on its data folder into a file system that
// knows what was synced (durable.Mem): from there every disk can be drawn that a
// power cut could have left.
type disk struct {
	mem  *durable.Mem
	root string // of the data folder
	fds  map[int64]*descriptor
	// blind, when it is in the name of a file, makes its syncs be ignored: a test of
	// the test.
	blind string
}

type descriptor struct {
	path string // absolute
	file durable.File
	off  int64 // of write
}

// stateDirs are the folders that hold state; the rest is made anew.
var stateDirs = []string{"meta", "blobs"}

// loadDisk takes the data folder as it is: all of it is on the medium.
func loadDisk(root string) (*disk, error) {
	d := &disk{mem: durable.NewMem(), root: root, fds: map[int64]*descriptor{}}
	for _, dir := range stateDirs {
		if err := d.mem.Mkdir(dir); err != nil {
			return nil, err
		}
		list, err := os.ReadDir(filepath.Join(root, dir))
		if err != nil {
			return nil, err
		}
		for _, e := range list {
			if !e.Type().IsRegular() {
				continue
			}
			b, err := os.ReadFile(filepath.Join(root, dir, e.Name()))
			if err != nil {
				return nil, err
			}
			f, err := d.mem.Create(path.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			if _, err := f.WriteAt(b, 0); err != nil {
				return nil, err
			}
			if err := errors.Join(f.Sync(), f.Close()); err != nil {
				return nil, err
			}
		}
		if err := d.mem.SyncDir(dir); err != nil {
			return nil, err
		}
	}
	return d, nil
}

// name is a path in the data folder that holds state; "" for every other one. The
// index of the log is memory that is mapped: it is made anew.
func (d *disk) name(p string) string {
	rel, ok := strings.CutPrefix(p, d.root+"/")
	if !ok || strings.HasSuffix(rel, "-shm") || strings.HasSuffix(rel, "lock") {
		return ""
	}
	for _, dir := range stateDirs {
		if rel == dir || strings.HasPrefix(rel, dir+"/") {
			return rel
		}
	}
	return ""
}

// at resolves a path against a descriptor of a folder.
func (d *disk) at(fd, p string) string {
	if strings.HasPrefix(p, "/") {
		return path.Clean(p)
	}
	var n int64
	if _, err := fmt.Sscan(fd, &n); err != nil || d.fds[n] == nil {
		return path.Join("/", p) // relative to the working folder: not ours
	}
	return path.Join(d.fds[n].path, p)
}

// apply does a call again. op is what it did to the state, in words, e.g. "pwrite meta/posta.db-wal";
// "" is nothing.
func (d *disk) apply(c call) (op string, err error) {
	if c.name == "close" {
		delete(d.fds, c.number(0))
		return "", nil
	}
	if c.ret < 0 {
		return "", nil
	}
	switch c.name {
	case "openat":
		return d.open(c.ret, d.at(c.args[0], c.args[1]), c.args[2])
	case "open":
		return d.open(c.ret, d.at("", c.args[0]), c.args[1])
	case "dup", "dup2", "dup3":
		d.fds[c.ret] = d.fds[c.number(0)]
	case "fcntl":
		if strings.HasPrefix(c.args[1], "F_DUPFD") {
			d.fds[c.ret] = d.fds[c.number(0)]
		}
	case "rename":
		return d.rename(d.at("", c.args[0]), d.at("", c.args[1]))
	case "renameat", "renameat2":
		return d.rename(d.at(c.args[0], c.args[1]), d.at(c.args[2], c.args[3]))
	case "unlink":
		return d.remove(d.at("", c.args[0]))
	case "unlinkat":
		return d.remove(d.at(c.args[0], c.args[1]))
	case "mkdir":
		return d.mkdir(d.at("", c.args[0]))
	case "mkdirat":
		return d.mkdir(d.at(c.args[0], c.args[1]))
	default:
		return d.write(c)
	}
	return "", nil
}

func (d *disk) open(fd int64, p, flags string) (op string, err error) {
	d.fds[fd] = &descriptor{path: p}
	name := d.name(p)
	if name == "" || strings.Contains(flags, "O_DIRECTORY") {
		return "", nil
	}
	f, err := d.mem.Edit(name)
	if errors.Is(err, fs.ErrNotExist) && strings.Contains(flags, "O_CREAT") {
		f, err = d.mem.Create(name)
		op = "create " + name
	}
	if errors.Is(err, fs.ErrInvalid) {
		return "", nil // a folder
	}
	if err != nil {
		return "", err
	}
	d.fds[fd].file = f
	if strings.Contains(flags, "O_TRUNC") {
		err = f.Truncate(0)
	}
	return op, err
}

func (d *disk) rename(from, to string) (string, error) {
	a, b := d.name(from), d.name(to)
	if a == "" && b == "" {
		return "", nil
	}
	if a == "" || b == "" {
		return "", fmt.Errorf("a file is renamed into or out of the state: %s, %s", from, to)
	}
	return "rename " + a + " " + b, d.mem.Rename(a, b)
}

func (d *disk) remove(p string) (string, error) {
	name := d.name(p)
	if name == "" {
		return "", nil
	}
	err := d.mem.Remove(name)
	if errors.Is(err, fs.ErrInvalid) {
		return "", nil // a folder of a snapshot
	}
	return "unlink " + name, err
}

func (d *disk) mkdir(p string) (string, error) {
	name := d.name(p)
	if name == "" {
		return "", nil
	}
	return "mkdir " + name, d.mem.Mkdir(name)
}

// write does the calls that have a descriptor.
func (d *disk) write(c call) (op string, err error) {
	fd := d.fds[c.number(0)]
	if fd == nil {
		return "", nil
	}
	name := d.name(fd.path)
	if name == "" {
		return "", nil
	}
	if fd.file == nil {
		if c.name == "fsync" || c.name == "fdatasync" {
			return "fsync " + name + "/", d.mem.SyncDir(name)
		}
		return "", nil
	}
	switch c.name {
	case "pwrite64":
		_, err = fd.file.WriteAt([]byte(c.args[1])[:c.ret], c.number(3))
		return "pwrite " + name, err
	case "write":
		_, err = fd.file.WriteAt([]byte(c.args[1])[:c.ret], fd.off)
		fd.off += c.ret
		return "write " + name, err
	case "fsync", "fdatasync":
		if d.blind != "" && strings.Contains(name, d.blind) {
			return "", nil
		}
		return c.name + " " + name, fd.file.Sync()
	case "ftruncate":
		return "ftruncate " + name, fd.file.Truncate(c.number(1))
	case "fallocate":
		return "fallocate " + name, fd.file.Preallocate(c.number(2) + c.number(3))
	}
	return "", fmt.Errorf("%s on %s is not understood", c.name, name)
}

// cut writes one of the disks that a power cut could leave now into dir.
func (d *disk) cut(rng *rand.Rand, dir string) error {
	left := d.mem.CrashClone(rng)
	for _, part := range stateDirs {
		if err := os.MkdirAll(filepath.Join(dir, part), 0o700); err != nil {
			return err
		}
		list, err := left.ReadDir(part)
		if err != nil {
			return err
		}
		for _, info := range list {
			if info.Dir {
				continue
			}
			if err := writeOut(left, path.Join(part, info.Name), filepath.Join(dir, part, info.Name)); err != nil {
				return err
			}
		}
	}
	return nil
}

// writeOut copies a file; zeros at its end are a hole.
func writeOut(from durable.FS, name, to string) error {
	f, err := from.Open(name)
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err != nil {
		return err
	}
	b := make([]byte, size)
	if _, err := f.ReadAt(b, 0); err != nil && err != io.EOF {
		return err
	}
	used := len(strings.TrimRight(string(b), "\x00"))
	if err := os.WriteFile(to, b[:used], 0o600); err != nil {
		return err
	}
	return os.Truncate(to, size)
}
