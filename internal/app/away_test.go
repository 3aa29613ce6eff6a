package app

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/smtp"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"posta/internal/blob"
	"posta/internal/command"
	"posta/internal/config"
	"posta/internal/pgtest"
	"posta/internal/store"
)

// logText is a log that a test reads while it is written.
type logText struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logText) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// nodeUnderTest is a server whose database comes and goes.
type nodeUnderTest struct {
	log   logText
	addrs map[string]string
	ready chan *Running
	ended chan error
	stop  context.CancelFunc
}

// startNode runs a server with the doors smtp, imap, imaps and http.
func startNode(t *testing.T, db string) *nodeUnderTest {
	t.Helper()
	return startNodeIn(t, t.TempDir(), db)
}

func startNodeIn(t *testing.T, data, db string) *nodeUnderTest {
	t.Helper()
	return startNodeWith(t, data, db, func(*config.Config, *Options) {})
}

// startNodeWith runs one with other options.
func startNodeWith(t *testing.T, data, db string, change func(*config.Config, *Options)) *nodeUnderTest {
	t.Helper()
	cfg := config.Default()
	cfg.Hostname, cfg.Data, cfg.Store.PostgreSQL = "mail.empresa.test", data, db
	cfg.DNS.Servers = []string{"127.0.0.1:9"} // nobody answers
	cfg.Listen = config.Listen{SMTP: "127.0.0.1:0", IMAP: "127.0.0.1:0", IMAPS: "127.0.0.1:0", HTTP: "127.0.0.1:0"}
	n := &nodeUnderTest{addrs: map[string]string{}, ready: make(chan *Running, 1), ended: make(chan error, 1)}
	opt := Options{Log: slog.New(slog.NewTextHandler(&n.log, nil)), Ready: func(r *Running) { n.ready <- r }}
	bound := make(chan struct{})
	opt.Listen = func(door, address string) (net.Listener, error) {
		l, err := net.Listen("tcp", address)
		if err == nil {
			n.addrs[door] = l.Addr().String()
		}
		return l, err
	}
	opt.Bound = func() error { close(bound); return nil }
	change(cfg, &opt)
	ctx, stop := context.WithCancel(context.Background())
	n.stop = stop
	go func() { n.ended <- Run(ctx, cfg, opt) }()
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("the node's log:\n%s", n.log.String())
		}
	})
	<-bound
	return n
}

// end stops the node as SIGTERM does.
func (n *nodeUnderTest) end(t *testing.T) {
	t.Helper()
	n.stop()
	if err := <-n.ended; err != nil {
		t.Errorf("the node ended with %v", err)
	}
}

// lives fails the test if the node has ended.
func (n *nodeUnderTest) lives(t *testing.T) {
	t.Helper()
	select {
	case err := <-n.ended:
		t.Fatalf("the node has ended by itself: %v", err)
	default:
	}
}

// await repeats try until it succeeds; the node must live meanwhile.
func (n *nodeUnderTest) await(t *testing.T, what string, try func() error) {
	t.Helper()
	for start := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		n.lives(t)
		err := try()
		if err == nil {
			return
		}
		if time.Since(start) > 90*time.Second { // however busy the machine is
			t.Fatalf("%s: %v", what, err)
		}
	}
}

// word is the first line that a door says.
func (n *nodeUnderTest) word(t *testing.T, door string) string {
	t.Helper()
	c, err := net.Dial("tcp", n.addrs[door])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	text := textproto.NewConn(c)
	line, err := text.ReadLine()
	if err != nil {
		t.Fatalf("%s: %v", door, err)
	}
	return line
}

func (n *nodeUnderTest) web(t *testing.T, path string) int {
	t.Helper()
	r, err := http.Get("http://" + n.addrs["http"] + path)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	_, _ = io.Copy(io.Discard, r.Body)
	return r.StatusCode
}

// deliver sends one letter to ana, without TLS: its certificate is nobody's.
func (n *nodeUnderTest) deliver() error {
	c, err := smtp.Dial(n.addrs["smtp"])
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.Mail("eva@example.net"); err != nil {
		return err
	}
	if err := c.Rcpt("ana@empresa.test"); err != nil {
		return err
	}
	w, err := c.Data()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, "From: eva@example.net\r\nTo: ana@empresa.test\r\nSubject: hola\r\n\r\nhola\r\n")
	return errors.Join(err, w.Close())
}

