package addr

// Address is a mailbox at a domain. The zero value is no address; it is
// comparable, and equal means the same local part octet by octet.
type Address struct {
	Local  Localpart
	Domain Domain
}

// ParseAddress reads local@domain as a person types it: UTF-8 allowed, no
// brackets, no display name, no address literal. Errors as for ParsePath.
func ParseAddress(s string) (Address, error) {
	local, n, err := scanLocal(s, true)
	if err != nil {
		return Address{}, err
	}
	if n == len(s) {
		return Address{}, ErrNoDomain
	}
	if s[n] != '@' {
		return Address{}, ErrSyntax
	}
	domain, err := ParseDomain(s[n+1:])
	if err != nil {
		return Address{}, err
	}
	return Address{local, domain}, nil
}

// IsZero reports whether a is no address.
func (a Address) IsZero() bool { return a == Address{} }

// NeedsUTF8 reports whether the address can only travel with SMTPUTF8: the
// domain has A-labels, so it depends on the local part alone.
func (a Address) NeedsUTF8() bool { return a.Local.NeedsUTF8() }

// String returns local@domain with quotes where needed and A-labels; "" for
// the zero value.
func (a Address) String() string {
	if a.IsZero() {
		return ""
	}
	return string(a.AppendTo(make([]byte, 0, len(a.Local)+len(a.Domain)+8)))
}

// AppendTo appends what String returns.
func (a Address) AppendTo(b []byte) []byte {
	if a.IsZero() {
		return b
	}
	b = append(a.Local.AppendQuote(b), '@')
	return append(b, a.Domain...)
}

// Unicode returns the address with U-labels, for people to read.
func (a Address) Unicode() string {
	if a.IsZero() {
		return ""
	}
	return a.Local.Quote() + "@" + a.Domain.Unicode()
}

// Fold returns the address with its local part folded; see Localpart.Fold.
func (a Address) Fold() Address { return Address{a.Local.Fold(), a.Domain} }
