package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

func everyFS(t *testing.T, run func(t *testing.T, fsys FS)) {
	t.Run("mem", func(t *testing.T) { t.Parallel(); run(t, NewMem()) })
	t.Run("os", func(t *testing.T) {
		t.Parallel()
		fsys, err := OpenOS(t.TempDir())
		ok(t, err)
		defer fsys.Close()
		run(t, fsys)
	})
	t.Run("faulty without faults", func(t *testing.T) {
		t.Parallel()
		run(t, NewFaulty(NewMem(), func(Op) error { return nil }))
	})
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// got fails the test unless err is nil, and returns v.
func got[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		ok(t, err)
		return v
	}
}

// The trees behave alike.
func TestFS(t *testing.T) {
	everyFS(t, func(t *testing.T, fsys FS) {
		ok(t, fsys.Mkdir("a/b"))
		ok(t, fsys.Mkdir("a/b"))
		f := got[File](t)(fsys.Create("a/b/one"))
		got[int](t)(f.WriteAt([]byte("hello"), 3))
		ok(t, f.Sync())
		if size := got[int64](t)(f.Size()); size != 8 {
			t.Errorf("size %d, want 8", size)
		}
		p := make([]byte, 10)
		if n, err := f.ReadAt(p, 0); n != 8 || err != io.EOF || string(p[:n]) != "\x00\x00\x00hello" {
			t.Errorf("ReadAt: %q, %v", p[:n], err)
		}
		if n, err := f.ReadAt(p, 100); n != 0 || err != io.EOF {
			t.Errorf("ReadAt behind the end: %d, %v", n, err)
		}
		ok(t, f.Truncate(4))
		if n, err := f.ReadAt(p, 0); n != 4 || err != io.EOF || string(p[:n]) != "\x00\x00\x00h" {
			t.Errorf("after truncation: %q, %v", p[:n], err)
		}
		ok(t, f.Truncate(6))
		ok(t, f.Preallocate(5)) // smaller than the file: nothing to do
		if n, err := f.ReadAt(p, 0); n != 6 || err != io.EOF || string(p[:n]) != "\x00\x00\x00h\x00\x00" {
			t.Errorf("after growth: %q, %v", p[:n], err)
		}
		ok(t, f.Close())
		if err := f.Close(); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("second Close: %v", err)
		}
	})
}

func TestNames(t *testing.T) {
	everyFS(t, func(t *testing.T, fsys FS) {
		ok(t, fsys.Mkdir("a/b"))
		ok(t, got[File](t)(fsys.Create("a/b/one")).Close())
		if _, err := fsys.Create("a/b/one"); !errors.Is(err, fs.ErrExist) {
			t.Errorf("Create of what exists: %v", err)
		}
		if _, err := fsys.Create("nowhere/one"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Create in no folder: %v", err)
		}
		for _, name := range []string{"../out", "/etc/passwd"} {
			if _, err := fsys.Open(name); err == nil {
				t.Errorf("Open of %s leads out of the root", name)
			}
		}
		ro := got[File](t)(fsys.Open("a/b/one"))
		if _, err := ro.WriteAt([]byte("x"), 0); err == nil {
			t.Error("a file opened for reading is written")
		}
		rw := got[File](t)(fsys.Edit("a/b/one"))
		got[int](t)(rw.WriteAt([]byte("abc"), 0))
		ok(t, rw.Close())
		ok(t, fsys.Rename("a/b/one", "a/two"))
		ok(t, fsys.SyncDir("a"))
		if _, err := fsys.Stat("a/b/one"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the old name after Rename: %v", err)
		}
		if info := got[Info](t)(fsys.Stat("a/two")); info.Name != "two" || info.Size != 3 || info.Dir {
			t.Errorf("Stat: %+v", info)
		}
		var names []string
		for _, info := range got[[]Info](t)(fsys.ReadDir("a")) {
			names = append(names, fmt.Sprint(info.Name, info.Dir))
		}
		if !slices.Equal(names, []string{"btrue", "twofalse"}) {
			t.Errorf("ReadDir: %v", names)
		}
		ok(t, fsys.Remove("a/two"))
		p := make([]byte, 3)
		if n, err := ro.ReadAt(p, 0); n != 3 || err != nil {
			t.Errorf("reading what was removed while open: %d, %v", n, err)
		}
		ok(t, ro.Close())
		if _, err := fsys.Edit("a/two"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Edit of what was removed: %v", err)
		}
	})
}

