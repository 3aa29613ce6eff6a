package arc

import (
	"fmt"

	"posta/internal/authres"
	"posta/internal/dkim"
)

// MaxSets is how many sets a message may have (RFC 8617 §5.2 step 1).
const MaxSets = dkim.MaxInstance

// Names of the fields, in the order in which a seal covers them (RFC 8617 §5.1.1).
const (
	resultsName = authres.ARCFieldName
	messageName = "ARC-Message-Signature"
	sealName    = "ARC-Seal"
)

// chain is what the header of a message has of ARC.
type chain struct {
	v    *dkim.Verifier
	sets []set    // sets[i] has instance i+1
	why  *failure // why they make no well-formed chain
}

// set is one ARC Set as places in the header; a place is -1 if the field is missing.
type set struct {
	results, message, seal int
	payload                authres.Header
	payloadErr             error
	messageSig, sealSig    *dkim.ARCSignature
}

type failure struct {
	reason   Reason
	instance int
	detail   string
}

// collect finds the ARC fields of v's header. It returns nil if there is none.
func collect(v *dkim.Verifier) *chain {
	results, messages, seals := v.FieldsNamed(resultsName), v.FieldsNamed(messageName), v.FieldsNamed(sealName)
	if len(results)+len(messages)+len(seals) == 0 {
		return nil
	}
	c := &chain{v: v}
	switch {
	case !v.Complete():
		c.fail(ReasonBudget, 0, "the message has too many header fields")
		return c
	case len(results) > MaxSets || len(messages) > MaxSets || len(seals) > MaxSets:
		c.fail(ReasonBudget, 0, "the message has more than 50 ARC sets")
		return c
	}
	for _, place := range results {
		n, payload, err := authres.ParseARC(string(v.FieldValue(place)))
		if s := c.at(n, resultsName); s != nil && c.first(s.results, n, resultsName) {
			s.results, s.payload, s.payloadErr = place, payload, err
		}
	}
	for _, place := range messages {
		sig := v.ParseARC(dkim.KindMessage, place)
		n := sig.Result().Instance
		if s := c.at(n, messageName); s != nil && c.first(s.message, n, messageName) {
			s.message, s.messageSig = place, sig
		}
	}
	for _, place := range seals {
		sig := v.ParseARC(dkim.KindSeal, place)
		n := sig.Result().Instance
		if s := c.at(n, sealName); s != nil && c.first(s.seal, n, sealName) {
			s.seal, s.sealSig = place, sig
		}
	}
	c.check()
	return c
}

// at returns the set of an instance, made if it is new; nil for a field without a
// valid instance, which breaks the chain.
func (c *chain) at(instance int, name string) *set {
	if instance == 0 {
		c.fail(ReasonMalformed, 0, "an "+name+" field has no instance from 1 to 50")
		return nil
	}
	for len(c.sets) < instance {
		c.sets = append(c.sets, set{results: -1, message: -1, seal: -1})
	}
	return &c.sets[instance-1]
}

// first reports whether a set has no field of this name yet.
func (c *chain) first(place, instance int, name string) bool {
	if place < 0 {
		return true
	}
	c.fail(ReasonDuplicate, instance, "the set has two "+name+" fields")
	return false
}

// fail keeps the first failure.
func (c *chain) fail(reason Reason, instance int, detail string) {
	if c.why == nil {
		c.why = &failure{reason, instance, detail}
	}
}

// check is steps 2 and 3 of RFC 8617 §5.2: does the newest sealer say that the
// chain had failed; is each set whole, are the instances without gap, and do the
// sealers say what they must.
func (c *chain) check() {
	if c.why != nil {
		return
	}
	newest := len(c.sets)
	if s := c.sets[newest-1].sealSig; s != nil && s.Result().ChainValidation == Fail.String() {
		c.fail(ReasonTerminated, newest, "the sealer found that the chain had failed before")
		return
	}
	for i := range c.sets {
		s, n := &c.sets[i], i+1
		switch {
		case s.results < 0 && s.message < 0 && s.seal < 0:
			c.fail(ReasonIncomplete, n, "the set is missing")
		case s.results < 0:
			c.fail(ReasonIncomplete, n, "the set has no "+resultsName)
		case s.message < 0:
			c.fail(ReasonIncomplete, n, "the set has no "+messageName)
		case s.seal < 0:
			c.fail(ReasonIncomplete, n, "the set has no "+sealName)
		default:
			c.checkStatus(n, s.sealSig.Result().ChainValidation)
		}
	}
}

// checkStatus: the first sealer found no chain, each other one found that it passes.
func (c *chain) checkStatus(instance int, cv string) {
	want := Pass
	if instance == 1 {
		want = None
	}
	switch cv {
	case want.String():
	case Fail.String():
		c.fail(ReasonTerminated, instance, "the sealer found that the chain had failed before")
	default:
		c.fail(ReasonStatus, instance, fmt.Sprintf("the seal of set %d must say cv=%v", instance, want))
	}
}

// evidence makes the Sets of a Result.
func (c *chain) evidence() []Set {
	var out []Set
	for i := range c.sets {
		s := &c.sets[i]
		if s.results < 0 && s.message < 0 && s.seal < 0 {
			continue
		}
		e := Set{Instance: i + 1, Results: s.payload, ResultsErr: s.payloadErr}
		if s.messageSig != nil {
			e.Message = s.messageSig.Result()
		}
		if s.sealSig != nil {
			e.Seal = s.sealSig.Result()
		}
		out = append(out, e)
	}
	return out
}
