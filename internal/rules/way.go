package rules

import (
	"errors"
	"fmt"
	"net/netip"
	"path"
	"strconv"
	"strings"

	"posta/internal/addr"
)

// By says how mail goes.
type By uint8

// The ways.
const (
	Direct  By = iota // by the domain's own MX, whatever else is configured: "smtp:"
	SMTP              // Host is a next hop: "[host]:port", "host"
	LMTP              // Host is host:port, or unix:/path
	Local             // Host is a user of ours, "" the user of the address
	Piped             // Host is a program's name
	Refused           // Host is what ReplyOf reads
)

// Way is the value of a transport rule.
type Way struct {
	By   By
	Host string
}

// String gives the way as mail.Effect.Transport and route read it.
func (w Way) String() string {
	return [...]string{"smtp:", "smtp:", "lmtp:", "local:", "pipe:", "error:"}[w.By] + w.Host
}

// ParseWay reads a way as mailertable and transport files have it: smtp:[host]:port,
// esmtp:host, relay:host, lmtp:host:port, lmtp:unix:/path, local:user, error:…,
// pipe:NAME; "smtp:" and ":" are the domain's own MX.
func ParseWay(s string) (Way, error) {
	by, host, ok := strings.Cut(strings.TrimSpace(s), ":")
	if !ok {
		return Way{}, fmt.Errorf("%q is no way for mail: write smtp:[host]:port, lmtp:host:port, local:user, pipe:NAME or error:550 TEXT", s)
	}
	host = strings.TrimSpace(host)
	switch strings.ToLower(by) {
	case "", "smtp", "esmtp", "smtp8", "dsmtp", "relay":
		if host == "" {
			return Way{}, nil
		}
		host, err := nextHop(host)
		return Way{SMTP, host}, err
	case "lmtp":
		if socket, ok := strings.CutPrefix(host, "unix:"); ok {
			if !path.IsAbs(socket) {
				return Way{}, fmt.Errorf("%s: the path of a socket begins with /", s)
			}
			return Way{LMTP, host}, nil
		}
		host, err := nextHop(strings.TrimPrefix(host, "inet:"))
		return Way{LMTP, host}, err
	case "local":
		if host == "" {
			return Way{By: Local}, nil
		}
		if strings.Contains(host, "@") {
			a, err := addr.ParseAddress(host)
			return Way{Local, a.Fold().String()}, err
		}
		l, err := addr.ParseLocalpart(host)
		return Way{Local, string(l.Fold())}, err
	case "pipe", "prog":
		t, err := newProgram("|" + host)
		return Way{Piped, t.Text}, err
	case "error":
		_, err := ReplyOf(host)
		return Way{Refused, host}, err
	}
	return Way{}, fmt.Errorf("%q: no mail goes by %q: write smtp, lmtp, local, pipe or error", s, by)
}

var errHops = errors.New("one host stands there: where several may take the mail, give them a name with MX records")

// nextHop checks "host", "host:port", "[host]" and "[host]:port" and gives its normal
// form.
func nextHop(s string) (string, error) {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, ']') {
		host, port = s[:i], s[i:]
		if n, err := strconv.ParseUint(port[1:], 10, 16); err != nil || n == 0 {
			return "", fmt.Errorf("%s: %w", s, errHops)
		}
		if strings.IndexByte(host, ':') >= 0 && !strings.HasPrefix(host, "[") {
			return "", fmt.Errorf("%s: %w", s, errHops)
		}
	}
	inner, open := strings.CutPrefix(host, "[")
	inner, shut := strings.CutSuffix(inner, "]")
	if open != shut {
		return "", fmt.Errorf("%s: a bracket is missing", s)
	}
	if ip, err := netip.ParseAddr(strings.TrimPrefix(inner, "IPv6:")); err == nil {
		if ip = ip.Unmap().WithZone(""); ip.Is6() {
			return "[IPv6:" + ip.String() + "]" + port, nil
		}
		return "[" + ip.String() + "]" + port, nil
	}
	if inner != "localhost" {
		d, err := addr.ParseDomain(inner)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s, err)
		}
		inner = string(d)
	}
	if open {
		inner = "[" + inner + "]"
	}
	return inner + port, nil
}
