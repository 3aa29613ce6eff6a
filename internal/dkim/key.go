package dkim

import (
	"crypto"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"slices"
	"strings"
	"sync"
)

const (
	maxKeyRecord = 8 << 10
	minRSABits   = 1024 // RFC 8301 §3.2
	goodRSABits  = 2048 // RFC 8301 §3.2: what signers should use
	maxRSABits   = 8192
)

// KeyRecord is a parsed key record (RFC 6376 §3.6.1).
type KeyRecord struct {
	Algorithm string           // k=: "rsa" (the default), "ed25519", or what it says
	Public    crypto.PublicKey // *rsa.PublicKey or ed25519.PublicKey; nil if revoked or unknown
	Bits      int              // of Public
	Revoked   bool             // p= is empty
	Hashes    []string         // h=: acceptable hashes; nil is all
	Services  []string         // s=: service types; nil is all
	Notes     string           // n=, as published
	Testing   bool             // t=y
	Strict    bool             // t=s: i= must have exactly the domain of d=
}

// KeyError tells why a key record cannot be used.
type KeyError struct {
	Reason Reason // ReasonKeySyntax or ReasonKeyTooLarge
	Detail string // in English, nothing from the record
}

func (e *KeyError) Error() string { return "dkim: key record: " + e.Detail }

func keySyntax(detail string) *KeyError { return &KeyError{ReasonKeySyntax, detail} }

// ParseKey parses the text of one key record, its character-strings joined. The
// error is a *KeyError. A revoked or weak key and one of an unknown algorithm
// parse without error: the caller sees it in the fields.
func ParseKey(record string) (*KeyRecord, error) {
	if len(record) > maxKeyRecord {
		return nil, keySyntax("the record is too long")
	}
	k := &KeyRecord{Algorithm: "rsa"}
	var (
		public   []byte
		havePub  bool
		position int
		wrong    *KeyError
	)
	err := parseTags([]byte(record), func(t tag) error {
		position++
		switch string(t.name) {
		case "v":
			if position != 1 || string(t.value) != "DKIM1" {
				wrong = keySyntax("v= is not DKIM1 or not the first tag")
			}
		case "k":
			k.Algorithm = string(t.value)
		case "p":
			public, havePub = stripFWS(t.value), true
		case "h":
			k.Hashes = words(t.value)
		case "s":
			if k.Services = words(t.value); slices.Contains(k.Services, "*") {
				k.Services = nil
			}
		case "n":
			k.Notes = string(t.value)
		case "t":
			flags := words(t.value)
			k.Testing, k.Strict = slices.Contains(flags, "y"), slices.Contains(flags, "s")
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, keySyntax(err.Error())
	case wrong != nil:
		return nil, wrong
	case !havePub:
		return nil, keySyntax("p= is missing")
	case len(public) == 0:
		k.Revoked = true
		return k, nil
	}
	if e := k.setPublic(public); e != nil {
		return nil, e
	}
	return k, nil
}

func words(list []byte) []string {
	out := []string{}
	eachColon(list, func(w []byte) { out = append(out, string(stripFWS(w))) })
	return out
}

func (k *KeyRecord) setPublic(text []byte) *KeyError {
	der := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Decode(der, text)
	if err != nil {
		return keySyntax("p= is not base64")
	}
	der = der[:n]
	switch k.Algorithm {
	case "ed25519":
		if len(der) != ed25519.PublicKeySize {
			return keySyntax("p= is not an Ed25519 key of 32 octets")
		}
		k.Public, k.Bits = ed25519.PublicKey(der), 256
	case "rsa":
		pub := parseRSA(der)
		if pub == nil {
			return keySyntax("p= is not an RSA key")
		}
		if pub.N.BitLen() > maxRSABits {
			return &KeyError{ReasonKeyTooLarge, "the RSA key is larger than 8192 bits"}
		}
		k.Public, k.Bits = pub, pub.N.BitLen()
	}
	return nil
}

// parseRSA accepts a SubjectPublicKeyInfo, which everybody publishes, and the
// RSAPublicKey that the text of RFC 6376 asks for (erratum 3017).
func parseRSA(der []byte) *rsa.PublicKey {
	if any, err := x509.ParsePKIXPublicKey(der); err == nil {
		pub, _ := any.(*rsa.PublicKey)
		return pub
	}
	pub, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil
	}
	return pub
}

// Verify reports whether sig is this key's signature over digest, the SHA-256
// that RFC 6376 §3.7 computes. A weak or missing key verifies nothing.
func (k *KeyRecord) Verify(digest [32]byte, sig []byte) bool {
	switch pub := k.Public.(type) {
	case *rsa.PublicKey:
		return k.Bits >= minRSABits && rsa.VerifyPKCS1v15(pub, crypto.SHA256, digest[:], sig) == nil
	case ed25519.PublicKey:
		// RFC 8463 §3: PureEdDSA over the SHA-256, not over the data.
		return ed25519.Verify(pub, digest[:], sig)
	}
	return false
}

// admits judges whether the key may verify signature s at all.
func (k *KeyRecord) admits(s *signature) *verdict {
	algorithm := "rsa"
	if s.ed {
		algorithm = "ed25519"
	}
	switch {
	case k.Revoked:
		return perm(ReasonKeyRevoked, "the key is revoked")
	case k.Algorithm != algorithm:
		return perm(ReasonKeyInapplicable, "the key is of another algorithm")
	case k.Hashes != nil && !slices.Contains(k.Hashes, "sha256"):
		return perm(ReasonKeyInapplicable, "the key does not allow sha256")
	case k.Services != nil && !slices.Contains(k.Services, "email"):
		return perm(ReasonKeyInapplicable, "the key is not for email")
	case k.Bits < minRSABits && !s.ed:
		return perm(ReasonKeyWeak, "the RSA key has fewer than 1024 bits")
	case k.Strict && !s.strictAUID():
		return perm(ReasonDomainMismatch, "the key allows no identity in a subdomain")
	}
	return nil
}

// KeyCache keeps parsed public keys by the text of their record, so that a busy
// sender's key is parsed once. It holds no DNS state: what a name says now is
// always asked. Safe for concurrent use. A nil *KeyCache caches nothing.
type KeyCache struct {
	mu   sync.Mutex
	max  int
	keys map[string]*KeyRecord
}

// NewKeyCache returns a cache of at most n keys (1024 if n <= 0), each of which
// may take up to some 20 KiB. When it is full, an arbitrary key makes room.
func NewKeyCache(n int) *KeyCache {
	if n <= 0 {
		n = 1024
	}
	return &KeyCache{max: n, keys: make(map[string]*KeyRecord)}
}

func (c *KeyCache) parse(record string) (*KeyRecord, error) {
	if c == nil {
		return ParseKey(record)
	}
	c.mu.Lock()
	k := c.keys[record]
	c.mu.Unlock()
	if k != nil {
		return k, nil
	}
	k, err := ParseKey(record)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.keys) >= c.max {
		for old := range c.keys {
			delete(c.keys, old)
			break
		}
	}
	c.keys[strings.Clone(record)] = k
	return k, nil
}
