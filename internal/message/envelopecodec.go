package message

import (
	"encoding/binary"
	"strings"
)

// AppendBinary appends the compact binary form of the envelope: a version
// octet, a number telling which fields there are, and those. The error is
// always nil.
func (e *Envelope) AppendBinary(b []byte) ([]byte, error) {
	return e.append(append(b, envelopeVersion)), nil
}

// MarshalBinary is AppendBinary to a new slice.
func (e *Envelope) MarshalBinary() ([]byte, error) { return e.AppendBinary(nil) }

func (e *Envelope) append(b []byte) []byte {
	bits := uint64(0)
	for i, s := range e.fields() {
		if *s != "" {
			bits |= 1 << i
		}
	}
	b = binary.AppendUvarint(b, bits)
	for _, s := range e.fields() {
		if *s != "" {
			b = binary.AppendUvarint(b, uint64(len(*s)))
			b = append(b, *s...)
		}
	}
	return b
}

// UnmarshalBinary reads what AppendBinary wrote. The error is ErrCorrupt.
func (e *Envelope) UnmarshalBinary(data []byte) error {
	d := codecReader{s: string(data)}
	if d.octet() != envelopeVersion {
		return ErrCorrupt
	}
	out := d.envelope()
	if d.bad || d.s != "" {
		return ErrCorrupt
	}
	*e = *out
	return nil
}

func (d *codecReader) envelope() *Envelope {
	e := new(Envelope)
	bits := d.uvarint()
	if bits >= 1<<envelopeFields {
		d.fail()
	}
	for i, s := range e.fields() {
		if bits&(1<<i) == 0 {
			continue
		}
		n := d.count(1)
		if n == 0 {
			d.fail()
			break
		}
		*s, d.s = d.s[:n], d.s[n:]
	}
	return e
}

// Clone returns a copy that shares no memory with the buffer it was read from,
// for values that outlive a large decoded tree.
func (e *Envelope) Clone() *Envelope {
	c := *e
	for _, s := range c.fields() {
		*s = strings.Clone(*s)
	}
	return &c
}
