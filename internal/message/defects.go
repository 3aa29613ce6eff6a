package message

import (
	"bytes"
	"iter"
	"math/bits"
	"unicode/utf8"
)

// Defects is a set of things that are wrong, or worth knowing, about a message.
// None of them keeps it from being read.
type Defects uint64

const (
	MissingFrom        Defects = 1 << iota // RFC 5322 §3.6: exactly one
	DuplicateFrom                          // the DMARC-evading kind
	MissingDate                            // RFC 5322 §3.6
	DuplicateDate                          //
	MissingMessageID                       // RFC 5322 §3.6.4: should be there
	DuplicateMessageID                     //
	DuplicateField                         // another field that may occur once, e.g. Subject or To
	EightBitHeader                         // octets over 127 in the header; proper only under SMTPUTF8
	InvalidUTF8Header                      // and they are not UTF-8
	LongLine                               // a line over 998 octets (RFC 5322 §2.1.1)
	ContainsNUL                            // RFC 5322 §4 has no NUL
	BareLF                                 // LF without CR
	BareCR                                 // CR without LF
	MalformedHeader                        // the header ended before a line that is no field
	ObsoleteSyntax                         // space before a colon, or a continuation of white space only
	MboxFrom                               // the message begins with an mbox "From " line
	NoHeaderEnd                            // no empty line between header and body
	EightBitBody                           // octets over 127 in the body; needs 8BITMIME
	DuplicateMIME                          // a Content-* field twice in one header
	BadContentType                         // a Content-Type that cannot be read
	BadBoundary                            // a multipart without usable boundary or without parts
	UnclosedMultipart                      // a multipart without its closing delimiter
	OverBudget                             // a Budget was exceeded; some part is opaque or cut
	numDefects         = iota
)

var defectNames = [numDefects]string{
	"missing-from", "duplicate-from", "missing-date", "duplicate-date", "missing-message-id", "duplicate-message-id",
	"duplicate-field", "8bit-header", "invalid-utf8-header", "long-line", "nul", "bare-lf", "bare-cr", "malformed-header",
	"obsolete-syntax", "mbox-from", "no-header-end", "8bit-body", "duplicate-mime-field", "bad-content-type",
	"bad-boundary", "unclosed-multipart", "over-budget",
}

// Has reports whether all of want are in d.
func (d Defects) Has(want Defects) bool { return d&want == want }

// Names walks the stable names of the defects in d, e.g. "missing-from".
func (d Defects) Names() iter.Seq[string] {
	return func(yield func(string) bool) {
		for d != 0 {
			i := bits.TrailingZeros64(uint64(d))
			if i >= numDefects || !yield(defectNames[i]) {
				return
			}
			d &= d - 1
		}
	}
}

// once lists the fields that RFC 5322 §3.6 allows at most once.
var once = [...]string{"from", "date", "message-id", "subject", "to", "cc", "bcc", "reply-to", "sender", "in-reply-to", "references"}

// Repeated lists the fields, in lower case, that stand more often in a header than RFC
// 5322 §3.6 allows: those that Inspect calls duplicate.
func Repeated(h Header) []string {
	var count [len(once)]int
	var out []string
	for f := range h.Fields() {
		for i, name := range once {
			if f.Is(name) {
				if count[i]++; count[i] == 2 {
					out = append(out, name)
				}
				break
			}
		}
	}
	return out
}

// maxLineOctets: RFC 5322 §2.1.1, without the line ending.
const maxLineOctets = 998

// Inspect tells what is wrong with the header of a message, in one pass.
func Inspect(h Header) Defects {
	var d Defects
	if isMboxLine(h) {
		d |= MboxFrom
	}
	var count [len(once)]int
	end := mboxLine(h)
	for f := range h.Fields() {
		end = f.End()
		if f.colon > f.name {
			d |= ObsoleteSyntax
		}
		for i, name := range once {
			if f.Is(name) {
				count[i]++
				break
			}
		}
	}
	for i, n := range count {
		switch {
		case n == 0 && i < 3:
			d |= MissingFrom << (2 * i)
		case n > 1 && i < 3:
			d |= DuplicateFrom << (2 * i)
		case n > 1:
			d |= DuplicateField
		}
	}
	switch {
	case end == len(h):
		d |= NoHeaderEnd
	case blankLine(h[end:]) == 0:
		d |= MalformedHeader
	}
	return d | inspectLines(h)
}

// inspectLines checks the octets and lines of a header.
func inspectLines(h []byte) Defects {
	var d Defects
	if bytes.IndexByte(h, 0) >= 0 {
		d |= ContainsNUL
	}
	if has8Bit(h) {
		d |= EightBitHeader
		if !utf8.Valid(h) {
			d |= InvalidUTF8Header
		}
	}
	crs, crlfs := bytes.Count(h, []byte{'\r'}), 0
	for len(h) > 0 {
		i := bytes.IndexByte(h, '\n')
		if i < 0 {
			i = len(h)
		}
		line := h[:i]
		if i > 0 && line[i-1] == '\r' {
			crlfs++
			line = line[:i-1]
		} else if i < len(h) {
			d |= BareLF
		}
		if len(line) > maxLineOctets {
			d |= LongLine
		}
		if len(line) > 0 && len(bytes.TrimLeft(line, " \t")) == 0 {
			d |= ObsoleteSyntax
		}
		h = h[min(i+1, len(h)):]
	}
	if crs != crlfs {
		d |= BareCR
	}
	return d
}
