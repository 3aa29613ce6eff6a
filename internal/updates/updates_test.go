package updates

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

const body = `{"version":"1.4.0","released":"2026-12-01","security":true,"notes":{"en":"Mends X."}}`

// What a publisher serves, and whether it is believed.
func TestFetch(t *testing.T) {
	pub, priv, _ := ed25519.GenerateKey(nil)
	_, other, _ := ed25519.GenerateKey(nil)
	sign := func(k ed25519.PrivateKey, s string) string {
		return base64.StdEncoding.EncodeToString(ed25519.Sign(k, []byte(s))) + "\n"
	}
	pages := map[string]string{
		"/good": body, "/good.sig": sign(priv, body),
		"/forged": body, "/forged.sig": sign(other, body),
		"/changed": strings.Replace(body, "1.4.0", "9.9.9", 1), "/changed.sig": sign(priv, body),
		"/unsigned": body,
		"/nonsense": `{"version":"new"}`, "/nonsense.sig": sign(priv, `{"version":"new"}`),
		"/large": strings.Repeat(" ", maxBody+1), "/large.sig": "",
	}
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, "https://elsewhere.example/good", http.StatusFound)
			return
		}
		p, ok := pages[r.URL.Path]
		if !ok {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte(p))
	}))
	defer srv.Close()
	for path, want := range map[string]string{
		"/good": "", "/forged": ErrSignature.Error(), "/changed": ErrSignature.Error(), "/unsigned": "404", "/nonsense": `"new" is no version`,
		"/large": "more than", "/away": "redirects elsewhere",
	} {
		a, err := Fetch(t.Context(), srv.Client(), srv.URL+path, pub)
		if want == "" {
			if err != nil || a.Version != "1.4.0" || !a.Security || a.Notes["en"] != "Mends X." {
				t.Errorf("%s: %+v, %v", path, a, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), want) || a.Version != "" {
			t.Errorf("%s: %+v, %v", path, a, err)
		}
	}
	if _, err := Fetch(t.Context(), srv.Client(), "http://x.example/", pub); err == nil || !strings.Contains(err.Error(), "only https") {
		t.Error(err)
	}
	if _, err := Read([]byte(body), []byte(sign(priv, body)), nil); !errors.Is(err, ErrSignature) {
		t.Error("no key, and it is believed")
	}
}

func TestNewer(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"1.4.0", "1.3.9", true}, {"v1.4.0", "1.4.0", false}, {"1.10.0", "1.9.0", true}, {"1.3.0", "1.4.0", false},
		{"1.0.0", "devel", true}, {"devel", "1.0.0", false}, {"1.4.0-rc1", "1.3.0", true}, {"x.y.z", "1.0.0", false},
	} {
		if got := Newer(c.a, c.b); got != c.want {
			t.Errorf("Newer(%s, %s) = %v", c.a, c.b, got)
		}
	}
}

func TestParseKey(t *testing.T) {
	pub, _, _ := ed25519.GenerateKey(nil)
	if k, err := ParseKey(base64.StdEncoding.EncodeToString(pub) + "\n"); err != nil || !k.Equal(pub) {
		t.Error(err)
	}
	for _, bad := range []string{"", "abc", base64.StdEncoding.EncodeToString(pub[:31])} {
		if _, err := ParseKey(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// An announcement is believed only with a signature over exactly its octets.
func FuzzRead(f *testing.F) {
	pub, priv, _ := ed25519.GenerateKey(nil)
	good := base64.StdEncoding.EncodeToString(ed25519.Sign(priv, []byte(body)))
	f.Add([]byte(body), []byte(good))
	f.Add([]byte(body+" "), []byte(good))
	f.Fuzz(func(t *testing.T, b, sig []byte) {
		if _, err := Read(b, sig, pub); err == nil && string(b) != body {
			t.Fatalf("%q is believed", b)
		}
		signed := base64.StdEncoding.EncodeToString(ed25519.Sign(priv, b))
		if a, err := Read(b, []byte(signed), pub); err == nil {
			if _, ok := parse(a.Version); !ok {
				t.Fatalf("version %q", a.Version)
			}
		}
	})
}
