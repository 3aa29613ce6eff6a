package config

import "posta/internal/addr"

// Reports are those that Posta sends to other domains that ask for them, once a day.
type Reports struct {
	// DMARC: what DMARC made of mail in their name (RFC 9990). Default true.
	DMARC bool `toml:"dmarc"`
	// TLS: how our connections to their hosts were protected (RFC 8460). Default true.
	TLS bool `toml:"tls"`
	// From is whom they come from: an address of a domain of ours with DKIM keys. Default
	// postmaster@ of the host's own domain, or else of the first domain with keys.
	From string `toml:"from"`
}

func (c *Config) checkReports(bad func(key, format string, a ...any)) {
	if c.Reports.From == "" {
		return
	}
	if _, err := addr.ParseAddress(c.Reports.From); err != nil {
		bad("reports.from", "%q is no address: %v", c.Reports.From, err)
	}
}
