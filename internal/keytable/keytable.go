// Package keytable reads where other signers keep their DKIM keys, so that who moves to
// us need not touch DNS: OpenDKIM's KeyTable and SigningTable, and rspamd's
// dkim_signing.conf. Bytes in, values out; the key files themselves are read by others.
//
// Standards: none. The forms are those of opendkim.conf(5), opendkim(8) and the manual
// of rspamd's dkim_signing module. Of OpenDKIM's data sets only flat files ("file:",
// "refile:", "csl:" no) are known; of rspamd's language (UCL) what such a file holds:
// sections, key = value with ; or line ends, comments, quotes.
package keytable

import (
	"fmt"
	"slices"
	"strings"
)

// Bounds of what is read.
const (
	MaxOctets  = 4 << 20
	maxEntries = 100_000
	maxDepth   = 16
)

// Entry is one key: who signs with it for which domain, and where it is.
type Entry struct {
	Name     string // by which a SigningTable calls it; "" from rspamd
	Domain   string // lower case; "%" or "" is the domain of the sender
	Selector string // lower case
	Path     string // of the file; "" if PEM stands in the table
	PEM      string
}

// ParseKeyTable reads OpenDKIM's KeyTable: "name domain:selector:path" on each line. A
// key may stand in it itself, in base64 without its armour. The error names the line.
func ParseKeyTable(text string) ([]Entry, error) {
	var out []Entry
	err := lines(text, func(n int, name, value string) error {
		f := strings.SplitN(value, ":", 3)
		if len(f) != 3 || f[0] == "" || f[1] == "" || f[2] == "" {
			return fmt.Errorf("line %d: want NAME DOMAIN:SELECTOR:PATH", n)
		}
		e := Entry{Name: name, Domain: strings.ToLower(f[0]), Selector: strings.ToLower(f[1])}
		// opendkim(8): what begins with a slash or a dot is a path, anything else the key.
		if key := strings.TrimSpace(f[2]); strings.HasPrefix(key, "/") || strings.HasPrefix(key, ".") {
			e.Path = key
		} else {
			e.PEM = armoured(key)
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

// armoured puts base64 that stands alone into lines between PEM's marks. OpenDKIM's
// tools write PKCS #1 there, and Ed25519 as PKCS #8; both are told by how they begin.
func armoured(base64 string) string {
	if strings.Contains(base64, "-----BEGIN") {
		return base64
	}
	kind := "RSA PRIVATE KEY"
	if strings.HasPrefix(base64, "MC4CAQAwBQYDK2Vw") || isPKCS8(base64) {
		kind = "PRIVATE KEY"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "-----BEGIN %s-----\n", kind)
	for c := range slices.Chunk([]byte(base64), 64) {
		b.Write(c)
		b.WriteByte('\n')
	}
	fmt.Fprintf(&b, "-----END %s-----\n", kind)
	return b.String()
}

// isPKCS8 knows the OID of RSA near the beginning, which PKCS #1 has not.
func isPKCS8(base64 string) bool {
	return strings.Contains(base64[:min(48, len(base64))], "MA0GCSqGSIb3DQEBAQUA")
}

// Use is one line of a SigningTable: mail of these senders is signed with that key.
type Use struct {
	Pattern string // "*@example.org", "example.org", "ana@example.org"
	Name    string // of the key; "%" in it is the domain of the sender
}

// ParseSigningTable reads OpenDKIM's SigningTable: "pattern name" on each line.
func ParseSigningTable(text string) ([]Use, error) {
	var out []Use
	err := lines(text, func(n int, pattern, name string) error {
		name, _, _ = strings.Cut(name, ":") // what follows is the identity of i=
		if name == "" {
			return fmt.Errorf("line %d: want PATTERN NAME", n)
		}
		out = append(out, Use{Pattern: strings.ToLower(pattern), Name: name})
		return nil
	})
	return out, err
}

// Resolve says which domains sign with which keys: with a signing table only keys that
// it uses, and for a key of any domain ("%") those that it is used for.
func Resolve(keys []Entry, uses []Use) []Entry {
	var out []Entry
	add := func(e Entry) {
		e.Name = ""
		if e.Domain != "%" && e.Domain != "" && !slices.Contains(out, e) {
			out = append(out, e)
		}
	}
	if uses == nil {
		for _, e := range keys {
			add(e)
		}
		return out
	}
	byName := map[string]Entry{}
	for _, e := range keys {
		byName[e.Name] = e
	}
	for _, u := range uses {
		domain := u.Pattern[strings.LastIndexByte(u.Pattern, '@')+1:]
		domain = strings.TrimPrefix(strings.TrimPrefix(domain, "*"), ".")
		e, ok := byName[strings.ReplaceAll(u.Name, "%", domain)]
		if !ok {
			continue
		}
		if e.Domain == "%" {
			e.Domain = domain
		}
		e.Path = strings.ReplaceAll(e.Path, "%", domain)
		add(e)
	}
	return out
}

// lines calls f with the two words of each line that has some; the second takes the
// rest. Comments begin with #.
func lines(text string, f func(n int, first, rest string) error) error {
	if len(text) > MaxOctets {
		return fmt.Errorf("the table is larger than %d octets", MaxOctets)
	}
	n, entries := 0, 0
	for line := range strings.Lines(text) {
		n++
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		if entries++; entries > maxEntries {
			return fmt.Errorf("line %d: more than %d entries", n, maxEntries)
		}
		i := strings.IndexAny(line, " \t=")
		if i <= 0 {
			return fmt.Errorf("line %d: want two words", n)
		}
		if err := f(n, line[:i], strings.TrimLeft(line[i:], " \t=")); err != nil {
			return err
		}
	}
	return nil
}
