package record

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"posta/internal/blob"
)

var salt = Salt{1, 2, 3, 4, 5, 6, 7, 8}

func sample(n byte, size int) blob.Record {
	data := make([]byte, size)
	rng := rand.New(rand.NewPCG(uint64(n), 1))
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	id := blob.MakeID(time.UnixMilli(1000), [10]byte{n})
	return blob.Record{ID: id, SHA256: sha256.Sum256(data), Accept: fmt.Appendf(nil, "accept %d", n), Body: blob.Bytes(data)}
}

// unit builds a unit of records of those sizes, and tells where each lies.
func unit(sizes ...int) ([]byte, []blob.Location, []blob.Record) {
	b := AppendUnitHeader(nil, salt, time.UnixMilli(1000))
	var locs []blob.Location
	var recs []blob.Record
	for i, size := range sizes {
		rec := sample(byte(i), size)
		start := len(b)
		b = Append(b, salt, &rec, int64(start-UnitHeaderBytes), nil)
		locs = append(locs, blob.Location{Unit: "u", Offset: int64(start), Length: int64(len(b) - start)})
		recs = append(recs, rec)
	}
	return b, locs, recs
}

// The layout is the one that the package comment draws: a change is a new version. ____ is a checksum.
func TestLayout(t *testing.T) {
	rec := blob.Record{
		ID: blob.MakeID(time.UnixMilli(0x0102_0304_0506), [10]byte{7, 8, 9, 10, 11, 12, 13, 14, 15, 16}), SHA256: [32]byte{0xAA, 31: 0xBB},
		Accept: []byte("acc"), Body: blob.Bytes([]byte("Hi\r\n")),
	}
	b := AppendUnitHeader(nil, salt, time.UnixMilli(0x0A0B))
	b = Append(b, salt, &rec, 5, nil)
	b = AppendFooter(b, salt, Footer{End: int64(len(b)), Records: 1, LastBatch: 2})
	fields := []string{
		hex.EncodeToString([]byte("PostaU1\n")), "0102030405060708", "0b0a000000000000", strings.Repeat("00", 36), "____",
		hex.EncodeToString([]byte("PoRc")), "0102030405060708", "01", "00", "00", "00", "00000000", "03000000", "0400000000000000", "0400000000000000",
		"0102030405060708090a0b0c0d0e0f10", "aa" + strings.Repeat("00", 30) + "bb", "05000000", "____",
		hex.EncodeToString([]byte("acc")), "____", hex.EncodeToString([]byte("Hi\r\n")), "____",
		hex.EncodeToString([]byte("PoEn")), "0102030405060708", "02000000", "af00000000000000", "0100000000000000", "00000000", "____",
	}
	got := hex.EncodeToString(b)
	pos := 0
	for _, field := range fields {
		if field == "____" {
			pos += 8
			continue
		}
		if !strings.HasPrefix(got[pos:], field) {
			t.Fatalf("at byte %d: %s…, want %s", pos/2, got[pos:min(pos+len(field), len(got))], field)
		}
		pos += len(field)
	}
	if pos != len(got) {
		t.Errorf("%d bytes, want %d", len(got)/2, pos/2)
	}
}

func TestWriteIsAppend(t *testing.T) {
	for _, size := range []int{0, 1, ChunkBytes - 1, ChunkBytes, 3*ChunkBytes + 5} {
		rec := sample(1, size)
		var w bytes.Buffer
		n, err := Write(&w, salt, &rec, 9)
		if want := Append(nil, salt, &rec, 9, nil); err != nil || !bytes.Equal(w.Bytes(), want) || n != int64(len(want)) {
			t.Errorf("%d bytes: Write gives %d bytes, %v; Append %d", size, n, err, len(want))
		}
	}
}

func TestCodec(t *testing.T) {
	text := bytes.Repeat([]byte("Received: from mail.example.net by mx.example.org\r\n"), 4000)
	for _, kind := range []Compression{None, Zstd, S2} {
		codec, err := NewCodec(kind)
		if err != nil {
			t.Fatal(err)
		}
		rec := blob.Record{ID: blob.MakeID(time.UnixMilli(1), [10]byte{1}), SHA256: sha256.Sum256(text), Body: blob.Bytes(text)}
		b := Append(make([]byte, UnitHeaderBytes), salt, &rec, 0, codec)
		if kind != None && len(b) > len(text)/2 {
			t.Errorf("compression %d: %d bytes of %d", kind, len(b), len(text))
		}
		at := blob.Location{Offset: UnitHeaderBytes, Length: int64(len(b)) - UnitHeaderBytes}
		reading, err := NewCodec(None) // reads whatever was written
		if err != nil {
			t.Fatal(err)
		}
		r, err := Open(bytes.NewReader(b), nil, salt, rec.ID, at, reading)
		if err != nil {
			t.Fatal(err)
		}
		if err := Verify(t.Context(), r); err != nil {
			t.Errorf("compression %d: %v", kind, err)
		}
		if _, err := Open(bytes.NewReader(b), nil, salt, rec.ID, at, nil); kind != None && err == nil {
			t.Errorf("compression %d is read without a codec", kind)
		}
	}
	if _, err := NewCodec(9); err == nil {
		t.Error("compression 9 is accepted")
	}
}

