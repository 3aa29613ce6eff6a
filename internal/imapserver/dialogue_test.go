package imapserver

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"flag"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"posta/internal/mailbox"
	"posta/internal/memnet"
)

var update = flag.Bool("update", false, "write golden files anew")

// certificate is one self-made certificate for all tests.
var certificate = sync.OnceValue(func() tls.Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mx.example.org"}, NotAfter: time.Now().Add(time.Hour), DNSNames: []string{"mx.example.org"}}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func tlsConfig() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{certificate()}} }

// noon is the clock of all dialogues.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// bench is a server in memory.
type bench struct {
	t      testing.TB
	store  *memory
	server *Server
	l      *memnet.Listener
	at     place
}

// place is where deliver puts messages.
type place struct {
	store   Store
	append  Appender
	account mailbox.AccountID
}

// newBench starts a server; it is shut down and waited for when the test ends.
func newBench(t testing.TB, mode TLSMode, change func(*Server)) *bench {
	t.Helper()
	now := func() time.Time { return noon }
	b := &bench{t: t, store: newMemory(now), l: memnet.Listen(netip.MustParseAddrPort("192.0.2.1:993"))}
	b.server = &Server{Hostname: "mx.example.org", TLS: mode, TLSConfig: tlsConfig, Auth: b.store, Store: b.store, Blobs: b.store, Appender: b.store, Now: now}
	if testing.Verbose() {
		b.server.Log = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	}
	if change != nil {
		change(b.server)
	}
	b.start(b.server)
	return b
}

// start serves until the test ends.
func (b *bench) start(s *Server) {
	b.server = s
	b.at = place{b.store, b.store, 1}
	done := make(chan error, 1)
	go func() { done <- s.Serve(context.Background(), b.l) }()
	b.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(ctx); err != nil {
			b.t.Errorf("Shutdown: %v", err)
		}
		if err := <-done; err != ErrServerClosed {
			b.t.Errorf("Serve: %v", err)
		}
	})
}

// client is one connection of a test.
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
	c := &client{t: b.t, nc: nc}
	if b.server.TLS == ImplicitTLS {
		c.upgrade()
	} else {
		c.r = bufio.NewReader(nc)
	}
	return c
}

func (c *client) upgrade() {
	c.nc = tls.Client(c.nc, &tls.Config{InsecureSkipVerify: true})
	c.r = bufio.NewReader(c.nc)
}

// login reads the greeting and logs in as alice.
func (c *client) login() *client {
	c.t.Helper()
	c.read()
	c.send("L LOGIN alice@example.org secret")
	if got := c.read(); !strings.HasPrefix(got, "L OK") {
		c.t.Fatalf("login: %s", got)
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
	c.nc.SetReadDeadline(time.Now().Add(5 * time.Second))
	line, err := c.r.ReadString('\n')
	if err != nil {
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			c.t.Fatalf("nothing came in 5 s (%q so far)", line)
		}
		return "(closed)"
	}
	return strings.TrimSuffix(line, "\r\n")
}

// run sends a command and gives all lines up to its tagged reply.
func (c *client) run(tag, command string) (lines []string) {
	c.t.Helper()
	c.send(tag + " " + command)
	for {
		l := c.read()
		lines = append(lines, l)
		if strings.HasPrefix(l, tag+" ") || l == "(closed)" {
			return lines
		}
	}
}

// TestDialogues plays testdata/*.txtar: "C1:" is what client 1 says, "S1:" what
// it must read. A line that ends in "..." is compared up to there. The files of
// the archive named *.eml are in INBOX before. A client is logged in as alice
// when it first appears, unless the archive has a file "anonymous"; with a file
// "starttls" the door begins in clear.
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
	has := map[string][]byte{}
	for _, f := range a.Files {
		has[f.Name] = f.Data
	}
	mode := ImplicitTLS
	if _, ok := has["starttls"]; ok {
		mode = StartTLS
	}
	_, anonymous := has["anonymous"]
	b := newBench(t, mode, func(s *Server) { s.Limits.Message = 1 << 20 })
	for _, f := range a.Files {
		if strings.HasSuffix(f.Name, ".eml") {
			b.deliver("INBOX", strings.ReplaceAll(string(f.Data), "\n", "\r\n"))
		}
	}
	clients := map[byte]*client{}
	var out strings.Builder
	for n, line := range strings.Split(strings.TrimRight(string(has["dialogue"]), "\n"), "\n") {
		if len(line) < 3 || line[2] != ':' || line[0] == '#' {
			out.WriteString(line + "\n")
			continue
		}
		c := clients[line[1]]
		if c == nil {
			c = b.dial()
			if !anonymous {
				c.login()
			}
			clients[line[1]] = c
		}
		text := strings.TrimPrefix(line[3:], " ")
		if line[0] == 'C' {
			out.WriteString(line + "\n")
			if text == "(TLS)" {
				c.upgrade()
				continue
			}
			c.send(text)
			continue
		}
		if tag, ok := strings.CutPrefix(text, "??? "); ok && *update { // for authors: all up to the tagged reply
			for got := ""; !strings.HasPrefix(got, tag+" ") && got != "(closed)"; {
				got = c.read()
				out.WriteString("S" + line[1:2] + ": " + got + "\n")
			}
			continue
		}
		got := c.read()
		prefix, open := strings.CutSuffix(text, "...")
		if got == text || open && strings.HasPrefix(got, prefix) {
			out.WriteString(line + "\n")
			continue
		}
		out.WriteString("S" + line[1:2] + ": " + got + "\n")
		if !*update {
			t.Fatalf("%s, line %d of the dialogue:\n got %s\nwant %s", name, n+1, got, text)
		}
	}
	if *update {
		for i := range a.Files {
			if a.Files[i].Name == "dialogue" {
				a.Files[i].Data = []byte(out.String())
			}
		}
		if err := os.WriteFile(name, txtar.Format(a), 0o666); err != nil {
			t.Fatal(err)
		}
	}
}

// box finds a mailbox of alice.
func (b *bench) box(name string) mailbox.ID {
	b.t.Helper()
	all, err := b.at.store.ListMailboxes(b.t.Context(), b.at.account)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, m := range all {
		if m.Name == name {
			return m.ID
		}
	}
	b.t.Fatalf("no mailbox %s", name)
	return 0
}

// deliver puts a message into a mailbox of alice.
func (b *bench) deliver(name, text string) {
	b.t.Helper()
	m := Appending{Account: b.at.account, Mailbox: b.box(name), InternalDate: noon.Add(-24 * time.Hour), Size: int64(len(text))}
	if _, err := b.at.append.Append(b.t.Context(), m, strings.NewReader(text)); err != nil {
		b.t.Fatal(err)
	}
}
