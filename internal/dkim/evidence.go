package dkim

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// maxEvidence is how much of a stranger's text is shown.
const maxEvidence = 1000

// Facts tells what was seen of the signature, in pairs of what and seen, in
// English: the same order always, and nothing that the signature did not get far
// enough to give. now is when the message came; zero leaves ages out. Text from the
// message or the DNS is made printable, and cut after 1,000 octets.
func (r *Result) Facts(now time.Time) []string {
	f := make([]string, 0, 24)
	add := func(what, seen string) {
		if seen != "" {
			f = append(f, what, seen)
		}
	}
	outcome := r.Status.String()
	if r.Reason != ReasonNone {
		outcome += " " + string(r.Reason)
	}
	add("result", outcome)
	add("detail", r.Detail)
	add("domain", r.SDID)
	add("selector", r.Selector)
	if r.AUID != "@"+r.SDID {
		add("identity", printable(r.AUID))
	}
	add("algorithm", r.algorithmFact())
	if r.Algorithm != "" {
		add("canonicalization", r.HeaderCanon.String()+"/"+r.BodyCanon.String())
	}
	add("signed fields", printable(strings.Join(r.SignedHeaders, ":")))
	if r.BodyLength >= 0 {
		add("body length", fmt.Sprintf("l=%d, %d octets beyond it", r.BodyLength, r.BodyBeyond))
	}
	add("signed", when(r.Signed, now))
	add("expires", when(r.Expires, now))
	add("key looked up at", r.KeyName)
	add("key record", printable(r.KeyText))
	if r.KeyErr != nil {
		add("DNS", printable(r.KeyErr.Error()))
	}
	if r.Testing {
		add("key flag", "t=y: the domain is testing DKIM")
	}
	return f
}

func (r *Result) algorithmFact() string {
	switch {
	case r.KeyBits == 0:
		return r.Algorithm
	case r.Weak:
		return r.Algorithm + ", " + strconv.Itoa(r.KeyBits) + " bits: fewer than the 2048 that signers should have"
	}
	return r.Algorithm + ", " + strconv.Itoa(r.KeyBits) + " bits"
}

// when tells a time and how far it lies from now, to the second.
func when(t, now time.Time) string {
	if t.IsZero() {
		return ""
	}
	s := t.Format("2006-01-02 15:04:05 UTC")
	if now.IsZero() {
		return s
	}
	if d := now.Sub(t).Round(time.Second); d >= 0 {
		return s + ", " + d.String() + " before the message came"
	}
	return s + ", " + t.Sub(now).Round(time.Second).String() + " after the message came"
}

// printable makes a stranger's text fit to be shown.
func printable(s string) string {
	cut := s[:min(len(s), maxEvidence)]
	bad := func(c rune) bool { return c < ' ' || c > '~' }
	if strings.ContainsFunc(cut, bad) {
		cut = strings.Map(func(c rune) rune {
			if bad(c) {
				return '?'
			}
			return c
		}, cut)
	}
	if len(s) > maxEvidence {
		cut += "…"
	}
	return cut
}
