package smtp

import (
	"bytes"
	"errors"
	"strings"
)

// Verb is a command of SMTP. The zero value is a verb that nobody knows.
type Verb uint8

// The verbs.
const (
	Unknown  Verb = iota
	HELO          // RFC 5321 §4.1.1.1
	EHLO          // RFC 5321 §4.1.1.1
	LHLO          // RFC 2033 §4.1
	MAIL          // RFC 5321 §4.1.1.2
	RCPT          // RFC 5321 §4.1.1.3
	DATA          // RFC 5321 §4.1.1.4
	BDAT          // RFC 3030 §2
	RSET          // RFC 5321 §4.1.1.5
	VRFY          // RFC 5321 §4.1.1.6
	EXPN          // RFC 5321 §4.1.1.7
	HELP          // RFC 5321 §4.1.1.8
	NOOP          // RFC 5321 §4.1.1.9
	QUIT          // RFC 5321 §4.1.1.10
	STARTTLS      // RFC 3207 §4
	AUTH          // RFC 4954 §4
	ETRN          // RFC 1985 §5
	HTTP          // GET, POST and their like: a browser, not a mail client
	PROXY         // the header of the PROXY protocol, where no proxy is expected
	NumVerbs
)

var verbNames = [NumVerbs]string{
	"(unknown)", "HELO", "EHLO", "LHLO", "MAIL", "RCPT", "DATA", "BDAT", "RSET", "VRFY", "EXPN", "HELP",
	"NOOP", "QUIT", "STARTTLS", "AUTH", "ETRN", "(http)", "PROXY",
}

func (v Verb) String() string { return verbNames[v] }

// httpVerbs are the methods that browsers and forged requests send. HTTP's
// TRACE and PATCH have no meaning in SMTP either, nor has the preface of HTTP/2.
var httpVerbs = [...]string{"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "PATCH", "PRI"}

// ParseCommand splits a command line (without its CRLF) into verb and argument,
// without allocating. Spaces around the argument are cut. The verb is read in
// any case (RFC 5321 §2.4).
func ParseCommand(line []byte) (Verb, []byte) {
	word, arg, _ := bytes.Cut(line, []byte{' '})
	if len(word) < 3 || len(word) > 8 {
		return Unknown, nil
	}
	var upper [8]byte
	for i, c := range word {
		if c >= 'a' && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	name := upper[:len(word)]
	arg = bytes.Trim(arg, " \t")
	for v := HELO; v <= ETRN; v++ {
		if string(name) == verbNames[v] {
			return v, arg
		}
	}
	if string(name) == "PROXY" {
		return PROXY, arg
	}
	for _, h := range httpVerbs {
		if string(name) == h {
			return HTTP, arg
		}
	}
	return Unknown, nil
}

// Errors of arguments.
var (
	ErrArgument  = errors.New("smtp: argument not understood")
	ErrParameter = errors.New("smtp: parameter not understood")
)

// CutPrefixFold cuts "FROM:" or "TO:" with the spaces that some clients put
// behind the colon (RFC 5321 §3.3 forbids them; nothing is gained by refusing).
func CutPrefixFold(arg, prefix string) (string, bool) {
	if len(arg) < len(prefix) || !strings.EqualFold(arg[:len(prefix)], prefix) {
		return "", false
	}
	return strings.TrimLeft(arg[len(prefix):], " "), true
}

// BDATArg reads "1000" or "1000 LAST" (RFC 3030 §2).
func BDATArg(arg []byte) (size int64, last bool, err error) {
	number, rest, more := strings.Cut(string(arg), " ")
	size, ok := parseNumber(number)
	if !ok {
		return 0, false, ErrArgument
	}
	if !more {
		return size, false, nil
	}
	if !strings.EqualFold(strings.TrimSpace(rest), "LAST") {
		return 0, false, ErrArgument
	}
	return size, true, nil
}
