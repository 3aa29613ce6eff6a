package imapserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/memnet"
	"posta/internal/store"
)

// What is sent in clear behind STARTTLS must not be taken for a command that came
// encrypted (RFC 9051 §11.3, CVE-2011-0411).
func TestStartTLSInjection(t *testing.T) {
	t.Parallel()
	b := newBench(t, StartTLS, nil)
	c := b.dial()
	c.read()
	c.send("a STARTTLS\r\nx LOGIN alice@example.org secret")
	if got := c.read(); !strings.HasPrefix(got, "a OK") {
		t.Fatal(got)
	}
	c.upgrade()
	if got := c.run("b", "NOOP"); len(got) != 1 || !strings.HasPrefix(got[0], "b OK") {
		t.Errorf("after the handshake: %q", got)
	}
	if got := c.run("c", "SELECT INBOX"); !strings.Contains(got[0], "not authenticated") {
		t.Errorf("logged in by cleartext: %q", got)
	}
}

// A body of several MiB passes in pieces, whole and by ranges, decoded too.
func TestLargeMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, nil)
	line := strings.Repeat("QUJD", 19) + "\r\n" // base64 of ABC
	text := "Subject: large\r\nContent-Transfer-Encoding: base64\r\n\r\n" + strings.Repeat(line, 24_000)
	b.deliver("INBOX", text)
	c := b.dial().login()
	c.run("a", "SELECT INBOX")
	literal := func(command string) string {
		t.Helper()
		c.send("b " + command)
		head := c.read()
		var n int
		if _, err := fmt.Sscanf(head[strings.LastIndexByte(head, '{'):], "{%d}", &n); err != nil {
			t.Fatalf("%s: %v", head, err)
		}
		got := make([]byte, n)
		if _, err := io.ReadFull(c.r, got); err != nil {
			t.Fatal(err)
		}
		for !strings.HasPrefix(c.read(), "b OK") {
		}
		return string(got)
	}
	if got := literal("FETCH 1 BODY[]"); got != text {
		t.Errorf("BODY[]: %d octets of %d", len(got), len(text))
	}
	if got := literal("FETCH 1 BODY[TEXT]<1000.100000>"); got != text[strings.Index(text, "\r\n\r\n")+4:][1000:101000] {
		t.Errorf("partial: %d octets", len(got))
	}
	plain := strings.Repeat("ABC", 19*24_000)
	if got := literal("FETCH 1 BINARY[1]"); got != plain {
		t.Errorf("BINARY: %d octets of %d", len(got), len(plain))
	}
	if got := literal("FETCH 1 BINARY[1]<7.1200000>"); got != plain[7:1200007] {
		t.Errorf("partial BINARY: %d octets", len(got))
	}
	// A thousand times a part in memory is refused, not held.
	many := strings.TrimSuffix(strings.Repeat("BINARY[1]<0.1000000> ", 20), " ")
	if got := c.run("d", "FETCH 1 ("+many+")"); got[len(got)-1] != "d NO [LIMIT] too much of one message is asked for at once" {
		t.Errorf("%q", got[len(got)-1])
	}
}

// watched tells of the bytes that are read while the store is being asked.
type watched struct {
	*memory
	asked, overlapped *atomic.Int32
}

func (w watched) Fetch(ctx context.Context, a mailbox.AccountID, m mailbox.ID, q store.FetchQuery) ([]store.Stored, error) {
	w.asked.Add(1)
	defer w.asked.Add(-1)
	return w.memory.Fetch(ctx, a, m, q)
}

func (w watched) Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error) {
	r, err := w.memory.Open(ctx, id, at)
	return watchedReader{r, w}, err
}

type watchedReader struct {
	blob.Reader
	w watched
}

func (r watchedReader) ReadAt(p []byte, off int64) (int, error) {
	if r.w.asked.Load() != 0 {
		r.w.overlapped.Add(1)
	}
	return r.Reader.ReadAt(p, off)
}

