package relay

import (
	"bytes"
	"context"
	"errors"
	"fmt"
)

// chunks sends the message with BDAT (RFC 3030): all of it, and when that was taken
// and it is recorded that it may be delivered now, the empty last chunk which ends it
// as the dot does.
func (t *transaction) chunks(ctx context.Context) error {
	c := t.c
	var g pairs
	c.line.WriteString(fmt.Sprintf("BDAT %d\r\n", int64(len(t.body.Head))+t.body.Size))
	err := t.send(g.Append)
	if err == nil && g.broken() {
		err = readError{errBare}
	}
	if err != nil {
		return t.interrupted(err)
	}
	r, err := c.reply(c.r.cfg.Timeouts.Dot)
	switch {
	case err != nil:
		return t.lost(err, "while sending the message")
	case !r.OK():
		t.refuse(t.accepted, r)
		return t.closing(r)
	}
	return t.end(ctx, func(b []byte) []byte { return append(b, "BDAT 0 LAST\r\n"...) })
}

var errBare = errors.New("relay: a bare CR or LF in what is sent as it is")

// pairs lets octets through as long as CR and LF stand in pairs; from the first that
// does not on, nothing. The host then waits for octets that never come, so nothing is
// delivered.
type pairs struct {
	cr  bool // the last octet was a CR, which is held back
	bad bool
}

// Append appends what may go out of piece.
func (g *pairs) Append(dst, piece []byte) []byte {
	for len(piece) > 0 && !g.bad {
		if g.cr {
			if g.bad = piece[0] != '\n'; g.bad {
				break
			}
			dst, piece, g.cr = append(dst, '\r', '\n'), piece[1:], false
			continue
		}
		i := bytes.IndexAny(piece, "\r\n")
		if i < 0 {
			return append(dst, piece...)
		}
		dst = append(dst, piece[:i]...)
		g.cr, g.bad = piece[i] == '\r', piece[i] == '\n'
		piece = piece[i+1:]
	}
	return dst
}

// broken reports whether something was held back.
func (g *pairs) broken() bool { return g.bad || g.cr }
