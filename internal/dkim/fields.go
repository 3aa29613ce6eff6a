package dkim

import (
	"bytes"
)

// maxFields bounds the header fields that are indexed; selecting signed fields
// scans them once per name.
const maxFields = 4000

// field is one header field as offsets into the header block.
type field struct {
	start, colon, end int // end lies behind the final CRLF; colon is -1 without one
	nameEnd           int // end of the name, without white space before the colon
	hash              uint32
	// mark is that of the last signature that selected this field.
	mark uint32
}

// headerIndex finds the fields of a header block. The block stays the caller's.
type headerIndex struct {
	block   []byte
	fields  []field
	present [4]uint64 // a bit for the low bits of each name's hash: most signed names are absent
	tooMany bool
}

// indexHeader splits block into fields at each CRLF that is not followed by
// white space. It stops at an empty line.
func indexHeader(block []byte) headerIndex {
	h := headerIndex{block: block}
	h.fields = make([]field, 0, min(bytes.Count(block, []byte{'\n'}), maxFields))
	for pos := 0; pos < len(block); {
		if bytes.HasPrefix(block[pos:], crlf) {
			break
		}
		if len(h.fields) == maxFields {
			h.tooMany = true
			break
		}
		end := fieldEnd(block, pos)
		f := newField(block, pos, end)
		h.present[f.hash>>6&3] |= 1 << (f.hash & 63)
		h.fields = append(h.fields, f)
		pos = end
	}
	return h
}

// Constants, if slices could be.
var (
	crlf     = []byte("\r\n")
	oneSpace = []byte(" ")
)

// fieldEnd returns where the field that starts at pos ends, continuation lines
// included.
func fieldEnd(block []byte, pos int) int {
	for {
		i := bytes.IndexByte(block[pos:], '\n')
		if i < 0 {
			return len(block)
		}
		nl := pos + i
		pos = nl + 1
		if nl == 0 || block[nl-1] != '\r' {
			continue // a bare LF ends no line
		}
		if pos == len(block) || (block[pos] != ' ' && block[pos] != '\t') {
			return pos
		}
	}
}

func newField(block []byte, start, end int) field {
	f := field{start: start, end: end, colon: -1}
	i := bytes.IndexByte(block[start:end], ':')
	if i < 0 {
		return f
	}
	f.colon = start + i
	f.nameEnd = f.colon
	for f.nameEnd > start && isFWS(block[f.nameEnd-1]) {
		f.nameEnd--
	}
	f.hash = nameHash(block[start:f.nameEnd])
	return f
}

// nameHash hashes a field name without regard to case (FNV-1a).
func nameHash[T string | []byte](name T) uint32 {
	h := uint32(2166136261)
	for i := range len(name) {
		h = (h ^ uint32(lower(name[i]))) * 16777619
	}
	return h
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

func equalFold[A, B string | []byte](a A, b B) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		if lower(a[i]) != lower(b[i]) {
			return false
		}
	}
	return true
}

func (h *headerIndex) is(f *field, name string) bool {
	return f.colon >= 0 && equalFold(h.block[f.start:f.nameEnd], name)
}

// pick selects the lowest field with this name that the signature of this mark
// has not taken yet (RFC 6376 §5.4.2: from the bottom up). It returns nil when
// none is left, as for an oversigned name.
func (h *headerIndex) pick(name string, mark uint32) *field {
	hash := nameHash(name)
	if h.present[hash>>6&3]&(1<<(hash&63)) == 0 {
		return nil
	}
	for i := len(h.fields) - 1; i >= 0; i-- {
		f := &h.fields[i]
		if f.hash == hash && f.mark != mark && h.is(f, name) {
			f.mark = mark
			return f
		}
	}
	return nil
}
