package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Key is one signing key of a domain.
type Key struct {
	Domain   string // d=, U-labels or A-labels
	Selector string // s=
	// Signer is an RSA key of at least 1024 bits or an Ed25519 key.
	Signer crypto.Signer
}

// SignOptions says what to sign. The zero value is what Posta does; only Now is
// worth setting.
type SignOptions struct {
	// Headers are the names to sign, as often as the message has them; nil is
	// DefaultHeaders.
	Headers []string
	// Oversign are the names of Headers to sign once more than the message has
	// them, so that none can be added; nil is DefaultOversign.
	Oversign []string
	// Now becomes t=; zero leaves it out.
	Now time.Time
	// Expiry after Now becomes x=; zero leaves it out.
	Expiry time.Duration
	// Identity becomes i=, an address in the domain of the key or below; empty
	// leaves it out.
	Identity string
}

// DefaultHeaders returns the fields signed by default: those that people read
// and programs act upon (RFC 6376 §5.4.1), and none that relays add or change.
func DefaultHeaders() []string {
	return []string{
		"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To", "Sender",
		"In-Reply-To", "References",
		"MIME-Version", "Content-Type", "Content-Transfer-Encoding", "Content-ID",
		"Content-Description", "Content-Disposition", "Content-Language",
		"Resent-Date", "Resent-From", "Resent-Sender", "Resent-To", "Resent-Cc", "Resent-Message-ID",
		"List-Id", "List-Help", "List-Unsubscribe", "List-Unsubscribe-Post",
		"List-Subscribe", "List-Post", "List-Owner", "List-Archive",
	}
}

// DefaultOversign returns the fields of which nobody may add another.
func DefaultOversign() []string {
	return []string{
		"From", "To", "Cc", "Subject", "Date", "Message-ID", "Reply-To",
		"Content-Type", "MIME-Version",
	}
}

var (
	errNoFrom    = errors.New("dkim: the message has no From field to sign")
	errTooMany   = errors.New("dkim: too many header fields to sign")
	errIdentity  = errors.New("dkim: the identity is not within the signing domain")
	errContinued = errors.New("dkim: the header begins with a continuation line, which would become part of the signature")
	errKeyName   = errors.New("dkim: domain or selector is not a domain name")
)

// ErrWeakKey says that a key must not, or cannot, sign (RFC 8301 §3.2, RFC 8463).
var ErrWeakKey = errors.New("dkim: signing keys are RSA of 1024 to 8192 bits, or Ed25519")

// Sign returns one DKIM-Signature field for each key, in their order, each ending
// in CRLF, to be put before header. header is the header block that will be sent,
// with or without its empty line; bodyHash is the Sum of a Relaxed BodyHash over
// the body that will be sent. Lines are shorter than 78 columns. An error means
// that nothing was signed. It does not block, unless a Signer does.
func Sign(header []byte, bodyHash [sha256.Size]byte, keys []Key, opts SignOptions) ([]byte, error) {
	names, data, err := SelectHeaders(header, opts)
	if err != nil {
		return nil, err
	}
	var out []byte
	for _, k := range keys {
		field, err := signWith(k, data, names, bodyHash, opts)
		if err != nil {
			return nil, err
		}
		out = append(out, field...)
	}
	return out, nil
}

// SelectHeaders returns what a signature of header is to list in h=, and those
// fields in relaxed form, as a SignedField wants them.
func SelectHeaders(header []byte, opts SignOptions) (names []string, data []byte, err error) {
	if len(header) > 0 && (header[0] == ' ' || header[0] == '\t') {
		return nil, nil, errContinued
	}
	h := indexHeader(header)
	if names, err = selectNames(&h, opts); err != nil {
		return nil, nil, err
	}
	for _, name := range names {
		if f := h.pick(name, 1); f != nil {
			data = AppendField(data, header[f.start:f.end], Relaxed)
		}
	}
	return names, data, nil
}

// selectNames makes the h= list: each name as often as it occurs, oversigned ones
// once more. Names that are absent and not oversigned are left out.
func selectNames(h *headerIndex, opts SignOptions) ([]string, error) {
	if h.tooMany {
		return nil, errTooMany
	}
	headers, over := opts.Headers, opts.Oversign
	if headers == nil {
		headers = DefaultHeaders()
	}
	if over == nil {
		over = DefaultOversign()
	}
	var names []string
	from := false
	for _, name := range headers {
		hash, n := nameHash(name), 0
		for i := range h.fields {
			if f := &h.fields[i]; f.hash == hash && h.is(f, name) {
				n++
			}
		}
		from = from || n > 0 && equalFold(name, "from")
		if slices.ContainsFunc(over, func(o string) bool { return equalFold(o, name) }) {
			n++
		}
		if len(names)+n > maxSignedNames {
			return nil, errTooMany
		}
		for range n {
			names = append(names, name)
		}
	}
	if !from {
		return nil, errNoFrom
	}
	return names, nil
}

