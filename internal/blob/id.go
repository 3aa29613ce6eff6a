package blob

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"time"
)

// ID names a blob: 48 bits of milliseconds since 1970 (big endian), then 80 random bits. Its bytes and
// its text sort by time, so that indices append. The zero ID names nothing.
type ID [16]byte

// NewID returns a fresh ID for that time (before 1970 counts as 1970).
func NewID(now time.Time) ID {
	var random [10]byte
	rand.Read(random[:]) // never fails: crypto/rand
	return MakeID(now, random)
}

// MakeID builds an ID from its parts, for tests and imports that must repeat.
func MakeID(now time.Time, random [10]byte) ID {
	var id ID
	var ms [8]byte
	binary.BigEndian.PutUint64(ms[:], uint64(max(now.UnixMilli(), 0)))
	copy(id[:6], ms[2:])
	copy(id[6:], random[:])
	return id
}

// Time is when the ID was made, in whole milliseconds.
func (id ID) Time() time.Time {
	var ms [8]byte
	copy(ms[2:], id[:6])
	return time.UnixMilli(int64(binary.BigEndian.Uint64(ms[:])))
}

// IsZero tells whether the ID names nothing.
func (id ID) IsZero() bool { return id == ID{} }

// IDLen is the length of an ID's text.
const IDLen = 26

// The alphabet of Crockford's base32: no I, L, O, U.
const alphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// String returns 26 characters of Crockford's base32, most significant first; the first is 0 to 7.
func (id ID) String() string {
	return string(id.appendTo(make([]byte, 0, IDLen)))
}

// appendTo appends the text of the ID to dst.
func (id ID) appendTo(dst []byte) []byte {
	hi, lo := binary.BigEndian.Uint64(id[:8]), binary.BigEndian.Uint64(id[8:])
	var text [IDLen]byte
	for i := IDLen - 1; i >= 0; i-- {
		text[i] = alphabet[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return append(dst, text[:]...)
}

// MarshalText implements encoding.TextMarshaler.
func (id ID) MarshalText() ([]byte, error) { return id.appendTo(nil), nil }

// UnmarshalText implements encoding.TextUnmarshaler; see ParseID.
func (id *ID) UnmarshalText(text []byte) error {
	parsed, err := ParseID(string(text))
	if err == nil {
		*id = parsed
	}
	return err
}

var errID = errors.New("blob: not an id: want 26 characters of base32, the first 0 to 7")

// ParseID reads the text of an ID in either case. As Crockford asks, I and L count as 1 and O as 0, for
// those who type what they see.
func ParseID(s string) (ID, error) {
	if len(s) != IDLen || s[0] > '7' {
		// 'O', 'I' and 'L' are above '7' too; a leading one is refused rather than guessed.
		return ID{}, errID
	}
	var hi, lo uint64
	for i := range IDLen {
		v, ok := digit(s[i])
		if !ok {
			return ID{}, errID
		}
		hi = hi<<5 | lo>>59
		lo = lo<<5 | uint64(v)
	}
	var id ID
	binary.BigEndian.PutUint64(id[:8], hi)
	binary.BigEndian.PutUint64(id[8:], lo)
	return id, nil
}

func digit(c byte) (byte, bool) {
	if 'a' <= c && c <= 'z' {
		c -= 'a' - 'A'
	}
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case c == 'O':
		return 0, true
	case c == 'I' || c == 'L':
		return 1, true
	}
	for i := 10; i < 32; i++ {
		if alphabet[i] == c {
			return byte(i), true
		}
	}
	return 0, false
}
