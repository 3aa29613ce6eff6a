package intake

import (
	"bytes"
	"io"
	"testing"
)

// filled is a spool with n octets in it, written in blocks as a door does.
func filled(t *testing.T, from *spooler, want int64, n int) *spool {
	t.Helper()
	s := from.open(want)
	for block := bytes.Repeat([]byte("0123456789abcdef"), 2<<10); n > 0; n -= len(block) {
		if _, err := s.Write(block[:min(n, len(block))]); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// Where a message waits depends on its size and on what others hold in memory;
// what it reads back as does not.
func TestSpool(t *testing.T) {
	from := newSpooler(t.TempDir())
	for _, c := range []struct {
		name string
		want int64
		n    int
		file bool
	}{
		{"small", 0, 5 << 10, false},
		{"announced", 300 << 10, 300 << 10, false},
		{"announced too small", 1 << 10, 300 << 10, false},
		{"announced too large", 1 << 40, 300 << 10, false},
		{"as large as memory holds", 0, largeMemory, false},
		{"larger", 0, largeMemory + 1, true},
	} {
		s := filled(t, from, c.want, c.n)
		if got := s.file != nil; got != c.file {
			t.Errorf("%s: in a file: %v", c.name, got)
		}
		b, err := readRange(s.body(), 0, s.size)
		if err != nil || len(b) != c.n || b[c.n-1] != "0123456789abcdef"[(c.n-1)%16] {
			t.Errorf("%s: %d octets, %v", c.name, len(b), err)
		}
		s.free()
	}
	if n := from.large.Load(); n != 0 {
		t.Errorf("%d octets are still lent", n)
	}
}

// All large messages together hold no more than allLarge; the next goes to a file,
// a small one does not.
func TestSpoolsTogether(t *testing.T) {
	from := newSpooler(t.TempDir())
	var all []*spool
	for range allLarge / largeMemory {
		s := filled(t, from, largeMemory, largeMemory)
		all = append(all, s)
	}
	over := filled(t, from, 0, inMemory+1)
	if over.file == nil {
		t.Error("there was no room, and it took some")
	}
	small := filled(t, from, 0, inMemory)
	if small.file != nil {
		t.Error("a small one needs no room")
	}
	all[0].free()
	again := filled(t, from, 0, inMemory+1)
	if again.file != nil {
		t.Error("there was room again")
	}
	err := again.replace(func(w io.Writer, from io.ReaderAt, size int64) error {
		_, err := io.Copy(w, io.NewSectionReader(from, 1, size-1))
		return err
	})
	if err != nil || again.size != inMemory {
		t.Errorf("replaced: %d octets, %v", again.size, err)
	}
	for _, s := range append(all[1:], over, small, again) {
		s.free()
	}
	if n := from.large.Load(); n != 0 {
		t.Errorf("%d octets are still lent", n)
	}
}
