package reportout

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"posta/internal/addr"
	"posta/internal/dmarc"
	"posta/internal/tlsrpt"
)

// maxTargets is how many addresses of one domain are told (RFC 9990 §4.1: at least two are
// to be supported).
const maxTargets = 2

// target is whom a report goes to.
type target struct {
	mail  addr.Address // or
	https string
	max   int64 // octets of the message; 0: no limit
}

func (t target) String() string {
	if t.https != "" {
		return t.https
	}
	return t.mail.String()
}

// parseTarget reads a URI of rua: "mailto:a@b", "mailto:a@b!10m", "https://…".
func parseTarget(uri string) (target, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return target{}, err
	}
	switch strings.ToLower(u.Scheme) {
	case "https":
		if u.Hostname() == "" || u.User != nil {
			return target{}, fmt.Errorf("%.100q has no host", uri)
		}
		return target{https: uri}, nil
	case "mailto":
	default:
		return target{}, fmt.Errorf("neither mailto: nor https: is %.100q", uri)
	}
	name, size, limited := strings.Cut(u.Opaque, "!")
	var t target
	if limited {
		if t.max, err = parseSize(size); err != nil {
			return target{}, err
		}
	}
	if name, err = url.PathUnescape(name); err != nil {
		return target{}, err
	}
	t.mail, err = addr.ParseAddress(name)
	return t, err
}

// parseSize reads "10m" (RFC 9990 §4.1, RFC 7489 §6.4): octets, with k, m, g or t for powers
// of 1024.
func parseSize(s string) (int64, error) {
	shift := 0
	if n := len(s); n > 0 {
		if i := strings.IndexByte("kmgt", s[n-1]|0x20); i >= 0 {
			shift, s = 10*(i+1), s[:n-1]
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n <= 0 || n > 1<<(62-shift) {
		return 0, fmt.Errorf("%.20q is no size", s)
	}
	return n << shift, nil
}

// targets are those of rua who may be told, and why others are not.
func (r *Reporter) targets(ctx context.Context, domain addr.Domain, rua []string, external bool) (out []target, refused error) {
	for _, uri := range rua {
		if len(out) == maxTargets {
			break
		}
		t, err := parseTarget(uri)
		switch {
		case err != nil:
		case external && t.https != "":
			err = fmt.Errorf("%s: DMARC reports go by mail", uri)
		case external:
			err = r.agreed(ctx, domain, t.mail.Domain)
		}
		if err == nil {
			err = r.suppressed(ctx, t)
		}
		if err != nil {
			refused = errors.Join(refused, err)
			continue
		}
		out = append(out, t)
	}
	return out, refused
}

// agreed asks whether another organization takes the reports of a domain (RFC 9990 §4):
// _report._dmarc says so. Within one organization nobody need be asked.
func (r *Reporter) agreed(ctx context.Context, domain, host addr.Domain) error {
	if host == domain {
		return nil
	}
	lookup := dmarc.Lookup{TXT: r.txt}
	ours, theirs := dmarc.FindOrganization(ctx, lookup, domain), dmarc.FindOrganization(ctx, lookup, host)
	if ours.Walk != "" && ours.Walk == theirs.Walk {
		return nil
	}
	name := string(domain) + "._report._dmarc." + string(host)
	if len(name) > addr.MaxDomain {
		return fmt.Errorf("%s is too long a name to be asked", name)
	}
	texts, _, err := r.txt(ctx, name)
	if err != nil {
		return err
	}
	for _, t := range texts {
		if _, err := dmarc.Parse(t); err == nil {
			return nil
		}
	}
	return fmt.Errorf("%s does not say (at %s) that it takes reports about %s", host, name, domain)
}

// txt asks for text records.
func (r *Reporter) txt(ctx context.Context, name string) ([]string, bool, error) {
	res, err := r.cfg.DNS.LookupTXT(ctx, name)
	return res.Records, len(res.Records) > 0, err
}

// tlsRUA are the addresses of a domain's TLSRPT record (RFC 8460 §3); none: it wants no
// reports.
func (r *Reporter) tlsRUA(ctx context.Context, domain string) ([]string, error) {
	texts, _, err := r.txt(ctx, "_smtp._tls."+domain)
	if err != nil {
		return nil, err
	}
	return tlsrpt.ParseRecord(texts), nil
}
