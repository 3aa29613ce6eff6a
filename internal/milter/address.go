package milter

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// ParseAddress reads where a milter listens, in the ways of sendmail and
// Postfix, and gives network and address for net.Dial:
//
//	inet:8891@localhost  inet6:8891@::1  inet:localhost:8891  localhost:8891
//	unix:/run/opendkim/opendkim.sock  local:/run/…  /run/…
func ParseAddress(s string) (network, address string, err error) {
	kind, rest, found := strings.Cut(s, ":")
	switch {
	case strings.HasPrefix(s, "/"):
		return "unix", s, nil
	case found && (kind == "unix" || kind == "local"):
		if !strings.HasPrefix(rest, "/") {
			return "", "", fmt.Errorf("milter address %q: the path of a socket begins with /", s)
		}
		return "unix", rest, nil
	case found && kind == "inet":
		network = "tcp"
	case found && kind == "inet6":
		network = "tcp6"
	default:
		network, rest = "tcp", s
	}
	host, port, ok := splitHostPort(rest)
	if n, err := strconv.ParseUint(port, 10, 16); !ok || err != nil || n == 0 {
		return "", "", fmt.Errorf("milter address %q: want inet:port@host, inet6:port@host, unix:/path or host:port", s)
	}
	return network, net.JoinHostPort(host, port), nil
}

// splitHostPort reads port@host, host:port, or a port of this machine.
func splitHostPort(s string) (host, port string, ok bool) {
	if port, host, found := strings.Cut(s, "@"); found {
		host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
		return host, port, host != ""
	}
	if !strings.Contains(s, ":") {
		return "localhost", s, true
	}
	host, port, err := net.SplitHostPort(s)
	return host, port, err == nil && host != ""
}
