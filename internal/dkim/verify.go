package dkim

import (
	"bytes"
	"context"
	"crypto/sha256"
	"sync"
	"time"
)

const (
	// MaxSignatures is how many signatures of a message are verified by default,
	// and at most.
	MaxSignatures = 8
	// clockSkew is how far ahead t= may lie.
	clockSkew = time.Hour
)

// VerifyOptions says how to verify. Lookup is required.
type VerifyOptions struct {
	Lookup TXTLookup
	Keys   *KeyCache // nil parses every key anew
	// Now decides expiry (x=) and signatures from the future (t=). Zero judges
	// neither.
	Now time.Time
	// MaxSignatures bounds the signatures verified, 1 to 8; zero means 8.
	MaxSignatures int
}

// Verifier verifies the signatures of one message. Use it from one goroutine:
// NewVerifier, Start (optional), Write the body, Finish. A Verifier that was
// started and is not finished must be closed.
type Verifier struct {
	opts    VerifyOptions
	head    headerIndex
	sigs    []*signature
	bodies  []*BodyHash
	keys    []*keyFetch
	ignored int
	mark    uint32 // of the last signature that selected fields
	scratch []byte
	cancel  context.CancelFunc
	wg      sync.WaitGroup
}

// NewVerifier parses the signatures of header, the header block as received with
// or without the empty line that ends it. header is kept, not copied: it must
// not change before Finish returns.
func NewVerifier(header []byte, opts VerifyOptions) *Verifier {
	if opts.MaxSignatures <= 0 || opts.MaxSignatures > MaxSignatures {
		opts.MaxSignatures = MaxSignatures
	}
	v := &Verifier{opts: opts, head: indexHeader(header)}
	hash := nameHash(fieldName)
	for i := range v.head.fields {
		f := &v.head.fields[i]
		if f.hash != hash || !v.head.is(f, fieldName) {
			continue
		}
		if len(v.sigs) == opts.MaxSignatures {
			v.ignored++
			continue
		}
		s := v.parse(KindDKIM, i)
		v.sigs = append(v.sigs, s)
		v.arrange(s)
	}
	return v
}

// parse reads the i-th header field as a signature.
func (v *Verifier) parse(kind Kind, i int) *signature {
	s := parseSignature(kind, v.head.block, v.head.fields[i], v.opts.Now)
	s.at = i
	if !s.settled && v.head.tooMany {
		s.res.set(PermError, ReasonBudget, "the message has too many header fields")
		s.settled = true
	}
	return s
}

// arrange sees to it that there will be the key and the body hash of s.
func (v *Verifier) arrange(s *signature) {
	if s.settled {
		return
	}
	if s.kind != KindSeal {
		s.body = v.bodyHash(s.res.BodyCanon, s.res.BodyLength)
	}
	s.res.KeyName = RecordName(s.res.Selector, s.res.SDID)
	s.key = v.keyFetch(s.res.KeyName)
}

// bodyHash returns the hash for a canonicalisation and length, shared by all
// signatures that ask for the same.
func (v *Verifier) bodyHash(c Canonicalization, length int64) *BodyHash {
	for _, b := range v.bodies {
		if b.canon == c && b.limit == length {
			return b
		}
	}
	b := newBodyHash(c, length)
	v.bodies = append(v.bodies, b)
	return b
}

func (v *Verifier) keyFetch(name string) *keyFetch {
	for _, k := range v.keys {
		if k.name == name {
			return k
		}
	}
	k := &keyFetch{name: name}
	v.keys = append(v.keys, k)
	return k
}

// Ignored returns how many signatures were left out because the message has more
// than the options allow.
func (v *Verifier) Ignored() int { return v.ignored }

// Signatures returns how many DKIM-Signatures are being verified.
func (v *Verifier) Signatures() int { return len(v.sigs) }

// NeedsBody reports whether any signature, those of ARC included, wants the body
// hashed; if not, it need not be written.
func (v *Verifier) NeedsBody() bool { return len(v.bodies) > 0 }

// Start looks up the keys side by side, without waiting. The lookups end with
// ctx, Finish or Close. Without Start, Finish looks them up.
func (v *Verifier) Start(ctx context.Context) {
	for _, k := range v.keys {
		if k.started {
			continue
		}
		if v.cancel == nil {
			ctx, v.cancel = context.WithCancel(ctx)
		}
		k.started = true
		v.wg.Go(func() { k.run(ctx, v.opts.Lookup, v.opts.Keys) })
	}
}

// Close ends the lookups of a Verifier whose Finish will not be called and waits
// for them. It is harmless after Finish.
func (v *Verifier) Close() {
	if v.cancel != nil {
		v.cancel()
	}
	v.wg.Wait()
}