// A search in bodies reads them in pieces, so that its memory does not grow with
// the messages, and asks nothing of the store meanwhile: no transaction stays open.
func TestBodySearchIsBounded(t *testing.T) { // not parallel: it counts what is allocated
	w := watched{asked: new(atomic.Int32), overlapped: new(atomic.Int32)}
	b := newBench(t, ImplicitTLS, func(s *Server) {
		w.memory = s.Store.(*memory)
		s.Store, s.Blobs = w, w
	})
	line := strings.Repeat("Una línea de texto. ", 50) + "\r\n"
	for _, last := range []string{"Aguja", "NADA"} {
		b.deliver("INBOX", "Subject: x\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"+strings.Repeat(line, 1<<20/len(line))+last+"\r\n")
	}
	c := b.dial().login()
	c.run("a", "SELECT INBOX")
	c.run("b", "SEARCH BODY warm-up")
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := c.run("c", "SEARCH TEXT aguja")
	runtime.ReadMemStats(&after)
	if got[0] != "* SEARCH 1" {
		t.Errorf("%q", got)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 1<<20 {
		t.Errorf("2 MiB of text were searched with %d KiB", n>>10)
	}
	if n := w.overlapped.Load(); n > 0 {
		t.Errorf("%d reads of bytes while the store was being asked", n)
	}
}

// panicky breaks when it is asked for its mailboxes.
type panicky struct{ *memory }

func (panicky) ListMailboxes(context.Context, mailbox.AccountID) ([]mailbox.Mailbox, error) {
	panic("broken")
}

func TestPanicEndsOneConnection(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, func(s *Server) { s.Store = panicky{s.Store.(*memory)} })
	c := b.dial().login()
	if got := c.run("a", `LIST "" *`); got[0] != "* BYE [SERVERBUG] internal error" {
		t.Errorf("%q", got)
	}
	if got := b.dial().login().run("b", "NOOP"); !strings.HasPrefix(got[0], "b OK") {
		t.Errorf("the next client: %q", got)
	}
}

// A store that has forgotten what was expunged (it keeps that for a time only)
// makes the session compare UIDs; it tells the same.
func TestForgottenExpunges(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, nil)
	for range 5 {
		b.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
	}
	away, other := b.dial().login(), b.dial().login()
	away.run("a", "SELECT INBOX")
	other.run("a", "SELECT INBOX")
	other.run("b", `STORE 2,4 +FLAGS.SILENT (\Deleted)`)
	other.run("c", "EXPUNGE")
	other.run("d", `STORE 1 +FLAGS.SILENT (\Flagged)`)
	b.deliver("INBOX", "Subject: y\r\n\r\nbody\r\n")
	b.store.mu.Lock()
	box, acc := b.store.named(1, "INBOX"), b.store.accounts[1]
	box.msgs = slices.DeleteFunc(box.msgs, func(m *store.Stored) bool { return m.Expunged })
	acc.floor = acc.modseq
	b.store.mu.Unlock()
	got := strings.Join(away.run("b", "NOOP"), "\n")
	for _, want := range []string{"* 6 EXISTS\n", "* 1 FETCH (FLAGS (\\Flagged))\n", "* 2 EXPUNGE\n* 3 EXPUNGE\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	away.run("c", "ENABLE QRESYNC")
	if got := strings.Join(away.run("d", "SELECT INBOX (QRESYNC (1001 3 1:6))"), "\n"); !strings.Contains(got, "* VANISHED (EARLIER) 2,4\n") {
		t.Errorf("QRESYNC:\n%s", got)
	}
}

// A client that has gone is not told all of a large mailbox.
func TestGoneClient(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, func(s *Server) { s.Limits.Literal = 50 * time.Millisecond })
	st := b.store.parse([]byte("Subject: x\r\n\r\nbody\r\n"))
	b.store.mu.Lock()
	for range 50_000 {
		b.store.put(1, b.store.named(1, "INBOX"), st)
	}
	b.store.mu.Unlock()
	c := b.dial().login()
	c.run("a", "SELECT INBOX")
	c.send("b FETCH 1:* (UID FLAGS INTERNALDATE)")
	c.read()
	time.Sleep(200 * time.Millisecond) // it reads nothing more
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if calls := b.store.calls["Fetch"]; calls > 40 {
		t.Errorf("%d pages were read for a client that does not read", calls)
	}
}

