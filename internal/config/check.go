package config

import (
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"posta/internal/addr"
	"posta/internal/dnsbl"
	"posta/internal/policy"
)

// check reports everything that is wrong with the values.
func (c *Config) check(bad func(key, format string, a ...any)) {
	checkHostname(c.Hostname, bad)
	if strings.ContainsFunc(c.Greeting, func(r rune) bool { return r < ' ' || r > '~' }) || len(c.Greeting) > 200 {
		bad("greeting", "one line of ASCII, at most 200 characters")
	}
	if c.Data == "" {
		bad("data", "a folder for the data is needed, e.g. \"/var/lib/posta\"")
	}
	if c.Backups != "" {
		if st, err := os.Stat(c.Backups); err != nil || !st.IsDir() {
			bad("backups", "%q is no folder; make it, and give it to the user that posta runs as", c.Backups)
		}
	}
	if c.Language != "en" && c.Language != "es" {
		bad("language", "%q is not one of en, es", c.Language)
	}
	c.checkListeners(bad)
	c.checkTLS(bad)
	for _, s := range c.DNS.Servers {
		if _, err := netip.ParseAddrPort(s); err != nil {
			bad("dns.servers", "%q is no address and port; write \"127.0.0.1:53\"", s)
		}
	}
	prefixes := func(key string, list []string) {
		for _, s := range list {
			if _, err := ParsePrefix(s); err != nil {
				bad(key, "%q is no network; write \"192.0.2.0/24\" or a single address", s)
			}
		}
	}
	prefixes("network.trusted", c.Network.Trusted)
	prefixes("network.proxy", c.Network.Proxy)
	for _, s := range c.Network.Public {
		if _, err := netip.ParseAddr(s); err != nil {
			bad("network.public", "%q is no address", s)
		}
	}
	if _, ok := policy.ParseLevel(c.Policy.Level); !ok {
		bad("policy.level", "%q is not one of lenient, strict, paranoid, guia", c.Policy.Level)
	}
	c.checkLists(bad)
	c.checkLimits(bad)
	c.checkQueue(bad)
	c.checkTrace(bad)
	c.checkDaily(bad)
	c.checkReports(bad)
	c.checkStore(bad)
	c.checkScanners(bad)
	c.checkPrograms(bad)
	c.checkProviders(bad)
	c.checkDKIM(bad)
	if c.Log.Format != "text" && c.Log.Format != "json" {
		bad("log.format", "%q is not one of text, json", c.Log.Format)
	}
	if !strings.Contains(" debug info warn error ", " "+c.Log.Level+" ") {
		bad("log.level", "%q is not one of debug, info, warn, error", c.Log.Level)
	}
}

// checkLists refuses DNS lists that cannot be sound (S91).
func (c *Config) checkLists(bad func(key, format string, a ...any)) {
	for _, z := range c.Policy.Blocklists {
		if _, err := dnsbl.Usable(z, dnsbl.Addresses); err != nil {
			bad("policy.blocklists", "%v", err)
		}
	}
	for _, z := range c.Policy.DomainBlocklists {
		if _, err := dnsbl.Usable(z, dnsbl.Domains); err != nil {
			bad("policy.domain_blocklists", "%v", err)
		}
	}
}

// checkHostname refuses what no other server should be told (S1, S2).
func checkHostname(name string, bad func(key, format string, a ...any)) {
	if name == "" {
		bad("hostname", "our full name is needed, e.g. \"mail.example.org\"")
		return
	}
	if why := HostnameProblem(name); why != "" {
		bad("hostname", "%s", why)
	}
}

// HostnameProblem says why a name cannot be a mail server's name; "" if it can.
func HostnameProblem(name string) string {
	d, err := addr.ParseDomain(name)
	_, ipErr := netip.ParseAddr(strings.Trim(name, "[]"))
	switch {
	case ipErr == nil:
		return "\"" + name + "\" is an address; a server says its name, e.g. \"mail.example.org\""
	case err != nil || !d.IsHostname():
		return "\"" + name + "\" is no host name; write it as \"mail.example.org\""
	case d.Labels() < 2:
		return "\"" + name + "\" is not fully qualified; other servers refuse such a name, write it as \"" + strings.ToLower(name) + ".example.org\""
	case d == "localhost.localdomain" || strings.HasSuffix(string(d), ".local") || strings.HasSuffix(string(d), ".localdomain"):
		return "\"" + name + "\" exists only on this network; use the name that the PTR record of our public address says"
	}
	return ""
}

