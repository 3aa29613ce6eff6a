package dkim

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"math"
	"math/bits"
)

// BodyHash is the SHA-256 of a canonicalised body (RFC 6376 §3.7), computed as
// the body streams by. Bytes that need no change go to the hash straight from
// the caller's slice. It is an io.Writer whose Write never fails. Only CRLF ends
// a line: a bare CR or LF is content.
type BodyHash struct {
	h     hash.Hash
	canon Canonicalization
	limit int64 // l=, or -1
	left  int64 // canonical octets that may still be hashed
	seen  int64 // canonical octets so far, hashed or not

	cr    bool  // the last Write ended in CR
	space bool  // relaxed: white space before the next byte is owed
	lines int64 // CRLFs owed: they count only if content follows
	word  bool  // content was seen
	ended bool
	sum   [sha256.Size]byte
}

// NewBodyHash returns a BodyHash over the whole body.
func NewBodyHash(c Canonicalization) *BodyHash { return newBodyHash(c, -1) }

// newBodyHash hashes at most limit canonical octets; a negative limit is none.
func newBodyHash(c Canonicalization, limit int64) *BodyHash {
	b := &BodyHash{h: sha256.New(), canon: c, limit: limit, left: limit}
	if limit < 0 {
		b.left = math.MaxInt64
	}
	return b
}

// Write takes the next bytes of the body as received.
func (b *BodyHash) Write(p []byte) (int, error) {
	n := len(p)
	if n == 0 {
		return 0, nil
	}
	if b.cr {
		b.cr = false
		if p[0] == '\n' {
			b.endLine()
			p = p[1:]
		} else {
			b.content(crlf[:1])
		}
	}
	if b.canon == Relaxed {
		b.relaxed(p)
	} else {
		b.simple(p)
	}
	return n, nil
}

// Sum ends the body and returns its hash. Nothing may be written afterwards.
func (b *BodyHash) Sum() [sha256.Size]byte {
	if b.ended {
		return b.sum
	}
	b.ended = true
	if b.cr {
		b.cr = false
		b.content(crlf[:1])
	}
	// Both algorithms keep exactly one CRLF after content, adding it where the
	// body ends without one; an empty body is one CRLF in simple (§3.4.3) and
	// nothing at all in relaxed (§3.4.4).
	b.lines, b.space = 0, false
	if b.word || b.canon == Simple {
		b.emit(crlf)
	}
	b.h.Sum(b.sum[:0])
	return b.sum
}

// simple passes everything on except the CRLFs at the end of what was seen.
func (b *BodyHash) simple(p []byte) {
	end := len(p)
	if end > 0 && p[end-1] == '\r' {
		b.cr = true
		end--
	}
	tail := end
	for tail >= 2 && p[tail-1] == '\n' && p[tail-2] == '\r' {
		tail -= 2
	}
	if tail > 0 {
		b.content(p[:tail])
	}
	for ; tail < end; tail += 2 {
		b.endLine()
	}
}

// relaxed passes on runs of bytes that stay as they are and handles the rest,
// white space and line ends, by the few states of b.
func (b *BodyHash) relaxed(p []byte) {
	for i := 0; i < len(p); {
		if n := cleanRun(p[i:]); n > 0 {
			b.content(p[i : i+n])
			i += n
			continue
		}
		switch c := p[i]; {
		case c == ' ' || c == '\t':
			b.space = true
			i++
		case c == '\r' && i+1 == len(p):
			b.cr = true
			i++
		default: // cleanRun stops at CR only before LF or at the end
			b.endLine()
			i += 2
		}
	}
}

// cleanRun returns how many bytes at the start of p relaxed canonicalisation
// keeps unchanged whatever follows: single spaces between words and line ends
// between lines are kept, but not the ones at the end of p.
func cleanRun(p []byte) int {
	i := 0
	for i < len(p) {
		if i += cleanWords(p, i); i >= len(p) {
			break
		}
		switch p[i] {
		default: // content, or a control character, which is content too
			i++
		case ' ':
			if i == 0 || i+1 >= len(p) || p[i+1] <= ' ' || p[i-1] <= ' ' {
				return i
			}
			i += 2
		case '\t':
			return i
		case '\r':
			j := i
			for j+1 < len(p) && p[j] == '\r' && p[j+1] == '\n' {
				j += 2
			}
			switch {
			case j >= len(p), p[j] == ' ', p[j] == '\t', i == 0 && j > i:
				return i
			case p[j] == '\r' && j+1 == len(p):
				return i
			}
			i = j + 1
		}
	}
	return i
}

// cleanWords returns how far p from i on is words with single spaces between
// them, looking at eight bytes at a time: prose is long and its hash is fast, so
// looking at each byte would cost as much as the hash. It stops early, at the
// latest where less than eight bytes are left or before any byte at or below the
// space that is not a single space between two words.
func cleanWords(p []byte, i int) int {
	const (
		ones = 0x0101010101010101
		high = 0x80 * ones
	)
	start := i
	for i+8 <= len(p) {
		x := binary.LittleEndian.Uint64(p[i:])
		// The high bit of each byte: is it at or below the space? No borrow can
		// cross bytes, as each has its high bit set first.
		low := ^((x | high) - 0x21*ones) &^ x & high
		if low == 0 {
			i += 8
			continue
		}
		y := x ^ 0x20*ones
		space := ^((y&^uint64(high) + 0x7f*ones) | y) & high
		switch {
		case low != space || space&(space<<8) != 0 || space&0x80 != 0 && (i == 0 || p[i-1] <= ' '):
			return i + bits.TrailingZeros64(low)/8 - start
		case space>>63 != 0: // what follows the last space is not known yet
			i += 7
		default:
			i += 8
		}
	}
	return i - start
}

// content emits what is owed, then p, which starts and ends with content.
func (b *BodyHash) content(p []byte) {
	for ; b.lines > 0; b.lines-- {
		b.emit(crlf)
	}
	if b.space {
		b.emit(oneSpace)
		b.space = false
	}
	b.word = true
	b.emit(p)
}

func (b *BodyHash) endLine() {
	b.space = false // white space at the end of a line is dropped
	b.lines++
}

func (b *BodyHash) emit(p []byte) {
	b.seen += int64(len(p))
	if int64(len(p)) > b.left {
		p = p[:b.left]
	}
	b.left -= int64(len(p))
	b.h.Write(p)
}
