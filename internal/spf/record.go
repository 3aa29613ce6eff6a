package spf

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
)

// Kind is the kind of a [Term].
type Kind uint8

// Mechanisms (RFC 7208 §5) and modifiers (§6).
const (
	All Kind = iota
	Include
	A
	MX
	PTR
	IP4
	IP6
	Exists
	Redirect
	Exp
	Unknown // a modifier that SPF does not define; it is ignored
)

var kindNames = [...]string{"all", "include", "a", "mx", "ptr", "ip4", "ip6", "exists", "redirect", "exp", "unknown"}

// String gives the kind's name in a record.
func (k Kind) String() string { return kindNames[min(int(k), len(kindNames)-1)] }

// IsModifier tells redirect, exp and unknown modifiers from mechanisms.
func (k Kind) IsModifier() bool { return k >= Redirect }

// LooksUp tells whether the term counts against MaxLookups.
func (k Kind) LooksUp() bool {
	return k == Include || k == A || k == MX || k == PTR || k == Exists || k == Redirect
}

// Qualifier says what a matching mechanism results in (RFC 7208 §4.6.2).
type Qualifier byte

// The four qualifiers. A mechanism without one has QPass; a modifier has 0.
const (
	QPass     Qualifier = '+'
	QFail     Qualifier = '-'
	QSoftFail Qualifier = '~'
	QNeutral  Qualifier = '?'
)

// Status gives the result that the qualifier stands for.
func (q Qualifier) Status() Status {
	switch q {
	case QFail:
		return Fail
	case QSoftFail:
		return SoftFail
	case QNeutral:
		return Neutral
	}
	return Pass
}

// Term is one mechanism or modifier.
type Term struct {
	Kind      Kind
	Qualifier Qualifier    // of a mechanism
	Name      string       // of an Unknown modifier, as written
	Spec      Macro        // domain-spec, or the value of an Unknown modifier; empty when absent
	Prefix    netip.Prefix // of IP4 and IP6, as written (host bits are kept)
	Bits4     uint8        // of A and MX: 0 to 32
	Bits6     uint8        // of A and MX: 0 to 128
	Text      string       // the term as written
	Offset    int          // of Text in the record, in octets
}

// String prints the term in its plainest form: lower-case name, no "+", no default prefix lengths.
func (t Term) String() string {
	var b strings.Builder
	if t.Qualifier != 0 && t.Qualifier != QPass {
		b.WriteByte(byte(t.Qualifier))
	}
	switch t.Kind {
	case Unknown:
		b.WriteString(t.Name + "=" + string(t.Spec))
		return b.String()
	case Redirect, Exp:
		b.WriteString(t.Kind.String() + "=" + string(t.Spec))
		return b.String()
	}
	b.WriteString(t.Kind.String())
	if t.Spec != "" {
		b.WriteString(":" + string(t.Spec))
	}
	switch t.Kind {
	case IP4, IP6:
		b.WriteString(":" + t.Prefix.Addr().String())
		if !t.Prefix.IsSingleIP() {
			b.WriteString("/" + strconv.Itoa(t.Prefix.Bits()))
		}
	case A, MX:
		if t.Bits4 != 32 {
			b.WriteString("/" + strconv.Itoa(int(t.Bits4)))
		}
		if t.Bits6 != 128 {
			b.WriteString("//" + strconv.Itoa(int(t.Bits6)))
		}
	}
	return b.String()
}

// Record is a parsed SPF record.
type Record struct {
	Terms []Term // in the order of the record, mechanisms and modifiers mixed
}

// Modifier gives the redirect= or exp= modifier, or nil.
func (r Record) Modifier(k Kind) *Term {
	for i := range r.Terms {
		if r.Terms[i].Kind == k {
			return &r.Terms[i]
		}
	}
	return nil
}

// String prints the record in its plainest form; Parse reads it back to the same terms.
func (r Record) String() string {
	var b strings.Builder
	b.WriteString("v=spf1")
	for _, t := range r.Terms {
		b.WriteByte(' ')
		b.WriteString(t.String())
	}
	return b.String()
}

// SyntaxError is a record that breaks the grammar of RFC 7208 §12. It is an ErrSyntax.
type SyntaxError struct {
	Term   string // as written
	Offset int    // of Term in the record, in octets
	Reason string
}

// Error tells the reason and the term.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("%v: %s: %q", ErrSyntax, e.Reason, e.Term[:min(len(e.Term), 200)])
}

// Is makes errors.Is(err, ErrSyntax) true.
func (e *SyntaxError) Is(target error) bool { return target == ErrSyntax }
