package arc

import (
	"context"
	"crypto/sha256"
	"hash"

	"posta/internal/dkim"
)

// Verifier verifies the chain of one message. Use it from the goroutine that uses
// its dkim.Verifier.
type Verifier struct{ chain *chain }

// NewVerifier reads the chain of the message that v verifies. It is to be called
// before v.Start and before the body is written to v, whose look-ups and body
// hashes then serve the chain too.
func NewVerifier(v *dkim.Verifier) *Verifier {
	c := collect(v)
	if c != nil && c.why == nil {
		for i := len(c.sets) - 1; i >= 0; i-- {
			v.Arrange(c.sets[i].messageSig)
			v.Arrange(c.sets[i].sealSig)
		}
	}
	return &Verifier{c}
}

// Present reports whether the message has anything of ARC.
func (a *Verifier) Present() bool { return a.chain != nil }

// Finish returns the outcome. It is to be called after Finish of the dkim.Verifier
// and does not block.
func (a *Verifier) Finish() Result {
	c := a.chain
	if c == nil {
		return Result{}
	}
	r := Result{}
	if c.why == nil {
		r.OldestPass = c.verify(&r)
	}
	if c.why != nil {
		r.Status, r.OldestPass = Fail, 0
		r.Reason, r.Instance, r.Detail = c.why.reason, c.why.instance, c.why.detail
	} else {
		r.Status = Pass
	}
	r.Sets = c.evidence()
	return r
}

// verify is steps 4 to 6 of RFC 8617 §5.2.
func (c *chain) verify(r *Result) (oldestPass int) {
	newest := len(c.sets)
	if m := c.v.Judge(c.sets[newest-1].messageSig, nil); m.Status != dkim.Pass {
		r.Unverified = m.Status == dkim.TempError
		c.fail(ReasonMessage, newest, "the newest message signature does not verify: "+m.Detail)
		return 0
	}
	for n := newest - 1; n >= 1; n-- {
		if c.v.Judge(c.sets[n-1].messageSig, nil).Status != dkim.Pass {
			oldestPass = n + 1
			break
		}
	}
	c.verifySeals(r)
	return oldestPass
}

// verifySeals verifies all seals. Each covers all sets up to its own, so one hash
// runs over the fields and is cloned for each seal. The newest that fails is the
// one to tell of, as if they had been verified from the newest on.
func (c *chain) verifySeals(r *Result) {
	covered := sha256.New()
	var buf []byte
	cover := func(place int) {
		buf = c.v.AppendRelaxed(buf[:0], place)
		covered.Write(buf)
	}
	var why *failure
	for i := range c.sets {
		s := &c.sets[i]
		cover(s.results)
		cover(s.message)
		before, err := covered.(hash.Cloner).Clone()
		if err != nil { // never of a SHA-256 in memory
			c.fail(ReasonSeal, i+1, "the hash of the sealed fields cannot be cloned")
			return
		}
		if seal := c.v.Judge(s.sealSig, before); seal.Status != dkim.Pass {
			r.Unverified = seal.Status == dkim.TempError
			why = &failure{ReasonSeal, i + 1, "the seal does not verify: " + seal.Detail}
		}
		cover(s.seal)
	}
	if why != nil {
		c.fail(why.reason, why.instance, why.detail)
	}
}

// Verify verifies the chain of a whole message held in memory. It blocks for the
// look-ups.
func Verify(ctx context.Context, message []byte, opts dkim.VerifyOptions) Result {
	header, body := dkim.SplitMessage(message)
	v := dkim.NewVerifier(header, opts)
	a := NewVerifier(v)
	v.Write(body)
	v.Finish(ctx)
	return a.Finish()
}
