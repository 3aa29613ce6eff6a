//go:build linux

package sqlstore

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"posta/internal/store"
)

// When the file system refuses a write (here: files may not grow beyond a limit,
// EFBIG), the accept is answered ErrTemporary or ErrFull, and when it takes writes
// again the same process goes on, with all that it had answered before. The limit
// is the process's, so that it is a child that has it.
func TestWriteErrors(t *testing.T) {
	if dir := os.Getenv("POSTA_TEST_IOERROR_DIR"); dir != "" {
		acceptWithLimit(t, dir)
		return
	}
	child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestWriteErrors$")
	child.Env = append(os.Environ(), "POSTA_TEST_IOERROR_DIR="+t.TempDir())
	if out, err := child.CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func acceptWithLimit(t *testing.T, dir string) {
	signal.Ignore(syscall.SIGXFSZ)
	s := openTest(t, dir)
	ana := makeAccount(t, s, "ana", "example.org")
	limit := func(octets uint64) {
		t.Helper()
		var l syscall.Rlimit
		if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
		l.Cur = min(octets, l.Max)
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Fatal(err)
		}
	}
	accepted, refused := 0, 0
	for round := range 3 {
		limit(uint64(round+1) << 20)
		for refused <= 3*round {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			_, err := s.Accept(ctx, letterFor(time.Now(), ana))
			cancel()
			switch {
			case err == nil:
				accepted++
			case errors.Is(err, store.ErrTemporary) || errors.Is(err, store.ErrFull):
				refused++
			default:
				t.Fatalf("after %d letters: %v", accepted, err)
			}
		}
		limit(1 << 40)
		if _, err := s.Accept(t.Context(), letterFor(time.Now(), ana)); err != nil {
			t.Fatalf("when writes succeed again: %v", err)
		}
		accepted++
	}
	uids, _, err := s.UIDs(t.Context(), ana, inboxOf(t, s, ana))
	if err != nil || len(uids) != accepted {
		t.Errorf("%d letters are there, %d were accepted; %v", len(uids), accepted, err)
	}
	checkSound(t, s)
}