// moved says once that a blob is not where it was: a compaction took place.
type moved struct {
	*memory
	left int
}

func (m *moved) Open(ctx context.Context, id blob.ID, at blob.Location) (blob.Reader, error) {
	if m.left--; m.left >= 0 {
		return nil, blob.ErrNotFound
	}
	return m.memory.Open(ctx, id, at)
}

func TestBlobMoved(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, func(s *Server) { s.Blobs = &moved{s.Store.(*memory), 1} })
	b.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
	c := b.dial().login()
	c.run("a", "SELECT INBOX")
	if got := strings.Join(c.run("b", "FETCH 1 BODY.PEEK[TEXT]"), "\n"); !strings.Contains(got, "body") {
		t.Errorf("%q", got)
	}
}

// One unreadable message hides no other.
func TestUnreadableMessage(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, nil)
	for i := range 3 {
		b.deliver("INBOX", fmt.Sprintf("Subject: x\r\n\r\nbody %d\r\n", i))
	}
	b.store.mu.Lock()
	delete(b.store.blobs, b.store.named(1, "INBOX").msgs[1].Blob.ID)
	b.store.mu.Unlock()
	c := b.dial().login()
	c.run("a", "SELECT INBOX")
	got := strings.Join(c.run("b", "FETCH 1:3 BODY.PEEK[TEXT]"), "\n")
	if !strings.Contains(got, "body 0") || !strings.Contains(got, "body 2") || !strings.Contains(got, "\nb NO [SERVERBUG]") {
		t.Errorf("FETCH:\n%s", got)
	}
	if got := c.run("c", "SEARCH BODY body"); got[0] != "* SEARCH 1 3" {
		t.Errorf("SEARCH: %q", got)
	}
}

// failing cannot do what a client asks.
type failing struct {
	*memory
	err error
}

func (f failing) CreateMailbox(context.Context, mailbox.AccountID, string, mailbox.Role) (mailbox.Mailbox, error) {
	return mailbox.Mailbox{}, f.err
}

func TestErrorsBecomeReplies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		want string
	}{
		{store.ErrTemporary, "a NO [UNAVAILABLE] "},
		{fmt.Errorf("engine: %w", store.ErrQuota), "a NO [OVERQUOTA] "},
		{store.ErrInvalid, "a NO [CANNOT] "},
		{store.ErrUnknown, "a NO [UNAVAILABLE] "},
		{errors.New("secret detail"), "a NO [SERVERBUG] internal error"},
	} {
		b := newBench(t, ImplicitTLS, func(s *Server) { s.Store = failing{s.Store.(*memory), c.err} })
		if got := b.dial().login().run("a", "CREATE x"); !strings.HasPrefix(got[0], c.want) || strings.Contains(got[0], "secret") {
			t.Errorf("%v: %q", c.err, got)
		}
	}
}

func TestLimitsOfConnections(t *testing.T) {
	t.Parallel()
	b := newBench(t, StartTLS, func(s *Server) { s.Limits.PerHost = 2; s.Limits.PreCommands = 3 })
	c := b.dial()
	c.read()
	b.dial().read()
	if got := b.dial().read(); got != "* BYE [UNAVAILABLE] too many connections from your network" {
		t.Errorf("third connection: %s", got)
	}
	for range 3 {
		c.run("a", "NOOP")
	}
	if got := c.run("a", "NOOP"); got[0] != "* BYE too many commands without a login" {
		t.Errorf("fourth command: %q", got)
	}
}

// remotes writes down from where logins come.
type remotes struct {
	Authenticator
	seen chan netip.Addr
}

func (r remotes) Authenticate(ctx context.Context, remote netip.Addr, user, password string) (mailbox.AccountID, error) {
	r.seen <- remote
	return r.Authenticator.Authenticate(ctx, remote, user, password)
}

