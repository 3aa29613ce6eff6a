// Package rewrite changes addresses in the header of a message where a rule says so
// (domaintable, genericstable, masquerading), and nothing else: each octet that is no
// part of such an address stays as it is, folding and comments too.
//
// Standards: RFC 5322 §3.4 (addresses), §3.2.2 (comments). An address is changed where
// it is written as local@domain without white space or comments inside, as every program
// writes it; the obsolete forms of §4.4 are left alone. So is what stands in a quoted
// string or a comment. Addresses in encoded words cannot be (RFC 2047 §5).
//
// Limits: [MaxHeader] octets; a larger header is left as it is.
package rewrite

import (
	"bytes"
	"slices"
	"strings"

	"posta/internal/addr"
	"posta/internal/message"
)

// MaxHeader is the largest header that is changed, in octets.
const MaxHeader = 64 << 10

// Func says what an address becomes; the same address leaves it as it is.
type Func func(addr.Address) addr.Address

// Senders are the fields that name who sends (RFC 5322 §3.6.2, §3.6.6).
var senders = []string{"from", "sender", "reply-to", "resent-from", "resent-sender", "resent-reply-to"}

// others are the further fields that hold addresses.
var others = []string{
	"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc", "return-receipt-to", "disposition-notification-to", "errors-to", "mail-followup-to",
	"apparently-to",
}

// Rules are what is done to a header: Sender to the fields that name who sends, then All
// to those and to all others with addresses. A nil Func does nothing.
type Rules struct{ Sender, All Func }

// Header gives the header with its addresses changed, and whether any was. What it is
// given is never changed.
func Header(h message.Header, r Rules) (message.Header, bool) {
	if len(h) > MaxHeader {
		return h, false
	}
	var out []byte
	at := 0
	for f := range h.Fields() {
		do := r.of(string(bytes.ToLower(f.NameBytes())))
		if do == nil {
			continue
		}
		start := f.End() - len(f.RawValue())
		value, changed := Value(f.RawValue(), do)
		if !changed {
			continue
		}
		out = append(append(out, h[at:start]...), value...)
		at = f.End()
	}
	if at == 0 {
		return h, false
	}
	return append(out, h[at:]...), true
}

// of is what is done to a field.
func (r Rules) of(name string) Func {
	sender := slices.Contains(senders, name)
	switch {
	case sender && r.Sender != nil && r.All != nil:
		return func(a addr.Address) addr.Address { return r.All(r.Sender(a)) }
	case sender && r.Sender != nil:
		return r.Sender
	case sender || slices.Contains(others, name):
		return r.All
	}
	return nil
}

// Value changes the addresses in the body of a field.
func Value(raw []byte, f Func) ([]byte, bool) {
	var out []byte
	at := 0
	s := scanner{raw: raw}
	for s.next() {
		a, err := addr.ParseAddress(string(raw[s.start:s.end]))
		if err != nil {
			continue
		}
		to := f(a)
		if to == a || to.IsZero() {
			continue
		}
		out = append(append(out, raw[at:s.start]...), to.String()...)
		at = s.end
	}
	if at == 0 {
		return raw, false
	}
	return append(out, raw[at:]...), true
}

// scanner finds local@domain in a field, outside of comments and display names.
type scanner struct {
	raw        []byte
	at         int
	start, end int // of the address that was found
}

// next finds the next address.
func (s *scanner) next() bool {
	word := -1 // where the word that may be a local part begins
	for s.at < len(s.raw) {
		switch c := s.raw[s.at]; {
		case c == '(':
			s.comment()
			word = -1
		case c == '"':
			from := s.at
			s.quoted()
			if word < 0 {
				word = from
			}
		case c == '@':
			from := s.at + 1
			for s.at = from; s.at < len(s.raw) && (isAtom(s.raw[s.at]) || s.raw[s.at] == '.'); s.at++ {
			}
			if word >= 0 && s.at > from {
				s.start, s.end = word, s.at
				return true
			}
			word = -1
		case isAtom(c) || c == '.':
			if word < 0 {
				word = s.at
			}
			s.at++
		default:
			word = -1
			s.at++
		}
	}
	return false
}

// comment goes behind a comment, which may hold others.
func (s *scanner) comment() {
	depth := 0
	for ; s.at < len(s.raw); s.at++ {
		switch s.raw[s.at] {
		case '\\':
			s.at++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				s.at++
				return
			}
		}
	}
	s.at = min(s.at, len(s.raw))
}

// quoted goes behind a quoted string.
func (s *scanner) quoted() {
	for s.at++; s.at < len(s.raw); s.at++ {
		switch s.raw[s.at] {
		case '\\':
			s.at++
		case '"':
			s.at++
			return
		}
	}
	s.at = min(s.at, len(s.raw))
}

// isAtom reports atext of RFC 5322 §3.2.3 and of RFC 6532.
func isAtom(c byte) bool {
	return c >= 0x80 || c > ' ' && c < 0x7f && strings.IndexByte(`()<>[]:;@\,."`, c) < 0
}
