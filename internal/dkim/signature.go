package dkim

import (
	"bytes"
	"encoding/base64"
	"hash"
	"time"
)

const (
	maxSignatureField = 16 << 10
	maxSignedNames    = 512
	fieldName         = "DKIM-Signature"
)

// signature is a parsed DKIM-Signature field. The results of parsing go into its
// Result as they are found, so that even a malformed signature tells its domain.
type signature struct {
	res    Result
	kind   Kind
	field  field
	at     int // its place in the header index
	bStart int // extent of the b= value in the header block
	bEnd   int
	ed     bool // ed25519-sha256 rather than rsa-sha256
	// settled: the outcome no longer depends on key or body.
	settled bool
	body    *BodyHash // nil for an ARC-Seal
	key     *keyFetch
	sealed  hash.Hash // of an ARC-Seal: what it covers, without itself
}

// required tags of RFC 6376 §3.5, as bits.
const (
	tagV = 1 << iota
	tagA
	tagB
	tagBH
	tagD
	tagH
	tagS
	tagI  // of the ARC fields
	tagCV // of the ARC-Seal
)

// required are the tags that a field of each kind must have.
var required = [...]int{
	KindDKIM:    tagV | tagA | tagB | tagBH | tagD | tagH | tagS,
	KindMessage: tagI | tagA | tagB | tagBH | tagD | tagH | tagS,
	KindSeal:    tagI | tagA | tagB | tagCV | tagD | tagS,
}

// parseSignature reads one field. now decides expiry; zero means that times are
// not judged.
func parseSignature(kind Kind, block []byte, f field, now time.Time) *signature {
	s := &signature{kind: kind, field: f}
	s.res.BodyLength = -1
	if kind != KindDKIM {
		s.res.HeaderCanon, s.res.BodyCanon = Relaxed, Relaxed
	}
	s.res.Offset = f.start
	if v := s.parse(block, now); v != nil {
		s.res.set(v.status, v.reason, v.detail)
		s.settled = true
	}
	return s
}

func (s *signature) parse(block []byte, now time.Time) *verdict {
	f := s.field
	if f.end-f.start > maxSignatureField {
		return perm(ReasonBudget, "the signature field is too long")
	}
	var (
		have    int
		first   *verdict // the first thing wrong
		auid    []byte
		queries []byte
	)
	note := func(v *verdict) {
		if first == nil {
			first = v
		}
	}
	value := bytes.TrimSuffix(block[f.colon+1:f.end], crlf)
	err := parseTags(value, func(t tag) error {
		if s.kind != KindDKIM {
			bit, ours, v := s.arcTag(t)
			have |= bit
			note(v)
			if ours {
				return nil
			}
		}
		if len(t.name) == 1 {
			switch t.name[0] {
			case 'v':
				have |= tagV
				if string(t.value) != "1" {
					note(perm(ReasonVersion, "the signature version is not 1"))
				}
			case 'a':
				have |= tagA
				note(s.algorithm(t.value))
			case 'b':
				have |= tagB
				s.bStart, s.bEnd = f.colon+1+t.from, f.colon+1+t.to
				note(decode(&s.res.Signature, t.value, "the signature is not base64"))
			case 'c':
				note(s.canonicalization(t.value))
			case 'd':
				have |= tagD
				note(name(&s.res.SDID, t.value, "the signing domain is not a domain name"))
			case 'h':
				have |= tagH
				note(s.signedNames(t.value))
			case 'i':
				auid = stripFWS(t.value)
			case 'l':
				n, ok := parseNumber(t.value, 76)
				if !ok {
					note(perm(ReasonSyntax, "the body length is not a number"))
				}
				s.res.BodyLength = n
			case 'q':
				queries = t.value
			case 's':
				have |= tagS
				note(name(&s.res.Selector, t.value, "the selector is not a name"))
			case 't':
				note(timestamp(&s.res.Signed, t.value))
			case 'x':
				note(timestamp(&s.res.Expires, t.value))
			}
		} else if string(t.name) == "bh" {
			have |= tagBH
			note(decode(&s.res.WantBodyHash, t.value, "the body hash is not base64"))
			if first == nil && len(s.res.WantBodyHash) != 32 {
				note(perm(ReasonSyntax, "the body hash is not 32 octets long"))
			}
		}
		return nil
	})
	switch {
	case err != nil:
		return perm(ReasonSyntax, err.Error())
	case have != required[s.kind]:
		note(perm(ReasonSyntax, "a required tag is missing"))
	}
	if first != nil {
		return first
	}
	return s.check(auid, queries, now)
}

// check judges the tags against each other and the clock (RFC 6376 §6.1.1).
func (s *signature) check(auid, queries []byte, now time.Time) *verdict {
	r := &s.res
	if s.kind == KindDKIM {
		if !r.SignsFrom {
			return perm(ReasonFromUnsigned, "the From field is not signed")
		}
		if v := s.auid(auid); v != nil {
			return v
		}
	}
	// Not a name to ask for, hence not a lookup that might fail for now.
	if len(RecordName(r.Selector, r.SDID)) > maxName {
		return perm(ReasonSyntax, "selector and domain make too long a name")
	}
	if queries != nil {
		known := false
		eachColon(queries, func(q []byte) {
			method, _, _ := bytes.Cut(q, []byte{'/'})
			known = known || equalFold(q, "dns/txt") || equalFold(method, "dns") && len(method) == len(q)
		})
		if !known {
			return perm(ReasonAlgorithm, "no known query method")
		}
	}
	if r.Expires.IsZero() {
		return nil
	}
	if !r.Signed.IsZero() && !r.Expires.After(r.Signed) {
		return perm(ReasonSyntax, "the signature expires before it was made")
	}
	if !now.IsZero() && now.After(r.Expires) {
		return perm(ReasonExpired, "the signature has expired")
	}
	return nil
}

