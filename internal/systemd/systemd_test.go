//go:build linux

package systemd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestMain is also the child that gets sockets: it greets on each with its name.
func TestMain(m *testing.M) {
	if os.Getenv("POSTA_SYSTEMD_CHILD") == "" {
		os.Exit(m.Run())
	}
	// systemd knows the number of its child; a parent in Go does not before it runs.
	os.Setenv("LISTEN_PID", strconv.Itoa(os.Getpid()))
	sockets, err := Sockets(os.LookupEnv, os.Getpid())
	if err != nil {
		fmt.Println("error:", err)
		return
	}
	fmt.Println("sockets:", strings.Join(slices.Sorted(maps.Keys(sockets)), " "))
	for name, l := range sockets {
		c, err := l.Accept()
		if err != nil {
			fmt.Println("error:", err)
			return
		}
		io.WriteString(c, name)
		c.Close()
	}
	// A child of ours has none of them.
	out, err := exec.Command("/bin/sh", "-c", "ls -l /proc/self/fd | grep -c socket:").Output()
	fmt.Printf("inherited: %s%v\n", out, err)
}

func environment(vars map[string]string) Environment {
	return func(name string) (string, bool) { v, ok := vars[name]; return v, ok }
}

// manager is a service manager's end of the notification socket.
func manager(t *testing.T, addr string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func hear(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	c.SetReadDeadline(time.Now().Add(5 * time.Second))
	b := make([]byte, 4096)
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNotify(t *testing.T) {
	t.Parallel()
	for kind, addr := range map[string]string{
		"path":     filepath.Join(t.TempDir(), "notify"),
		"abstract": fmt.Sprintf("@posta-test-%d-%d", os.Getpid(), time.Now().UnixNano()),
	} {
		t.Run(kind, func(t *testing.T) {
			m := manager(t, addr)
			n, err := NewNotifier(environment(map[string]string{"NOTIFY_SOCKET": addr, "WATCHDOG_USEC": "30000000"}))
			if err != nil {
				t.Fatal(err)
			}
			defer n.Close()
			if n.Interval() != 30*time.Second {
				t.Errorf("interval %v", n.Interval())
			}
			for _, c := range []struct {
				what string
				do   func() error
				want string
			}{
				{"ready", func() error { return n.Ready("9 doors open") }, "READY=1\nSTATUS=9 doors open\n"},
				{"stopping", func() error { return n.Stopping("") }, "STOPPING=1\n"},
				{"more time", func() error { return n.ExtendTimeout(90 * time.Second) }, "EXTEND_TIMEOUT_USEC=90000000\n"},
				// A status never becomes an assignment.
				{"status", func() error { return n.Status("a\nMAINPID=1\x00 ñ\xff") }, "STATUS=a MAINPID=1  ñ?\n"},
				{"long status", func() error { return n.Status(strings.Repeat("ñ", 400)) }, "STATUS=" + strings.Repeat("ñ", 250) + "\n"},
			} {
				if err := c.do(); err != nil {
					t.Fatalf("%s: %v", c.what, err)
				}
				if got := hear(t, m); got != c.want {
					t.Errorf("%s: %q, want %q", c.what, got, c.want)
				}
			}
		})
	}
}

// A reload carries the time of CLOCK_MONOTONIC, in microseconds.
func TestReloading(t *testing.T) {
	t.Parallel()
	addr := filepath.Join(t.TempDir(), "notify")
	m := manager(t, addr)
	n, err := NewNotifier(environment(map[string]string{"NOTIFY_SOCKET": addr}))
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	before := monotonic().Microseconds()
	if err := n.Reloading(); err != nil {
		t.Fatal(err)
	}
	text, ok := strings.CutPrefix(hear(t, m), "RELOADING=1\nMONOTONIC_USEC=")
	usec, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
	if !ok || err != nil || usec < before || usec > monotonic().Microseconds() || before == 0 {
		t.Errorf("%q, %v", text, err)
	}
}

// Without a manager nothing is done; with a wrong address it is said.
func TestNobodyListens(t *testing.T) {
	t.Parallel()
	n, err := NewNotifier(environment(nil))
	if err != nil || n.Ready("x") != nil || n.Watch(t.Context(), nil) != nil || n.Interval() != 0 || n.Close() != nil {
		t.Errorf("without NOTIFY_SOCKET: %v", err)
	}
	for _, addr := range []string{"relative", "vsock:2:1234", "/nowhere/notify"} {
		n, err := NewNotifier(environment(map[string]string{"NOTIFY_SOCKET": addr}))
		if err == nil {
			t.Errorf("%q was taken", addr)
		}
		if err := n.Ready(""); err != nil {
			t.Errorf("%q: what was not opened must do nothing: %v", addr, err)
		}
	}
}

func TestWatchdogVariables(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		ok        bool
	}{
		{"", "", 0, true},
		{"30000000", "", 30 * time.Second, true},
		{"30000000", "42", 30 * time.Second, true},
		{"30000000", "43", 0, true}, // meant for another process
		{"0", "", 0, false},
		{"-1", "", 0, false},
		{"soon", "", 0, false},
		{"9223372036854775807", "", 0, false},
	} {
		got, err := watchdog(environment(map[string]string{"WATCHDOG_USEC": c.usec, "WATCHDOG_PID": c.pid}), 42)
		if got != c.want || (err == nil) != c.ok {
			t.Errorf("%+v: %v, %v", c, got, err)
		}
	}
}

// log keeps what was told, and when.
type log struct {
	mu    sync.Mutex
	start time.Time
	lines []string
}

func (l *log) send(lines ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, time.Since(l.start).String()+" "+strings.Join(lines, " "))
	return nil
}

