package rescue

import (
	"context"
	"errors"
	"fmt"

	"posta/internal/blob"
	"posta/internal/blob/record"
	"posta/internal/command"
	"posta/internal/store"
)

// Verify checks everything and lists what does not hold. It reads every byte; no
// transaction is open while it does. The error says that the check itself could
// not go on.
func (r *Rescue) Verify(ctx context.Context) (command.Verified, error) {
	f := &findings{}
	if err := f.metadata(ctx, r.Store); err != nil {
		return f.Verified, err
	}
	err := f.bytes(ctx, r.Store, r.Blobs.Open)
	return f.Verified, err
}

// opener finds a record at its place, as blob.Store.Open does.
type opener func(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error)

// bytes reads the record of every blob that is alive.
func (f *findings) bytes(ctx context.Context, rows store.Blobs, open opener) error {
	return rows.EachBlob(ctx, func(ref store.BlobRef) error {
		// A server at work may have moved or deleted it since the page was read.
		for range 3 {
			if !ref.Doomed.IsZero() {
				return nil // nothing refers to it, its bytes may be gone
			}
			invariant, err := checkRecord(ctx, ref, open)
			if err == nil {
				f.Messages++
				f.Octets += ref.Size
				return nil
			}
			if invariant == "" || ctx.Err() != nil {
				return err
			}
			again, rowErr := rows.BlobRef(ctx, ref.ID)
			switch {
			case errors.Is(rowErr, store.ErrNotFound):
				return nil
			case rowErr != nil:
				return rowErr
			case again.At == ref.At && again.Doomed.Equal(ref.Doomed):
				f.add(invariant, fmt.Sprintf("blob %s at %s: %v", ref.ID, ref.At, err))
				return nil
			}
			ref = again
		}
		return nil // it moves faster than it can be read: it is alive
	})
}

// checkRecord compares a row with its record. An error without an invariant is
// no breach: the medium could not be asked.
func checkRecord(ctx context.Context, ref store.BlobRef, open opener) (invariant string, err error) {
	r, err := open(ctx, ref.ID, ref.At)
	switch {
	case errors.Is(err, blob.ErrNotFound):
		return "blob.missing", err
	case errors.Is(err, blob.ErrCorrupt):
		return "blob.corrupt", err
	case err != nil:
		return "", err
	}
	defer r.Close()
	e := r.Entry()
	if r.Size() != ref.Size || e.SHA256 != ref.SHA256 {
		return "blob.row", fmt.Errorf("the row says %d octets with SHA-256 %x, the record %d with %x", ref.Size, ref.SHA256, r.Size(), e.SHA256)
	}
	if err := record.Verify(ctx, r); errors.Is(err, blob.ErrCorrupt) {
		return "blob.corrupt", err
	} else if err != nil {
		return "", err
	}
	if err := checkAccept(e); err != nil {
		return "blob.accept", err
	}
	return "", nil
}

// checkAccept asks whether the message could be rebuilt from its record.
func checkAccept(e blob.Entry) error {
	a, err := store.DecodeAcceptRecord(e.Accept)
	if err != nil {
		return err
	}
	if a.Skip < 0 || a.Skip > e.Size {
		return fmt.Errorf("the accept record skips %d of %d octets", a.Skip, e.Size)
	}
	if len(a.Deliveries)+len(a.Queued)+len(a.Held) == 0 {
		return errors.New("the accept record names nobody")
	}
	for _, d := range a.Deliveries {
		if _, _, err := splitLogin(d.Login); err != nil {
			return err
		}
	}
	return nil
}
