package addr

import "errors"

// What can be wrong with an address. The parsers return these values
// unwrapped, so comparing with == is enough and costs nothing.
var (
	// ErrSyntax: not a path or address at all (missing brackets, garbage).
	ErrSyntax = errors.New("addr: syntax error in address")
	// ErrLocalSyntax: the local part is empty or not a dot-string or quoted string.
	ErrLocalSyntax = errors.New("addr: syntax error in local part")
	// ErrLocalTooLong: the local part exceeds HardLocalpart octets.
	ErrLocalTooLong = errors.New("addr: local part too long")
	// ErrControl: a NUL, control character or line break inside the address.
	ErrControl = errors.New("addr: control character in address")
	// ErrNoDomain: a local part without domain that is not postmaster.
	ErrNoDomain = errors.New("addr: address has no domain")
	// ErrDomainSyntax: empty label, forbidden character, or a bare IP address.
	ErrDomainSyntax = errors.New("addr: syntax error in domain")
	// ErrDomainTooLong: domain over MaxDomain octets or label over 63.
	ErrDomainTooLong = errors.New("addr: domain too long")
	// ErrTrailingDot: the domain ends in a dot, which SMTP does not allow.
	ErrTrailingDot = errors.New("addr: domain ends in a dot")
	// ErrNeedUTF8: non-ASCII characters although SMTPUTF8 was not requested.
	ErrNeedUTF8 = errors.New("addr: address needs SMTPUTF8")
	// ErrUTF8: bytes that are not valid UTF-8.
	ErrUTF8 = errors.New("addr: address is not valid UTF-8")
	// ErrLiteral: a malformed address literal.
	ErrLiteral = errors.New("addr: malformed address literal")
	// ErrListTooLong: more entries in an address list than the caller granted.
	ErrListTooLong = errors.New("addr: address list too long")
)
