package pop3server

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/memnet"
	"posta/internal/store"
)

var update = flag.Bool("update", false, "write golden files anew")

// certificate is one self-made certificate for all tests.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mx.example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func tlsConfig() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }

// bench is a server in memory.
type bench struct {
	t      testing.TB
	store  *memory
	server *Server
	l      *memnet.Listener
	stop   func()
}

func newBench(t testing.TB, mode TLSMode, change ...func(*Server)) *bench {
	b := &bench{t: t, store: &memory{blobs: map[blob.ID]string{}}, l: memnet.Listen(netip.MustParseAddrPort("192.0.2.1:995"))}
	b.server = &Server{Hostname: "mx.example.org", TLS: mode, TLSConfig: tlsConfig, Auth: b.store, Store: b.store, Blobs: b.store}
	for _, f := range change {
		f(b.server)
	}
	done := make(chan error, 1)
	go func() { done <- b.server.Serve(context.Background(), b.l) }()
	b.stop = sync.OnceFunc(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := b.server.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; err != ErrServerClosed {
			t.Errorf("Serve: %v", err)
		}
	})
	t.Cleanup(b.stop)
	return b
}

type client struct {
	t  testing.TB
	nc net.Conn
	r  *bufio.Reader
}

func (b *bench) dial() *client {
	b.t.Helper()
	nc, err := b.l.Dial(b.t.Context(), netip.MustParseAddrPort("198.51.100.7:40000"))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { nc.Close() })
	c := &client{t: b.t, nc: nc, r: bufio.NewReader(nc)}
	if b.server.TLS == ImplicitTLS {
		c.upgrade()
	}
	return c
}

func (c *client) upgrade() {
	c.nc = tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	c.r = bufio.NewReader(c.nc)
}

func (c *client) login() *client {
	c.t.Helper()
	c.read()
	c.run("USER alice@example.org")
	if got := c.run("PASS a secret"); !strings.HasPrefix(got, "+OK") {
		c.t.Fatal(got)
	}
	return c
}

func (c *client) send(line string) {
	c.t.Helper()
	c.nc.SetWriteDeadline(time.Now().Add(5 * time.Second))
	if _, err := c.nc.Write([]byte(line + "\r\n")); err != nil {
		c.t.Fatalf("sending %.60s: %v", line, err)
	}
}

// read gives the next line, "(closed)" when there is none.
func (c *client) read() string {
	c.t.Helper()
	c.nc.SetReadDeadline(time.Now().Add(time.Hour))
	line, err := c.r.ReadString('\n')
	if err != nil {
		return "(closed)"
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (c *client) run(command string) string {
	c.t.Helper()
	c.send(command)
	return c.read()
}

// TestDialogues plays testdata/*.txtar: "C1:" is what client 1 says, "S1:" what it
// must read; "..." at a line's end stands for anything. Files named *.eml are in
// INBOX before; with a file "stls" the door begins in clear.
func TestDialogues(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txtar"), func(t *testing.T) {
			t.Parallel()
			a, err := txtar.ParseFile(name)
			if err != nil {
				t.Fatal(err)
			}
			play(t, name, a)
		})
	}
}

func play(t *testing.T, name string, a *txtar.Archive) {
	mode, dialogue := ImplicitTLS, ""
	var letters []string
	for _, f := range a.Files {
		switch {
		case f.Name == "stls":
			mode = StartTLS
		case f.Name == "dialogue":
			dialogue = string(f.Data)
		default:
			letters = append(letters, strings.ReplaceAll(string(f.Data), "\n", "\r\n"))
		}
	}
	b := newBench(t, mode)
	for _, l := range letters {
		b.store.deliver(l)
	}
	clients := map[byte]*client{}
	for n, line := range strings.Split(strings.TrimRight(dialogue, "\n"), "\n") {
		if line == "" || line[0] == '#' {
			continue
		}
		c := clients[line[1]]
		if c == nil {
			c = b.dial()
			clients[line[1]] = c
		}
		text := strings.TrimPrefix(line[3:], " ")
		switch {
		case text == "(TLS)":
			c.upgrade()
		case text == "(drops)":
			c.nc.Close()
		case line[0] == 'C':
			c.send(text)
		default:
			got := c.read()
			if prefix, open := strings.CutSuffix(text, "..."); got != text && !(open && strings.HasPrefix(got, prefix)) {
				t.Fatalf("%s, line %d of the dialogue:\n got %s\nwant %s", name, n+1, got, text)
			}
		}
	}
}

