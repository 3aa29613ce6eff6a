package dane

import (
	"bytes"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"posta/internal/resolver"
)

// The certificate usages of RFC 6698 §2.1.1 that SMTP knows (RFC 7672 §3.1).
const (
	TA = 2 // the authority above the host's certificate
	EE = 3 // the host's certificate itself
)

// Unusable says why a record is of no use for SMTP; "" is one of use.
func Unusable(r resolver.TLSA) string {
	sizes := map[uint8]int{1: sha256.Size, 2: sha512.Size}
	switch want, digest := sizes[r.MatchingType]; {
	case r.Usage == 0 || r.Usage == 1:
		return fmt.Sprintf("usage %d is not for SMTP (RFC 7672 §3.1.3)", r.Usage)
	case r.Usage > EE:
		return fmt.Sprintf("usage %d is unknown", r.Usage)
	case r.Selector > 1:
		return fmt.Sprintf("selector %d is unknown", r.Selector)
	case r.MatchingType > 2:
		return fmt.Sprintf("matching type %d is unknown", r.MatchingType)
	case digest && len(r.Data) != want:
		return fmt.Sprintf("a digest of %d octets, not %d", len(r.Data), want)
	case len(r.Data) == 0:
		return "no data"
	case r.MatchingType == 0 && !parses(r):
		return "its data is no certificate or key"
	}
	return ""
}

func parses(r resolver.TLSA) bool {
	if r.Selector == 0 {
		_, err := x509.ParseCertificate(r.Data)
		return err == nil
	}
	_, err := x509.ParsePKIXPublicKey(r.Data)
	return err == nil
}

// Usable are the records that count: those of use, and of several digests of one usage and
// selector only the strongest (RFC 7671 §9).
func (r *Records) Usable() []resolver.TLSA {
	strongest := map[[2]uint8]uint8{}
	for _, t := range r.TLSA {
		if k := [2]uint8{t.Usage, t.Selector}; Unusable(t) == "" {
			strongest[k] = max(strongest[k], t.MatchingType)
		}
	}
	var out []resolver.TLSA
	for _, t := range r.TLSA {
		if Unusable(t) == "" && (t.MatchingType == 0 || t.MatchingType == strongest[[2]uint8{t.Usage, t.Selector}]) {
			out = append(out, t)
		}
	}
	return out
}

// Text writes a record as zones do: "3 1 1 ab12…".
func Text(t resolver.TLSA) string {
	return fmt.Sprintf("%d %d %d %x", t.Usage, t.Selector, t.MatchingType, t.Data)
}

// Matches says whether a record is of this certificate.
func Matches(t resolver.TLSA, c *x509.Certificate) bool {
	data := c.Raw
	if t.Selector == 1 {
		data = c.RawSubjectPublicKeyInfo
	}
	switch t.MatchingType {
	case 1:
		sum := sha256.Sum256(data)
		data = sum[:]
	case 2:
		sum := sha512.Sum512(data)
		data = sum[:]
	}
	return bytes.Equal(data, t.Data)
}

// errNoCertificate is a connection without one.
var errNoCertificate = errors.New("the host shows no certificate")

// MismatchError says that no record is of what the host showed. The name and dates of the
// certificate did not matter.
type MismatchError struct{ Records []resolver.TLSA }

// Error tells the records in short.
func (e *MismatchError) Error() string {
	var kinds []string
	for _, t := range e.Records {
		if k := fmt.Sprintf("%d %d %d", t.Usage, t.Selector, t.MatchingType); !slices.Contains(kinds, k) {
			kinds = append(kinds, k)
		}
	}
	return "the certificate matches none of the TLSA records (" + strings.Join(kinds, ", ") + ")"
}

// Verify judges a connection by the usable records, at the time now. names are those that a
// certificate may have under DANE-TA beside Base: the domain that the mail is for (RFC 7672
// §3.2.2). The error is a *MismatchError, or x509's on the chain to an authority that
// matches.
func (r *Records) Verify(cs tls.ConnectionState, names []string, now time.Time) error {
	chain := cs.PeerCertificates
	if len(chain) == 0 {
		return errNoCertificate
	}
	usable := r.Usable()
	for _, t := range usable {
		if t.Usage == EE && Matches(t, chain[0]) {
			return nil
		}
	}
	var err error = &MismatchError{usable}
	for _, t := range usable {
		if t.Usage != TA {
			continue
		}
		anchors := anchorsOf(t, chain)
		if len(anchors) == 0 {
			continue
		}
		if err = underAnchor(chain, anchors, append([]string{r.Base}, names...), now); err == nil {
			return nil
		}
	}
	return err
}

// anchorsOf are the authorities that a record names: those of the chain that it matches,
// and the whole certificate that it holds itself (2 0 0).
func anchorsOf(t resolver.TLSA, chain []*x509.Certificate) []*x509.Certificate {
	var out []*x509.Certificate
	for _, c := range chain {
		if Matches(t, c) {
			out = append(out, c)
		}
	}
	if t.Selector == 0 && t.MatchingType == 0 {
		if c, err := x509.ParseCertificate(t.Data); err == nil {
			out = append(out, c)
		}
	}
	return out
}

// underAnchor verifies the chain up to an authority, and the name.
func underAnchor(chain, anchors []*x509.Certificate, names []string, now time.Time) error {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	for _, a := range anchors {
		roots.AddCert(a)
	}
	for _, c := range chain[1:] {
		between.AddCert(c)
	}
	if _, err := chain[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: now}); err != nil {
		return err
	}
	var err error
	for _, n := range names {
		if err = chain[0].VerifyHostname(n); err == nil {
			return nil
		}
	}
	return err
}
