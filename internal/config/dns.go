package config

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"

	"posta/internal/addr"
)

// DNSProvider is one [[dns.provider]] table: who keeps zones of ours, and with which
// key or token we may change them. A secret stands in a file or in a variable of the
// environment, never here.
//
//	[[dns.provider]]
//	type = "rfc2136"
//	zones = ["example.org"]
//	server = "192.0.2.53:53"
//	key = "posta"
//	token_file = "/etc/posta/tsig"
//
//	[[dns.provider]]
//	type = "cloudflare"
//	zones = ["example.net", "example.com"]
//	token_env = "CLOUDFLARE_TOKEN"
type DNSProvider struct {
	// Type is rfc2136 (dynamic update, with TSIG), cloudflare, desec, gandi, hetzner or
	// ovh. Required, as is Zones.
	Type string `toml:"type"`
	// Zones are those that it keeps. A name belongs to the longest zone that it lies in.
	Zones []string `toml:"zones"`
	// Server is the primary server of the zones, for rfc2136.
	Server string `toml:"server"`
	// Key is the name of the TSIG key, and Algorithm that of its hash: hmac-sha256
	// (default), hmac-sha384 or hmac-sha512. For rfc2136.
	Key       string `toml:"key"`
	Algorithm string `toml:"algorithm"`
	// Endpoint is the region of OVH: default "ovh-eu".
	Endpoint string `toml:"endpoint"`
	// TokenFile has the token, or the TSIG key in base64, in its first line. For ovh
	// it is "application key:application secret:consumer key".
	TokenFile string `toml:"token_file"`
	// TokenEnv names the variable of the environment that has it instead.
	TokenEnv string `toml:"token_env"`
}

// dnsTypes are the kinds of providers.
var dnsTypes = []string{"rfc2136", "cloudflare", "desec", "gandi", "hetzner", "ovh"}

// Token reads the secret.
func (p *DNSProvider) Token() (string, error) {
	if p.TokenFile != "" {
		return passwordIn(p.TokenFile)
	}
	if v := strings.TrimSpace(os.Getenv(p.TokenEnv)); v != "" {
		return v, nil
	}
	return "", fmt.Errorf("the variable %s is not set in the environment", p.TokenEnv)
}

// checkProviders reports what is wrong with the [[dns.provider]] tables, by number.
func (c *Config) checkProviders(bad func(key, format string, a ...any)) {
	owner := map[string]int{}
	for i := range c.DNS.Providers {
		p, table := &c.DNS.Providers[i], fmt.Sprintf("dns.provider[%d]", i+1)
		p.check(table, bad)
		for _, z := range p.Zones {
			d, err := addr.ParseDomain(strings.TrimSuffix(z, "."))
			if err != nil {
				bad(table+".zones", "%q is no domain name", z)
				continue
			}
			if first := owner[string(d)]; first > 0 {
				bad(table+".zones", "%s is kept by dns.provider[%d] already", d, first)
			}
			owner[string(d)] = i + 1
		}
	}
	if z := c.DNS.Delegate; z != "" {
		if d, err := addr.ParseDomain(z); err != nil || string(d) != z {
			bad("dns.delegate", "%q is no domain name in lower case, without its final dot", z)
		} else if !c.keeps(z) {
			bad("dns.delegate", "no dns.provider keeps a zone in which %s lies; without one nothing can be published there", z)
		}
	}
}

// keeps tells whether a name lies in a zone of some provider.
func (c *Config) keeps(name string) bool {
	return slices.ContainsFunc(c.DNS.Providers, func(p DNSProvider) bool {
		return slices.ContainsFunc(p.Zones, func(z string) bool {
			z = strings.ToLower(strings.TrimSuffix(z, "."))
			return name == z || strings.HasSuffix(name, "."+z)
		})
	})
}

func (p *DNSProvider) check(table string, bad func(key, format string, a ...any)) {
	if !slices.Contains(dnsTypes, p.Type) {
		bad(table+".type", "%q is not one of %s%s", p.Type, strings.Join(dnsTypes, ", "), meant(p.Type, dnsTypes))
		return
	}
	if len(p.Zones) == 0 {
		bad(table+".zones", "at least one zone is needed, e.g. [\"example.org\"]")
	}
	if (p.TokenFile == "") == (p.TokenEnv == "") {
		bad(table, "the secret stands in token_file or in token_env: give one of the two")
	} else if p.TokenFile != "" {
		// A variable may be set for the server and not for whoever gives commands.
		if _, err := p.Token(); err != nil {
			bad(table+".token_file", "%v", err)
		}
	}
	if p.Type != "rfc2136" {
		for key, set := range map[string]bool{"server": p.Server != "", "key": p.Key != "", "algorithm": p.Algorithm != ""} {
			if set {
				bad(table+"."+key, "is about rfc2136, and this is %s", p.Type)
			}
		}
		return
	}
	if _, err := netip.ParseAddrPort(p.Server); err != nil {
		bad(table+".server", "%q is no address and port; write \"192.0.2.53:53\"", p.Server)
	}
	if p.Key == "" {
		bad(table+".key", "the name of the TSIG key is needed, as the server has it")
	}
	if !slices.Contains([]string{"", "hmac-sha256", "hmac-sha384", "hmac-sha512"}, p.Algorithm) {
		bad(table+".algorithm", "%q is not one of hmac-sha256, hmac-sha384, hmac-sha512", p.Algorithm)
	}
}