// TestTable keeps the protocol in a golden file.
func TestTable(t *testing.T) {
	t.Parallel()
	var got bytes.Buffer
	if err := PrintTable(&got); err != nil {
		t.Fatal(err)
	}
	const golden = "testdata/table.golden"
	if *update {
		if err := os.WriteFile(golden, got.Bytes(), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(golden); err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("the table is not %s (%v):\n%s", golden, err, &got)
	}
}

// A large message with dots everywhere arrives as it was, and TOP cuts it at any
// line.
func TestRetrieve(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS)
	var text strings.Builder
	text.WriteString("Subject: dots\r\n.header: x\r\n\r\n")
	for i := range 5000 {
		fmt.Fprintf(&text, "%s line %d\r\n", strings.Repeat(".", i%7), i)
	}
	b.store.deliver(text.String())
	b.store.moved = true // a compaction: the place is read again
	c := b.dial().login()
	body := func(command string) string {
		t.Helper()
		if got := c.run(command); !strings.HasPrefix(got, "+OK") {
			t.Fatal(got)
		}
		var out strings.Builder
		for line := c.read(); line != "."; line = c.read() {
			if line == "(closed)" {
				t.Fatal("closed")
			}
			out.WriteString(strings.TrimPrefix(line, ".") + "\r\n")
		}
		return out.String()
	}
	if got := body("RETR 1"); got != text.String() {
		t.Errorf("RETR: %d octets of %d", len(got), text.Len())
	}
	lines := strings.SplitAfter(text.String(), "\r\n")
	for _, n := range []int{0, 1, 7, 1499, 4999, 6000} {
		want := strings.Join(lines[:min(3+n, len(lines))], "")
		if got := body(fmt.Sprintf("TOP 1 %d", n)); got != want {
			t.Errorf("TOP 1 %d: %d octets, want %d", n, len(got), len(want))
		}
	}
}

// QUIT removes in one call and only then says +OK; when the store cannot, it says so.
func TestQuitIsOneCall(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS)
	for range 3 {
		b.store.deliver("Subject: x\r\n\r\nbody\r\n")
	}
	b.store.expunge = store.ErrTemporary
	c := b.dial().login()
	c.run("DELE 1")
	c.run("DELE 3")
	if got := c.run("QUIT"); got != "-ERR [SYS/TEMP] not all messages could be removed" || len(b.store.msgs) != 3 {
		t.Errorf("%s; %d messages", got, len(b.store.msgs))
	}
	b.store.expunge = nil
	c = b.dial().login()
	for !strings.HasSuffix(c.run("RETR 2"), "octets") {
	}
	for c.read() != "." {
	}
	c.run("DELE 1")
	c.run("DELE 3")
	if got := c.run("QUIT"); !strings.HasPrefix(got, "+OK") {
		t.Error(got)
	}
	b.store.mu.Lock()
	defer b.store.mu.Unlock()
	if len(b.store.msgs) != 1 || b.store.msgs[0].UID != 3 || b.store.msgs[0].Flags != mailbox.Seen || b.store.calls != 2 {
		t.Errorf("%+v after %d calls", b.store.msgs, b.store.calls)
	}
}

func TestSTLSInjection(t *testing.T) {
	t.Parallel()
	b := newBench(t, StartTLS)
	c := b.dial()
	c.read()
	if got := c.run("STLS\r\nUSER alice@example.org\r\nPASS a secret"); got != "+OK begin TLS now" {
		t.Fatal(got)
	}
	c.upgrade()
	if got := c.run("STAT"); got != "-ERR STAT is not allowed now: the state is authorization" {
		t.Error(got)
	}
}

// The times of a connection, on a clock that jumps.
func TestTimes(t *testing.T) {
	t.Parallel()
	for _, login := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t, ImplicitTLS)
			b.store.deliver("Subject: x\r\n\r\nbody\r\n")
			c, want := b.dial(), time.Minute
			began := time.Now()
			if login {
				c.login().run("DELE 1")
				want = 10 * time.Minute
			} else {
				c.read()
			}
			if got := c.read(); got != "-ERR idle for too long" || time.Since(began) != want {
				t.Errorf("%s after %v, want %v", got, time.Since(began), want)
			}
			c.nc.Close()
			b.stop()
			if len(b.store.msgs) != 1 {
				t.Error("a session without QUIT removed a message")
			}
		})
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

