package command

import (
	"context"
	"path/filepath"
	"time"

	"posta/internal/store"
)

// Rescue checks and copies the whole state. Both take as long as reading it all
// takes, beside a server at work.
type Rescue interface {
	Verify(ctx context.Context) (Verified, error)
	// Backup writes into the folder dir, which is made; an absolute path.
	Backup(ctx context.Context, dir string) (Saved, error)
}

// BackupSetting is the directory's setting with the time of the last backup, as RFC 3339.
const BackupSetting = "backup.last"

// Verified is the result of store.verify.
type Verified struct {
	Messages int64    `json:"messages"` // whose bytes are as they came
	Octets   int64    `json:"octets"`   // of these
	Breaches []Breach `json:"breaches,omitempty"`
	More     int64    `json:"more,omitempty"` // breaches that are not listed
}

// Breach is one invariant that does not hold.
type Breach struct {
	Invariant string `json:"invariant"` // "email.blob"
	Detail    string `json:"detail"`
}

// Saved is the result of backup.create.
type Saved struct {
	Dir      string `json:"dir"`
	Messages int64  `json:"messages"`
	Octets   int64  `json:"octets"`
	Files    int    `json:"files"`
	Damaged  int64  `json:"damaged,omitempty"` // of Messages, whose bytes could not be read and are not in it
}

// Folder is the argument of backup.create.
type Folder struct {
	Dir string `json:"dir"` // absolute
}

var storeCommands = []Command{
	run("store.verify", store.Owner, verifyStore),
	run("backup.create", store.Owner, createBackup),
}

func (h *House) rescue() (Rescue, error) {
	if h.Rescue == nil {
		return nil, fail(ErrUsage, "error.store.here")
	}
	return h.Rescue, nil
}

func verifyStore(ctx context.Context, h *House, _ Principal, _ struct{}) (any, error) {
	r, err := h.rescue()
	if err != nil {
		return nil, err
	}
	return r.Verify(ctx)
}

func createBackup(ctx context.Context, h *House, p Principal, a Folder) (any, error) {
	if !filepath.IsAbs(a.Dir) {
		return nil, fail(ErrUsage, "error.store.path", a.Dir)
	}
	r, err := h.rescue()
	if err != nil {
		return nil, err
	}
	saved, err := r.Backup(ctx, filepath.Clean(a.Dir))
	if err != nil {
		return nil, err
	}
	// A copy of everything is worth a line in the log of who did what.
	at := h.now().UTC()
	err = h.Store.ChangeDirectory(ctx, func(tx store.DirectoryTx) (store.Audit, error) {
		if err := tx.PutSetting(BackupSetting, at.Format(time.RFC3339)); err != nil {
			return store.Audit{}, err
		}
		return store.Audit{At: at, Principal: p.Name, Tenant: p.Tenant, Command: "backup.create", Object: saved.Dir, After: asJSON(saved)}, nil
	})
	return saved, err
}