func (c *Config) checkListeners(bad func(key, format string, a ...any)) {
	seen := map[string]string{}
	any := false
	for _, l := range c.Listen.All() {
		if l.Address == "" {
			continue
		}
		any = true
		key := "listen." + l.Name
		if !strings.HasPrefix(l.Address, "/") {
			if _, port, err := net.SplitHostPort(l.Address); err != nil || port == "" {
				bad(key, "%q is no place to listen; write \":25\", \"127.0.0.1:25\" or a path", l.Address)
				continue
			}
		}
		if other := seen[l.Address]; other != "" && !strings.HasSuffix(l.Address, ":0") {
			bad(key, "%s has the address %s already", other, l.Address)
		}
		seen[l.Address] = key
	}
	if !any {
		bad("listen", "no door is open; give at least one address")
	}
}

// Door is a listener by name.
type Door struct{ Name, Address string }

// All lists the listeners in the order in which they are opened.
func (l Listen) All() []Door {
	return []Door{
		{"smtp", l.SMTP}, {"smtp_proxy", l.SMTPProxy}, {"submission", l.Submission}, {"submissions", l.Submissions},
		{"lmtp", l.LMTP},
		{"imap", l.IMAP}, {"imaps", l.IMAPS}, {"pop3", l.POP3}, {"pop3s", l.POP3S}, {"http", l.HTTP}, {"https", l.HTTPS},
	}
}

func (c *Config) checkTLS(bad func(key, format string, a ...any)) {
	t := c.TLS
	if (t.Certificate == "") != (t.Key == "") {
		bad("tls", "certificate and key go together")
	}
	for key, path := range map[string]string{"tls.certificate": t.Certificate, "tls.key": t.Key, "tls.acme.ca": t.ACME.CA} {
		if path != "" {
			if _, err := os.Stat(path); err != nil {
				bad(key, "%v", err)
			}
		}
	}
	if t.ACME.Enabled && t.Certificate != "" {
		bad("tls.acme", "certificate files are given as well; keep one of the two")
	}
	if t.ACME.Directory != "" {
		if u, err := url.Parse(t.ACME.Directory); err != nil || u.Scheme != "https" {
			bad("tls.acme.directory", "%q is no https URL", t.ACME.Directory)
		}
	}
}

func (c *Config) checkLimits(bad func(key, format string, a ...any)) {
	positive := func(key string, n int) {
		if n < 1 {
			bad(key, "must be at least 1")
		}
	}
	positive("limits.connections", c.Limits.Connections)
	positive("limits.per_network", c.Limits.PerNetwork)
	positive("limits.messages_per_connection", c.Limits.MessagesPerConnection)
	for key, n := range map[string]int{"network_rate": c.Limits.NetworkRate, "sender_rate": c.Limits.SenderRate, "recipient_rate": c.Limits.RecipientRate} {
		if n < 0 || n > 1_000_000 {
			bad("limits."+key, "a number of recipients a minute is from 1 to 1,000,000, or 0 for no limit")
		}
	}
	if d := c.Limits.GreetDelay; d < 0 || d > Duration(time.Minute) {
		bad("limits.greet_delay", "at most 1m: a client waits five minutes for a greeting at most (RFC 5321 §4.5.3.2.1)")
	}
	if c.Limits.Recipients < 100 {
		bad("limits.recipients", "RFC 5321 asks for at least 100")
	}
	if c.Limits.Recipients > 1000 {
		bad("limits.recipients", "at most 1000: they are made durable in one transaction; clients send the others in another one")
	}
	if c.Limits.MessageSize < 64<<10 {
		bad("limits.message_size", "below 64 KiB hardly any mail fits")
	}
}

func (c *Config) checkStore(bad func(key, format string, a ...any)) {
	if p := c.Store.PostgreSQL; p != "" {
		if u, err := url.Parse(p); err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
			bad("store.postgresql", "write it as \"postgres://user@host/database\"")
		}
	}
	if s := c.Blobs.S3; s != nil {
		if u, err := url.Parse(s.Endpoint); err != nil || u.Host == "" {
			bad("blobs.s3.endpoint", "write it as \"https://s3.example.org\"")
		}
		if s.Bucket == "" {
			bad("blobs.s3.bucket", "a bucket is needed")
		}
	}
}

// ParsePrefix reads a network or a single address.
func ParsePrefix(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}
