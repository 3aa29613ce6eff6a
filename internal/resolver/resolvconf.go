package resolver

import (
	"bufio"
	"fmt"
	"io"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// maxServers is how many nameserver lines count; the C library takes three.
const maxServers = 8

// ResolvConf is what a resolv.conf(5) says to us. Search lists and the rest mean nothing to mail: names are absolute.
type ResolvConf struct {
	Servers []netip.AddrPort // at least one: 127.0.0.1:53 when the file names none
	TrustAD bool             // "options trust-ad": the servers' AD bit may be believed
}

// ReadResolvConf reads such a file. A file that does not exist counts as an empty one.
func ReadResolvConf(path string) (ResolvConf, error) {
	f, err := os.Open(path)
	if os.IsNotExist(err) {
		return ParseResolvConf(strings.NewReader(""))
	}
	if err != nil {
		return ResolvConf{}, fmt.Errorf("resolver: %w", err)
	}
	defer f.Close()
	return ParseResolvConf(f)
}

// ParseResolvConf reads at most 64 KiB of r. Lines that it does not understand are passed over, as the C library does.
func ParseResolvConf(r io.Reader) (ResolvConf, error) {
	var rc ResolvConf
	lines := bufio.NewScanner(io.LimitReader(r, 64<<10))
	for lines.Scan() {
		words := strings.Fields(lines.Text())
		switch {
		case len(words) < 2:
		case words[0] == "nameserver" && len(rc.Servers) < maxServers:
			if ip, err := netip.ParseAddr(words[1]); err == nil {
				rc.Servers = append(rc.Servers, netip.AddrPortFrom(ip, 53))
			}
		case words[0] == "options":
			rc.TrustAD = rc.TrustAD || slices.Contains(words[1:], "trust-ad")
		}
	}
	if err := lines.Err(); err != nil {
		return ResolvConf{}, fmt.Errorf("resolver: resolv.conf: %w", err)
	}
	if len(rc.Servers) == 0 {
		rc.Servers = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), 53)}
	}
	return rc, nil
}
