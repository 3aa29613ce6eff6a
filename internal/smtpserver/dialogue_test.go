package smtpserver

import (
	"bufio"
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/txtar"

	"posta/internal/mail"
	"posta/internal/memnet"
	"posta/internal/smtp"
)

var update = flag.Bool("update", false, "write the golden files")

// testCert is a certificate for the tests.
var testCert = sync.OnceValue(func() tls.Certificate {
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	cert := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"mx.example.org"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, cert, cert, pub, key)
	if err != nil {
		panic(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
})

func testTLS() *tls.Config { return &tls.Config{Certificates: []tls.Certificate{testCert()}} }

// connect gives one connection to a server, and what waits for its end.
func connect(t testing.TB, srv *Server) (client net.Conn, ended func()) {
	t.Helper()
	l := memnet.Listen(netip.MustParseAddrPort("198.51.100.1:25"))
	done := make(chan error, 1)
	go func() { done <- srv.Serve(t.Context(), l) }()
	client, err := l.Dial(t.Context(), netip.MustParseAddrPort("192.0.2.1:40000"))
	if err != nil {
		t.Fatal(err)
	}
	return client, func() {
		t.Helper()
		l.Close() // Serve waits for what it took
		if err := <-done; !errors.Is(err, net.ErrClosed) {
			t.Error(err)
		}
	}
}

// TestDialogues plays the files of testdata/dialogue.
//
//	-- config --     door, class, tls, requiretls, user NAME PASSWORD, budget NAME N,
//	                 rule CALL = CODE ENHANCED TEXT
//	-- dialogue --   C: a line that the client sends; lines in a row go in one write
//	                 C"…" a Go string, sent as it is
//	                 S: the line that the server must say; "…" at its end: whatever follows
//	                 TLS  the client begins TLS
//	                 END  the server must close
//	-- session --    the calls that the session heard
//	-- message --    the last accepted message, CR LF as line ends
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogue/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no dialogues", err)
	}
	for _, name := range files {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			t.Parallel()
			playFile(t, name)
		})
	}
}

func playFile(t *testing.T, name string) {
	ar, err := txtar.ParseFile(name)
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]string)
	for _, f := range ar.Files {
		sections[f.Name] = string(f.Data)
	}
	cfg, rec := parseConfig(t, sections["config"])
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	srv := New(cfg, rec)
	client, ended := connect(t, srv)
	play(t, client, sections["dialogue"])
	client.Close()
	ended()

	if want, ok := sections["session"]; ok {
		if got := rec.log(); got != want {
			if *update {
				replaceSection(t, ar, name, "session", got)
			} else {
				t.Errorf("session heard:\n%s\nwanted:\n%s", got, want)
			}
		}
	}
	if want, ok := sections["message"]; ok {
		if len(rec.messages) == 0 {
			t.Fatal("no message was accepted")
		}
		want = strings.ReplaceAll(want, "\n", "\r\n")
		if got := rec.messages[len(rec.messages)-1]; got != want {
			t.Errorf("message is\n%q\nwanted\n%q", got, want)
		}
	}
	if rec.opens != rec.closes {
		t.Errorf("%d sessions opened, %d closed", rec.opens, rec.closes)
	}
}

func replaceSection(t *testing.T, ar *txtar.Archive, name, section, text string) {
	for i := range ar.Files {
		if ar.Files[i].Name == section {
			ar.Files[i].Data = []byte(text)
		}
	}
	if err := os.WriteFile(name, txtar.Format(ar), 0o644); err != nil {
		t.Fatal(err)
	}
}

