package certs

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"path/filepath"
	"testing"
	"time"
)

// connection gives the two ends of a connection that holds what is written to it,
// unlike net.Pipe: both sides of a refused handshake write at once.
func connection(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []net.Conn{client, server} {
		c.SetDeadline(time.Now().Add(5 * time.Second))
		t.Cleanup(func() { c.Close() })
	}
	return client, server
}

// handshake speaks TLS with a manager's configuration and gives the leaf shown.
func handshake(t *testing.T, m *Manager, roots *x509.CertPool, name string) (*x509.Certificate, error) {
	t.Helper()
	a, b := connection(t)
	go tls.Server(b, m.TLS()).Handshake()
	c := tls.Client(a, &tls.Config{RootCAs: roots, ServerName: name})
	if err := c.Handshake(); err != nil {
		return nil, err
	}
	return c.ConnectionState().PeerCertificates[0], nil
}

func TestFilesAndReload(t *testing.T) {
	ca, err := NewAuthority("test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(t.TempDir(), "c.pem"), filepath.Join(t.TempDir(), "k.pem")
	write := func(names ...string) {
		pair, err := ca.Issue(names...)
		if err != nil {
			t.Fatal(err)
		}
		if err := WritePair(pair, cert, key); err != nil {
			t.Fatal(err)
		}
	}
	write("mail.example.org", "127.0.0.1")
	m, err := Open(Config{Certificate: cert, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"mail.example.org", "127.0.0.1"} {
		if _, err := handshake(t, m, ca.Pool(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	write("new.example.org")
	if err := m.Reload(); err != nil {
		t.Fatal(err)
	}
	if _, err := handshake(t, m, ca.Pool(), "new.example.org"); err != nil {
		t.Errorf("after reload: %v", err)
	}
}

// A self-signed pair is made once and kept while it is good.
func TestSelfSigned(t *testing.T) {
	cfg := Config{Dir: t.TempDir(), Names: []string{"mail.example.org", "localhost"}}
	m, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	first := m.Leaf().SerialNumber
	if m, err = Open(cfg); err != nil || m.Leaf().SerialNumber.Cmp(first) != 0 {
		t.Errorf("made again: %v", err)
	}
	cfg.Now = func() time.Time { return time.Now().Add(340 * 24 * time.Hour) }
	if m, err = Open(cfg); err != nil || m.Leaf().SerialNumber.Cmp(first) == 0 {
		t.Errorf("not renewed a month before its end: %v", err)
	}
	if m.Source() != ByItself {
		t.Error("its source should be known, since it is a finding")
	}
}