func signWith(k Key, data []byte, names []string, bodyHash [sha256.Size]byte, opts SignOptions) ([]byte, error) {
	f := SignedField{Name: fieldName, First: "v=1;", Headers: names, BodyHash: bodyHash, Data: data}
	if opts.Identity != "" {
		domain, _ := aLabels([]byte(k.Domain))
		if err := checkIdentity(opts.Identity, domain); err != nil {
			return nil, err
		}
		f.Tags = append(f.Tags, "i="+opts.Identity+";")
	}
	if !opts.Now.IsZero() {
		f.Tags = append(f.Tags, "t="+strconv.FormatInt(opts.Now.Unix(), 10)+";")
		if opts.Expiry > 0 {
			f.Tags = append(f.Tags, "x="+strconv.FormatInt(opts.Now.Add(opts.Expiry).Unix(), 10)+";")
		}
	}
	return f.Sign(k)
}

// SignedField is a signature field to be made, of DKIM or of ARC: relaxed, with
// SHA-256, never with l=.
type SignedField struct {
	Name     string            // DKIM-Signature, ARC-Message-Signature or ARC-Seal
	First    string            // the first tag, with its semicolon
	Tags     []string          // what comes after a=, c=, d= and s=, each with its semicolon
	Headers  []string          // h=; nil for a seal, which has neither c=, h= nor bh=
	BodyHash [sha256.Size]byte // bh=
	Data     []byte            // the covered header fields in relaxed form, each with its CRLF
}

// Sign returns the whole field, folded and ending in CRLF.
func (f *SignedField) Sign(k Key) ([]byte, error) {
	domain, ok1 := aLabels([]byte(k.Domain))
	selector, ok2 := aLabels([]byte(k.Selector))
	if !ok1 || !ok2 {
		return nil, errKeyName
	}
	algorithm, err := signingAlgorithm(k.Signer)
	if err != nil {
		return nil, err
	}
	w := folder{buf: []byte(f.Name + ":")}
	w.col = len(w.buf)
	w.tag(f.First)
	w.tag("a=" + algorithm + ";")
	if f.Headers != nil {
		w.tag("c=relaxed/relaxed;")
	}
	w.tag("d=" + domain + ";")
	w.tag("s=" + selector + ";")
	for _, t := range f.Tags {
		w.tag(t)
	}
	if f.Headers != nil {
		w.names(f.Headers)
		w.tag("bh=" + base64.StdEncoding.EncodeToString(f.BodyHash[:]) + ";")
	}
	w.tag("b=")
	input := AppendField(slices.Clip(f.Data), w.buf, Relaxed)
	digest := sha256.Sum256(input[:len(input)-len(crlf)])
	var hash crypto.Hash // RFC 8463 §3: Ed25519 signs the digest itself
	if algorithm == "rsa-sha256" {
		hash = crypto.SHA256
	}
	sig, err := k.Signer.Sign(rand.Reader, digest[:], hash)
	if err != nil {
		return nil, fmt.Errorf("dkim: signing for %s: %w", domain, err)
	}
	w.base64(base64.StdEncoding.EncodeToString(sig))
	return append(w.buf, crlf...), nil
}

func signingAlgorithm(s crypto.Signer) (string, error) {
	if s == nil {
		return "", ErrWeakKey
	}
	switch pub := s.Public().(type) {
	case *rsa.PublicKey:
		if n := pub.N.BitLen(); n >= minRSABits && n <= maxRSABits {
			return "rsa-sha256", nil
		}
	case ed25519.PublicKey:
		return "ed25519-sha256", nil
	}
	return "", ErrWeakKey
}

// checkIdentity refuses an i= that verifiers would refuse, or that could not
// stand in a tag value as it is.
func checkIdentity(id, domain string) error {
	at := strings.LastIndexByte(id, '@')
	if at < 0 {
		return errIdentity
	}
	d, ok := aLabels([]byte(id[at+1:]))
	if !ok || !within(d, domain) {
		return errIdentity
	}
	for _, c := range []byte(id[:at]) {
		if c <= ' ' || c == ';' || c == '=' || c == 0x7f {
			return errIdentity
		}
	}
	return nil
}

// lineWidth is the longest line that a folder writes, without CRLF.
const lineWidth = 76

// folder writes a header field and folds it between its parts.
type folder struct {
	buf []byte
	col int
}

// tag writes one tag after a space, on a new line if it does not fit.
func (w *folder) tag(s string) {
	if w.col+1+len(s) > lineWidth {
		w.newline()
	}
	w.buf = append(append(w.buf, ' '), s...)
	w.col += 1 + len(s)
}

// newline folds; the white space that must follow is left to the caller.
func (w *folder) newline() {
	w.buf = append(w.buf, crlf...)
	w.col = 0
}

func (w *folder) names(names []string) {
	for i, name := range names {
		if i == 0 {
			name = "h=" + name
		}
		if i < len(names)-1 {
			name += ":"
		} else {
			name += ";"
		}
		if i == 0 || w.col+len(name) > lineWidth {
			w.tag(name)
			continue
		}
		w.buf = append(w.buf, name...)
		w.col += len(name)
	}
}

// base64 writes the signature in as many lines as it needs.
func (w *folder) base64(s string) {
	for s != "" {
		if w.col >= lineWidth {
			w.newline()
			w.buf = append(w.buf, ' ')
			w.col = 1
		}
		n := min(lineWidth-w.col, len(s))
		w.buf = append(w.buf, s[:n]...)
		w.col += n
		s = s[n:]
	}
}