// Write takes the next bytes of the body, as received. It never fails.
func (v *Verifier) Write(p []byte) (int, error) {
	for _, b := range v.bodies {
		b.Write(p)
	}
	return len(p), nil
}

// Finish ends the body, waits for the keys, and returns one Result for each
// signature in the order of the header. It blocks for lookups only; ctx bounds
// those that Start did not begin. It returns nil for an unsigned message.
func (v *Verifier) Finish(ctx context.Context) []Result {
	if len(v.keys) == 1 && !v.keys[0].started {
		v.keys[0].started = true
		v.keys[0].run(ctx, v.opts.Lookup, v.opts.Keys)
	} else {
		v.Start(ctx)
		v.wg.Wait()
	}
	v.Close()
	for _, b := range v.bodies {
		b.Sum()
	}
	if len(v.sigs) == 0 {
		return nil
	}
	results := make([]Result, len(v.sigs))
	for i, s := range v.sigs {
		if !s.settled {
			v.judge(s)
		}
		results[i] = s.res
	}
	return results
}

// judge decides a well-formed signature, the most lasting problem first.
func (v *Verifier) judge(s *signature) {
	r := &s.res
	if s.body != nil {
		r.GotBodyHash = s.body.sum[:]
		if r.BodyLength >= 0 {
			r.BodyBeyond = max(0, s.body.seen-r.BodyLength)
		}
	}
	k := s.key.record
	why := s.key.why
	r.KeyText, r.KeyErr = s.key.text, s.key.err
	if k != nil {
		r.KeyBits, r.Weak, r.Testing = k.Bits, !s.ed && k.Bits < goodRSABits, k.Testing
		why = k.admits(s)
	}
	switch {
	case why != nil && why.status == PermError:
		r.set(why.status, why.reason, why.detail)
	case s.body != nil && r.BodyLength > s.body.seen:
		r.set(PermError, ReasonLengthTag, "the signed body is longer than the body")
	case s.body != nil && !bytes.Equal(r.WantBodyHash, r.GotBodyHash):
		v.fail(s, ReasonBodyMismatch, "the body was changed")
	case why != nil:
		r.set(why.status, why.reason, why.detail)
	case !k.Verify(v.digest(s), r.Signature):
		v.fail(s, ReasonSignatureMismatch, "the signed header fields were changed")
	case r.BodyLength >= 0:
		r.set(Neutral, ReasonLengthTag, "the signature leaves the end of the body open")
	case !v.opts.Now.IsZero() && r.Signed.After(v.opts.Now.Add(clockSkew)):
		r.set(Policy, ReasonFuture, "the signature is from the future")
	default:
		r.set(Pass, ReasonNone, "")
	}
}

// fail records a failed verification, which says nothing under a key in testing
// (RFC 6376 §3.6.1).
func (v *Verifier) fail(s *signature, why Reason, detail string) {
	if s.res.Testing {
		s.res.set(Neutral, ReasonTestFlag, detail+"; the key is in testing")
		return
	}
	s.res.set(Fail, why, detail)
}

// digest hashes the signed fields and the signature field without the value of
// b= (RFC 6376 §3.7).
func (v *Verifier) digest(s *signature) [sha256.Size]byte {
	if s.kind == KindSeal {
		return v.sealDigest(s)
	}
	buf := v.scratch[:0]
	block := v.head.block
	// A signature never covers itself, whatever h= says (RFC 6376 §3.7).
	v.mark++
	v.head.fields[s.at].mark = v.mark
	for _, name := range s.res.SignedHeaders {
		if f := v.head.pick(name, v.mark); f != nil {
			buf = AppendField(buf, block[f.start:f.end], s.res.HeaderCanon)
		}
	}
	buf = AppendField(buf, v.withoutSignature(s), s.res.HeaderCanon)
	v.scratch = buf
	return sha256.Sum256(buf[:len(buf)-len(crlf)])
}

// withoutSignature returns the signature field without the value of its b=.
func (v *Verifier) withoutSignature(s *signature) []byte {
	own := make([]byte, 0, s.field.end-s.field.start)
	own = append(own, v.head.block[s.field.start:s.bStart]...)
	return append(own, v.head.block[s.bEnd:s.field.end]...)
}

// Verify verifies a whole message held in memory. It blocks for the lookups.
func Verify(ctx context.Context, message []byte, opts VerifyOptions) []Result {
	header, body := SplitMessage(message)
	v := NewVerifier(header, opts)
	v.Write(body)
	return v.Finish(ctx)
}

// SplitMessage splits a message behind its header block. The empty line between
// belongs to neither part; a message without one is all header.
func SplitMessage(message []byte) (header, body []byte) {
	if bytes.HasPrefix(message, crlf) {
		return nil, message[2:]
	}
	if i := bytes.Index(message, []byte("\r\n\r\n")); i >= 0 {
		return message[:i+2], message[i+4:]
	}
	return message, nil
}
