package rescue

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/durable"
	"posta/internal/store"
	"posta/internal/store/sqlstore"
)

// Places says where a restored house goes.
type Places struct {
	Data  string // the data folder; it may be missing, else it must be empty
	Meta  string // folder of the metadata, in Data
	Blob  string // folder of the packs, in Data
	Certs string // folder of certificates, in Data

	// Postgres is the database that the metadata goes into, instead of Meta; it must
	// be empty, and no node may run on it.
	Postgres string
	// Bucket opens the bucket that the bytes go into, which must be empty; nil: Blob.
	Bucket func(ctx context.Context) (blob.Store, error)

	// Files says where those of the configuration go. They are written where nothing
	// stands, or with Replace over what does, with the permissions that they had; each
	// is given to Own, if that is not nil.
	Files   []Source
	Replace bool
	Own     func(path string) error
}

// Restored is what a restore did.
type Restored struct {
	command.Saved
	Written []string `json:"written,omitempty"` // files of the configuration
	Left    []string `json:"left,omitempty"`    // of these, where something else stands
}

// staging is where a restore is made; what an earlier one left there is removed.
const staging = "restore.tmp"

// Restore makes a house of the backup in dir, comparing every file with the
// manifest. Nothing is in its place before all of it is durable: the metadata is
// the last to come, in one rename or one transaction. ErrTorn; fs.ErrExist if the
// folder, the database or the bucket is not empty.
func Restore(ctx context.Context, dir string, to Places) (out Restored, err error) {
	disk, m, err := openBackup(dir)
	if err != nil {
		return out, err
	}
	defer disk.Close()
	r := &restore{from: disk, m: m, to: to}
	if r.out, err = emptyButStaging(to.Data); err != nil {
		return out, err
	}
	defer r.out.Close()
	for _, step := range []func(context.Context) error{r.openDatabase, r.settle, r.openBucket, r.stage, r.fillBucket, r.moveParts, r.metadata} {
		if err = step(ctx); err != nil {
			break
		}
	}
	if err = errors.Join(err, r.closeBucket()); err != nil {
		return out, err
	}
	err = errors.Join(os.RemoveAll(filepath.Join(to.Data, staging)), r.out.SyncDir("."))
	r.done.Saved = command.Saved{Dir: to.Data, Messages: m.Messages, Octets: m.Octets, Files: len(m.Files), Damaged: max(m.Damaged, r.done.Damaged)}
	return r.done, err
}

// emptyButStaging opens the new data folder.
func emptyButStaging(dir string) (*durable.OS, error) {
	if err := os.RemoveAll(filepath.Join(dir, staging)); err != nil {
		return nil, err
	}
	return emptyFolder(dir)
}

// restoreFile copies one file durably; the name is made durable by the caller.
func restoreFile(ctx context.Context, from durable.FS, f File, to durable.FS, name string) error {
	w, err := to.Create(name)
	if err != nil {
		return err
	}
	err = readFile(ctx, from, f, newHashing(w))
	if err == nil {
		err = w.Sync()
	}
	return errors.Join(err, w.Close())
}

// restore is one restore on its way.
type restore struct {
	from   durable.FS
	m      *Manifest
	to     Places
	out    *durable.OS // the data folder
	bucket blob.Store  // nil: packs
	done   Restored
}

// openDatabase refuses a database in which there is anything, before anything is
// written: two houses in one could not be told apart.
func (r *restore) openDatabase(ctx context.Context) error {
	if r.to.Postgres == "" {
		return nil
	}
	return databaseTaken(sqlstore.Vacant(ctx, r.to.Postgres))
}

// openBucket refuses one with objects, likewise. Its key may be in a file that
// settle has written.
func (r *restore) openBucket(ctx context.Context) (err error) {
	if r.to.Bucket == nil {
		return nil
	}
	if r.bucket, err = r.to.Bucket(ctx); err != nil {
		return err
	}
	units, err := r.bucket.Units(ctx)
	if err == nil && len(units) > 0 {
		err = fmt.Errorf("rescue: the bucket is not empty (%d objects, such as %s): name another bucket or another blobs.s3.prefix; what a broken-off restore has left may be deleted: %w", len(units), units[0].Name, fs.ErrExist)
	}
	return err
}

func databaseTaken(err error) error {
	if errors.Is(err, store.ErrExists) {
		err = fmt.Errorf("rescue: the database is not empty: make a new one (createdb) and name it in store.postgresql: %w: %w", fs.ErrExist, err)
	}
	return err
}

