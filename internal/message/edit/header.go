package edit

import (
	"errors"
	"iter"
	"slices"
	"strings"

	"posta/internal/message"
)

// The limits of a header that is edited, those of message.Budget.
const (
	maxHeader = 256 << 10 // octets
	maxFields = 1000
)

var (
	// ErrHeaderSize is returned for a header over the limits, or one that a change
	// would bring over them.
	ErrHeaderSize = errors.New("edit: the header has more than 256 KiB or 1,000 fields")
	// ErrFieldName is returned for a name that no header field may have (RFC 5322 §2.2).
	ErrFieldName = errors.New("edit: not a name of a header field: it takes 1 to 77 visible ASCII characters without colon")
)

// Header is the header of a message or part, to be edited field by field. Fields are
// counted from 0 at the top. It is not safe for concurrent use.
type Header struct {
	mbox    []byte // a "From " line of an mbox before the first field
	fields  []message.Field
	size    int // octets of the fields
	changed bool
}

// NewHeader reads a header block, with or without its empty line. The octets stay
// with the caller and must not change. Errors: ErrHeaderSize.
func NewHeader(raw message.Header) (*Header, error) {
	h := &Header{}
	if len(raw) > maxHeader {
		return nil, ErrHeaderSize
	}
	for f := range raw.Fields() {
		if len(h.fields) == maxFields {
			return nil, ErrHeaderSize
		}
		if len(h.fields) == 0 {
			h.mbox = raw[:f.Start]
		}
		h.fields = append(h.fields, f)
		h.size += len(f.Raw())
	}
	return h, nil
}

// Clone returns a copy that may be edited apart; both share the octets of fields.
func (h *Header) Clone() *Header {
	c := *h
	c.fields = slices.Clone(h.fields)
	return &c
}

// Changed reports whether anything was edited.
func (h *Header) Changed() bool { return h.changed }

// Len returns the number of fields.
func (h *Header) Len() int { return len(h.fields) }

// Size returns the octets of the fields.
func (h *Header) Size() int { return h.size }

// Fields walks the fields with their places. The header must not be edited meanwhile.
func (h *Header) Fields() iter.Seq2[int, message.Field] { return slices.All(h.fields) }

// Places returns where the fields with the name are, from the top.
func (h *Header) Places(name string) []int {
	var at []int
	for i, f := range h.fields {
		if f.Is(name) {
			at = append(at, i)
		}
	}
	return at
}

// Get returns the unfolded value of the first field with the name, "" without one.
func (h *Header) Get(name string) string {
	for _, f := range h.fields {
		if f.Is(name) {
			return f.Value()
		}
	}
	return ""
}

// Insert puts a field in before the one at place at; Len is after the last. text is
// UTF-8 and is encoded and folded as the field needs it: see [AppendText]. Errors:
// ErrFieldName, ErrHeaderSize.
func (h *Header) Insert(at int, name, text string) error {
	if !ValidName(name) {
		return ErrFieldName
	}
	return h.splice(at, at, message.Header(AppendText(nil, name, text)))
}

// Replace gives the field at a place another value and keeps its name as it is
// written. Errors: ErrHeaderSize.
func (h *Header) Replace(at int, text string) error {
	return h.splice(at, at+1, message.Header(AppendText(nil, h.fields[at].Name(), text)))
}

// Rename gives the field at a place another name and keeps all octets after it.
// Errors: ErrFieldName, ErrHeaderSize.
func (h *Header) Rename(at int, name string) error {
	if !ValidName(name) {
		return ErrFieldName
	}
	f := h.fields[at]
	raw := append([]byte(name), ':')
	return h.splice(at, at+1, message.Header(append(raw, f.RawValue()...)))
}

// Delete takes the field at a place out.
func (h *Header) Delete(at int) { _ = h.splice(at, at+1, nil) } // less is never too much

// DeleteFunc takes out the fields with the name for which del is true, and returns
// how many they were. del gets the number of the field among those with the name,
// counted from 1 at the top, and how many there are: none of both changes while
// fields are taken out (RFC 5293 §5).
func (h *Header) DeleteFunc(name string, del func(n, of int, f message.Field) bool) int {
	of := len(h.Places(name))
	n, gone := 0, 0
	h.fields = slices.DeleteFunc(h.fields, func(f message.Field) bool {
		if !f.Is(name) {
			return false
		}
		n++
		if !del(n, of, f) {
			return false
		}
		gone++
		h.size -= len(f.Raw())
		return true
	})
	h.changed = h.changed || gone > 0
	return gone
}

// splice exchanges the fields [from,to) for those of raw.
func (h *Header) splice(from, to int, raw message.Header) error {
	size, n := h.size, len(h.fields)-(to-from)
	for _, f := range h.fields[from:to] {
		size -= len(f.Raw())
	}
	var fields []message.Field
	for f := range raw.Fields() {
		fields = append(fields, f)
		size += len(f.Raw())
	}
	if n+len(fields) > maxFields || size+len(h.mbox)+2 > maxHeader {
		return ErrHeaderSize
	}
	h.fields = slices.Replace(h.fields, from, to, fields...)
	h.size, h.changed = size, true
	return nil
}

// Bytes returns the header with the empty line that ends it.
func (h *Header) Bytes() []byte { return append(h.AppendTo(nil), "\r\n"...) }

// AppendTo appends the fields, without the empty line. A last field whose line was
// not ended gets its line ending.
func (h *Header) AppendTo(dst []byte) []byte {
	dst = slices.Grow(dst, h.size+len(h.mbox)+4)
	dst = append(dst, h.mbox...)
	for _, f := range h.fields {
		raw := f.Raw()
		dst = append(dst, raw...)
		if raw[len(raw)-1] != '\n' {
			dst = append(dst, "\r\n"...)
		}
	}
	return dst
}

// ValidName reports whether a header field may have the name (RFC 5322 §2.2: visible
// ASCII without colon). Its length leaves room for a value on the first line.
func ValidName(name string) bool {
	if name == "" || len(name) > 77 {
		return false
	}
	for i := 0; i < len(name); i++ {
		if name[i] < '!' || name[i] > '~' || name[i] == ':' {
			return false
		}
	}
	return true
}

// addressFields hold mailboxes, where an encoded word may stand in a display name
// only (RFC 2047 §5).
var addressFields = []string{"from", "sender", "reply-to", "to", "cc", "bcc",
	"resent-from", "resent-sender", "resent-to", "resent-cc", "resent-bcc", "resent-reply-to",
	"original-from", "disposition-notification-to"}

func holdsAddresses(name string) bool {
	return slices.ContainsFunc(addressFields, func(f string) bool { return strings.EqualFold(f, name) })
}
