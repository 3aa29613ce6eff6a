package access

import (
	"errors"
	"fmt"
	"strings"

	"posta/internal/addr"
)

// Tag says what a key is about.
type Tag uint8

// The tags; an untagged key answers for Connect, From and To.
const (
	Untagged Tag = iota
	Connect
	From
	To
	Spam
	TLSServer // of a server that we send to
	TLSClient // of a client that sends to us
	CertIssuer
	CertSubject
)

var tagNames = [...]string{"", "Connect", "From", "To", "Spam", "TLS_Srv", "TLS_Clt", "CERTISSUER", "CERTSUBJECT"}

// String gives the tag as it stands in a file, without the colon.
func (t Tag) String() string { return tagNames[t] }

// elsewhere are sendmail's other tags, and where their matter is settled here.
var elsewhere = map[string]string{
	"clientrate":   "set the limits of connections in posta.toml",
	"clientconn":   "set the limits of connections in posta.toml",
	"greetpause":   "early talkers are found without it (check early.talker)",
	"srv_features": "TLS is offered by every door",
	"try_tls":      "give the destination a route without TLS",
	"tls_rcpt":     "use TLS_Srv: with the name of the server",
	"authinfo":     "give the route its login",
	"compat":       "use From: or To:",
}

// Key is a tag and a name in normal form. Keys are comparable; make them with
// [ParseKey]. The zero Key is none.
type Key struct {
	tag Tag
	raw string // see raw.go
}

// MaxName is the longest name of a key, in octets.
const MaxName = 500

// Tag is what the key is about.
func (k Key) Tag() Tag { return k.tag }

// IsZero reports whether there is no key.
func (k Key) IsZero() bool { return k == Key{} }

// Name is the key without its tag, as [ParseKey] reads it.
func (k Key) Name() string { return nameOf(k.raw) }

// String is the key as it stands in a file.
func (k Key) String() string {
	if k.tag == Untagged {
		return k.Name()
	}
	return k.tag.String() + ":" + k.Name()
}

// ParseKey reads a key. The error says what to write instead.
func ParseKey(s string) (Key, error) {
	if len(s) > MaxName {
		return Key{}, fmt.Errorf("a key has at most %d octets", MaxName)
	}
	tag, name, err := cutTag(s)
	if err != nil {
		return Key{}, err
	}
	raw, err := parseName(tag, name)
	if err != nil {
		return Key{}, err
	}
	return Key{tag, raw}, checkTag(tag, raw)
}

// cutTag parts "From:x". What stands before a colon may also be the beginning of
// an IPv6 address.
func cutTag(s string) (Tag, string, error) {
	head, rest, found := strings.Cut(s, ":")
	if !found || strings.ContainsAny(head, "@[.\"") {
		return Untagged, s, nil
	}
	for t := Connect; int(t) < len(tagNames); t++ {
		if strings.EqualFold(head, tagNames[t]) {
			return t, rest, nil
		}
	}
	if strings.EqualFold(head, "IPv6") || isGroup(head) || head == "" {
		return Untagged, s, nil
	}
	if mend := elsewhere[strings.ToLower(head)]; mend != "" {
		return 0, "", fmt.Errorf("the tag %s: is not kept in this map; %s", head, mend)
	}
	return 0, "", fmt.Errorf("unknown tag %q; there are Connect:, From:, To:, Spam:, TLS_Srv:, TLS_Clt:, CERTISSUER: and CERTSUBJECT: tags", head+":")
}

// parseName gives the raw form of a name.
func parseName(tag Tag, s string) (string, error) {
	switch {
	case tag == CertIssuer || tag == CertSubject:
		if s == "" || !printable(s) {
			return "", errors.New("a distinguished name is written as sendmail does: /C=US/O=Example+20Corp/CN=ca, other than letters and digits as +XX")
		}
		return string(rune(rawCert)) + strings.ToLower(s), nil
	case s == "":
		if tag == TLSServer || tag == TLSClient {
			return string(rune(rawDefault)), nil
		}
		return "", errors.New("the key has no name")
	case s[0] == '[':
		return parseBracketed(s)
	case strings.IndexByte(s, '@') >= 0:
		return parseUser(s)
	}
	if p, ok, err := parseNetwork(s); ok || err != nil {
		return rawPrefix(p, false), err
	}
	return parseHost(s)
}

func parseBracketed(s string) (string, error) {
	inner, ok := strings.CutSuffix(s[1:], "]")
	if !ok {
		return "", errors.New("the closing bracket is missing")
	}
	p, ok, err := parseNetwork(inner)
	if err == nil && !ok {
		err = errors.New("between brackets stands an address or a network")
	}
	if err != nil {
		return "", err
	}
	return rawPrefix(p, true), nil
}

func parseUser(s string) (string, error) {
	at := strings.LastIndexByte(s, '@')
	if at == 0 {
		return "", fmt.Errorf("write %q for a domain, without the @", s[1:])
	}
	local, err := addr.ParseLocalpart(s[:at])
	if err != nil {
		return "", fmt.Errorf("the local part %q cannot be: %w", s[:at], err)
	}
	host := s[at+1:]
	b := append(local.Fold().AppendQuote(nil), '@')
	switch {
	case host == "":
		return string(b), nil
	case host[0] == '[':
		ip, err := addr.ParseLiteral(host)
		if err != nil {
			return "", fmt.Errorf("%q is no address literal, such as [192.0.2.1] or [IPv6:2001:db8::1]", host)
		}
		return string(addr.Path{Kind: addr.IPLiteral, IP: ip}.AppendHost(b)), nil
	}
	d, err := addr.ParseDomain(host)
	if err != nil {
		return "", fmt.Errorf("the domain %q cannot be: %w", host, err)
	}
	return string(append(b, d...)), nil
}

func parseHost(s string) (string, error) {
	dot := ""
	if rest, ok := strings.CutPrefix(s, "."); ok {
		dot, s = ".", rest
	}
	d, err := addr.ParseDomain(s)
	if errors.Is(err, addr.ErrTrailingDot) {
		return "", fmt.Errorf("write %q, without the dot at the end", dot+strings.TrimSuffix(s, "."))
	}
	if err != nil {
		return "", fmt.Errorf("%q is no domain, address or network: %w", dot+s, err)
	}
	return dot + string(d), nil
}

// checkTag refuses keys that no ruleset asks for.
func checkTag(tag Tag, raw string) error {
	name := nameOf(raw)
	switch kind := kindOf(raw); {
	case kind == kindUser || kind == kindAddress:
		if tag == Connect || tag == TLSClient || tag == TLSServer {
			return fmt.Errorf("%s: takes hosts and networks; write From:%s or To:%s instead", tag, name, name)
		}
	case kind == kindNet:
		if tag == From || tag == To || tag == Spam {
			return fmt.Errorf("%s: takes addresses; write Connect:%s for a client, or %s:[%s] for a domain literal", tag, name, tag, name)
		}
	}
	return nil
}

// isGroup reports whether s may be 16 bits of an IPv6 address.
func isGroup(s string) bool {
	for i := range len(s) {
		if c := s[i] | 0x20; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) >= 1 && len(s) <= 4
}

// printable reports whether s is ASCII without spaces and control characters.
func printable(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] >= 0x7f {
			return false
		}
	}
	return true
}
