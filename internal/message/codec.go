package message

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrCorrupt is returned for bytes that are not the binary form of a Part or
// an Envelope, or of a version that this code does not know.
var ErrCorrupt = errors.New("message: corrupt binary form")

const (
	partVersion     = 1
	envelopeVersion = 1
	// What a decoder accepts; a tree made under the default Budget is well within.
	maxCodecParts = 10_000
	maxCodecDepth = 256
)

// dictionary holds the strings that are stored as a number. It belongs to
// version 1: strings may be added at the end, never moved.
var dictionary = [...]string{
	"text", "plain", "html", "multipart", "alternative", "mixed", "related", "signed", "report", "application",
	"octet-stream", "pdf", "image", "png", "jpeg", "gif", "message", "rfc822", "delivery-status", "charset",
	"boundary", "name", "filename", "format", "flowed", "type", "utf-8", "UTF-8", "us-ascii", "iso-8859-1",
	"windows-1252", "7bit", "8bit", "base64", "quoted-printable", "binary", "attachment", "inline", "delsp", "yes",
}

// AppendBinary appends the compact binary form of the tree, for a database
// column: a version octet, then the parts in order. The root's own Envelope is
// not part of it (it has a column of its own), those of messages inside are.
// Typical size is 100 to 200 octets. The error tells of offsets that break the
// promises of Part; it cannot happen for a parsed tree.
func (p *Part) AppendBinary(b []byte) ([]byte, error) {
	if p.Start < 0 {
		return b, fmt.Errorf("%w: negative offset", ErrCorrupt)
	}
	b = append(b, partVersion)
	b = binary.AppendUvarint(b, uint64(p.Defects))
	return p.append(b, 0, 0)
}

// MarshalBinary is AppendBinary to a new slice.
func (p *Part) MarshalBinary() ([]byte, error) { return p.AppendBinary(nil) }

// The first number of a part tells what follows.
const (
	hasParams = 1 << iota
	hasDisposition
	hasID
	hasDescription
	hasLocation
	hasMD5
	hasLanguages
	hasMessage
	hasChildren
	isOpaque
	allPartBits = 1<<iota - 1
)

func (p *Part) bits() (m uint64) {
	set := func(has bool, bit uint64) {
		if has {
			m |= bit
		}
	}
	set(len(p.Params) > 0, hasParams)
	set(p.Disposition != "" || len(p.DispositionParams) > 0, hasDisposition)
	set(p.ID != "", hasID)
	set(p.Description != "", hasDescription)
	set(p.Location != "", hasLocation)
	set(p.MD5 != "", hasMD5)
	set(len(p.Languages) > 0, hasLanguages)
	set(p.Message != nil, hasMessage)
	set(len(p.Children) > 0, hasChildren)
	set(p.Opaque, isOpaque)
	return m
}

// append writes the part; offsets are told from base, where the part before it
// ended.
func (p *Part) append(b []byte, base int64, depth int) ([]byte, error) {
	if p.Start < base || p.Body < p.Start || p.End < p.Body || p.Lines < 0 || depth > maxCodecDepth {
		return b, fmt.Errorf("%w: offsets %d %d %d after %d", ErrCorrupt, p.Start, p.Body, p.End, base)
	}
	bits := p.bits()
	b = binary.AppendUvarint(b, bits)
	for _, n := range [...]int64{p.Start - base, p.Body - p.Start, p.End - p.Body, p.Lines} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	b = appendString(appendString(appendString(b, p.Type), p.Subtype), p.Encoding)
	b = appendParams(b, p.Params, bits&hasParams != 0)
	if bits&hasDisposition != 0 {
		b = appendParams(appendString(b, p.Disposition), p.DispositionParams, true)
	}
	for _, s := range p.optional(bits) {
		if s != nil {
			b = appendString(b, *s)
		}
	}
	if bits&hasLanguages != 0 {
		b = binary.AppendUvarint(b, uint64(len(p.Languages)))
		for _, l := range p.Languages {
			b = appendString(b, l)
		}
	}
	if p.Message != nil {
		e := p.Message.Envelope
		if e == nil {
			e = new(Envelope)
		}
		b = e.append(b)
		var err error
		if b, err = p.Message.append(b, p.Body, depth+1); err != nil {
			return b, err
		}
	}
	return p.appendChildren(b, depth)
}

func (p *Part) appendChildren(b []byte, depth int) (_ []byte, err error) {
	if len(p.Children) == 0 {
		return b, nil
	}
	b = binary.AppendUvarint(b, uint64(len(p.Children)))
	base := p.Body
	for _, c := range p.Children {
		if c.End > p.End {
			return b, fmt.Errorf("%w: child ends at %d, parent at %d", ErrCorrupt, c.End, p.End)
		}
		if b, err = c.append(b, base, depth+1); err != nil {
			return b, err
		}
		base = c.End
	}
	return b, nil
}

// optional gives the single strings that the bits announce.
func (p *Part) optional(bits uint64) (out [4]*string) {
	for i, s := range [...]*string{&p.ID, &p.Description, &p.Location, &p.MD5} {
		if bits&(hasID<<i) != 0 {
			out[i] = s
		}
	}
	return out
}