func parseConfig(t *testing.T, text string) (Config, *recorder) {
	cfg := Config{Hostname: "mx.example.org"}
	rec := &recorder{rules: make(map[string]smtp.Reply), password: make(map[string]string)}
	for line := range strings.Lines(text) {
		word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch word {
		case "":
		case "door":
			doors := map[string]mail.Door{"mx": mail.MX, "submission": mail.Submission, "lmtp": mail.LMTP, "local": mail.Local}
			cfg.Door = doors[rest]
		case "class":
			rec.class, _ = mail.ParseClass(rest)
		case "tls":
			cfg.TLS = testTLS
		case "requiretls":
			cfg.RequireTLS = true
		case "user":
			name, password, _ := strings.Cut(rest, " ")
			rec.password[name] = password
		case "budget":
			setBudget(t, &cfg.Budget, rest)
		case "rule":
			call, reply, _ := strings.Cut(rest, " = ")
			f := strings.SplitN(reply, " ", 3)
			code, _ := strconv.Atoi(f[0])
			rec.rules[call] = smtp.New(code, f[1], f[2])
		case "write-error":
			rec.writeErr = fmt.Errorf("disk: %w", smtp.New(452, "4.3.1", rest))
		default:
			t.Fatalf("config: %q", line)
		}
	}
	return cfg, rec
}

func setBudget(t *testing.T, b *Budget, text string) {
	name, number, _ := strings.Cut(text, " ")
	n, err := strconv.Atoi(number)
	fields := map[string]*int{
		"commands": &b.Commands, "errors": &b.Errors, "unknown": &b.Unknown, "auth": &b.AuthFailures,
		"recipients": &b.Recipients, "refused": &b.Refused, "messages": &b.Messages, "chunks": &b.Chunks,
	}
	switch p := fields[name]; {
	case err != nil:
		t.Fatal(err)
	case p != nil:
		*p = n
	case name == "bytes":
		b.MessageBytes = int64(n)
	case name == "skip":
		b.SkipBytes = int64(n)
	default:
		t.Fatalf("budget %q", text)
	}
}

// play speaks the client's lines and compares the server's.
func play(t *testing.T, nc net.Conn, script string) {
	r := bufio.NewReader(nc)
	var pending bytes.Buffer
	send := func() {
		if pending.Len() > 0 {
			nc.SetDeadline(time.Now().Add(10 * time.Second))
			if _, err := nc.Write(pending.Bytes()); err != nil {
				t.Fatal("write:", err)
			}
			pending.Reset()
		}
	}
	number := 0
	for line := range strings.Lines(script) {
		number++
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "":
		case strings.HasPrefix(line, "C: "), line == "C:":
			pending.WriteString(strings.TrimPrefix(strings.TrimPrefix(line, "C:"), " ") + "\r\n")
		case strings.HasPrefix(line, `C"`):
			s, err := strconv.Unquote(line[1:])
			if err != nil {
				t.Fatalf("line %d: %v", number, err)
			}
			pending.WriteString(s)
		case strings.HasPrefix(line, "S: "):
			send()
			got, err := r.ReadString('\n')
			want := line[3:]
			prefix, open := strings.CutSuffix(want, "…")
			if err != nil || !strings.HasSuffix(got, "\r\n") || open && !strings.HasPrefix(got, prefix) || !open && got != want+"\r\n" {
				t.Fatalf("line %d: server said %q (%v), wanted %q", number, got, err, want)
			}
		case line == "END":
			send()
			if b, err := r.ReadByte(); err != io.EOF {
				rest, _ := r.ReadString('\n')
				t.Fatalf("line %d: the server goes on: %q %v", number, string(b)+rest, err)
			}
		case line == "TLS":
			send()
			tc := tls.Client(nc, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.example.org"})
			if err := tc.Handshake(); err != nil {
				t.Fatal(err)
			}
			nc, r = tc, bufio.NewReader(tc)
		default:
			t.Fatalf("line %d: %q", number, line)
		}
	}
	send()
}

// TestTable keeps the protocol's table in view: a change of it is a change of
// testdata/table.golden.
func TestTable(t *testing.T) {
	var got bytes.Buffer
	if err := WriteTable(&got); err != nil {
		t.Fatal(err)
	}
	golden(t, "testdata/table.golden", got.Bytes())
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it): %v\n%s", name, err, got)
	}
}
