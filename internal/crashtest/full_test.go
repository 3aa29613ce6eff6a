//go:build linux

package crashtest

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"posta/internal/postatest"
)

// privateVar says that the test runs in a mount namespace of its own.
const privateVar = "POSTA_CRASH_PRIVATE"

// private runs the test again in a mount namespace of its own, in which it may
// mount; root is not needed where users may have namespaces. It returns whether
// this is that run.
func private(t *testing.T) bool {
	t.Helper()
	if os.Getenv(privateVar) != "" {
		return true
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	cmd.Env = append(os.Environ(), privateVar+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	text := string(out)
	switch {
	case len(out) == 0 && err != nil:
		postatest.Missing(t, fmt.Sprintf("no namespace for mounts: %v", err))
	case err != nil:
		t.Errorf("%v\n%s", err, text)
	case strings.Contains(text, "--- SKIP"):
		postatest.Missing(t, text)
	default:
		t.Log(text)
	}
	return false
}

// A disk that is full gives 452, and NO, and nothing that was acknowledged is lost;
// when there is room again the same server takes mail again, by itself.
func TestDiskFull(t *testing.T) {
	if !private(t) {
		return
	}
	model, err := model() // on the disk outside
	if err != nil {
		t.Fatal(err)
	}
	small := t.TempDir()
	if err := syscall.Mount("", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Skip("mount: ", err)
	}
	if err := syscall.Mount("tmpfs", small, "tmpfs", 0, "size=40m"); err != nil {
		t.Skip("tmpfs: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(small, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	data := filepath.Join(small, "data")
	if err := copyHouse(data, model); err != nil {
		t.Fatal(err)
	}
	out, book := newOutside(t), newLedger()
	s := start(t, settings(data, out.sink, out.dns))
	l := begin(t, s, data, book, 2*time.Millisecond, func(l *load) { l.refuse = true })
	if !book.await(s, 40, 20*time.Second) {
		t.Fatalf("no mail is taken:\n%s", s.Log())
	}
	ballast := filepath.Join(small, "ballast")
	for range 2 {
		fillUp(t, ballast)
		if !l.hears("452", 20*time.Second) {
			t.Errorf("nobody heard 452 on a full disk: %v\n%s", l.said, s.Log())
		}
		time.Sleep(200 * time.Millisecond)
		before := book.count()[kept]
		if err := os.Remove(ballast); err != nil {
			t.Fatal(err)
		}
		room := time.Now()
		if !book.await(s, before+30, 20*time.Second) {
			t.Errorf("with room again no mail is taken: %v %v\n%s", book.count(), l.said, s.Log())
		}
		t.Logf("30 letters were taken %v after there was room", time.Since(room).Round(time.Millisecond))
		l.forget()
	}
	l.end()
	s.stop()
	judge(t, data, out, book)
	t.Logf("%v", book.count())
}

// fillUp takes all room of a file system.
func fillUp(t *testing.T, name string) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size >= 4096; {
		if _, err := f.Write(make([]byte, size)); err != nil {
			size /= 2
		}
	}
}
