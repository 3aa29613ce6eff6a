package dkim

import (
	"crypto/sha256"
	"hash"
)

// What ARC needs of DKIM. RFC 8617 defines its two signature fields by their
// differences from DKIM-Signature, and a forwarded message has both kinds: they
// are verified together, so that the body is hashed once and a key asked for once.

// Kind is which of the signature fields of the DKIM family a field is.
type Kind uint8

const (
	KindDKIM    Kind = iota // DKIM-Signature (RFC 6376 §3.5)
	KindMessage             // ARC-Message-Signature (RFC 8617 §4.1.2)
	KindSeal                // ARC-Seal (RFC 8617 §4.1.3)
)

// MaxInstance is the highest instance number of an ARC Set (RFC 8617 §4.2.1).
const MaxInstance = 50

// ARCSignature is an ARC-Message-Signature or ARC-Seal of the message that a
// Verifier verifies.
type ARCSignature struct{ s signature }

// Result returns what the field says; its Status is None until Judge, unless the
// field is malformed.
func (a *ARCSignature) Result() *Result { return &a.s.res }

// FieldsNamed returns the places of all header fields with this name, from top to
// bottom; nil if there is none.
func (v *Verifier) FieldsNamed(name string) []int {
	var out []int
	hash := nameHash(name)
	for i := range v.head.fields {
		if f := &v.head.fields[i]; f.hash == hash && v.head.is(f, name) {
			out = append(out, i)
		}
	}
	return out
}

// FieldValue returns what follows the colon of the header field at a place, as
// received, with the CRLF that ends it.
func (v *Verifier) FieldValue(place int) []byte {
	f := &v.head.fields[place]
	return v.head.block[f.colon+1 : f.end]
}

// Complete reports whether all header fields are known: a header block with more
// than the limit is not read to its end.
func (v *Verifier) Complete() bool { return !v.head.tooMany }

// ParseARC reads the header field at a place as a signature of ARC. It asks for
// nothing yet.
func (v *Verifier) ParseARC(kind Kind, place int) *ARCSignature {
	return &ARCSignature{*v.parse(kind, place)}
}

// Arrange sees to it that key and body hash of a will be there. It is to be called
// before Start and before the body is written.
func (v *Verifier) Arrange(a *ARCSignature) { v.arrange(&a.s) }

// AppendRelaxed appends the relaxed form of the header field at a place to dst.
func (v *Verifier) AppendRelaxed(dst []byte, place int) []byte {
	f := &v.head.fields[place]
	return AppendField(dst, v.head.block[f.start:f.end], Relaxed)
}

// Judge verifies a, which was arranged. It is to be called after Finish and does
// not block. sealed, for an ARC-Seal only, is a SHA-256 that was given the fields
// that the seal covers, in relaxed form, without the seal itself (RFC 8617
// §5.1.1); it is used up.
func (v *Verifier) Judge(a *ARCSignature, sealed hash.Hash) *Result {
	if !a.s.settled {
		a.s.sealed = sealed
		v.judge(&a.s)
		a.s.settled = true
	}
	return &a.s.res
}

// sealDigest adds the seal without its b= to what it covers.
func (v *Verifier) sealDigest(s *signature) (sum [sha256.Size]byte) {
	buf := AppendField(v.scratch[:0], v.withoutSignature(s), Relaxed)
	s.sealed.Write(buf[:len(buf)-len(crlf)])
	s.sealed.Sum(sum[:0])
	v.scratch = buf
	return sum
}

// arcTag reads a tag that the fields of ARC have otherwise than DKIM-Signature.
// bit is to be noted as seen, and ours is false for a tag to be read as DKIM's.
func (s *signature) arcTag(t tag) (bit int, ours bool, wrong *verdict) {
	switch string(t.name) {
	case "i":
		n, ok := ParseInstance(t.value)
		if !ok {
			wrong = perm(ReasonSyntax, "the instance is not a number from 1 to 50")
		}
		s.res.Instance = n
		return tagI, true, wrong
	case "v": // neither field has a version
		return 0, true, nil
	case "cv":
		if s.kind != KindSeal {
			return 0, true, nil
		}
		s.res.ChainValidation = string(t.value)
		switch s.res.ChainValidation {
		case "none", "pass", "fail":
		default:
			wrong = perm(ReasonSyntax, "the chain validation status is none of none, pass and fail")
		}
		return tagCV, true, wrong
	case "h":
		if s.kind == KindSeal {
			return 0, true, perm(ReasonSyntax, "a seal may not list header fields")
		}
	case "l":
		if s.kind == KindMessage {
			return 0, true, perm(ReasonLengthTag, "the signature leaves the end of the body open")
		}
		return 0, true, nil
	case "bh", "c", "q", "x":
		return 0, s.kind == KindSeal, nil // a seal has none of them, and covers no body
	}
	return 0, false, nil
}

// ParseInstance reads an instance number: one or two digits, 1 to 50 (RFC 8617
// §4.2.1).
func ParseInstance(b []byte) (int, bool) {
	n, ok := parseNumber(b, 2)
	if !ok || n < 1 || n > MaxInstance {
		return 0, false
	}
	return int(n), true
}
