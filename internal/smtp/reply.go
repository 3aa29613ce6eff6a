package smtp

import (
	"fmt"
	"strconv"
	"strings"
)

// Enhanced is an enhanced status code: class, subject and detail (RFC 3463 §2,
// each of the latter two 0 to 999). The zero value means "none".
type Enhanced [3]uint16

// String gives "5.7.1", or "" for none.
func (e Enhanced) String() string {
	if e == (Enhanced{}) {
		return ""
	}
	return string(e.append(nil))
}

func (e Enhanced) append(dst []byte) []byte {
	dst = strconv.AppendUint(dst, uint64(e[0]), 10)
	dst = append(dst, '.')
	dst = strconv.AppendUint(dst, uint64(e[1]), 10)
	dst = append(dst, '.')
	return strconv.AppendUint(dst, uint64(e[2]), 10)
}

// Reply is an SMTP reply as a value (RFC 5321 §4.2); replies compare with ==.
//
// A refusal that came from a check reads
//
//	550 5.7.1 A plain sentence. [check.id] https://host/why/check.id
//
// The zero Reply is none, it must not be sent.
type Reply struct {
	Code     int      // 200 to 599
	Enhanced Enhanced // zero: left out, as in greetings, EHLO and 354
	Text     string   // plain text; "\n" begins a further line
	Check    string   // dotted id of the check that decided, "" if none
	Link     string   // where the refusal is explained, "" if none
}

// New makes a reply; enhanced is "x.y.z" or "".
// It is meant for literals: an enhanced code that cannot be read is left out.
func New(code int, enhanced, text string) Reply {
	e, _, _ := cutEnhanced(enhanced)
	return Reply{Code: code, Enhanced: e, Text: text}
}

// WithCheck gives the reply the id of the check that decided and the link that
// explains it.
func (r Reply) WithCheck(id, link string) Reply {
	r.Check, r.Link = id, link
	return r
}

// IsZero reports whether there is no reply.
func (r Reply) IsZero() bool { return r.Code == 0 }

// OK reports whether the command succeeded (2yz).
func (r Reply) OK() bool { return r.Code/100 == 2 }

// Temporary reports whether the same command may succeed later (4yz).
func (r Reply) Temporary() bool { return r.Code/100 == 4 }

// Permanent reports whether repeating the command is in vain (5yz).
func (r Reply) Permanent() bool { return r.Code/100 == 5 }

// Closes reports whether the server closes the connection after the reply: 221
// and 421 (RFC 5321 §3.8), 521 (RFC 7504 §3).
func (r Reply) Closes() bool { return r.Code == 221 || r.Code == 421 || r.Code == 521 }

// String is the reply on one line, as logs and traces show it.
func (r Reply) String() string {
	var b strings.Builder
	b.WriteString(strconv.Itoa(r.Code))
	if r.Enhanced != (Enhanced{}) {
		b.WriteByte(' ')
		b.WriteString(r.Enhanced.String())
	}
	b.WriteByte(' ')
	b.WriteString(strings.ReplaceAll(r.Text, "\n", " / "))
	if r.Check != "" {
		fmt.Fprintf(&b, " [%s]", r.Check)
	}
	if r.Link != "" {
		b.WriteString(" " + r.Link)
	}
	return b.String()
}

// Error makes a Reply an error, so that a client's caller or a Sink may return
// one and errors.AsType find it.
func (r Reply) Error() string { return r.String() }

// maxReplyLine is the longest reply line with its CRLF, RFC 5321 §4.5.3.1.5.
const maxReplyLine = 512

// Append writes the reply as it goes over the wire, each line with its code. A
// line that would be too long is continued on the next. Whatever is not
// printable ASCII is sent as "?", so nothing that a peer told us, and that came
// into the text, can end the line and speak in our name.
func (r Reply) Append(dst []byte) []byte {
	text := r.Text
	for {
		line, rest, more := strings.Cut(text, "\n")
		if !more {
			return r.appendLast(dst, line)
		}
		dst = r.appendWrapped(dst, line, true)
		text = rest
	}
}

// appendLast writes the last line of text with the check and the link, which
// get a line of their own when there is no room, so that neither is cut.
func (r Reply) appendLast(dst []byte, line string) []byte {
	if r.Check == "" && r.Link == "" {
		return r.appendWrapped(dst, line, false)
	}
	tail := r.Link
	if r.Check != "" {
		tail = strings.TrimSuffix("["+r.Check+"] "+r.Link, " ")
	}
	if len(line)+1+len(tail) <= r.room() {
		return r.appendWrapped(dst, line+" "+tail, false)
	}
	dst = r.appendWrapped(dst, line, true)
	return r.appendWrapped(dst, tail, false)
}

// room is how many octets of text fit into a line beside the codes and CRLF.
func (r Reply) room() int {
	n := maxReplyLine - len("250 ") - len("\r\n")
	if r.Enhanced != (Enhanced{}) {
		n -= len("5.999.999 ")
	}
	return n
}

// appendWrapped writes one line of text in as many lines as it needs, broken at
// a space where there is one; more says that further lines follow.
func (r Reply) appendWrapped(dst []byte, text string, more bool) []byte {
	for room := r.room(); len(text) > room; {
		cut := strings.LastIndexByte(text[:room], ' ')
		if cut <= 0 {
			cut = room
		}
		dst = r.appendLine(dst, text[:cut], true)
		text = strings.TrimPrefix(text[cut:], " ")
	}
	return r.appendLine(dst, text, more)
}

func (r Reply) appendLine(dst []byte, text string, more bool) []byte {
	dst = strconv.AppendInt(dst, int64(r.Code), 10)
	if more {
		dst = append(dst, '-')
	} else {
		dst = append(dst, ' ')
	}
	if r.Enhanced != (Enhanced{}) {
		dst = r.Enhanced.append(dst)
		dst = append(dst, ' ')
	}
	for i := range len(text) {
		if c := text[i]; c >= ' ' && c <= '~' {
			dst = append(dst, c)
		} else {
			dst = append(dst, '?')
		}
	}
	return append(dst, '\r', '\n')
}

// cutEnhanced reads an enhanced code at the beginning of a text; rest is what
// follows it and one space.
func cutEnhanced(s string) (e Enhanced, rest string, ok bool) {
	i := 0
	for part := range e {
		start, n := i, 0
		for i < len(s) && s[i] >= '0' && s[i] <= '9' && i-start < 3 {
			n = n*10 + int(s[i]-'0')
			i++
		}
		if i == start || s[start] == '0' && i > start+1 { // RFC 3463 §2: no leading zeros
			return Enhanced{}, s, false
		}
		e[part] = uint16(n)
		if part < 2 {
			if i == len(s) || s[i] != '.' {
				return Enhanced{}, s, false
			}
			i++
		}
	}
	if e[0] != 2 && e[0] != 4 && e[0] != 5 { // RFC 3463 §3
		return Enhanced{}, s, false
	}
	if i < len(s) && s[i] != ' ' {
		return Enhanced{}, s, false
	}
	return e, strings.TrimPrefix(s[i:], " "), true
}
