package probe

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	maxChain = 10  // certificates of a chain that are looked at
	maxNames = 100 // names of a certificate that are shown
)

// Problem is one thing that is wrong with a chain, by the number that OpenSSL has for
// it (`openssl s_client` prints "Verify return code: 19 (…)").
type Problem struct {
	Code int    `json:"code"`
	Name string `json:"name"`
}

// The numbers of OpenSSL's x509_vfy.h that are told here.
const (
	NotYetValid        = 9
	Expired            = 10
	SelfSigned         = 18
	SelfSignedInChain  = 19
	NoLocalIssuer      = 20
	UnverifiableLeaf   = 21
	InvalidCA          = 79
	PathTooLong        = 25
	WrongPurpose       = 26
	ForbiddenName      = 47
	Untrusted          = 27
	HostnameMismatch   = 62
	KeyTooSmall        = 66
	DigestTooWeak      = 68
	UnhandledExtension = 34
	SignatureFailure   = 7
)

// problems names the numbers as OpenSSL does (crypto/x509/x509_txt.c).
func problems() map[int]string {
	return map[int]string{
		SignatureFailure:   "certificate signature failure",
		NotYetValid:        "certificate is not yet valid",
		Expired:            "certificate has expired",
		SelfSigned:         "self-signed certificate",
		SelfSignedInChain:  "self-signed certificate in certificate chain",
		NoLocalIssuer:      "unable to get local issuer certificate",
		UnverifiableLeaf:   "unable to verify the first certificate",
		InvalidCA:          "invalid CA certificate",
		PathTooLong:        "path length constraint exceeded",
		WrongPurpose:       "unsuitable certificate purpose",
		Untrusted:          "certificate not trusted",
		UnhandledExtension: "unhandled critical extension",
		ForbiddenName:      "permitted subtree violation",
		HostnameMismatch:   "hostname mismatch",
		KeyTooSmall:        "EE certificate key too weak",
		DigestTooWeak:      "CA signature digest algorithm too weak",
	}
}

// ProblemCodes lists the numbers, ascending.
func ProblemCodes() []int {
	var out []int
	for code := range problems() {
		out = append(out, code)
	}
	slices.Sort(out)
	return out
}

// Certificate is what a server shows.
type Certificate struct {
	Subject   string    `json:"subject"`
	Names     []string  `json:"names,omitempty"` // DNS names and addresses of subjectAltName
	Issuer    string    `json:"issuer"`
	NotBefore time.Time `json:"not_before"`
	NotAfter  time.Time `json:"not_after"`
	Key       string    `json:"key"`       // "RSA 2048", "ECDSA P-256", "Ed25519"
	Signature string    `json:"signature"` // algorithm of the issuer's signature
	Chain     []string  `json:"chain"`     // subjects as they were sent, the server's first
	Problems  []Problem `json:"problems,omitempty"`
}

// Has says whether a problem was found.
func (c *Certificate) Has(codes ...int) bool {
	return slices.ContainsFunc(c.Problems, func(p Problem) bool { return slices.Contains(codes, p.Code) })
}

// Days are the whole days until the certificate expires; negative afterwards.
func (c *Certificate) Days(now time.Time) int { return int(c.NotAfter.Sub(now).Hours() / 24) }

func (c *Certificate) named() string {
	if len(c.Names) == 0 {
		return c.Subject
	}
	return strings.Join(c.Names, ", ")
}

// inspect looks at a chain as a client that verifies would, and goes on where that
// one would stop, so that all problems are told at once.
func inspect(chain []*x509.Certificate, host string, roots *x509.CertPool, now time.Time) Certificate {
	if len(chain) == 0 {
		return Certificate{}
	}
	chain = chain[:min(len(chain), maxChain)]
	leaf := chain[0]
	c := Certificate{
		Subject: bounded(leaf.Subject.String()), Issuer: bounded(leaf.Issuer.String()), NotBefore: leaf.NotBefore, NotAfter: leaf.NotAfter,
		Key: keyOf(leaf), Signature: leaf.SignatureAlgorithm.String(),
	}
	for _, n := range leaf.DNSNames[:min(len(leaf.DNSNames), maxNames)] {
		c.Names = append(c.Names, bounded(n))
	}
	for _, ip := range leaf.IPAddresses[:min(len(leaf.IPAddresses), maxNames)] {
		c.Names = append(c.Names, ip.String())
	}
	for _, x := range chain {
		c.Chain = append(c.Chain, bounded(x.Subject.String()))
	}
	c.add(trust(chain, roots, now))
	for _, x := range chain {
		if now.After(x.NotAfter) {
			c.add(Expired)
		}
		if now.Before(x.NotBefore) {
			c.add(NotYetValid)
		}
	}
	if leaf.VerifyHostname(host) != nil {
		c.add(HostnameMismatch)
	}
	if k, ok := leaf.PublicKey.(*rsa.PublicKey); ok && k.N.BitLen() < 2048 {
		c.add(KeyTooSmall)
	}
	if weakDigest(chain) {
		c.add(DigestTooWeak)
	}
	return c
}

