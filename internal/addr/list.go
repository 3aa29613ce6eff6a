package addr

import "posta/internal/message/charset"

// EntryKind tells what an entry of an address list is.
type EntryKind uint8

const (
	EntryMailbox    EntryKind = iota
	EntryGroupStart           // Name is the group's name; members follow
	EntryGroupEnd
)

// Entry is one element of a header's address list, as IMAP's ENVELOPE tells it
// (RFC 9051 §7.5.2): groups are flattened into a start, the members and an end.
type Entry struct {
	Kind EntryKind
	// Name is the display name or group name without quotes and comments;
	// encoded words are still encoded. In the old form "user@host (Name)" it
	// is the comment. DisplayName decodes it.
	Name string
	// Route is an obsolete source route, "@a,@b".
	Route string
	// Local is the local part without quotes; as tolerant as the header was.
	Local Localpart
	// Host is the domain as written, without comments and spaces, a literal
	// with its brackets; empty when missing.
	Host string
}

// DisplayName returns Name as UTF-8 with encoded words decoded (RFC 2047).
func (e Entry) DisplayName() string { return charset.DecodeHeader(e.Name) }

// Address returns the mailbox as a strict address. Errors: ErrNoDomain,
// ErrLocalSyntax, ErrControl, ErrUTF8 and those of ParseDomain; ErrSyntax for
// a group's start or end; ErrLiteral for an address literal, which is no domain.
func (e Entry) Address() (Address, error) {
	switch {
	case e.Kind != EntryMailbox:
		return Address{}, ErrSyntax
	case e.Local == "":
		return Address{}, ErrLocalSyntax
	case e.Host == "":
		return Address{}, ErrNoDomain
	case e.Host[0] == '[':
		return Address{}, ErrLiteral
	case len(e.Local) > HardLocalpart:
		return Address{}, ErrLocalTooLong
	}
	for i := 0; i < len(e.Local); i++ {
		if isControl(e.Local[i]) {
			return Address{}, ErrControl
		}
	}
	if err := checkRunes(string(e.Local)); err != nil {
		return Address{}, err
	}
	d, err := ParseDomain(e.Host)
	if err != nil {
		return Address{}, err
	}
	return Address{e.Local, d}, nil
}

// ParseList reads the value of a header field with addresses: RFC 5322 §3.4
// with the obsolete forms of §4.4, and tolerantly beyond. It returns the
// entries it understood and the first error it met; entries are useful even
// with an error. At most limit entries are returned (0: 1,000), then
// ErrListTooLong. One pass, linear in len(s).
//
// Groups are balanced in the result: each start has its end.
func ParseList(s string, limit int) ([]Entry, error) {
	if limit <= 0 {
		limit = 1000
	}
	p := listParser{s: s, limit: limit}
	p.list()
	return p.out, p.err
}

// FormatMailbox writes "Display Name <local@domain>" for a header field: the
// name as atoms, quoted string or encoded words, the address alone when there
// is no name.
func FormatMailbox(name string, a Address) string {
	if name == "" {
		return a.String()
	}
	return charset.EncodePhrase(name) + " <" + a.String() + ">"
}
