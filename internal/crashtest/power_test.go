package crashtest

import (
	"bytes"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"posta/internal/app"
	"posta/internal/postatest"
)

var update = flag.Bool("update", false, "write the golden text anew")

// recording is the system calls of a server that took some mail, and the ledger.
type recording struct {
	start *disk // before the first call
	calls []call
	book  *ledger
	out   *outside
}

// record runs a server under strace and lets write send.
func record(t *testing.T, write func(s *server, data string, book *ledger)) *recording {
	t.Helper()
	strace := postatest.Peer(t, "strace")
	out, data, book := newOutside(t), newHouse(t), newLedger()
	r := &recording{book: book, out: out}
	var err error
	if r.start, err = loadDisk(data); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "strace")
	s := launch(t, settings(data, out.sink, out.dns), straceCommand(strace, file))
	select {
	case <-s.Ready():
	case <-s.Ended():
		postatest.Missing(t, fmt.Sprintf("strace does not work here:\n%s", s.Log()))
	case <-time.After(60 * time.Second):
		t.Fatal("the server is not ready under strace")
	}
	write(s, data, book)
	s.stopTraced()
	if r.calls, err = readTrace(file); err != nil {
		t.Fatal(err)
	}
	return r
}

// stopTraced ends the server gently; strace itself lets no signal through.
func (s *server) stopTraced() {
	s.t.Helper()
	pid := s.Pid()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, child := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(child)
		if err == nil {
			err = syscall.Kill(n, syscall.SIGTERM)
		}
		if err != nil {
			s.t.Error(err)
		}
	}
	select {
	case <-s.Ended():
	case <-time.After(60 * time.Second):
		s.t.Errorf("the server does not stop:\n%s", s.Log())
	}
}

// acked is the reply that acknowledges a message.
var acked = regexp.MustCompile(`^250 2\.0\.0 Ok: queued as ([0-9a-z]{26})`)

// A server takes mail under strace. At every sync and at every acknowledgement the
// disk is rebuilt as a power cut could leave it, with unsynced writes dropped, torn
// by sectors, and names lost: every message acknowledged until then is there once,
// and every invariant holds. POSTA_POWER_DISKS says how many disks (150).
func TestPowerCut(t *testing.T) {
	r := record(t, func(s *server, data string, book *ledger) {
		var wg sync.WaitGroup
		for i := range 3 {
			wg.Go(func() {
				sendSome(t, "tcp", s.Doors["smtp"], 6, func() *letter { return book.write("local", address(accounts[i%2])) }, book)
			})
		}
		wg.Go(func() {
			sendSome(t, "unix", filepath.Join(data, app.SendmailSocket), 4, func() *letter { return book.write("queue", "") }, book)
		})
		wg.Wait()
		time.Sleep(100 * time.Millisecond) // the queue works
	})
	disks, ids := r.replay(t, rounds(t, "POSTA_POWER_DISKS", 150))
	t.Logf("%d calls, %d moments, %d disks, %d acknowledged", len(r.calls), len(r.moments()), disks, ids)
	if ids != r.book.count()[kept] || ids == 0 {
		t.Errorf("the trace has %d acknowledgements, the clients %d", ids, r.book.count()[kept])
	}
}

// A disk that ignores syncs, of the packs or of the database's log, loses mail, and
// the test above would say so.
func TestPowerCutSeesWhatIsNotSynced(t *testing.T) {
	for _, file := range []string{"blobs/", "posta.db-wal"} {
		r := record(t, func(s *server, _ string, book *ledger) {
			sendSome(t, "tcp", s.Doors["smtp"], 5, func() *letter { return book.write("local", address("ana")) }, book)
		})
		r.start.blind = file
		seen := &watched{TB: t}
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.replay(seen, 40)
		}()
		<-done
		if !seen.Failed() {
			t.Errorf("no sync of %s reaches the disk, and nothing is missed", file)
		}
	}
}

// watched is a test that may fail without failing.
type watched struct {
	testing.TB
	failed atomic.Bool
}

func (w *watched) Error(...any)          { w.failed.Store(true) }
func (w *watched) Errorf(string, ...any) { w.failed.Store(true) }
func (w *watched) Logf(string, ...any)   {}
func (w *watched) Failed() bool          { return w.failed.Load() }
func (w *watched) Fatal(...any)          { w.failed.Store(true); runtime.Goexit() }
func (w *watched) Fatalf(string, ...any) { w.failed.Store(true); runtime.Goexit() }

