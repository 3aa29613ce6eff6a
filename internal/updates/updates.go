// Package updates reads what a publisher of releases announces, and believes it only
// when it is signed (S119).
//
// An announcement is a JSON object at an https address and, at the same address with ".sig" behind
// it, its Ed25519 signature (RFC 8032) over exactly those octets, in base64. The address and the
// key are the administrator's; without them nobody is asked anything. Only the announcement is
// fetched: nothing of us is told but the address that asks, and nothing is installed.
//
// Limits: 64 KiB, 30 seconds, no redirect to another host.
package updates

import (
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Announcement is what is announced.
type Announcement struct {
	Version  string            `json:"version"`            // "1.4.0"
	Released string            `json:"released,omitempty"` // "2026-12-01"
	Security bool              `json:"security,omitempty"` // it mends a fault that can be abused
	Notes    map[string]string `json:"notes,omitempty"`    // a sentence, by language
	Page     string            `json:"page,omitempty"`     // where it is had
}

const (
	maxBody = 64 << 10
	wait    = 30 * time.Second
)

// ErrSignature is that an announcement is not signed with the key.
var ErrSignature = errors.New("the announcement is not signed with the key that is set")

// ParseKey reads a public key: 32 octets in base64.
func ParseKey(s string) (ed25519.PublicKey, error) {
	b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("a key is %d octets in base64", ed25519.PublicKeySize)
	}
	return b, nil
}

// Fetch gets the announcement. It blocks for at most 30 seconds.
func Fetch(ctx context.Context, client *http.Client, address string, key ed25519.PublicKey) (Announcement, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if !strings.HasPrefix(address, "https://") {
		return Announcement{}, fmt.Errorf("%s: only https is asked", address)
	}
	c := *client
	c.CheckRedirect = func(r *http.Request, via []*http.Request) error {
		if r.URL.Host != via[0].URL.Host || r.URL.Scheme != "https" || len(via) > 3 {
			return errors.New("it redirects elsewhere")
		}
		return nil
	}
	body, err := get(ctx, &c, address)
	if err != nil {
		return Announcement{}, err
	}
	sig, err := get(ctx, &c, address+".sig")
	if err != nil {
		return Announcement{}, err
	}
	return Read(body, sig, key)
}

func get(ctx context.Context, c *http.Client, address string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	resp, err := c.Do(r)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, resp.Status)
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	if err == nil && len(b) > maxBody {
		err = fmt.Errorf("%s: more than %d octets", address, maxBody)
	}
	return b, err
}

// Read verifies an announcement and reads it.
func Read(body, sig []byte, key ed25519.PublicKey) (Announcement, error) {
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(sig)))
	if err != nil || len(key) != ed25519.PublicKeySize || !ed25519.Verify(key, body, raw) {
		return Announcement{}, ErrSignature
	}
	var a Announcement
	if err := json.Unmarshal(body, &a); err != nil {
		return Announcement{}, err
	}
	if _, ok := parse(a.Version); !ok {
		return Announcement{}, fmt.Errorf("%q is no version; 1.4.0 would be one", a.Version)
	}
	return a, nil
}

// Newer reports whether a is a later version than b. What is no version of three
// numbers, as that of a build by hand, is older than all and newer than none.
func Newer(a, b string) bool {
	x, ok := parse(a)
	if !ok {
		return false
	}
	y, ok := parse(b)
	if !ok {
		return true
	}
	for i := range x {
		if x[i] != y[i] {
			return x[i] > y[i]
		}
	}
	return false
}

func parse(v string) (n [3]uint64, ok bool) {
	parts := strings.Split(strings.TrimPrefix(v, "v"), ".")
	if len(parts) != 3 {
		return n, false
	}
	for i, p := range parts {
		p, _, _ = strings.Cut(p, "-")
		var err error
		if n[i], err = strconv.ParseUint(p, 10, 32); err != nil {
			return n, false
		}
	}
	return n, true
}
