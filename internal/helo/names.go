package helo

import (
	"slices"
	"strings"
)

// Names are what one host is called in all the places where a mail server shows a name. Fields that are not known are
// empty; case and a trailing dot do not matter.
type Names struct {
	Banner string   // the first word of the greeting after 220
	EHLO   string   // the first word of its reply to EHLO
	HELO   string   // what it says itself when it sends
	PTR    []string // the confirmed names of its address
	MX     []string // the exchangers that lead to its address
	Cert   []string // the DNS names of its certificate
}

// Mismatch is two places whose names are at odds.
type Mismatch struct {
	Place, Name   string // "banner", "mail.example.org"
	Other, Others string // "EHLO", "smtp.example.org"; several names are separated by spaces
}

// Mismatches lists what is at odds, at most one line for each pair of places. What the host says of itself comes first: the
// banner, its reply and what it says when it sends are the same name; that name is among the reverse names; a certificate
// covers each exchanger, or the name itself where there is none (S8).
func (n Names) Mismatches() []Mismatch {
	var out []Mismatch
	one := func(place, name, other string, others []string, match func(name, other string) bool) {
		if name = normal(name); name == "" || len(others) == 0 {
			return
		}
		if !slices.ContainsFunc(others, func(o string) bool { return match(name, normal(o)) }) {
			out = append(out, Mismatch{place, name, other, strings.ToLower(strings.Join(others, " "))})
		}
	}
	same := func(a, b string) bool { return a == b }
	one("banner", n.Banner, "EHLO", list(n.EHLO), same)
	one("banner", n.Banner, "HELO", list(n.HELO), same)
	if normal(n.Banner) != normal(n.EHLO) || n.Banner == "" {
		one("EHLO", n.EHLO, "HELO", list(n.HELO), same)
	}
	name, place := n.HELO, "HELO"
	if name == "" {
		name, place = n.EHLO, "EHLO"
	}
	if name == "" {
		name, place = n.Banner, "banner"
	}
	one(place, name, "PTR", n.PTR, same)
	if len(n.MX) == 0 {
		one(place, name, "certificate", n.Cert, covers)
	}
	for _, mx := range n.MX {
		one("MX", mx, "certificate", n.Cert, covers)
	}
	return out
}

func list(name string) []string {
	if name == "" {
		return nil
	}
	return []string{name}
}

func normal(name string) string { return strings.ToLower(strings.TrimSuffix(name, ".")) }

// covers tells whether a name of a certificate is for a host: the same, or a wildcard for its first label (RFC 9525 §6.3).
func covers(host, cert string) bool {
	if host == cert {
		return true
	}
	_, parent, ok := strings.Cut(host, ".")
	return ok && cert == "*."+parent
}
