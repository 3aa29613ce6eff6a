package imap

import (
	"bytes"
	"io"
)

// textSource is what follows a command's first line, as one text.
type textSource struct {
	rest []byte
	read int // octets handed out
}

func (s *textSource) Literal(l Literal) ([]byte, error) {
	if l.Size > int64(len(s.rest)) {
		return nil, io.ErrUnexpectedEOF
	}
	b := s.rest[:l.Size]
	s.rest = s.rest[l.Size:]
	s.read += len(b)
	return b, nil
}

func (s *textSource) Line(max int) ([]byte, error) {
	line, rest, ok := bytes.Cut(s.rest, []byte("\r\n"))
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	s.rest = rest
	s.read += len(line)
	return line, nil
}

// decode makes a decoder of a command's arguments with all that follows them.
func decode(text string) *Decoder {
	line, rest, _ := bytes.Cut([]byte(text), []byte("\r\n"))
	return NewDecoder(line, &textSource{rest: rest}, AfterLogin)
}