// Behind a load balancer the client is whom the PROXY header names, in front of
// TLS too.
func TestProxy(t *testing.T) {
	t.Parallel()
	for _, mode := range []TLSMode{StartTLS, ImplicitTLS} {
		seen := make(chan netip.Addr, 1)
		b := newBench(t, mode, func(s *Server) {
			s.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
			s.Auth = remotes{s.Auth, seen}
		})
		nc, err := b.l.Dial(t.Context(), netip.MustParseAddrPort("10.0.0.1:1"))
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		io.WriteString(nc, "PROXY TCP4 192.0.2.7 198.51.100.9 4242 143\r\n")
		c := &client{t: t, nc: nc, r: bufio.NewReader(nc)}
		if mode == ImplicitTLS {
			c.upgrade()
			c.login()
		} else {
			c.read()
			c.run("a", "STARTTLS")
			c.upgrade()
			c.run("b", "LOGIN alice@example.org secret")
		}
		if got := <-seen; got.String() != "192.0.2.7" {
			t.Errorf("a login from %v", got)
		}
	}
	b := newBench(t, StartTLS, func(s *Server) { s.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} })
	c := b.dial()
	c.send("a CAPABILITY")
	if got := c.read(); got != "* BYE a PROXY header was expected from your address" {
		t.Error(got)
	}
}

func TestBadCommandsEnd(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS, func(s *Server) { s.Limits.BadCommands = 2 })
	c := b.dial().login()
	c.run("a", "X")
	c.run("b", "X")
	if got := c.run("c", "NOOP"); !strings.HasPrefix(got[0], "c OK") {
		t.Fatal(got)
	}
	c.run("a", "X")
	c.run("b", "X")
	c.run("c", "X")
	if got := c.read(); got != "* BYE too many commands in error" {
		t.Error(got)
	}
}

// The times of a connection, on a clock that jumps.
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		login bool
		after time.Duration
		want  string
	}{
		{"no login", false, time.Minute, "* BYE no login in time"},
		{"idle", true, 30 * time.Minute, "* BYE idle for too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &Server{Hostname: "mx.example.org", TLS: ImplicitTLS, TLSConfig: tlsConfig}
				m := newMemory(time.Now)
				s.Auth, s.Store, s.Blobs, s.Appender = m, m, m, m
				b := &bench{t: t, store: m, server: s, at: place{m, m, 1}, l: memnet.Listen(netip.MustParseAddrPort("192.0.2.1:993"))}
				done := make(chan error, 1)
				go func() { done <- s.Serve(t.Context(), b.l) }()
				cl := b.dial()
				began := time.Now()
				if c.login {
					cl.login()
					cl.run("a", "SELECT INBOX")
				} else {
					cl.read()
				}
				cl.nc.SetReadDeadline(time.Now().Add(2 * time.Hour))
				line, err := cl.r.ReadString('\n')
				if err != nil || strings.TrimSpace(line) != c.want || time.Since(began) != c.after {
					t.Errorf("%q, %v after %v; want %q after %v", line, err, time.Since(began), c.want, c.after)
				}
				cl.nc.Close()
				if err := s.Shutdown(t.Context()); err != nil {
					t.Error(err)
				}
				<-done
			})
		})
	}
}

// A message each millisecond, while a client idles, is told in few batches.
func TestIdleCoalesces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := newMemory(time.Now)
		s := &Server{Hostname: "mx.example.org", TLS: ImplicitTLS, TLSConfig: tlsConfig, Auth: m, Store: m, Blobs: m, Appender: m}
		b := &bench{t: t, store: m, server: s, at: place{m, m, 1}, l: memnet.Listen(netip.MustParseAddrPort("192.0.2.1:993"))}
		done := make(chan error, 1)
		go func() { done <- s.Serve(t.Context(), b.l) }()
		c := b.dial().login()
		c.run("a", "SELECT INBOX")
		c.send("b IDLE")
		c.read()
		before := m.calls["Changes"]
		for range 1000 {
			b.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
			time.Sleep(time.Millisecond)
		}
		lines := 0
		for c.read() != "* 1000 EXISTS" {
			lines++
		}
		if calls := m.calls["Changes"] - before; lines > 15 || calls > 15 {
			t.Errorf("%d announcements, %d calls", lines, calls)
		}
		c.send("DONE")
		c.read()
		c.nc.Close()
		s.Shutdown(t.Context())
		<-done
	})
}

