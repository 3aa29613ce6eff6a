package learn

import (
	"encoding/binary"
	"errors"
)

// ErrFeatures says that bytes are not what MarshalBinary wrote.
var ErrFeatures = errors.New("learn: malformed features")

// MarshalBinary gives the features for another process: each is its name, or of a
// pair the places of its words among those before it.
func (f Features) MarshalBinary() ([]byte, error) {
	var b []byte
	for _, x := range f.set.list {
		if x.pair {
			b = append(b, 0xff)
			b = binary.BigEndian.AppendUint16(b, uint16(x.at))
			b = binary.BigEndian.AppendUint16(b, x.next)
			continue
		}
		b = append(b, byte(x.len))
		b = append(b, f.set.names[x.at:x.at+uint32(x.len)]...)
	}
	return b, nil
}

// UnmarshalBinary is the inverse of MarshalBinary; ErrFeatures.
func (f *Features) UnmarshalBinary(b []byte) error {
	s := newSet()
	for len(b) > 0 {
		n, rest := int(b[0]), b[1:]
		before := len(s.list)
		switch {
		case n == 0xff && len(rest) >= 4:
			first, second := int(binary.BigEndian.Uint16(rest)), int(binary.BigEndian.Uint16(rest[2:]))
			if first >= before || second >= before || s.list[first].pair || s.list[second].pair {
				return ErrFeatures
			}
			s.pair(first, second)
			b = rest[4:]
		case n <= maxFeature && len(rest) >= n:
			start := len(s.names)
			s.names = append(s.names, rest[:n]...)
			s.close(start)
			b = rest[n:]
		default:
			return ErrFeatures
		}
		if len(s.list) == before {
			return ErrFeatures // twice, or too many
		}
	}
	f.set = s
	return nil
}
