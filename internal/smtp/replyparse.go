package smtp

import (
	"errors"
	"strings"
)

// Budgets of a reply that is read (RFC 5321 §4.5.3.1.5 allows 512 octets in a
// line; servers with long links in their refusals exceed it).
const (
	MaxReplyLines    = 100
	MaxReplyLineSize = 2048 // octets, without CRLF
)

// Errors of a reply that cannot be read. After each of them the connection is
// out of step and has to be closed.
var (
	ErrReplySyntax   = errors.New("smtp: not a reply")
	ErrReplyTooLong  = errors.New("smtp: reply too long")
	ErrReplyTwoCodes = errors.New("smtp: the lines of a reply have different codes")
)

// ReplyParser puts a reply together from its lines. The zero value awaits the
// first line; after a finished reply it awaits the next.
type ReplyParser struct {
	code     int
	enhanced Enhanced
	lines    int
	text     []byte
}

// Line takes one line without its CRLF; done says that the reply is complete.
//
// The text keeps its octets, save that control characters become spaces: it is
// going to stand in logs, traces and DSNs. The enhanced code is taken from the
// first line and removed from each line that repeats it (RFC 2034 §4).
func (p *ReplyParser) Line(line []byte) (r Reply, done bool, err error) {
	if len(line) > MaxReplyLineSize || p.lines == MaxReplyLines {
		return Reply{}, false, ErrReplyTooLong
	}
	code, more, text, ok := cutCode(line)
	if !ok {
		return Reply{}, false, ErrReplySyntax
	}
	if p.lines == 0 {
		p.code, p.text = code, p.text[:0]
		p.enhanced = Enhanced{}
		// The class must agree with the code, else it is text that looks like one.
		if e, rest, ok := cutEnhanced(text); ok && int(e[0]) == code/100 {
			p.enhanced, text = e, rest
		}
	} else {
		if code != p.code {
			return Reply{}, false, ErrReplyTwoCodes
		}
		if e, rest, ok := cutEnhanced(text); ok && e == p.enhanced {
			text = rest
		}
		p.text = append(p.text, '\n')
	}
	p.lines++
	for i := range len(text) {
		if c := text[i]; c < ' ' || c == 0x7f {
			p.text = append(p.text, ' ')
		} else {
			p.text = append(p.text, c)
		}
	}
	if more {
		return Reply{}, false, nil
	}
	p.lines = 0
	return Reply{Code: p.code, Enhanced: p.enhanced, Text: string(p.text)}, true, nil
}

// cutCode reads "250-text", "250 text" or "250" (RFC 5321 §4.2).
func cutCode(line []byte) (code int, more bool, text string, ok bool) {
	if len(line) < 3 {
		return 0, false, "", false
	}
	for _, c := range line[:3] {
		if c < '0' || c > '9' {
			return 0, false, "", false
		}
		code = code*10 + int(c-'0')
	}
	if code < 200 || code > 599 {
		return 0, false, "", false
	}
	if len(line) == 3 {
		return code, false, "", true
	}
	if line[3] != ' ' && line[3] != '-' {
		return 0, false, "", false
	}
	return code, line[3] == '-', string(line[4:]), true
}

// Extensions are what a server announced in its answer to EHLO or LHLO.
type Extensions struct {
	Domain     string // the server's name for itself, first word of the first line
	Pipelining bool   // RFC 2920
	EightBit   bool   // 8BITMIME, RFC 6152
	UTF8       bool   // SMTPUTF8, RFC 6531
	Enhanced   bool   // ENHANCEDSTATUSCODES, RFC 2034
	Chunking   bool   // RFC 3030
	Binary     bool   // BINARYMIME, RFC 3030
	DSN        bool   // RFC 3461
	StartTLS   bool   // RFC 3207
	RequireTLS bool   // RFC 8689
	Size       bool   // RFC 1870
	MaxSize    int64  // octets, 0 if none was told
	MaxRcpt    int    // LIMITS RCPTMAX (RFC 9422), 0 if none was told
	MaxMail    int    // LIMITS MAILMAX, 0 if none was told
	Auth       []string
}

// ParseExtensions reads the answer to EHLO (RFC 5321 §4.1.1.1). What is not
// known, or not well formed, is left out.
func ParseExtensions(r Reply) Extensions {
	var x Extensions
	first, rest, _ := strings.Cut(r.Text, "\n")
	x.Domain, _, _ = strings.Cut(first, " ")
	for line := range strings.SplitSeq(rest, "\n") {
		keyword, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(keyword) {
		case "PIPELINING":
			x.Pipelining = true
		case "8BITMIME":
			x.EightBit = true
		case "SMTPUTF8":
			x.UTF8 = true
		case "ENHANCEDSTATUSCODES":
			x.Enhanced = true
		case "CHUNKING":
			x.Chunking = true
		case "BINARYMIME":
			x.Binary = true
		case "DSN":
			x.DSN = true
		case "STARTTLS":
			x.StartTLS = true
		case "REQUIRETLS":
			x.RequireTLS = true
		case "SIZE":
			x.Size = true
			x.MaxSize, _ = parseNumber(args)
		case "LIMITS":
			x.parseLimits(args)
		case "AUTH":
			x.Auth = strings.Fields(strings.ToUpper(args))
		}
	}
	return x
}

// MaxLimit is the largest value of MAILMAX and RCPTMAX: RFC 9422 §3, six digits.
const MaxLimit = 999_999

func (x *Extensions) parseLimits(args string) {
	for _, limit := range strings.Fields(args) {
		name, value, _ := strings.Cut(limit, "=")
		n, ok := parseNumber(value)
		if !ok || n > MaxLimit {
			continue
		}
		switch strings.ToUpper(name) {
		case "RCPTMAX":
			x.MaxRcpt = int(n)
		case "MAILMAX":
			x.MaxMail = int(n)
		}
	}
}

// parseNumber reads 1 to 18 digits; RFC 1870 §5 allows 20, but no message has
// an exabyte.
func parseNumber(s string) (int64, bool) {
	if s == "" || len(s) > 18 {
		return 0, false
	}
	var n int64
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = n*10 + int64(s[i]-'0')
	}
	return n, true
}
