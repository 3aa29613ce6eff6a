package command

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"

	"posta/internal/store"
)

// weak512 is an RSA key of 512 bits, as openssl genrsa 512 made them; nobody makes such
// a key here any more.
const weak512 = `-----BEGIN RSA PRIVATE KEY-----
MIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu
KUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQJAIJLixBy2qpFoS4DSmoEm
o3qGy0t6z09AIJtH+5OeRV1be+N4cDYJKffGzDa88vQENZiRm0GRq6a+HPGQMd2k
TQIhAKMSvzIBnni7ot/OSie2TmJLY4SwTQAevXysE2RbFDYdAiEBCUEaRQnMnbp7
9mxDXDf6AU0cN/RPBjb9qSHDcWZHGzUCIG2Es59z8ugGrDY+pxLQnwfotadxd+Uy
v/Ow5T0q5gIJAiEAyS4RaI9YG8EWx/2w0T67ZUVAw8eOMB6BIUg0Xcu+3okCIBOs
/5OiPgoTdSy7bcF9IGpSE8ZgGKzgYQVZeN97YE00
-----END RSA PRIVATE KEY-----
`

func block(t *testing.T, kind string, der []byte, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// What openssl writes is taken, and what cannot sign is refused with the mend.
func TestImportKey(t *testing.T) {
	h := newHouse(t)
	owner := Principal{Name: "uid:0", Role: store.Owner}
	do := func(name string, args any) (any, error) {
		raw, err := json.Marshal(args)
		if err != nil {
			t.Fatal(err)
		}
		return Do(t.Context(), h, owner, name, raw)
	}
	if _, err := do("domain.add", Name{"example.org"}); err != nil {
		t.Fatal(err)
	}
	good, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	pkcs8 := func(key any) string {
		der, err := x509.MarshalPKCS8PrivateKey(key)
		return block(t, "PRIVATE KEY", der, err)
	}
	public, err := x509.MarshalPKIXPublicKey(good.Public())
	for _, c := range []struct{ selector, pem, want string }{
		{"a", block(t, "RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(good), nil), "rsa 2048 false"},
		{"B", pkcs8(good), "rsa 2048 false"},
		{"s.two", pkcs8(small), "rsa 1024 true"},
		{"e", pkcs8(ed), "ed25519 256 false"},
		{"a", pkcs8(ed), "the key a of example.org exists already; choose another prefix"},
		{"x y", pkcs8(ed), `"x y" is no selector: letters a-z, digits, hyphens, underscores, and dots between labels`},
		{"x", weak512, "the key cannot sign: it must be RSA of 1024 to 8192 bits, or Ed25519 (RFC 8301, RFC 8463); make a new one with posta dkim add"},
		{"x", pkcs8(curve), "the key cannot sign: it must be RSA of 1024 to 8192 bits, or Ed25519 (RFC 8301, RFC 8463); make a new one with posta dkim add"},
		{"x", block(t, "PUBLIC KEY", public, err), "that is a public key; the private one signs, and is usually in a file ending in .private, .key or .pem"},
		{"x", block(t, "ENCRYPTED PRIVATE KEY", []byte("x"), nil), "the key is encrypted; write it in clear with: openssl pkey -in FILE -out CLEAR"},
		{"x", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", "the key is encrypted; write it in clear with: openssl pkey -in FILE -out CLEAR"},
		{"x", block(t, "CERTIFICATE", []byte("x"), nil), "that is a certificate; DKIM signs with a bare private key"},
		{"x", block(t, "PRIVATE KEY", []byte("x"), nil), "the key cannot be read: private key: the PEM block is damaged or encrypted"},
		{"x", "v=DKIM1; k=rsa; p=MIIB", "that is no PEM file: it should begin with -----BEGIN PRIVATE KEY----- or -----BEGIN RSA PRIVATE KEY-----"},
	} {
		out, err := do("dkim.import", ImportedKey{Domain: "example.org", Selector: c.selector, PEM: c.pem})
		got := ""
		if err != nil {
			got = err.Error()
		} else {
			b, _ := json.Marshal(out)
			var i Imported
			if err := json.Unmarshal(b, &i); err != nil {
				t.Fatal(err)
			}
			got = strings.Join([]string{i.Algorithm, jsonOf(i.Bits), jsonOf(i.Weak)}, " ")
		}
		if got != c.want {
			t.Errorf("%s: %s, want %s", c.selector, got, c.want)
		}
	}
	out, err := do("dkim.export", KeyName{"example.org", "a"})
	if err != nil || out.(ExportedKey).PEM != pkcs8(good) {
		t.Errorf("export: %v, %v", out, err)
	}
	log, err := h.Store.AuditLog(t.Context(), 100)
	if err != nil || len(log) == 0 {
		t.Fatal(err)
	}
	for _, a := range log {
		if strings.Contains(a.Before+a.After, "PRIVATE") {
			t.Errorf("the audit log holds a secret: %s", a.Command)
		}
	}
	if _, err := do("dkim.add", NewKeys{Domain: "example.org"}); err == nil || !strings.Contains(err.Error(), "posta dkim rotate example.org replaces its keys") {
		t.Errorf("a second pair: %v", err)
	}
}

func jsonOf(v any) string {
	b, _ := json.Marshal(v)
	return string(b)
}