// A flipped bit anywhere is found: by Open or the reading, and by Scan, which still finds the neighbours.
func TestEveryBitCounts(t *testing.T) {
	clean, locs, recs := unit(100, 200, 300)
	for pos := range clean {
		b := bytes.Clone(clean)
		b[pos] ^= 1 << (pos % 8)
		seen := 0
		salt, saltErr := ReadSalt(bytes.NewReader(b))
		if (pos < UnitHeaderBytes) != (saltErr != nil) {
			t.Fatalf("byte %d: ReadSalt: %v", pos, saltErr)
		}
		res, err := Scan(t.Context(), bytes.NewReader(b), "u", int64(len(b)), salt, func(blob.Entry) error { seen++; return nil })
		if err != nil {
			t.Fatal(err)
		}
		hit := 0
		for i, at := range locs {
			inside := int64(pos) >= at.Offset && int64(pos) < at.Offset+at.Length
			_, err := Open(bytes.NewReader(b), nil, salt, recs[i].ID, at, nil)
			if inside != errors.Is(err, blob.ErrCorrupt) {
				t.Fatalf("byte %d: record %d at %v: %v", pos, i, at, err)
			}
			if inside {
				hit++
			}
		}
		if seen != len(locs)-hit || (len(res.Damage) > 0 || res.Tail > 0) != (hit > 0) {
			t.Fatalf("byte %d: Scan found %d records, damage %v, tail %d", pos, seen, res.Damage, res.Tail)
		}
	}
}

// A large record is verified chunk by chunk: the good chunks of a damaged one can still be read.
func TestChunks(t *testing.T) {
	b, locs, recs := unit(5 * ChunkBytes)
	b[locs[0].Offset+2*ChunkBytes+500] ^= 1 // in the second chunk
	r, err := Open(bytes.NewReader(b), nil, salt, recs[0].ID, locs[0], nil)
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, ChunkBytes)
	for i := range int64(5) {
		n, err := r.ReadAt(p, i*ChunkBytes)
		if bad := i == 2-1 || i == 2; bad && errors.Is(err, blob.ErrCorrupt) {
			continue
		}
		want, _ := recs[0].Body.Mem()
		if err != nil || !bytes.Equal(p[:n], want[i*ChunkBytes:(i+1)*ChunkBytes]) {
			t.Errorf("chunk %d: %v", i, err)
		}
	}
	if err := Verify(t.Context(), r); !errors.Is(err, blob.ErrCorrupt) {
		t.Errorf("Verify: %v", err)
	}
}

func TestScan(t *testing.T) {
	whole, locs, _ := unit(100, 70_000, 300)
	third := locs[2].Offset
	gap := bytes.Clone(whole)
	clear(gap[locs[1].Offset:third])
	// A message that contains a record of another unit, and whose own header is damaged.
	inner, outer := sample(9, 50), sample(8, 0)
	outer.Body = blob.Bytes(Append(nil, Salt{9, 9}, &inner, 0, nil))
	forged := Append(AppendUnitHeader(nil, salt, time.UnixMilli(1000)), salt, &outer, 0, nil)
	forged[UnitHeaderBytes+20] ^= 1
	const first = UnitHeaderBytes
	all := int64(len(whole))
	for _, c := range []struct {
		name    string
		unit    []byte
		records int64
		damage  string
		end     int64
		batch   int64
		tail    int64
	}{
		{"whole", whole, 3, "[]", all, first, 0},
		{"reserved zeros at the end", append(bytes.Clone(whole), make([]byte, 200_000)...), 3, "[]", all, first, 0},
		{"torn in the last record", whole[:all-1], 2, "[]", third, first, all - 1 - third},
		{"noise behind the zeros", append(append(bytes.Clone(whole), make([]byte, 100)...), 'x', 0), 3, "[]", all, first, 101},
		{"only a header", whole[:first], 0, "[]", first, first, 0},
		{"a gap", gap, 2, fmt.Sprintf("[u: %d bytes at %d: blob: corrupt: record header]", locs[1].Length, locs[1].Offset), all, first, 0},
		{"a record inside a damaged message", forged, 0, "[]", first, first, int64(len(forged)) - first},
	} {
		res, err := Scan(t.Context(), bytes.NewReader(c.unit), "u", int64(len(c.unit)), salt, func(blob.Entry) error { return nil })
		if err != nil || res.Records != c.records || fmt.Sprint(res.Damage) != c.damage || res.End != c.end || res.Batch != c.batch || res.Tail != c.tail {
			t.Errorf("%s: %+v, %v", c.name, res, err)
		}
	}
}