func (c *Certificate) add(code int) {
	if code != 0 && !c.Has(code) {
		c.Problems = append(c.Problems, Problem{code, problems()[code]})
	}
}

// trust asks whether somebody whom we trust vouches for the chain; 0 if so. Names are
// asked for apart, and the time is set within the leaf's validity, so that each
// problem is one of its own.
func trust(chain []*x509.Certificate, roots *x509.CertPool, now time.Time) int {
	leaf := chain[0]
	when := now
	if now.After(leaf.NotAfter) || now.Before(leaf.NotBefore) {
		when = leaf.NotBefore.Add(leaf.NotAfter.Sub(leaf.NotBefore) / 2)
	}
	between := x509.NewCertPool()
	for _, x := range chain[1:] {
		between.AddCert(x)
	}
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: when, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	var unknown x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &unknown):
		return missingIssuer(chain)
	case errors.As(err, &invalid):
		return reason(invalid.Reason)
	case errors.As(err, new(x509.UnhandledCriticalExtension)):
		return UnhandledExtension
	}
	return Untrusted
}

func reason(r x509.InvalidReason) int {
	switch r {
	case x509.Expired: // of an issuer, since the leaf's time was taken
		return Expired
	case x509.NotAuthorizedToSign:
		return InvalidCA
	case x509.TooManyIntermediates:
		return PathTooLong
	case x509.IncompatibleUsage:
		return WrongPurpose
	case x509.CANotAuthorizedForThisName, x509.CANotAuthorizedForExtKeyUsage, x509.UnconstrainedName, x509.TooManyConstraints:
		return ForbiddenName
	}
	return Untrusted
}

// missingIssuer names how a chain ends in nobody whom we trust, by OpenSSL's
// distinctions (check_trust and verify_chain in x509_vfy.c).
func missingIssuer(chain []*x509.Certificate) int {
	if selfSigned(chain[0]) {
		return SelfSigned
	}
	// Follow the issuers among what was sent, each once.
	at, length := chain[0], 1
	for range chain {
		i := slices.IndexFunc(chain, func(x *x509.Certificate) bool {
			return x != at && bytes.Equal(x.RawSubject, at.RawIssuer) && at.CheckSignatureFrom(x) == nil
		})
		if i < 0 {
			break
		}
		if at, length = chain[i], length+1; selfSigned(at) {
			return SelfSignedInChain
		}
	}
	if length == 1 {
		return UnverifiableLeaf
	}
	return NoLocalIssuer
}

// selfSigned tells by names and signature; CheckSignatureFrom would want a CA.
func selfSigned(x *x509.Certificate) bool {
	return bytes.Equal(x.RawSubject, x.RawIssuer) && x.CheckSignature(x.SignatureAlgorithm, x.RawTBSCertificate, x.Signature) == nil
}

// weakDigest looks for MD5 and SHA-1; the signature of a root by itself means nothing.
func weakDigest(chain []*x509.Certificate) bool {
	return slices.ContainsFunc(chain, func(x *x509.Certificate) bool {
		switch x.SignatureAlgorithm {
		case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1, x509.DSAWithSHA1:
			return !bytes.Equal(x.RawSubject, x.RawIssuer)
		}
		return false
	})
}

func keyOf(x *x509.Certificate) string {
	switch k := x.PublicKey.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	}
	return x.PublicKeyAlgorithm.String()
}

// bounded cuts what strangers sent to what one reads.
func bounded(s string) string {
	const most = 300
	if len(s) > most {
		s = s[:most] + "…"
	}
	return strings.ToValidUTF8(s, "?")
}
