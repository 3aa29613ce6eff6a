package mtasts

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"posta/internal/certs"
)

// host serves a policy host with a certificate for name, and gives a Fetcher that finds
// it there.
func host(t *testing.T, name string, h http.HandlerFunc) *Fetcher {
	t.Helper()
	a, err := certs.NewAuthority("Test", time.Now)
	if err != nil {
		t.Fatal(err)
	}
	c, err := a.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: h, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		srv.Serve(tls.NewListener(l, &tls.Config{Certificates: []tls.Certificate{c}}))
	}()
	t.Cleanup(func() { srv.Close(); <-done })
	return &Fetcher{Roots: a.Pool(), Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != "mta-sts.example.org:443" {
			t.Errorf("dialled %s", address)
		}
		return new(net.Dialer).DialContext(ctx, network, l.Addr().String())
	}}
}

func TestFetch(t *testing.T) {
	say := func(kind, text string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.Host != "mta-sts.example.org" || r.URL.Path != "/.well-known/mta-sts.txt" {
				t.Errorf("asked for %s%s", r.Host, r.URL.Path)
			}
			w.Header().Set("Content-Type", kind)
			io.WriteString(w, text)
		}
	}
	for _, c := range []struct {
		what, name string
		handler    http.HandlerFunc
		kind       Failure
		word       string
	}{
		{"as it should be", "mta-sts.example.org", say("text/plain; charset=utf-8", example), "", ""},
		{"not text/plain", "mta-sts.example.org", say("text/html", example), Unreachable, "text/html"},
		{"a redirect", "mta-sts.example.org", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://elsewhere.example/", http.StatusFound)
		}, Unreachable, "redirect"},
		{"not found", "mta-sts.example.org", http.NotFound, Unreachable, "404"},
		{"too large", "mta-sts.example.org", say("text/plain", strings.Repeat("x: y\r\n", MaxPolicy)), Invalid, "octets"},
		{"no policy", "mta-sts.example.org", say("text/plain", "hello"), Invalid, "colon"},
		{"a certificate for another name", "www.example.org", say("text/plain", example), Untrusted, "www.example.org"},
	} {
		t.Run(c.what, func(t *testing.T) {
			p, err := host(t, c.name, c.handler).Fetch(t.Context(), "example.org")
			if c.kind == "" {
				if err != nil || p.Text() != example {
					t.Errorf("%+v, %v", p, err)
				}
				return
			}
			fe, ok := errors.AsType[*FetchError](err)
			if !ok || fe.Kind != c.kind || !strings.Contains(err.Error(), c.word) {
				t.Errorf("%v", err)
			}
		})
	}
	f := host(t, "mta-sts.example.org", say("text/plain", example))
	f.Roots = nil
	if _, err := f.Fetch(t.Context(), "example.org"); err == nil || err.(*FetchError).Kind != Untrusted {
		t.Errorf("an authority that nobody trusts: %v", err)
	}
}