// replay does the calls again on a disk and tries, at each moment, some of those
// that a power cut could leave. It tells how many disks and how many
// acknowledgements there were.
func (r *recording) replay(t testing.TB, most int) (disks, acknowledged int) {
	d := r.start
	moments := r.moments()
	each := max(1, most/len(moments))
	rng := rand.New(rand.NewPCG(1, 2))
	next := 0
	ids := map[string]bool{}
	for i, c := range r.calls {
		for ; next < len(moments) && moments[next] == i; next++ {
			for range each {
				r.try(t, d, rng, ids, i)
				disks++
			}
			if t.Failed() {
				t.Fatalf("before call %d of %d: %s", i, len(r.calls), c.name)
			}
		}
		if id := acknowledgement(c); id != "" {
			ids[id] = true
		}
		if _, err := d.apply(c); err != nil {
			t.Fatalf("call %d, %s: %v", i, c.name, err)
		}
	}
	r.try(t, d, rng, ids, len(r.calls))
	return disks + 1, len(ids)
}

func acknowledgement(c call) string {
	if c.name == "write" && c.ret > 0 && len(c.args) > 1 {
		if m := acked.FindStringSubmatch(c.args[1]); m != nil {
			return m[1]
		}
	}
	return ""
}

// moments are before each sync of the state, and after each acknowledgement.
func (r *recording) moments() (out []int) {
	for i, c := range r.calls {
		switch {
		case acknowledgement(c) != "":
			out = append(out, i+1)
		case c.name == "fsync" || c.name == "fdatasync":
			out = append(out, i)
		}
	}
	return out
}

// sendSome sends n letters on one connection.
func sendSome(t *testing.T, network, addr string, n int, write func() *letter, book *ledger) {
	c, err := dialSMTP(network, addr, "EHLO", "")
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for range n {
		m := write()
		book.sent(m)
		id, err := c.send(address("writer"), m.to, m.text)
		if err != nil {
			t.Error(err)
			return
		}
		book.keep(m, id)
	}
}

// try rebuilds a disk, opens it as a server does, and compares.
func (r *recording) try(t testing.TB, d *disk, rng *rand.Rand, ids map[string]bool, at int) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "cut")
	if err := d.cut(rng, dir); err != nil {
		t.Fatal(err)
	}
	then := newLedger()
	for token, m := range r.book.letters {
		was := *m
		if !ids[m.id] {
			was.fate = unknown
		}
		then.letters[token] = &was
	}
	state := openState(t, dir)
	then.compare(t, state, r.out.times)
	sound(t, state)
	closeState(t, state)
	if t.Failed() {
		t.Logf("the disk of call %d is in %s", at, dir)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Error(err)
	}
}

// The order of writes and syncs for one accepted message is a golden text: the
// first message of a pack, and one that finds a pack.
func TestOrderOfWrites(t *testing.T) {
	r := record(t, func(s *server, _ string, book *ledger) {
		time.Sleep(500 * time.Millisecond) // what a start writes is written
		sendSome(t, "tcp", s.Doors["smtp"], 2, func() *letter { return book.write("local", address("ana")) }, book)
	})
	var got strings.Builder
	fmt.Fprintln(&got, "# What happens on the disk between the final dot and its 250. Traces are found by")
	fmt.Fprintln(&got, "# a file of their own that can be rebuilt; it is left out.")
	for i, ops := range r.accepts(t) {
		fmt.Fprintf(&got, "\n-- message %d --\n", i+1)
		for _, op := range ops {
			fmt.Fprintln(&got, op)
		}
	}
	const golden = "testdata/accept.txt"
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal([]byte(got.String()), want) {
		t.Errorf("the order is\n%s\nwant\n%s\n(go test -run OrderOfWrites -update, after thinking about it)", got.String(), want)
	}
}

var unitName = regexp.MustCompile(`[0-9A-Z]{26}\.(open|pack)`)

// accepts lists, for each message, what was done between "354" and "250", equal
// neighbours once.
func (r *recording) accepts(t *testing.T) (out [][]string) {
	t.Helper()
	d := r.start
	var ops []string
	for _, c := range r.calls {
		op, err := d.apply(c)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case c.name == "write" && len(c.args) > 1 && strings.HasPrefix(c.args[1], "354"):
			ops = nil
		case acknowledgement(c) != "":
			out = append(out, append(slices.Compact(ops), "reply 250"))
		case op != "" && !strings.Contains(op, "meta/trace"):
			ops = append(ops, unitName.ReplaceAllString(op, "PACK.$1"))
		}
	}
	return out
}
