package route

import (
	"context"
	"fmt"
	"path"
	"strings"

	"posta/internal/rules"
)

// PortLMTP is the usual port of LMTP; never 25 (RFC 2033 §5).
const PortLMTP = 24

// cutTransport parts "lmtp:unix:/path". Neither a domain nor what stands before the
// brackets of an address literal has a colon.
func cutTransport(hop string) (by, way string, ok bool) {
	if strings.HasPrefix(hop, "[") {
		return "", "", false
	}
	return strings.Cut(hop, ":")
}

// IsTransport reports whether a next hop is a transport, and no domain.
func IsTransport(hop string) bool {
	_, _, ok := cutTransport(hop)
	return ok
}

// transport is the route of a recipient with a way of its own. What cannot be read puts
// the mail off: whoever wrote the rule can mend it.
func (r *Router) transport(ctx context.Context, hop, by, way string) (*Route, error) {
	switch by {
	case "mx":
		f := &finder{r: r, rt: &Route{Domain: way}}
		if strings.HasPrefix(way, "[") {
			return f.literal(way)
		}
		return f.byMX(ctx, way, Port)
	case "smtp":
		n, err := r.hop(way)
		if err != nil {
			return nil, err
		}
		return r.fixed(ctx, hop, n)
	case "lmtp":
		return r.lmtp(ctx, hop, way)
	case "pipe":
		if way == "" {
			return nil, nowhere(fmt.Errorf("%q names no program", hop))
		}
		return &Route{Domain: hop, Program: way, Fixed: true}, nil
	case "error":
		reply, err := rules.ReplyOf(way)
		if err != nil {
			return nil, nowhere(err)
		}
		return nil, &Error{reply, nil}
	}
	return nil, nowhere(fmt.Errorf("no mail goes by %q", hop))
}

// lmtp is the route to a host that speaks LMTP. MX records are about SMTP, so the host is
// the one that is named.
func (r *Router) lmtp(ctx context.Context, hop, way string) (*Route, error) {
	if socket, ok := strings.CutPrefix(way, "unix:"); ok {
		if !path.IsAbs(socket) {
			return nil, nowhere(fmt.Errorf("%s: the path of a socket begins with /", hop))
		}
		return &Route{Domain: hop, Fixed: true, Hosts: []Host{{Name: "localhost", Socket: socket, LMTP: true}}}, nil
	}
	n, err := ParseNext(way)
	if err != nil {
		return nil, nowhere(err)
	}
	if n.MX = false; n.Port == 0 {
		n.Port = PortLMTP
	}
	rt, err := r.fixed(ctx, hop, n)
	if err != nil {
		return nil, err
	}
	for i := range rt.Hosts {
		rt.Hosts[i].LMTP = true
	}
	return rt, nil
}
