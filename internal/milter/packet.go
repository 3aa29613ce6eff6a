package milter

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

const (
	// maxData is the most that a milter takes in one packet, and a body chunk
	// (MILTER_MAX_DATA_SIZE, MILTER_CHUNK_SIZE).
	maxData = 65535
	// maxPacket is the most that we take in one packet. A milter's are bounded
	// by what it was given, save for replies of many lines.
	maxPacket = 256 << 10
)

// Errors of a dialogue.
var (
	// ErrProtocol: the milter said something that the protocol does not know at
	// that place.
	ErrProtocol = errors.New("milter broke the protocol")
	// ErrTooLarge: a field, an edit or a replaced body exceeds a limit.
	ErrTooLarge = errors.New("too large for a milter")
	// ErrClosed: the session is over.
	ErrClosed = errors.New("milter session is over")
)

// LocalError is a failure on our side: the message cannot be read, or a replaced
// body not be kept. It says nothing of the milter.
type LocalError struct{ Err error }

func (e *LocalError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *LocalError) Unwrap() error { return e.Err }

// local marks an error of our own.
func local(err error) error {
	if err == nil {
		return nil
	}
	return &LocalError{fmt.Errorf("keeping the replaced body: %w", err)}
}

// protocolError says what was wrong.
func protocolError(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrProtocol, fmt.Sprintf(format, args...))
}

// readPacket reads one packet into buf, which it may replace by a larger one.
// The data alias buf.
func readPacket(r *bufio.Reader, buf *[]byte) (code byte, data []byte, err error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n == 0 || n > maxPacket {
		return 0, nil, protocolError("a packet of %d octets", n)
	}
	if uint32(cap(*buf)) < n {
		*buf = make([]byte, n)
	}
	all := (*buf)[:n]
	if _, err := io.ReadFull(r, all); err != nil {
		return 0, nil, noEOF(err)
	}
	return all[0], all[1:], nil
}

// noEOF makes the end of a connection in the middle of a packet an error of its
// own.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writePacket writes one packet; data may come in parts.
func writePacket(w *bufio.Writer, code byte, parts ...[]byte) error {
	n := 1
	for _, p := range parts {
		n += len(p)
	}
	var head [5]byte
	binary.BigEndian.PutUint32(head[:], uint32(n))
	head[4] = code
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	for _, p := range parts {
		if _, err := w.Write(p); err != nil {
			return err
		}
	}
	return nil
}

// appendString appends a string with its end. A NUL in it, which only a hostile
// client sends, becomes "?".
func appendString(b []byte, s string) []byte {
	if strings.IndexByte(s, 0) >= 0 {
		s = strings.ReplaceAll(s, "\x00", "?")
	}
	return append(append(b, s...), 0)
}

// fields reads the parts of a packet's data. The first that is wrong stays.
type fields struct {
	data []byte
	bad  bool
}

func (f *fields) uint32() uint32 {
	if len(f.data) < 4 {
		f.bad = true
		return 0
	}
	n := binary.BigEndian.Uint32(f.data)
	f.data = f.data[4:]
	return n
}

// string reads up to the next NUL.
func (f *fields) string() string {
	i := bytes.IndexByte(f.data, 0)
	if i < 0 {
		f.bad = true
		return ""
	}
	s := string(f.data[:i])
	f.data = f.data[i+1:]
	return s
}

// optional reads a string if there is more.
func (f *fields) optional() string {
	if len(f.data) == 0 {
		return ""
	}
	return f.string()
}

// done reports whether everything was there and nothing more.
func (f *fields) done() bool { return !f.bad && len(f.data) == 0 }
