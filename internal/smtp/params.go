package smtp

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// Param is one esmtp-param (RFC 5321 §4.1.2): KEYWORD or KEYWORD=value.
type Param struct {
	Keyword  string // as sent
	Value    string
	HasValue bool
}

// nextParam reads one parameter at the beginning of s.
func nextParam(s string) (p Param, rest string, err error) {
	word, rest, _ := strings.Cut(s, " ")
	p.Keyword, p.Value, p.HasValue = strings.Cut(word, "=")
	if !isKeyword(p.Keyword) || p.HasValue && !isParamValue(p.Value) {
		return Param{}, "", ErrParameter
	}
	return p, strings.TrimLeft(rest, " "), nil
}

// isKeyword: esmtp-keyword, a letter or digit, then letters, digits, hyphens.
func isKeyword(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c != '-' || i == 0) {
			return false
		}
	}
	return s != ""
}

// isParamValue: esmtp-value, anything printable but "=" and space; UTF-8 as
// RFC 6531 §3.3 extends it. Mailboxes in AUTH= and ORCPT= may hold a "=", so it
// is let through here and judged by who reads the value.
func isParamValue(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f {
			return false
		}
	}
	return s != ""
}

// Body is the BODY parameter of MAIL.
type Body uint8

// The values of Body.
const (
	SevenBit   Body = iota // 7BIT, or no parameter
	EightBit               // 8BITMIME, RFC 6152 §3
	BinaryMIME             // BINARYMIME, RFC 3030 §3
)

// MailParams are the parameters of MAIL that Posta knows. The zero value is
// none of them.
type MailParams struct {
	Size       int64 // octets, RFC 1870 §6
	Body       Body
	UTF8       bool   // RFC 6531 §3.4
	RequireTLS bool   // RFC 8689 §2
	HasRet     bool   // RET was given
	RetFull    bool   // RET=FULL, RFC 3461 §4.3
	EnvID      string // decoded, RFC 3461 §4.4: at most 100 octets
	Auth       string // decoded, RFC 4954 §5; "<>" if the client vouches for nobody
}

// ParamError tells which parameter was not understood.
type ParamError struct {
	Keyword string
	Known   bool // the keyword is known, its value is wrong
}

func (e *ParamError) Error() string {
	if e.Known {
		return "smtp: bad value of parameter " + e.Keyword
	}
	return "smtp: unknown parameter " + e.Keyword
}

// ParseMailParams reads what follows the reverse-path, and says which parameter
// is wrong: *ParamError, or ErrParameter when there is none that could be
// named. A parameter given twice is wrong too.
func ParseMailParams(s string) (MailParams, error) {
	var m MailParams
	var seen uint
	for s = strings.Trim(s, " "); s != ""; {
		p, rest, err := nextParam(s)
		if err != nil {
			return MailParams{}, err
		}
		s = rest
		bit, ok := m.set(p)
		if bit == 0 || !ok || seen&bit != 0 {
			return MailParams{}, &ParamError{strings.ToUpper(p.Keyword), bit != 0}
		}
		seen |= bit
	}
	return m, nil
}

// set stores one parameter; its bit is zero when the keyword is not known.
func (m *MailParams) set(p Param) (bit uint, ok bool) {
	switch strings.ToUpper(p.Keyword) {
	case "SIZE":
		m.Size, ok = parseNumber(p.Value)
		return 1, ok
	case "BODY":
		m.Body, ok = parseBody(p.Value)
		return 2, ok
	case "SMTPUTF8":
		m.UTF8 = true
		return 4, !p.HasValue
	case "REQUIRETLS":
		m.RequireTLS = true
		return 8, !p.HasValue
	case "RET":
		m.HasRet = true
		m.RetFull = strings.EqualFold(p.Value, "FULL")
		return 16, m.RetFull || strings.EqualFold(p.Value, "HDRS")
	case "ENVID":
		m.EnvID, ok = DecodeXtext(p.Value)
		return 32, ok && m.EnvID != "" && len(p.Value) <= 100 && isPrintable(m.EnvID) && isASCII(m.EnvID)
	case "AUTH":
		m.Auth, ok = DecodeXtext(p.Value)
		return 64, ok && m.Auth != "" && isPrintable(m.Auth)
	}
	return 0, false
}

func parseBody(s string) (Body, bool) {
	switch strings.ToUpper(s) {
	case "7BIT":
		return SevenBit, true
	case "8BITMIME":
		return EightBit, true
	case "BINARYMIME":
		return BinaryMIME, true
	}
	return 0, false
}

// Notify is the NOTIFY parameter of RCPT (RFC 3461 §4.1), with the bits that
// the envelope has. Zero: not given.
type Notify uint8

// The bits of Notify.
const (
	NotifyNever Notify = 1 << iota
	NotifySuccess
	NotifyFailure
	NotifyDelay
)

// RcptParams are the parameters of RCPT that Posta knows.
type RcptParams struct {
	Notify Notify
	Orcpt  string // decoded "type;address", RFC 3461 §4.2: at most 500 octets
}

// ParseRcptParams reads what follows the forward-path; errors as of
// ParseMailParams.
func ParseRcptParams(s string) (RcptParams, error) {
	var r RcptParams
	for s = strings.Trim(s, " "); s != ""; {
		p, rest, err := nextParam(s)
		if err != nil {
			return RcptParams{}, err
		}
		s = rest
		known, ok := true, false
		switch strings.ToUpper(p.Keyword) {
		case "NOTIFY":
			twice := r.Notify != 0
			r.Notify, ok = parseNotify(p.Value)
			ok = ok && !twice
		case "ORCPT":
			twice := r.Orcpt != ""
			r.Orcpt, ok = parseOrcpt(p.Value)
			ok = ok && !twice
		default:
			known = false
		}
		if !ok {
			return RcptParams{}, &ParamError{strings.ToUpper(p.Keyword), known}
		}
	}
	return r, nil
}

func parseNotify(s string) (Notify, bool) {
	var n Notify
	for word := range strings.SplitSeq(s, ",") {
		switch strings.ToUpper(word) {
		case "NEVER":
			return NotifyNever, s == word && n == 0 // it stands alone
		case "SUCCESS":
			n |= NotifySuccess
		case "FAILURE":
			n |= NotifyFailure
		case "DELAY":
			n |= NotifyDelay
		default:
			return 0, false
		}
	}
	return n, true
}

// String is the value as it is sent; "" for zero.
func (n Notify) String() string {
	if n&NotifyNever != 0 {
		return "NEVER"
	}
	var words []string
	for i, w := range [...]string{"SUCCESS", "FAILURE", "DELAY"} {
		if n&(NotifySuccess<<i) != 0 {
			words = append(words, w)
		}
	}
	return strings.Join(words, ",")
}

// parseOrcpt reads "rfc822;xtext" or "utf-8;utf-8-addr-xtext".
func parseOrcpt(s string) (string, bool) {
	kind, address, ok := strings.Cut(s, ";")
	if !ok || !isKeyword(kind) || address == "" || len(s) > 500 {
		return "", false
	}
	if strings.EqualFold(kind, "utf-8") {
		address, ok = decodeUTF8Xtext(address)
	} else {
		address, ok = DecodeXtext(address)
		ok = ok && isASCII(address)
	}
	// It is going to stand in a header of a DSN: nothing may break its line.
	if !ok || address == "" || !isPrintable(address) {
		return "", false
	}
	return kind + ";" + address, true
}

// isPrintable: valid UTF-8 without control characters.
func isPrintable(s string) bool {
	for _, r := range s {
		if unicode.IsControl(r) {
			return false
		}
	}
	return utf8.ValidString(s)
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