func TestLock(t *testing.T) {
	everyFS(t, func(t *testing.T, fsys FS) {
		l := got[io.Closer](t)(fsys.Lock("lock"))
		if _, err := fsys.Lock("lock"); !errors.Is(err, ErrLocked) {
			t.Errorf("second lock: %v", err)
		}
		ok(t, l.Close())
		ok(t, got[io.Closer](t)(fsys.Lock("lock")).Close())
	})
}

func TestWriteFile(t *testing.T) {
	everyFS(t, func(t *testing.T, fsys FS) {
		for _, text := range []string{"first", "second, longer", ""} {
			ok(t, WriteFile(fsys, "conf", []byte(text)))
			if data := got[[]byte](t)(ReadFile(fsys, "conf", 100)); string(data) != text {
				t.Errorf("%q, want %q", data, text)
			}
		}
		ok(t, WriteFile(fsys, "conf", make([]byte, 101)))
		if _, err := ReadFile(fsys, "conf", 100); err == nil {
			t.Error("a file beyond the limit is read")
		}
	})
}

// The operations of WriteFile, and what is there after a crash before each: the old or the new text, whole;
// after the last, the new.
func TestWriteFileCrash(t *testing.T) {
	t.Parallel()
	mem := NewMem()
	oldText, newText := strings.Repeat("old ", 300), strings.Repeat("new!", 500)
	ok(t, WriteFile(mem, "conf", []byte(oldText)))
	rng := rand.New(rand.NewPCG(1, 2))
	var ops []string
	look := func(allowed ...string) {
		for range 50 {
			if text := string(got[[]byte](t)(ReadFile(mem.CrashClone(rng), "conf", 1<<20))); !slices.Contains(allowed, text) {
				t.Fatalf("after %v: %.20q… of %d bytes", ops, text, len(text))
			}
		}
	}
	ok(t, WriteFile(NewFaulty(mem, func(op Op) error {
		look(oldText, newText)
		ops = append(ops, op.Kind+" "+op.Name)
		return nil
	}), "conf", []byte(newText)))
	look(newText)
	want := []string{"remove conf.tmp", "create conf.tmp", "write conf.tmp", "sync conf.tmp", "rename conf", "syncdir ."}
	if !slices.Equal(ops, want) {
		t.Errorf("operations %v\nwant %v", ops, want)
	}
}

// A failure at any operation of WriteFile leaves the old text, or the new if only its name is not certain.
func TestWriteFileFault(t *testing.T) {
	t.Parallel()
	for n := int64(2); n <= 6; n++ {
		mem := NewMem()
		ok(t, WriteFile(mem, "conf", []byte("old")))
		err := WriteFile(NewFaulty(mem, func(op Op) error {
			if op.N == n {
				return syscall.EIO
			}
			return nil
		}), "conf", []byte("new"))
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("operation %d fails: %v", n, err)
		}
		if text := string(got[[]byte](t)(ReadFile(mem, "conf", 9))); text != "old" && n < 6 {
			t.Errorf("operation %d fails: %q", n, text)
		}
		ok(t, WriteFile(mem, "conf", []byte("newer")))
	}
}

// outcomes are the first bytes of the sectors of f after many crashes.
func outcomes(t *testing.T, mem *Mem) map[string]bool {
	t.Helper()
	seen := map[string]bool{}
	for seed := range uint64(300) {
		data, err := ReadFile(mem.CrashClone(rand.New(rand.NewPCG(seed, 0))), "f", 1<<20)
		if errors.Is(err, fs.ErrNotExist) {
			seen["no name"] = true
			continue
		}
		ok(t, err)
		text := ""
		for at := 0; at < len(data); at += SectorBytes {
			text += string(data[at])
		}
		seen[strings.ReplaceAll(text, "\x00", "0")] = true
	}
	return seen
}

