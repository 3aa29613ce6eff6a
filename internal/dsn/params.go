package dsn

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"posta/internal/addr"
)

// Notify is the NOTIFY parameter of RCPT (RFC 3461 §4.1), a set. Zero means
// that the client did not say: then notices of failure are sent and of delay
// may be.
type Notify uint8

const (
	NotifyNever Notify = 1 << iota // alone
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

var notifyNames = [...]string{"NEVER", "SUCCESS", "FAILURE", "DELAY"}

// ParseNotify reads the value of NOTIFY. ErrSyntax for an unknown or repeated
// word, and for NEVER with another.
func ParseNotify(s string) (Notify, error) {
	var n Notify
	for word := range strings.SplitSeq(s, ",") {
		bit := Notify(0)
		for i, name := range notifyNames {
			if strings.EqualFold(word, name) {
				bit = 1 << i
			}
		}
		if bit == 0 || n&bit != 0 {
			return 0, ErrSyntax
		}
		n |= bit
	}
	if n&NotifyNever != 0 && n != NotifyNever {
		return 0, ErrSyntax
	}
	return n, nil
}

// String returns the value of the parameter; "" for zero.
func (n Notify) String() string {
	var words []string
	for i, name := range notifyNames {
		if n&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	return strings.Join(words, ",")
}

// Wants reports whether a notice of the action is to be sent. An unspecified
// NOTIFY wants failures and delays. A relayed or expanded message counts as
// success (RFC 3461 §5.2).
func (n Notify) Wants(a Action) bool {
	switch a {
	case Failed:
		return n == 0 || n&NotifyFailure != 0
	case Delayed:
		return n == 0 || n&NotifyDelay != 0
	}
	return n&NotifySuccess != 0
}

// Ret is the RET parameter of MAIL (RFC 3461 §4.3). Zero means that the client
// did not say.
type Ret uint8

const (
	RetFull Ret = 1 + iota
	RetHeaders
)

// ParseRet reads the value of RET.
func ParseRet(s string) (Ret, error) {
	switch {
	case strings.EqualFold(s, "FULL"):
		return RetFull, nil
	case strings.EqualFold(s, "HDRS"):
		return RetHeaders, nil
	}
	return 0, ErrSyntax
}

// String returns the value of the parameter; "" for zero.
func (r Ret) String() string {
	switch r {
	case RetFull:
		return "FULL"
	case RetHeaders:
		return "HDRS"
	}
	return ""
}

const (
	maxEnvID = 100 // RFC 3461 §4.4, encoded
	maxORCPT = 500 // RFC 3461 §4.2, encoded
)

// ParseEnvID reads the value of ENVID and returns it decoded: printable ASCII.
func ParseEnvID(s string) (string, error) {
	if s == "" || len(s) > maxEnvID {
		return "", ErrSyntax
	}
	id, err := DecodeXtext(s)
	if err != nil || !printableASCII(id) {
		return "", ErrSyntax
	}
	return id, nil
}

// Address is a typed address of the ORCPT parameter and of the fields
// Original-Recipient and Final-Recipient (RFC 3464 §2.1.2). The zero value is
// none.
type Address struct {
	Type  string // lower case: "rfc822", "utf-8", or another registered type
	Value string // decoded, without control characters
}

// AddressOf returns the typed address of a path: utf-8 if it needs SMTPUTF8,
// else rfc822.
func AddressOf(p addr.Path) Address {
	if p.NeedsUTF8() {
		return Address{"utf-8", p.String()}
	}
	return Address{"rfc822", p.String()}
}

// IsZero reports whether there is no address.
func (a Address) IsZero() bool { return a == Address{} }

// ParseORCPT reads the value of ORCPT (RFC 3461 §4.2, RFC 6533 §3):
// "rfc822;" and xtext, or "utf-8;" and one of the forms of that type.
// Non-ASCII needs allowUTF8, which is whether SMTPUTF8 is in force.
func ParseORCPT(s string, allowUTF8 bool) (Address, error) {
	kind, enc, ok := strings.Cut(s, ";")
	if !ok || len(s) > maxORCPT || enc == "" || !isAtom(kind) {
		return Address{}, ErrSyntax
	}
	a := Address{Type: strings.ToLower(kind)}
	var err error
	if a.Type == "utf-8" {
		if !allowUTF8 && !ascii(enc) {
			return Address{}, ErrSyntax
		}
		a.Value, err = DecodeUTF8Address(enc)
	} else {
		a.Value, err = DecodeXtext(enc)
		if err == nil && !printableASCII(a.Value) {
			err = ErrSyntax
		}
	}
	if err != nil || !printable(a.Value) {
		return Address{}, ErrSyntax
	}
	return a, nil
}

// ORCPT returns the value of the parameter for a next hop. allowUTF8 is
// whether the next hop has SMTPUTF8 in force.
func (a Address) ORCPT(allowUTF8 bool) string {
	switch {
	case a.Type != "utf-8":
		return a.Type + ";" + EncodeXtext(a.Value)
	case allowUTF8:
		return a.Type + ";" + EncodeUTF8Unitext(a.Value)
	}
	return a.Type + ";" + EncodeUTF8Address(a.Value)
}

// isAtom: the address types of RFC 3464 §2.1.2.
func isAtom(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && c != '-' && c != '_' {
			return false
		}
	}
	return s != ""
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

func printableASCII(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

// printable reports whether s is UTF-8 without anything that could end a line.
func printable(s string) bool {
	for _, r := range s {
		if r == utf8.RuneError || unicode.IsControl(r) || r == '\u2028' || r == '\u2029' {
			return false
		}
	}
	return true
}