func (r *restore) closeBucket() error {
	if r.bucket == nil {
		return nil
	}
	return r.bucket.Close()
}

// stage copies every file to the staging folder, or only compares it, if its
// bytes go to a bucket.
func (r *restore) stage(ctx context.Context) error {
	for _, f := range r.m.Files {
		if err := r.stageFile(ctx, f); err != nil {
			return err
		}
	}
	return nil
}

func (r *restore) stageFile(ctx context.Context, f File) error {
	folder, rest, _ := strings.Cut(f.Name, "/")
	name := ""
	switch {
	case !fs.ValidPath(f.Name):
	case f.Name == snapshotName:
		name = path.Join(r.to.Meta, snapshotName)
	case isConfig(f):
		return checkFile(ctx, r.from, f)
	case folder == packsName && r.bucket != nil:
		return checkFile(ctx, r.from, f)
	case folder == packsName && rest != "":
		name = path.Join(r.to.Blob, path.Base(rest))
	case folder == certsName && rest != "":
		name = path.Join(r.to.Certs, rest)
	}
	if name == "" {
		return fmt.Errorf("%w: the manifest lists %q", ErrTorn, f.Name)
	}
	name = path.Join(staging, name)
	if err := r.out.Mkdir(path.Dir(name)); err != nil {
		return err
	}
	if err := restoreFile(ctx, r.from, f, r.out, name); err != nil {
		return err
	}
	return r.out.SyncDir(path.Dir(name))
}

// fillBucket puts what the rows refer to into the bucket, and tells them.
func (r *restore) fillBucket(ctx context.Context) (err error) {
	if r.bucket == nil {
		return nil
	}
	rows, err := sqlstore.Open(ctx, sqlstore.Options{Dir: filepath.Join(r.to.Data, staging, r.to.Meta)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	p, err := newPacks(r.from, packsName)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, p.close()) }()
	c := &carrier{rows: rows, open: p.open, side: 1, to: r.bucket}
	err = c.carry(ctx)
	// They were so when the backup was made: its files are what they were.
	r.done.Damaged = c.damaged
	return err
}

// moveParts puts all but the metadata in its place.
func (r *restore) moveParts(context.Context) error {
	if r.bucket == nil {
		if err := moveIn(r.out, r.to.Blob); err != nil {
			return err
		}
	}
	if _, err := r.out.Stat(path.Join(staging, r.to.Certs)); errors.Is(err, fs.ErrNotExist) || r.to.Certs == "" {
		return nil
	}
	return moveIn(r.out, r.to.Certs)
}

// isConfig tells whether a file of a backup is posta.toml, or one that it names.
func isConfig(f File) bool {
	return f.Name == configName || strings.HasPrefix(f.Name, filesName+"/")
}

// settle writes the configuration.
func (r *restore) settle(ctx context.Context) error {
	for _, s := range r.to.Files {
		i := slices.IndexFunc(r.m.Files, func(f File) bool { return isConfig(f) && f.Name == s.nameOf() })
		if i < 0 {
			continue
		}
		text, err := contentsOf(ctx, r.from, r.m.Files[i])
		if err != nil {
			return err
		}
		what, err := settle(s.Path, kept{text: text, mode: r.m.Files[i].Mode}, r.to.Replace, r.to.Own)
		if err != nil {
			return err
		}
		switch what {
		case written:
			r.done.Written = append(r.done.Written, s.Path)
		case left:
			r.done.Left = append(r.done.Left, s.Path)
		}
	}
	return nil
}

// metadata comes last: with it there is a house.
func (r *restore) metadata(ctx context.Context) error {
	if r.to.Postgres == "" {
		return moveIn(r.out, r.to.Meta)
	}
	return databaseTaken(sqlstore.Load(ctx, r.to.Postgres, filepath.Join(r.to.Data, staging, r.to.Meta, snapshotName)))
}

// moveIn puts a finished part in its place.
func moveIn(out *durable.OS, part string) error {
	from := path.Join(staging, part)
	if err := out.Mkdir(from); err != nil { // a backup of an empty house has no packs
		return err
	}
	if err := out.SyncDir(from); err != nil {
		return err
	}
	if err := out.Rename(from, part); err != nil {
		return err
	}
	return out.SyncDir(".")
}
