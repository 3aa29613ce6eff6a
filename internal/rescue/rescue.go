package rescue

import (
	"context"
	"time"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/durable"
	"posta/internal/store"
)

// Rescue is the state that is to be checked or copied. Its methods may be called
// from several goroutines.
type Rescue struct {
	Store store.Store
	Blobs blob.Store
	// Disk is the data folder, for Backup. BlobDir is the folder of the packs in it,
	// "" where the bytes are elsewhere; CertDir that of certificates, which may be
	// missing.
	Disk             durable.FS
	BlobDir, CertDir string
	// Files are copied with a backup: posta.toml and what it names.
	Files []Source
	// Node is who has the lease of a backup, where other nodes use the same bytes.
	Node string
	Now  func() time.Time // nil means time.Now
	// Failpoints are backup.snapshot, backup.copy, backup.manifest and
	// backup.done, each before what it is called after; nil is none.
	Failpoints *durable.Failpoints
}

var _ command.Rescue = (*Rescue)(nil)

func (r *Rescue) now() time.Time {
	if r.Now != nil {
		return r.Now()
	}
	return time.Now()
}

// maxBreaches bounds how many breaches are listed; the others are counted.
const maxBreaches = 1000

// findings gathers breaches.
type findings struct{ command.Verified }

func (f *findings) add(invariant, detail string) {
	if len(f.Breaches) == maxBreaches {
		f.More++
		return
	}
	f.Breaches = append(f.Breaches, command.Breach{Invariant: invariant, Detail: detail})
}

// metadata asks the store for its breaches.
func (f *findings) metadata(ctx context.Context, s store.Store) error {
	return s.Verify(ctx, func(b store.Breach) { f.add(b.Invariant, b.Detail) })
}
