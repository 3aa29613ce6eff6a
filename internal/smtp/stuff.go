package smtp

import "bytes"

// Stuffer is the sending side of message data: it doubles each dot at the start
// of a line (RFC 5321 §4.5.2) and never writes a CR or LF that stands alone;
// one in the message becomes CR LF. The zero value begins a message.
type Stuffer struct {
	midLine bool // the last octet written was not LF
	cr      bool // a CR is withheld until it is known what follows
}

// Append appends a piece of the message to dst, dots doubled.
func (s *Stuffer) Append(dst, piece []byte) []byte {
	for len(piece) > 0 {
		if s.cr {
			s.cr = false
			dst = append(dst, '\r', '\n')
			s.midLine = false
			if piece[0] == '\n' {
				piece = piece[1:]
			}
			continue
		}
		if !s.midLine && piece[0] == '.' {
			dst = append(dst, '.')
		}
		n, next := wholeLines(piece)
		if n > 0 {
			dst = append(dst, piece[:n]...)
			s.midLine = piece[n-1] != '\n'
			piece = piece[n:]
		}
		switch next {
		case nextLoneLF:
			dst = append(dst, '\r', '\n')
			s.midLine = false
			piece = piece[1:]
		case nextCR:
			s.cr = true
			piece = piece[1:]
		}
	}
	return dst
}

type nextOctet uint8

const (
	nextAny    nextOctet = iota // nothing special, or the end of the piece
	nextLoneLF                  // an LF without CR before it
	nextCR                      // a CR that is not followed by LF in this piece
)

// wholeLines says how much of piece can be sent as it is: up to a line that
// begins with a dot (but the first, which the caller dealt with), or a CR or LF
// that stands alone.
func wholeLines(piece []byte) (n int, next nextOctet) {
	for n < len(piece) {
		if n > 0 && piece[n] == '.' { // n is the start of a line
			return n, nextAny
		}
		line := piece[n:]
		lf := bytes.IndexByte(line, '\n')
		if lf < 0 {
			lf = len(line)
		}
		cr := bytes.IndexByte(line[:lf], '\r')
		switch {
		case cr >= 0 && cr == lf-1 && lf < len(line):
			n += lf + 1
		case cr >= 0:
			return n + cr, nextCR
		case lf < len(line):
			return n + lf, nextLoneLF
		default:
			return n + lf, nextAny
		}
	}
	return n, nextAny
}

// Finish appends the end of the data: CR LF when the last line has none, then
// "." CR LF. The Stuffer begins anew.
func (s *Stuffer) Finish(dst []byte) []byte {
	if s.midLine || s.cr {
		dst = append(dst, '\r', '\n')
	}
	*s = Stuffer{}
	return append(dst, '.', '\r', '\n')
}
