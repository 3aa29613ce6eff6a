// Package srs is the Sender Rewriting Scheme (Wong, https://www.libsrs2.net/srs/srs.pdf):
// who forwards mail of others sends it with a reverse-path of its own domain, so that SPF
// is its own, and knows by a keyed hash which bounces to such addresses are about mail
// that it forwarded.
//
// Forms, with "=" as the separator:
//
//	SRS0=HHHHHH=TT=domain=local@us                    of local@domain
//	SRS1=HHHHHH=first.example==HHHHHH=TT=domain=local@us  of an SRS0 or SRS1 address of first.example
//
// Only the last hash is ours. Hash and day are written in base 32, for some servers fold
// the case of local parts; the day is a number modulo 1024.
package srs

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"strings"
	"time"

	"posta/internal/addr"
)

// Errors of Reverse.
var (
	ErrForm    = errors.New("srs: no SRS address")
	ErrHash    = errors.New("srs: the hash is not ours")
	ErrExpired = errors.New("srs: the address is too old")
	ErrLong    = errors.New("srs: the address would be too long")
)

// Lifetime is how long bounces are taken: a queue gives up after five days, and a DSN has
// a way of its own.
const Lifetime = 21 * 24 * time.Hour

const (
	hashLength = 6
	days       = 1024 // modulus of the day
	maxLocal   = 64   // octets of a local part (RFC 5321 §4.5.3.1.1)
)

var alphabet = base32.StdEncoding.WithPadding(base32.NoPadding)

// Rewriter makes and reads addresses by a key. The zero value has an empty key, which
// anybody knows.
type Rewriter struct{ Key []byte }

// Forward gives the reverse-path in our domain for one that is being forwarded.
// ErrLong: there is none, and it is sent as it is.
func (r Rewriter) Forward(from addr.Address, ours addr.Domain, now time.Time) (addr.Address, error) {
	local, domain := string(from.Local), string(from.Domain)
	kind, rest := split(local)
	var out string
	switch kind {
	case "SRS0":
		body := domain + "==" + rest
		out = "SRS1=" + r.hash(body) + "=" + body
	case "SRS1":
		_, body, ok := strings.Cut(rest, "=") // the hash of whom it came from goes, the first stays
		if !ok || !strings.Contains(body, "==") {
			return from, ErrForm
		}
		out = "SRS1=" + r.hash(body) + "=" + body
	default:
		body := stamp(now) + "=" + domain + "=" + local
		out = "SRS0=" + r.hash(body) + "=" + body
	}
	if len(out) > maxLocal {
		return from, ErrLong
	}
	return addr.Address{Local: addr.Localpart(out), Domain: ours}, nil
}

// Is reports whether an address has the form of one that Forward made.
func Is(a addr.Address) bool {
	kind, _ := split(string(a.Local))
	return kind != ""
}

// Reverse gives the address to which a bounce to an SRS address is to go on.
func (r Rewriter) Reverse(a addr.Address, now time.Time) (addr.Address, error) {
	kind, rest := split(string(a.Local))
	if kind == "" {
		return a, ErrForm
	}
	hash, body, ok := strings.Cut(rest, "=")
	if !ok {
		return a, ErrForm
	}
	if !hmac.Equal([]byte(strings.ToUpper(hash)), []byte(r.hash(body))) {
		return a, ErrHash
	}
	if kind == "SRS1" {
		first, tail, ok := strings.Cut(body, "==")
		if !ok {
			return a, ErrForm
		}
		return parsed("SRS0="+tail, first)
	}
	day, tail, ok := strings.Cut(body, "=")
	if !ok {
		return a, ErrForm
	}
	if !fresh(day, now) {
		return a, ErrExpired
	}
	domain, local, ok := strings.Cut(tail, "=")
	if !ok {
		return a, ErrForm
	}
	return parsed(local, domain)
}

// parsed holds what stands in an address against what an address may be.
func parsed(local, domain string) (addr.Address, error) {
	d, err := addr.ParseDomain(domain)
	if err != nil {
		return addr.Address{}, ErrForm
	}
	return addr.Address{Local: addr.Localpart(local), Domain: d}, nil
}

// split parts "SRS0=" and "SRS1=" off; other separators ("+" and "-") are other servers'.
func split(local string) (kind, rest string) {
	if len(local) < 5 || local[4] != '=' {
		return "", ""
	}
	switch kind := strings.ToUpper(local[:4]); kind {
	case "SRS0", "SRS1":
		return kind, local[5:]
	}
	return "", ""
}

// hash is over what follows it, without regard to case.
func (r Rewriter) hash(body string) string {
	m := hmac.New(sha256.New, r.Key)
	m.Write([]byte(strings.ToLower(body)))
	return alphabet.EncodeToString(m.Sum(nil))[:hashLength]
}

func day(t time.Time) int { return int(t.Unix()/86400) % days }

// stamp writes a day in two characters.
func stamp(t time.Time) string {
	const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	n := day(t)
	return string([]byte{digits[n/32], digits[n%32]})
}

// fresh reports whether a day is within Lifetime.
func fresh(s string, now time.Time) bool {
	for back := range int(Lifetime.Hours()/24) + 1 {
		if strings.EqualFold(s, stamp(now.Add(-time.Duration(back)*24*time.Hour))) {
			return true
		}
	}
	return false
}