// appendString writes 2×length and the octets, or 2×place+1 in the dictionary.
func appendString(b []byte, s string) []byte {
	for i, w := range dictionary {
		if w == s {
			return binary.AppendUvarint(b, uint64(i)<<1|1)
		}
	}
	b = binary.AppendUvarint(b, uint64(len(s))<<1)
	return append(b, s...)
}

func appendParams(b []byte, ps Params, present bool) []byte {
	if !present {
		return b
	}
	b = binary.AppendUvarint(b, uint64(len(ps)))
	for _, p := range ps {
		b = appendString(appendString(b, p.Name), p.Value)
	}
	return b
}

// UnmarshalBinary reads what AppendBinary wrote. Whatever data holds, it takes
// time and memory linear in its length, and a tree it returns keeps the
// promises of Part's offsets. The error is ErrCorrupt.
func (p *Part) UnmarshalBinary(data []byte) error {
	d := codecReader{s: string(data), parts: maxCodecParts}
	if d.octet() != partVersion {
		return ErrCorrupt
	}
	defects := Defects(d.uvarint())
	root := d.part(0, 0)
	if d.bad || d.s != "" {
		return ErrCorrupt
	}
	root.Defects = defects
	*p = *root
	return nil
}

// codecReader reads from s; after an error bad is set and everything is zero.
// Strings are pieces of s, so a whole tree needs one copy of the input.
type codecReader struct {
	s     string
	parts int
	bad   bool
}

func (d *codecReader) fail() {
	d.bad, d.s = true, ""
}

func (d *codecReader) octet() byte {
	if d.s == "" {
		d.fail()
		return 0
	}
	c := d.s[0]
	d.s = d.s[1:]
	return c
}

func (d *codecReader) uvarint() (v uint64) {
	for shift := 0; shift < 64; shift += 7 {
		c := d.octet()
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			if shift > 0 && c == 0 { // one number, one form
				d.fail()
			}
			return v
		}
	}
	d.fail()
	return 0
}

// offset reads a number of octets of a message: up to 2^48.
func (d *codecReader) offset() int64 {
	v := d.uvarint()
	if v > 1<<48 {
		d.fail()
		return 0
	}
	return int64(v)
}

// count reads how many things follow that take at least size octets each.
func (d *codecReader) count(size int) int {
	v := d.uvarint()
	if v > uint64(len(d.s)/size) {
		d.fail()
		return 0
	}
	return int(v)
}

func (d *codecReader) string() string {
	v := d.uvarint()
	if v&1 == 1 {
		if v>>1 >= uint64(len(dictionary)) {
			d.fail()
			return ""
		}
		return dictionary[v>>1]
	}
	if v>>1 > uint64(len(d.s)) {
		d.fail()
		return ""
	}
	s := d.s[:v>>1]
	d.s = d.s[v>>1:]
	return s
}

func (d *codecReader) params() Params {
	n := d.count(2)
	if n == 0 {
		return nil
	}
	ps := make(Params, n)
	for i := range ps {
		ps[i] = Param{d.string(), d.string()}
	}
	return ps
}

func (d *codecReader) part(base int64, depth int) *Part {
	p := new(Part)
	if d.parts--; d.parts < 0 || depth > maxCodecDepth {
		d.fail()
		return p
	}
	bits := d.uvarint()
	p.Start = base + d.offset()
	p.Body = p.Start + d.offset()
	p.End = p.Body + d.offset()
	p.Lines = d.offset()
	p.Type, p.Subtype, p.Encoding = d.string(), d.string(), d.string()
	if bits&hasParams != 0 {
		p.Params = d.params()
	}
	if bits&hasDisposition != 0 {
		p.Disposition, p.DispositionParams = d.string(), d.params()
	}
	for _, s := range p.optional(bits) {
		if s != nil {
			*s = d.string()
		}
	}
	if bits&hasLanguages != 0 {
		p.Languages = make([]string, d.count(1))
		for i := range p.Languages {
			p.Languages[i] = d.string()
		}
	}
	p.Opaque = bits&isOpaque != 0
	d.inside(p, bits, depth)
	// The bits must be those that the values have, so that one tree has one form.
	if bits > allPartBits || p.bits() != bits || p.End > 1<<50 {
		d.fail()
	}
	return p
}

// inside reads what a part contains.
func (d *codecReader) inside(p *Part, bits uint64, depth int) {
	if bits&hasMessage != 0 && !d.bad {
		e := d.envelope()
		p.Message = d.part(p.Body, depth+1)
		p.Message.Envelope = e
		if p.Message.End > p.End {
			d.fail()
		}
	}
	if bits&hasChildren == 0 || d.bad {
		return
	}
	const smallest = 8 // octets of a part
	base := p.Body
	for range d.count(smallest) {
		c := d.part(base, depth+1)
		if base = c.End; d.bad || base > p.End {
			d.fail()
			return
		}
		p.Children = append(p.Children, c)
	}
}
