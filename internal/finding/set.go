package finding

// setWords is how many 64-bit words the bitset of passes has. It may grow: a record
// kept with fewer words reads as one whose further bits are clear.
const setWords = 5

// MaxChecks is how many checks a Set has room for: each Bit is less.
const MaxChecks = 64 * setWords

// Set is what is kept with every message and refused connection: passes as a
// bitset, findings with evidence for what failed or could not be verified. The
// zero Set is empty and ready. It is not safe for concurrent use.
type Set struct {
	Passed [setWords]uint64 `json:"passed"`
	// Others are Fail and Unverified, and passes with something to tell (Note), in the
	// order they were found.
	Others []Finding `json:"others,omitempty"`
}

// Add records a finding. A second finding on the same check and subject replaces
// nothing: both are kept, save passes, which are one bit.
func (s *Set) Add(f Finding) {
	switch f.Outcome {
	case Pass:
		if c, ok := Lookup(f.Check); ok {
			s.Passed[c.Bit/64] |= 1 << (c.Bit % 64)
		}
	case Fail, Unverified:
		s.Others = append(s.Others, f)
	}
}

// Note records a pass whose evidence is worth keeping: what would have failed the
// check, and why it does not count. It weighs no more than any pass.
func (s *Set) Note(f Finding) {
	f.Outcome = Pass
	s.Add(f)
	s.Others = append(s.Others, f)
}

// Outcome is the worst outcome of a check in the set: Fail before Unverified
// before Pass.
func (s *Set) Outcome(id ID) Outcome {
	out := NotApplicable
	if c, ok := Lookup(id); ok && s.Passed[c.Bit/64]&(1<<(c.Bit%64)) != 0 {
		out = Pass
	}
	for _, f := range s.Others {
		if f.Check == id {
			switch f.Outcome {
			case Fail:
				return Fail
			case Unverified:
				out = Unverified
			}
		}
	}
	return out
}

// Find returns the first finding of a check that is not a pass.
func (s *Set) Find(id ID) (Finding, bool) {
	for _, f := range s.Others {
		if f.Check == id && f.Outcome != Pass {
			return f, true
		}
	}
	return Finding{}, false
}

// Passes lists the checks that passed, in the order of the catalogue.
func (s *Set) Passes() []ID {
	var out []ID
	for _, c := range catalogue {
		if s.Passed[c.Bit/64]&(1<<(c.Bit%64)) != 0 {
			out = append(out, c.ID)
		}
	}
	return out
}

// Clone copies the set, so that a connection's findings can be carried into each
// of its transactions.
func (s *Set) Clone() Set {
	c := *s
	c.Others = append([]Finding(nil), s.Others...)
	return c
}