// The watchdog is petted every half interval while the service is healthy, and
// hears nothing but the reason while it is ill or hangs.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		l := &log{start: time.Now()}
		asked := 0
		healthy := func(ctx context.Context) error {
			switch asked++; asked {
			case 2:
				return errors.New("the store is\nread-only")
			case 3:
				<-ctx.Done() // hangs
				return ctx.Err()
			}
			return nil
		}
		ended := make(chan error)
		go func() { ended <- watch(ctx, 10*time.Second, healthy, l.send) }()
		time.Sleep(45 * time.Second)
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		want := []string{
			"0s WATCHDOG=1",
			"10s STATUS=unhealthy: the store is read-only",
			"30s STATUS=unhealthy: no answer in time",
			"30s WATCHDOG=1 STATUS=healthy again",
			"40s WATCHDOG=1",
		}
		if !slices.Equal(l.lines, want) {
			t.Errorf("told %q,\nwant %q", l.lines, want)
		}
	})
}

// A child gets its sockets by the names of its doors and serves on them.
func TestSocketsOfAChild(t *testing.T) {
	t.Parallel()
	var files []*os.File
	var addrs []string
	for range 2 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f, err := l.(*net.TCPListener).File()
		if err != nil {
			t.Fatal(err)
		}
		addrs = append(addrs, l.Addr().String())
		l.Close()
		defer f.Close()
		files = append(files, f)
	}
	out, wait := child(t, files, "smtp:imaps")
	for i, name := range []string{"smtp", "imaps"} {
		c, err := net.Dial("tcp", addrs[i])
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(5 * time.Second))
		got, err := io.ReadAll(c)
		c.Close()
		if string(got) != name || err != nil {
			t.Errorf("socket %d: %q, %v", i, got, err)
		}
	}
	wait()
	if got := out.String(); got != "sockets: imaps smtp\ninherited: 0\nexit status 1\n" {
		t.Errorf("the child said %q", got)
	}
}

// What is no listener is said by name, and nothing is taken.
func TestSocketsThatAreNone(t *testing.T) {
	t.Parallel()
	null, err := os.Open("/dev/null")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	out, wait := child(t, []*os.File{null}, "pop3")
	wait()
	if got := out.String(); !strings.Contains(got, "error:") || !strings.Contains(got, "pop3 (descriptor 3)") {
		t.Errorf("the child said %q", got)
	}
}

// Two sockets for one door are said, rather than one of them being left deaf.
func TestSocketsCalledAlike(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	out, wait := child(t, []*os.File{f, f}, "imap:imap")
	wait()
	if got := out.String(); !strings.Contains(got, `two sockets are called "imap"`) {
		t.Errorf("the child said %q", got)
	}
}

func child(t *testing.T, files []*os.File, names string) (*strings.Builder, func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), "POSTA_SYSTEMD_CHILD=1", "LISTEN_FDS="+strconv.Itoa(len(files)), "LISTEN_FDNAMES="+names)
	cmd.ExtraFiles, cmd.Stdout, cmd.Stderr = files, &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	return &out, func() {
		if err := cmd.Wait(); err != nil {
			t.Errorf("%v: %s", err, out.String())
		}
	}
}

func TestSocketNames(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pid, fds, names string
		want            []string
		ok              bool
	}{
		{"", "", "", nil, true},
		{"42", "0", "", nil, true},
		{"42", "2", "smtp:imap", []string{"smtp", "imap"}, true},
		{"43", "2", "smtp:imap", nil, true}, // meant for another process
		{"42", "2", "smtp", nil, false},
		{"42", "1", "smtp:imap", nil, false},
		{"42", "-1", "", nil, false},
		{"42", "257", "", nil, false},
		{"42", "x", "", nil, false},
	} {
		got, err := socketNames(environment(map[string]string{"LISTEN_PID": c.pid, "LISTEN_FDS": c.fds, "LISTEN_FDNAMES": c.names}), 42)
		if !slices.Equal(got, c.want) || (err == nil) != c.ok {
			t.Errorf("%+v: %q, %v", c, got, err)
		}
	}
	if _, err := socketNames(environment(map[string]string{"LISTEN_PID": "42", "LISTEN_FDS": "1"}), 42); err == nil {
		t.Error("unnamed sockets were taken")
	}
	got, err := Sockets(environment(nil), 42)
	if err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}
