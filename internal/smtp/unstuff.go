package smtp

import "bytes"

// Unstuffer is the receiving side of message data: it takes the dots away
// (RFC 5321 §4.5.2), finds the end, and sees every CR and LF that stands alone.
// The zero value awaits the data after "354" and refuses lone CR and LF.
//
// # Why nothing can be smuggled
//
// Only CR LF "." CR LF ends the data, in each mode; there is no other way into
// the state end. In the strict mode a CR or LF that stands alone sets Bare,
// which never goes away; the server reads on to the true end, executes nothing
// of what it reads, refuses the message, and closes the connection, so that
// whatever the other side thinks stands behind the message is not executed
// either. (As Postfix does with smtpd_forbid_bare_newline = reject and code 521;
// reading to the true end first lets the client read why.) In the normalising
// mode, which is for our own users, each becomes CR LF, and a dot behind it is
// data: "LF . CR LF" is a line with a dot, not an end, and "LF . x" keeps its
// dot, since to the client who wrote it no line began there (curl sends a Unix
// file so).
type Unstuffer struct {
	// Normalise makes CR LF of a CR or LF that stands alone. CR CR LF, the mark
	// of a text file written twice through Windows, becomes one CR LF.
	Normalise bool

	// Plain is for BDAT: dots mean nothing and there is no end (RFC 3030 §2).
	Plain bool

	// Bare is set once a CR or LF that stands alone was seen.
	Bare bool

	state lineState
}

// lineState is where in a line the next octet stands.
type lineState uint8

const (
	atStart   lineState = iota // after CR LF: a dot is special
	inLine                     // somewhere else
	afterCR                    // in a line, a CR is withheld
	afterCRCR                  // normalising: two CRs are withheld
	afterDot                   // the first octet of the line is a dot, withheld
	dotCR                      // the line is a dot and a CR, both withheld: LF ends the data
	atEnd
)

// Append takes src, appends what is content to dst, and says how many octets of
// src it used: all of them, unless the data ended (done). dst and src must not
// share memory: what an earlier block withheld comes first.
//
// Content grows at most twofold, and only when normalising.
func (u *Unstuffer) Append(dst, src []byte) (out []byte, used int, done bool) {
	i := 0
	for i < len(src) {
		if u.state == inLine || u.state == atStart && (u.Plain || src[i] != '.') {
			n := 0
			dst, n = u.run(dst, src[i:])
			i += n
			continue
		}
		dst, i = u.step(dst, src, i)
		if u.state == atEnd {
			return dst, i, true
		}
	}
	return dst, i, false
}

// run takes whole lines as long as they are well formed and begin with no dot:
// the quick way, two searches for each line.
func (u *Unstuffer) run(dst, src []byte) ([]byte, int) {
	end := 0 // up to here src is content as it is
	for end < len(src) {
		if end > 0 && !u.Plain && u.state == atStart && src[end] == '.' {
			break
		}
		line := src[end:]
		lf := bytes.IndexByte(line, '\n')
		if lf < 0 {
			lf = len(line)
		}
		cr := bytes.IndexByte(line[:lf], '\r')
		if cr >= 0 && cr == lf-1 && lf < len(line) {
			end += lf + 1
			u.state = atStart
			continue
		}
		// A lone CR or LF, or the end of the block: the slow way goes on from there.
		if cr < 0 {
			cr = lf
		}
		dst = append(dst, src[:end+cr]...)
		if cr > 0 {
			u.state = inLine
		}
		if end += cr; end == len(src) {
			return dst, end
		}
		return u.lone(dst, src[end]), end + 1
	}
	return append(dst, src[:end]...), end
}

// lone handles a CR or LF inside a line, of which the next octet is not known
// or not what it should be.
func (u *Unstuffer) lone(dst []byte, c byte) []byte {
	if c == '\r' {
		u.state = afterCR
		return dst
	}
	return u.bareLF(dst)
}

// step takes one octet in a state other than inLine (or a few that are content).
func (u *Unstuffer) step(dst, src []byte, i int) ([]byte, int) {
	c := src[i]
	switch u.state {
	case atStart: // only for a dot
		u.state = afterDot
		return dst, i + 1
	case afterDot:
		if c == '\r' {
			u.state = dotCR
			return dst, i + 1
		}
		u.state = inLine // the dot was stuffed
		if c == '\n' {   // ". LF": no stuffed dot, the client thinks of an end
			dst = append(dst, '.')
		}
		return dst, i
	case dotCR:
		if c == '\n' {
			u.state = atEnd
			return dst, i + 1
		}
		dst = append(dst, '.')
		u.state = afterCR
		return dst, i
	default: // afterCR, afterCRCR
		return u.afterCR(dst, c, i)
	}
}

func (u *Unstuffer) afterCR(dst []byte, c byte, i int) ([]byte, int) {
	if c == '\n' {
		u.state = atStart
		return append(dst, '\r', '\n'), i + 1
	}
	u.Bare = true
	if !u.Normalise {
		u.state = inLine
		return append(dst, '\r'), i
	}
	if c == '\r' {
		if u.state == afterCRCR {
			dst = append(dst, '\r', '\n')
		}
		u.state = afterCRCR
		return dst, i + 1
	}
	if u.state == afterCRCR {
		dst = append(dst, '\r', '\n')
	}
	u.state = inLine
	return append(dst, '\r', '\n'), i
}

func (u *Unstuffer) bareLF(dst []byte) []byte {
	u.Bare = true
	u.state = inLine
	if !u.Normalise {
		return append(dst, '\n')
	}
	return append(dst, '\r', '\n')
}

// Finish is for Plain data: it appends what is withheld at its end.
func (u *Unstuffer) Finish(dst []byte) []byte {
	switch u.state {
	case afterCR, afterCRCR:
		u.Bare = true
		dst = append(dst, '\r')
		if u.Normalise {
			dst = append(dst, '\n')
		}
		if u.Normalise && u.state == afterCRCR {
			dst = append(dst, '\r', '\n')
		}
	}
	u.state = atEnd
	return dst
}