// A node is started before its database, and outlives its end: clients are put
// off, nothing is lost, and it goes on by itself.
func TestDatabaseComesAndGoes(t *testing.T) {
	pg := pgtest.Start(t)
	pg.Create(t, "posta", "template1")
	pg.Stop(t)
	host := fmt.Sprintf("127.0.0.1:%d", pg.Port)
	n := startNode(t, "postgres://posta:secreto@"+host+"/posta?sslmode=disable")

	n.await(t, "the log says whom it waits for", func() error {
		if !strings.Contains(n.log.String(), "waiting") || !strings.Contains(n.log.String(), "at="+host) {
			return errors.New(n.log.String())
		}
		return nil
	})
	for door, want := range map[string]string{"smtp": "421 4.3.2 The server is starting", "imap": "* BYE [UNAVAILABLE]"} {
		if got := n.word(t, door); !strings.HasPrefix(got, want) {
			t.Errorf("%s said %q, want %q", door, got, want)
		}
	}
	if live, ready := n.web(t, "/healthz"), n.web(t, "/readyz"); live != 200 || ready != 503 {
		t.Errorf("without a database healthz is %d and readyz %d", live, ready)
	}

	pg.Restart(t)
	var r *Running
	n.await(t, "it is ready", func() error {
		select {
		case r = <-n.ready:
			return nil
		default:
			return errors.New("it is not")
		}
	})
	n.command(t, r, "domain.add", `{"name":"empresa.test"}`)
	n.command(t, r, "account.add", `{"address":"ana@empresa.test","password":"correct horse"}`)
	if err := n.deliver(); err != nil {
		t.Errorf("with its database: %v", err)
	}

	for range 2 {
		pg.Stop(t)
		for range 3 {
			err := n.deliver()
			if reply, ok := errors.AsType[*textproto.Error](err); !ok || reply.Code/10 != 45 {
				t.Errorf("without a database mail is answered %v, want 451", err)
			}
		}
		if got := n.web(t, "/readyz"); got != 503 {
			t.Errorf("without a database readyz is %d", got)
		}
		n.lives(t)
		pg.Restart(t)
		n.await(t, "mail is taken again", n.deliver)
		if got := n.web(t, "/readyz"); got != 200 {
			t.Errorf("with the database again readyz is %d", got)
		}
	}
	if strings.Contains(n.log.String(), "secreto") {
		t.Error("the password is in the log")
	}
	n.end(t)
}

func (n *nodeUnderTest) command(t *testing.T, r *Running, name, args string) {
	t.Helper()
	if _, err := command.Do(t.Context(), r.State.House(), command.Principal{Name: "test", Role: store.Owner}, name, []byte(args)); err != nil {
		t.Fatal(err)
	}
}

// A node that waits stops when it is asked to; what no waiting mends ends it.
func TestWaitingEnds(t *testing.T) {
	pg := pgtest.Start(t)
	wrong := startNode(t, pg.URL("nowhere"))
	if err := <-wrong.ended; err == nil || !strings.Contains(err.Error(), `"nowhere" does not exist`) {
		t.Errorf("with a database that does not exist: %v", err)
	}
	pg.Stop(t)
	n := startNode(t, pg.URL("posta"))
	n.await(t, "it waits", func() error {
		if !strings.Contains(n.log.String(), "waiting") {
			return errors.New(n.log.String())
		}
		return nil
	})
	n.end(t)
}

// The watchdog's question, asked of a store whose database is away.
type pinged struct {
	store.Store
	err error
}

func (p pinged) Ping(context.Context) error { return p.err }

func TestAlive(t *testing.T) {
	away := fmt.Errorf("%w: postgres", store.ErrTemporary)
	for _, c := range []struct {
		name   string
		shared bool
		err    error
		want   error
	}{
		{"a file that cannot be written is our own trouble", false, away, away},
		{"a database that is away is not", true, away, nil},
		{"one that refuses us is", true, store.ErrReadOnly, store.ErrReadOnly},
		{"all well", true, nil, nil},
	} {
		if got := alive(pinged{err: c.err}, c.shared, time.Second)(t.Context()); !errors.Is(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}

// What is worth waiting for.
func TestPasses(t *testing.T) {
	pg, bucket := config.Default(), config.Default()
	pg.Store.PostgreSQL = "postgres://posta:secreto@db.empresa.test:5433/posta"
	bucket.Blobs.S3 = &config.S3{Endpoint: "https://s3.empresa.test"}
	untrusted := fmt.Errorf("%w: postgres: %w", store.ErrTemporary, &tls.CertificateVerificationError{Err: errors.New("unknown authority")})
	for _, c := range []struct {
		name string
		cfg  *config.Config
		err  error
		want bool
		at   string
	}{
		{"a database that does not answer", pg, fmt.Errorf("%w: postgres", store.ErrTemporary), true, "db.empresa.test:5433"},
		{"a bucket that does not answer", bucket, fmt.Errorf("%w: 503", blob.ErrTemporary), true, "s3.empresa.test"},
		{"a wrong password", pg, errors.New("postgres: 28P01"), false, ""},
		{"a certificate that is not to be trusted", pg, untrusted, false, ""},
		{"a file of our own that cannot be opened", bucket, fmt.Errorf("%w: sqlite", store.ErrTemporary), false, ""},
		{"nothing", pg, nil, false, ""},
	} {
		if got := passes(c.cfg, c.err); got != c.want {
			t.Errorf("%s passes: %v, want %v", c.name, got, c.want)
		}
		if got := whereabouts(c.cfg, c.err); c.want && got != c.at {
			t.Errorf("%s is at %q, want %q", c.name, got, c.at)
		}
	}
}
