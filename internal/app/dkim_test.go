package app

import (
	"net/netip"
	"strings"
	"testing"

	"posta/internal/resolver"
)

// A certificate is asked for only for names all of whose addresses are ours.
func TestLeading(t *testing.T) {
	dns := resolver.Static{
		"mta-sts.a.test":      {"CNAME mx.a.test"},
		"mx.a.test":           {"A 192.0.2.1", "AAAA 2001:db8::1"},
		"autoconfig.a.test":   {"A 192.0.2.1", "A 198.51.100.7"}, // half of it is somebody else's
		"autodiscover.a.test": {"A 198.51.100.7"},
		"mta-sts.b.test":      {"A FAIL timeout"},
	}
	ours := []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")}
	names := []string{"mta-sts.a.test", "autoconfig.a.test", "autodiscover.a.test", "ua-auto-config.a.test", "mta-sts.b.test"}
	got, err := leading(t.Context(), dns, names, ours)
	if strings.Join(got, " ") != "mta-sts.a.test" || err == nil || !strings.Contains(err.Error(), "mta-sts.b.test") {
		t.Errorf("%q, %v", got, err)
	}
}