// auid checks that the domain of i= is the SDID or below it (RFC 6376 §3.5).
func (s *signature) auid(raw []byte) *verdict {
	r := &s.res
	if raw == nil {
		r.AUID = "@" + r.SDID
		return nil
	}
	at := bytes.LastIndexByte(raw, '@')
	if at < 0 {
		return perm(ReasonSyntax, "the identity has no domain")
	}
	r.AUID = string(raw)
	domain, ok := aLabels(raw[at+1:])
	if !ok {
		return perm(ReasonSyntax, "the domain of the identity is not a domain name")
	}
	r.AUID = string(raw[:at+1]) + domain
	if !within(domain, r.SDID) {
		return perm(ReasonDomainMismatch, "the identity is not within the signing domain")
	}
	return nil
}

// strictAUID reports whether the domain of i= is exactly the SDID, as a key
// marked t=s asks. The fields of ARC name no identity.
func (s *signature) strictAUID() bool {
	if s.kind != KindDKIM {
		return true
	}
	a := s.res.AUID
	return a[bytes.LastIndexByte([]byte(a), '@')+1:] == s.res.SDID
}

func (s *signature) algorithm(v []byte) *verdict {
	switch string(v) {
	case "rsa-sha256":
		s.res.Algorithm = "rsa-sha256"
	case "ed25519-sha256":
		s.res.Algorithm, s.ed = "ed25519-sha256", true
	case "rsa-sha1":
		s.res.Algorithm = "rsa-sha1"
		return perm(ReasonSHA1, "rsa-sha1 is no longer valid (RFC 8301)")
	default:
		return perm(ReasonAlgorithm, "the algorithm is unknown")
	}
	return nil
}

func (s *signature) canonicalization(v []byte) *verdict {
	head, body, both := bytes.Cut(v, []byte{'/'})
	s.res.BodyCanon = Simple
	ok := parseCanon(&s.res.HeaderCanon, head) && (!both || parseCanon(&s.res.BodyCanon, body))
	if !ok {
		return perm(ReasonAlgorithm, "the canonicalization is unknown")
	}
	return nil
}

func parseCanon(c *Canonicalization, word []byte) bool {
	switch {
	case equalFold(word, "simple"):
		*c = Simple
	case equalFold(word, "relaxed"):
		*c = Relaxed
	default:
		return false
	}
	return true
}

func (s *signature) signedNames(v []byte) *verdict {
	n := bytes.Count(v, []byte{':'}) + 1
	if n > maxSignedNames {
		return perm(ReasonBudget, "too many header fields are signed")
	}
	// One string for all names: each is a part of it.
	all := string(stripFWS(v))
	names := make([]string, 0, n)
	for all != "" || len(names) < n {
		i := 0
		for i < len(all) && all[i] != ':' {
			i++
		}
		switch {
		case i > 0:
			names = append(names, all[:i])
		case s.kind == KindDKIM:
			return perm(ReasonSyntax, "the list of signed header fields has an empty name")
		case all == "":
			n = 0 // nothing more comes
		}
		s.res.SignsFrom = s.res.SignsFrom || equalFold(all[:i], "from")
		if s.kind == KindMessage && equalFold(all[:i], "arc-seal") {
			return perm(ReasonSyntax, "the signature covers an ARC-Seal") // RFC 8617 §4.1.2
		}
		all = all[min(i+1, len(all)):]
	}
	s.res.SignedHeaders = names
	return nil
}

func decode(dst *[]byte, v []byte, problem string) *verdict {
	v = stripFWS(v)
	out := make([]byte, base64.StdEncoding.DecodedLen(len(v)))
	n, err := base64.StdEncoding.Decode(out, v)
	if err != nil || n == 0 {
		return perm(ReasonSyntax, problem)
	}
	*dst = out[:n]
	return nil
}

func name(dst *string, v []byte, problem string) *verdict {
	s, ok := aLabels(stripFWS(v))
	if !ok {
		return perm(ReasonSyntax, problem)
	}
	*dst = s
	return nil
}

func timestamp(dst *time.Time, v []byte) *verdict {
	n, ok := parseNumber(v, 12)
	if !ok {
		return perm(ReasonSyntax, "a time stamp is not a number")
	}
	*dst = time.Unix(n, 0).UTC()
	return nil
}

// parseNumber reads up to digits decimal digits. What is beyond an int64, as l=
// may be, becomes the largest int64.
func parseNumber(v []byte, digits int) (int64, bool) {
	if len(v) == 0 || len(v) > digits {
		return 0, false
	}
	var n int64
	for _, c := range v {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n > (1<<63-1-9)/10 {
			n = 1<<63 - 1
			continue
		}
		n = n*10 + int64(c-'0')
	}
	return n, true
}