// badSectors cannot be read between two offsets.
type badSectors struct {
	b        []byte
	from, to int64
	err      error
}

func (d badSectors) ReadAt(p []byte, off int64) (int, error) {
	if off < d.to && off+int64(len(p)) > d.from {
		return 0, d.err
	}
	return bytes.NewReader(d.b).ReadAt(p, off)
}

func TestScanOverBadSectors(t *testing.T) {
	b, locs, _ := unit(3000, 100_000, 3000, 3000)
	bad := badSectors{b: b, from: locs[1].Offset + 500, to: locs[1].Offset + 9000, err: fmt.Errorf("%w: EIO", blob.ErrCorrupt)}
	none := func(blob.Entry) error { return nil }
	res, err := Scan(t.Context(), bad, "u", int64(len(b)), salt, none)
	if err != nil || res.Records != 3 || len(res.Damage) != 1 || res.Damage[0].Offset != locs[1].Offset || res.Damage[0].Length != locs[1].Length {
		t.Errorf("%+v, %v", res, err)
	}
	bad.err = io.ErrClosedPipe // a reason that may pass is no damage
	if _, err := Scan(t.Context(), bad, "u", int64(len(b)), salt, none); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%v", err)
	}
}

func TestFooter(t *testing.T) {
	b, _, _ := unit(100)
	want := Footer{End: int64(len(b)), Records: 1, LastBatch: 30}
	b = AppendFooter(b, salt, want)
	got, err := ReadFooter(bytes.NewReader(b), int64(len(b)), salt)
	if err != nil || got != want {
		t.Errorf("%+v, %v", got, err)
	}
	flipped := bytes.Clone(b)
	flipped[len(b)-1] ^= 1
	for name, bad := range map[string][]byte{"cut": b[:len(b)-1], "short": b[:50], "flipped": flipped} {
		if _, err := ReadFooter(bytes.NewReader(bad), int64(len(bad)), salt); !errors.Is(err, blob.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// Whatever the bytes: Scan ends, stays inside, visits in order without overlap, and what it visits can be
// opened and read. One byte of each input is flipped, so that good units become nearly good ones.
func FuzzScan(f *testing.F) {
	good, _, _ := unit(10, 0, 1000)
	f.Add(good, uint32(0), byte(0))
	f.Add(good, uint32(70), byte(1))
	f.Add(append(bytes.Clone(good), good[UnitHeaderBytes:]...), uint32(UnitHeaderBytes+92), byte(0x80))
	f.Add(AppendFooter(bytes.Clone(good), salt, Footer{End: 9}), uint32(300), byte(7))
	f.Add([]byte(recordMagic), uint32(0), byte(0))
	codec, err := NewCodec(None)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte, pos uint32, flip byte) {
		if len(b) > 1<<18 {
			return
		}
		b = bytes.Clone(b)
		if len(b) > 0 {
			b[int(pos)%len(b)] ^= flip
		}
		src := bytes.NewReader(b)
		if footer, err := ReadFooter(src, int64(len(b)), salt); err == nil && footer.End > int64(len(b)) {
			t.Fatalf("footer %+v in %d bytes", footer, len(b))
		}
		use, err := ReadSalt(src)
		if err != nil {
			use = salt
		}
		last := int64(UnitHeaderBytes)
		res, err := Scan(t.Context(), src, "u", int64(len(b)), use, func(e blob.Entry) error {
			at := e.Location
			if at.Offset < last || at.Offset+at.Length > int64(len(b)) {
				t.Fatalf("entry at %v after %d in %d bytes", at, last, len(b))
			}
			last = at.Offset + at.Length
			readBack(t, src, use, e, codec, b[at.Offset+14] == byte(None))
			return nil
		})
		if err != nil {
			t.Fatalf("Scan of bytes in memory: %v", err)
		}
		if res.End != last || res.Batch > res.End || res.Tail < 0 || res.End+res.Tail > max(int64(len(b)), UnitHeaderBytes) {
			t.Fatalf("%+v in %d bytes, last entry ends at %d", res, len(b), last)
		}
	})
}

func readBack(t *testing.T, src io.ReaderAt, salt Salt, e blob.Entry, codec *Codec, plain bool) {
	t.Helper()
	r, err := Open(src, nil, salt, e.ID, e.Location, codec)
	if errors.Is(err, errors.ErrUnsupported) || err != nil && !plain {
		return
	}
	if err != nil {
		t.Fatalf("an intact record cannot be opened: %v", err)
	}
	if _, err := r.ReadAt(make([]byte, r.Size()), 0); err != nil && err != io.EOF {
		t.Fatalf("an intact record cannot be read: %v", err)
	}
}

func BenchmarkAppend12KiB(b *testing.B) {
	rec := sample(1, 12<<10)
	buf := make([]byte, 0, 1<<20)
	b.ReportAllocs()
	b.SetBytes(12 << 10)
	for b.Loop() {
		buf = Append(buf[:0], salt, &rec, 0, nil)
	}
}
