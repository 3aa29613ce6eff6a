package dkim

import (
	"bytes"
	"errors"
)

// maxTags bounds the tags in one tag-list.
const maxTags = 64

var (
	errTagSyntax    = errors.New("tag-list is malformed")
	errTagDuplicate = errors.New("tag-list repeats a tag")
	errTagMany      = errors.New("tag-list has too many tags")
)

// tag is one tag-spec of a tag-list (RFC 6376 §3.2), as offsets into the
// parsed bytes so that the value of b= can be cut out exactly.
type tag struct {
	name []byte
	// value is the tag-value without surrounding whitespace; white space inside
	// is kept.
	value []byte
	// from and to delimit everything between "=" and ";" or the end.
	from, to int
}

// parseTags calls each for every tag of list, in order. Tag names are case
// sensitive and may not repeat. Empty tag-specs, as in "a=1;; b=2", are skipped:
// key records in the field have them and nothing can be hidden in them.
func parseTags(list []byte, each func(tag) error) error {
	var seen [maxTags][]byte
	n := 0
	for pos := 0; pos < len(list); {
		end := len(list)
		if i := bytes.IndexByte(list[pos:], ';'); i >= 0 {
			end = pos + i
		}
		spec := list[pos:end]
		start := pos
		pos = end + 1
		eq := bytes.IndexByte(spec, '=')
		if eq < 0 {
			if len(trimFWS(spec)) == 0 {
				continue
			}
			return errTagSyntax
		}
		t := tag{name: trimFWS(spec[:eq]), value: trimFWS(spec[eq+1:]), from: start + eq + 1, to: end}
		if !validTagName(t.name) || !validTagValue(t.value) {
			return errTagSyntax
		}
		for _, s := range seen[:n] {
			if bytes.Equal(s, t.name) {
				return errTagDuplicate
			}
		}
		if n == maxTags {
			return errTagMany
		}
		seen[n] = t.name
		n++
		if err := each(t); err != nil {
			return err
		}
	}
	return nil
}

// validTagName implements tag-name = ALPHA *ALNUMPUNC.
func validTagName(b []byte) bool {
	for i, c := range b {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z':
		case i > 0 && ('0' <= c && c <= '9' || c == '_'):
		default:
			return false
		}
	}
	return len(b) > 0
}

// validTagValue accepts VALCHAR, folding white space and, by RFC 8616 §5, UTF-8.
func validTagValue(b []byte) bool {
	for _, c := range b {
		if c < 0x20 && !isFWS(c) || c == 0x7f {
			return false
		}
	}
	return true
}

func isFWS(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func trimFWS(b []byte) []byte {
	for len(b) > 0 && isFWS(b[0]) {
		b = b[1:]
	}
	for len(b) > 0 && isFWS(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	return b
}

// stripFWS removes all folding white space. It returns b itself where there is
// none, so the result must not be changed.
func stripFWS(b []byte) []byte {
	i := 0
	for i < len(b) && !isFWS(b[i]) {
		i++
	}
	if i == len(b) {
		return b
	}
	out := append(make([]byte, 0, len(b)), b[:i]...)
	for i < len(b) {
		for i < len(b) && isFWS(b[i]) {
			i++
		}
		start := i
		for i < len(b) && !isFWS(b[i]) {
			i++
		}
		out = append(out, b[start:i]...)
	}
	return out
}

// eachColon calls f with each element of a colon-separated list, without its
// surrounding white space.
func eachColon(list []byte, f func(item []byte)) {
	for {
		item, rest, more := bytes.Cut(list, []byte{':'})
		f(trimFWS(item))
		if !more {
			return
		}
		list = rest
	}
}
