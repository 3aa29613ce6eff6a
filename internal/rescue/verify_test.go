package rescue_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"posta/internal/app"
	"posta/internal/blob"
	"posta/internal/store"
)

// Damage of the bytes is found and named, and nothing else is.
func TestVerifyFindsDamage(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fill(t, h, 0, 40)
	var refs []store.BlobRef
	if err := h.state.Store.EachBlob(t.Context(), func(r store.BlobRef) error { refs = append(refs, r); return nil }); err != nil {
		t.Fatal(err)
	}
	if v := h.verify(); len(v.Breaches) > 0 || v.Messages != int64(len(refs)) {
		t.Fatalf("%+v", v)
	}
	// A row that points into the middle of nowhere, and one that is not what its
	// record is.
	wrong := refs[3].At
	wrong.Offset++
	moves := []blob.Move{{ID: refs[3].ID, From: refs[3].At, To: wrong}, {ID: refs[4].ID, From: refs[4].At, To: refs[5].At}}
	if err := h.state.Store.MoveBlobs(t.Context(), moves); err != nil {
		t.Fatal(err)
	}
	h.close()
	// A bit of the payload of another.
	damaged := refs[9]
	files, err := filepath.Glob(filepath.Join(h.cfg.Data, "blobs", damaged.At.Unit+".*"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	b, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b[damaged.At.Offset+damaged.At.Length-10] ^= 0x10
	if err := os.WriteFile(files[0], b, 0o600); err != nil {
		t.Fatal(err)
	}
	h = openHouse(t, h.cfg)
	got := map[string]int{}
	v := h.verify()
	for _, b := range v.Breaches {
		got[b.Invariant]++
		t.Log(b.Invariant, b.Detail)
	}
	if got["blob.corrupt"] != 3 || len(v.Breaches) != 3 || v.Messages != int64(len(refs)-3) {
		t.Errorf("%+v", v)
	}
	h.close()

	// What can be mended from the records is.
	out := h.rebuildAll()
	if out.Mended != 2 {
		t.Errorf("%+v, want 2 mended", out)
	}
	if v := h.verify(); len(v.Breaches) != 1 {
		t.Errorf("after the mend: %+v", v.Breaches)
	}
}

// Beside a server at work, what is moved and deleted meanwhile is no breach.
func TestVerifyBesideWork(t *testing.T) {
	t.Parallel()
	h := newHouse(t)
	fill(t, h, 0, 400)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 6 {
			fill(t, h, 1000+100*i, 30)
			h.expungeFirst(ours[i%3], 20)
			if err := app.Compact(t.Context(), h.state.Store, h.state.Blobs, time.Now().Add(2*time.Hour)); err != nil {
				t.Error(err)
			}
		}
	}()
	for rounds := 0; ; rounds++ {
		h.sound()
		select {
		case <-done:
			if rounds == 0 {
				t.Error("nothing was verified beside the work")
			}
			return
		default:
		}
	}
}