// Shutdown says BYE to those who idle and those who wait.
func TestShutdown(t *testing.T) {
	t.Parallel()
	m := newMemory(time.Now)
	s := &Server{Hostname: "mx.example.org", TLS: ImplicitTLS, TLSConfig: tlsConfig, Auth: m, Store: m, Blobs: m, Appender: m}
	b := &bench{t: t, store: m, server: s, at: place{m, m, 1}, l: memnet.Listen(netip.MustParseAddrPort("192.0.2.1:993"))}
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), b.l) }()
	idling, waiting := b.dial().login(), b.dial().login()
	idling.run("a", "SELECT INBOX")
	idling.send("b IDLE")
	idling.read()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []*client{idling, waiting} {
		if got := c.read(); got != "* BYE [UNAVAILABLE] the server is going down" {
			t.Error(got)
		}
	}
	if err := <-done; err != ErrServerClosed {
		t.Error(err)
	}
	if err := s.Serve(t.Context(), b.l); err != ErrServerClosed {
		t.Errorf("Serve after Shutdown: %v", err)
	}
}

// An idle session is small. What is measured is the session, its client and the
// pipe between them; by the heap profile the server's part is about 14 KiB of heap,
// 8 of them TLS, and a stack of 8 to 16 KiB.
func TestMemoryOfIdleSession(t *testing.T) {
	const sessions = 200
	b := newBench(t, ImplicitTLS, func(s *Server) { s.Limits.PerHost = sessions + 1 })
	for range 100 {
		b.deliver("INBOX", "Subject: x\r\n\r\nbody\r\n")
	}
	used := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before := used()
	clients := make([]*client, sessions)
	for i := range clients {
		c := b.dial().login()
		c.run("a", "SELECT INBOX")
		c.run("b", "FETCH 1:* (FLAGS ENVELOPE)")
		c.send("c IDLE")
		c.read()
		clients[i] = c
	}
	both := float64(used()-before) / sessions / 1024
	t.Logf("%.1f KiB for a session with its client", both)
	if both > 80 {
		t.Errorf("%.1f KiB for a session with its client", both)
	}
	runtime.KeepAlive(clients)
}

// BenchmarkFetchFlags reads the flags of a large mailbox.
func BenchmarkFetchFlags(b *testing.B) {
	const n = 100_000
	bn := newBench(b, ImplicitTLS, nil)
	st := bn.store.parse([]byte("Subject: x\r\n\r\nbody\r\n"))
	box := bn.store.named(1, "INBOX")
	for range n {
		bn.store.put(1, box, st)
	}
	c := bn.dial().login()
	b.ReportAllocs()
	for b.Loop() {
		c.run("a", "SELECT INBOX")
		c.send("b FETCH 1:* (UID FLAGS)")
		for {
			line, err := c.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if bytes.HasPrefix(line, []byte("b ")) {
				break
			}
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/message")
}

// BenchmarkFetchBody reads messages of 12 KiB whole.
func BenchmarkFetchBody(b *testing.B) {
	bn := newBench(b, ImplicitTLS, nil)
	text := "Subject: x\r\n\r\n" + strings.Repeat("A line of some length in a body.\r\n", 360)
	for range 100 {
		bn.deliver("INBOX", text)
	}
	c := bn.dial().login()
	c.run("a", "SELECT INBOX")
	b.ReportAllocs()
	b.SetBytes(int64(100 * len(text)))
	for b.Loop() {
		c.send("b FETCH 1:* (FLAGS BODY.PEEK[])")
		for {
			line, err := c.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if bytes.HasPrefix(line, []byte("b OK")) {
				break
			}
		}
	}
}