// Behind a load balancer the client is whom the PROXY header names.
func TestProxy(t *testing.T) {
	t.Parallel()
	seen := make(chan netip.Addr, 1)
	b := newBench(t, ImplicitTLS, func(s *Server) {
		s.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/24")}
		s.Auth = remotes{s.Auth, seen}
	})
	nc, err := b.l.Dial(t.Context(), netip.MustParseAddrPort("10.0.0.1:1"))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	if _, err := nc.Write([]byte("PROXY TCP4 192.0.2.7 198.51.100.9 4242 995\r\n")); err != nil {
		t.Fatal(err)
	}
	c := &client{t: t, nc: nc}
	c.upgrade()
	c.login()
	if got := <-seen; got.String() != "192.0.2.7" {
		t.Errorf("a login from %v", got)
	}
}

// The words for clients that get no conversation.
func TestRefused(t *testing.T) {
	t.Parallel()
	for want, change := range map[string]func(*Server){
		"-ERR [SYS/TEMP] too many connections, try again later":         func(s *Server) { s.Limits.Connections = 1 },
		"-ERR [SYS/TEMP] too many connections from your network":        func(s *Server) { s.Limits.PerHost = 1 },
		"-ERR [SYS/PERM] a PROXY header was expected from your address": func(s *Server) { s.ProxyFrom = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")} },
	} {
		b := newBench(t, StartTLS, change)
		first := b.dial()
		if b.server.ProxyFrom == nil {
			first.read()
		}
		c := b.dial()
		c.send("USER alice@example.org")
		if got := c.read(); got != want {
			t.Errorf("%q, wanted %q", got, want)
		}
		first.nc.Close()
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	b := newBench(t, ImplicitTLS)
	c := b.dial().login()
	b.stop()
	if got := c.read(); got != "-ERR [SYS/TEMP] the server is going down" {
		t.Error(got)
	}
}

// FuzzStates writes noise into each state: the server answers in lines, removes
// nothing without QUIT, and takes the next client.
func FuzzStates(f *testing.F) {
	for _, s := range []string{"STAT\r\nLIST\r\nUIDL\r\nRETR 1\r\nTOP 1 0\r\nRSET\r\n", "USER x\r\nPASS y\r\n", "AUTH PLAIN =\r\n", "AUTH LOGIN\r\n*\r\n",
		"CAPA\r\nAUTH\r\nUTF8\r\n", "LIST 0\r\nRETR 99999999999999999999\r\nTOP 1 -1\r\n", "a1 LOGIN x y\r\nGET / HTTP/1.1\r\n", "\x00\xff\r\n\r\r\n"} {
		f.Add(true, []byte(s))
		f.Add(false, []byte(s))
	}
	f.Fuzz(func(t *testing.T, login bool, noise []byte) {
		if bytes.Contains(bytes.ToUpper(noise), []byte("QUIT")) {
			return
		}
		b := newBench(t, ImplicitTLS)
		b.store.deliver("Subject: x\r\n\r\n.body\r\n")
		c := b.dial()
		if login {
			c.login()
		}
		c.nc.SetDeadline(time.Now().Add(10 * time.Second))
		go func() { // ends with the connection
			c.nc.Write(append(noise, "\r\n"...))
			c.nc.(*tls.Conn).CloseWrite()
		}()
		var out bytes.Buffer
		if _, err := out.ReadFrom(c.r); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatal("the server keeps a client that has gone")
		}
		if bytes.Contains(out.Bytes(), []byte("internal error")) {
			t.Fatalf("%q", out.Bytes())
		}
		if got := b.dial().login().run("STAT"); got != "+OK 1 21" {
			t.Fatalf("the next client: %s", got)
		}
	})
}

func BenchmarkRetrieve(b *testing.B) {
	bn := newBench(b, ImplicitTLS)
	text := "Subject: x\r\n\r\n" + strings.Repeat("A line of some length in a body.\r\n", 360)
	bn.store.deliver(text)
	c := bn.dial().login()
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	for b.Loop() {
		c.send("RETR 1")
		for {
			line, err := c.r.ReadSlice('\n')
			if err != nil {
				b.Fatal(err)
			}
			if string(line) == ".\r\n" {
				break
			}
		}
	}
}
