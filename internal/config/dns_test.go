package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What is wrong with a provider is told by its number and its key.
func TestProviders(t *testing.T) {
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("secreto\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("POSTA_TEST_TOKEN", "secreto")
	const head = "hostname = \"mail.empresa.test\"\n"
	good := head + `[dns]
delegate = "dns.empresa.test"
[[dns.provider]]
type = "rfc2136"
zones = ["Empresa.test."]
server = "127.0.0.1:53"
key = "posta"
token_file = "` + token + `"
[[dns.provider]]
type = "cloudflare"
zones = ["otra.test"]
token_env = "POSTA_TEST_TOKEN"
`
	c, err := Parse("posta.toml", []byte(good))
	if err != nil {
		t.Fatal(err)
	}
	for i := range c.DNS.Providers {
		if s, err := c.DNS.Providers[i].Token(); err != nil || s != "secreto" {
			t.Errorf("token %d: %q, %v", i, s, err)
		}
	}
	missing := DNSProvider{TokenEnv: "POSTA_TEST_NOT_SET"}
	if _, err := missing.Token(); err == nil || err.Error() != "the variable POSTA_TEST_NOT_SET is not set in the environment" {
		t.Errorf("a variable that is not set: %v", err)
	}
	if text, err := c.Text(); err != nil || strings.Contains(text, "secreto") {
		t.Errorf("shown: %v\n%s", err, text)
	}
	for _, x := range []struct{ old, new, want string }{
		{`"rfc2136"`, `"rfc2135"`, `posta.toml:5: dns.provider[1].type: "rfc2135" is not one of rfc2136, cloudflare, desec, gandi, hetzner, ovh; did you mean "rfc2136"?`},
		{`server = "127.0.0.1:53"`, `server = "ns1"`, `dns.provider[1].server: "ns1" is no address and port; write "192.0.2.53:53"`},
		{`key = "posta"`, ``, `dns.provider[1].key: the name of the TSIG key is needed, as the server has it`},
		{`key = "posta"`, "key = \"posta\"\nalgorithm = \"hmac-md5\"", `dns.provider[1].algorithm: "hmac-md5" is not one of`},
		{`["otra.test"]`, `["empresa.test"]`, `dns.provider[2].zones: empresa.test is kept by dns.provider[1] already`},
		{`["otra.test"]`, `[]`, `dns.provider[2].zones: at least one zone is needed`},
		{`["otra.test"]`, `["otra..test"]`, `dns.provider[2].zones: "otra..test" is no domain name`},
		{`token_env = "POSTA_TEST_TOKEN"`, ``, `dns.provider[2]: the secret stands in token_file or in token_env: give one of the two`},
		{`token_env = "POSTA_TEST_TOKEN"`, `token_file = "/nowhere/token"`, `dns.provider[2].token_file: open /nowhere/token`},
		{`token_env = "POSTA_TEST_TOKEN"`, "token_env = \"POSTA_TEST_TOKEN\"\nkey = \"k\"", `dns.provider[2].key: is about rfc2136, and this is cloudflare`},
		{`"dns.empresa.test"`, `"dns.nadie.test"`, `dns.delegate: no dns.provider keeps a zone in which dns.nadie.test lies`},
	} {
		_, err := Parse("posta.toml", []byte(strings.Replace(good, x.old, x.new, 1)))
		if err == nil || !strings.Contains(err.Error(), x.want) {
			t.Errorf("%s → %s:\n got %v\nwant %s", x.old, x.new, err, x.want)
		}
	}
}
