package main

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-imap/v2/imapclient"
)

// labVar makes the test's binary be posta with these arguments.
const labVar = "POSTA_TEST_ARGS"

// TestBePosta is not a test: it is the program, for TestLab.
func TestBePosta(t *testing.T) {
	args := os.Getenv(labVar)
	if args == "" {
		t.Skip("called by TestLab only")
	}
	os.Args = append([]string{"posta"}, strings.Fields(args)...)
	os.Exit(run())
}

// `posta lab --json` prints one complete line when the first letter is in ana's
// INBOX, ends by an interrupt with status 0, and leaves nothing behind.
func TestLab(t *testing.T) {
	t.Parallel()
	cmd := exec.Command(os.Args[0], "-test.run=^TestBePosta$")
	cmd.Env = append(os.Environ(), labVar+"=lab --json")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	t.Logf("ready after %v", time.Since(began)) // the lab's own test has the limit
	var info map[string]any
	if err := json.Unmarshal([]byte(line), &info); err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	for _, key := range []string{"smtp", "submission", "submissions", "lmtp", "imap", "imaps", "pop3", "pop3s", "http", "dns"} {
		at, _ := info[key].(string)
		if _, _, err := net.SplitHostPort(at); err != nil {
			t.Errorf("%s: %q is not host:port", key, at)
		}
	}
	if n := unread(t, info); n != 1 {
		t.Errorf("ana has %d letters, want the first one", n)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after an interrupt: %v", err)
	}
	data, _ := info["data"].(string)
	if _, err := os.Stat(data); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%s is left: %v", data, err)
	}
}

// unread asks IMAP how many letters ana has, with the lab's authority and her
// password as the line tells them.
func unread(t *testing.T, info map[string]any) uint32 {
	t.Helper()
	ca, _ := info["ca_file"].(string)
	pem, err := os.ReadFile(ca)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	imaps, _ := info["imaps"].(string)
	c, err := imapclient.DialTLS(imaps, &imapclient.Options{TLSConfig: &tls.Config{RootCAs: pool}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	users, _ := info["users"].([]any)
	if len(users) != 2 {
		t.Fatalf("users: %v", info["users"])
	}
	ana, _ := users[0].(map[string]any)
	address, _ := ana["address"].(string)
	password, _ := ana["password"].(string)
	if err := c.Login(address, password).Wait(); err != nil {
		t.Fatal(err)
	}
	box, err := c.Select("INBOX", nil).Wait()
	if err != nil {
		t.Fatal(err)
	}
	return box.NumMessages
}
