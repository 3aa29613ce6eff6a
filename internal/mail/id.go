package mail

import (
	"crypto/rand"
	"encoding/base32"
	"encoding/binary"
	"errors"
	"strings"
	"time"
)

// ID names one SMTP transaction from the first MAIL to the last delivery
// attempt: it is the accept id, the trace id and the queue id in one. The first
// 48 bits are milliseconds since 1970, so that indices grow at their right edge;
// the other 80 are random, so that a link which carries an ID cannot be guessed.
// The zero ID means "none".
type ID [16]byte

// idText is Crockford's base 32 in lower case: no letter that is mistaken for
// another when an ID is read out over the telephone.
var idText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// ErrBadID says that a text is not an ID.
var ErrBadID = errors.New("not an id: 26 characters of 0-9 a-z without i l o u are wanted")

// NewID makes an ID for a moment.
func NewID(now time.Time) ID {
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16)
	rand.Read(id[6:]) // never fails since Go 1.24
	return id
}

// String gives the 26 characters that replies, logs and links show.
func (id ID) String() string {
	var out [26]byte
	idText.Encode(out[:], id[:])
	return string(out[:])
}

// IsZero reports whether the ID is "none".
func (id ID) IsZero() bool { return id == ID{} }

// Time is the moment the ID was made, to the millisecond.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8]) >> 16))
}

// ParseID reads what String wrote; case does not matter.
func ParseID(s string) (ID, error) {
	var id ID
	if len(s) != 26 {
		return id, ErrBadID
	}
	b, err := idText.DecodeString(strings.ToLower(s))
	if err != nil || len(b) != len(id) {
		return ID{}, ErrBadID
	}
	copy(id[:], b)
	if id.String() != strings.ToLower(s) { // trailing bits must be zero
		return ID{}, ErrBadID
	}
	return id, nil
}