func TestCrashForgets(t *testing.T) {
	t.Parallel()
	mem := NewMem()
	f := got[File](t)(mem.Create("f"))
	got[int](t)(f.WriteAt([]byte(strings.Repeat("a", 2*SectorBytes)), 0))
	for _, want := range []string{"no name", "", "a0", "0a", "aa"} {
		if seen := outcomes(t, mem); !seen[want] {
			t.Errorf("nothing synced: never %q in %v", want, seen)
		}
	}
	ok(t, f.Sync())
	if seen := outcomes(t, mem); len(seen) != 2 || !seen["no name"] || !seen["aa"] {
		t.Errorf("contents synced: %v", seen)
	}
	ok(t, mem.SyncDir("."))
	if seen := outcomes(t, mem); len(seen) != 1 || !seen["aa"] {
		t.Errorf("all synced: %v", seen)
	}
	got[int](t)(f.WriteAt([]byte(strings.Repeat("b", SectorBytes)), SectorBytes))
	if seen := outcomes(t, mem); len(seen) != 2 || !seen["aa"] || !seen["ab"] {
		t.Errorf("one sector rewritten: %v", seen)
	}
	ok(t, mem.Rename("f", "g"))
	if seen := outcomes(t, mem); !seen["no name"] || !seen["aa"] {
		t.Errorf("renamed: %v", seen)
	}
}

func TestFaulty(t *testing.T) {
	t.Parallel()
	mem := NewMem()
	fsys := NewFaulty(mem, func(op Op) error {
		switch op.N {
		case 2:
			return ShortWrite{N: 3, Err: syscall.ENOSPC}
		case 4:
			return syscall.EIO
		}
		return nil
	})
	f := got[File](t)(fsys.Create("f"))
	if n, err := f.WriteAt([]byte("hello"), 0); n != 3 || !IsFull(err) {
		t.Errorf("short write: %d, %v", n, err)
	}
	if data := got[[]byte](t)(ReadFile(mem, "f", 9)); string(data) != "hel" {
		t.Errorf("%q", data)
	}
	got[int](t)(f.WriteAt([]byte("hello"), 0))
	if err := f.Sync(); !errors.Is(err, syscall.EIO) {
		t.Errorf("Sync: %v", err)
	}
	ok(t, f.Sync())
}

func TestFailpoints(t *testing.T) {
	t.Parallel()
	f := got[*Failpoints](t)(ParseFailpoints("pack.sync=eio, store.commit=enospc:3"))
	if err := f.Hit("pack.sync"); !errors.Is(err, syscall.EIO) {
		t.Errorf("pack.sync: %v", err)
	}
	for i, want := range []bool{false, false, true, true} {
		if full := IsFull(f.Hit("store.commit")); full != want {
			t.Errorf("visit %d of store.commit: %v", i+1, full)
		}
	}
	ok(t, f.Hit("elsewhere"))
	none := got[*Failpoints](t)(ParseFailpoints(""))
	if none != nil {
		t.Error("no text is not nil")
	}
	ok(t, none.Hit("pack.sync"))
	for _, bad := range []string{"x", "x=", "=kill", "x=explode", "x=eio:0", "x=eio:many", "x=eio:", "a=eio,"} {
		if _, err := ParseFailpoints(bad); err == nil {
			t.Errorf("ParseFailpoints(%q) succeeded", bad)
		}
	}
}

// kill is SIGKILL: nothing runs after it.
func TestFailpointKill(t *testing.T) {
	const arm = "DURABLE_TEST_FAILPOINTS"
	if text := os.Getenv(arm); text != "" {
		f := got[*Failpoints](t)(ParseFailpoints(text))
		for i := range 3 {
			fmt.Println("visit", i+1)
			ok(t, f.Hit("step"))
		}
		return
	}
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestFailpointKill$")
	cmd.Env = append(os.Environ(), arm+"=step=kill:2")
	out, err := cmd.Output()
	exit, _ := errors.AsType[*exec.ExitError](err)
	if exit == nil || exit.Success() || !strings.Contains(string(out), "visit 2") || strings.Contains(string(out), "visit 3") {
		t.Errorf("%q, %v", out, err)
	}
}
