package audit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"
)

const (
	// registryList is IANA's list of who answers for which top-level domain (RFC 9224 §4).
	registryList = "https://data.iana.org/rdap/dns.json"

	registryBytes = 2 << 20 // the list had 90 KB in 2026
	registryAge   = 24 * time.Hour
	rdapRedirects = 3
)

// errNoRegistry says that a domain's registry has no RDAP service in IANA's list; many
// of countries have none.
var errNoRegistry = errors.New("the registry has no RDAP service in the list of IANA")

// Registries knows which RDAP service answers for a domain, by the list of IANA, which
// it reads when it is first asked and anew after a day. Audits that share one read it
// once. The zero value is ready; it is safe for use by many goroutines.
type Registries struct {
	mu    sync.Mutex
	bases map[string]string // by domain, without final dot: a URL with a slash at its end
	read  time.Time
}

// base gives the URL under which a domain's registry answers: that of the longest name in
// the list that the domain ends with (RFC 9224 §4). It blocks for the list.
func (r *Registries) base(ctx context.Context, client *http.Client, now time.Time, domain string) (string, error) {
	r.mu.Lock()
	bases, old := r.bases, now.Sub(r.read) > registryAge
	r.mu.Unlock()
	if bases == nil || old {
		b, err := get(ctx, client, registryList, registryBytes)
		if err != nil {
			return "", fmt.Errorf("the list of registries: %w", err)
		}
		if bases, err = parseRegistries(b); err != nil {
			return "", err
		}
		r.mu.Lock()
		r.bases, r.read = bases, now
		r.mu.Unlock()
	}
	for name := domain; name != ""; _, name, _ = strings.Cut(name, ".") {
		if base, ok := bases[name]; ok {
			return base, nil
		}
	}
	return "", errNoRegistry
}

// parseRegistries reads the list: of each service the first base that is HTTPS
// (RFC 9224 §3). What it cannot read of one service costs only that one.
func parseRegistries(b []byte) (map[string]string, error) {
	var list struct {
		Services [][][]string `json:"services"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("the list of registries cannot be read: %w", err)
	}
	out := map[string]string{}
	for _, s := range list.Services {
		if len(s) != 2 {
			continue
		}
		base := secureBase(s[1])
		for _, name := range s[0] {
			if name = strings.ToLower(strings.Trim(name, ".")); base != "" && name != "" {
				out[name] = base
			}
		}
	}
	if len(out) == 0 {
		return nil, errors.New("the list of registries is empty")
	}
	return out, nil
}

func secureBase(urls []string) string {
	for _, s := range urls {
		u, err := url.Parse(s)
		if err == nil && u.Scheme == "https" && u.Hostname() != "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" {
			return strings.TrimSuffix(u.String(), "/") + "/"
		}
	}
	return ""
}

// get reads one document, following a few redirects that stay with HTTPS: registries
// lead on to registrars (RFC 7480 §5.2).
func get(ctx context.Context, client *http.Client, from string, most int64) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/rdap+json, application/json")
	c := *client
	c.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		if len(via) > rdapRedirects || req.URL.Scheme != "https" {
			return http.ErrUseLastResponse
		}
		return nil
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s answers %s", req.URL.Host, res.Status)
	}
	b, err := io.ReadAll(io.LimitReader(res.Body, most+1))
	if err == nil && int64(len(b)) > most {
		err = fmt.Errorf("%s sends more than %d octets", req.URL.Host, most)
	}
	return b, err
}
