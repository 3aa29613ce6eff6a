package mbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
)

// Errors of Next.
var (
	ErrNotMbox = errors.New("mbox: the file does not begin with a line \"From \"")
	ErrTooLong = errors.New("mbox: the message is too long")
)

// Reader cuts an mbox into messages. It holds one message at a time.
type Reader struct {
	src   source
	in    *bufio.Reader // of src
	max   int64
	line  int64
	from  []byte // the line "From " of the next message; nil before the first
	loose bool   // the lines "From " of this file have no date that can be read
	err   error
}

// NewReader reads r. A message of more than max octets is skipped, and Next says so
// with ErrTooLong; max must be positive.
func NewReader(r io.Reader, max int64) *Reader {
	out := &Reader{src: source{file: r}, max: max}
	out.in = bufio.NewReaderSize(&out.src, 64<<10)
	return out
}

// Next returns the next message; io.EOF behind the last. After an error that wraps
// ErrTooLong one can go on. It blocks as the reader below does.
func (r *Reader) Next() (*Message, error) {
	if r.from == nil && r.err == nil {
		r.first()
	}
	if r.err != nil {
		return nil, r.err
	}
	m := &Message{Line: r.line}
	m.Sender, m.Date, _ = fromLine(r.from)
	data, long := r.message()
	if r.err != nil && r.err != io.EOF {
		return nil, r.err
	}
	if long {
		return nil, fmt.Errorf("%w: from line %d on, more than %d octets", ErrTooLong, m.Line, r.max)
	}
	m.Data = m.takeState(data)
	if strings.Contains(string(m.Data[:min(len(m.Data), 2048)]), "DON'T DELETE THIS MESSAGE -- FOLDER INTERNAL DATA") {
		m.Folder = true
	}
	return m, nil
}

// Offset is how many octets of the file the messages up to now took.
func (r *Reader) Offset() int64 {
	n := r.src.read - int64(len(r.src.front)+r.in.Buffered())
	if r.err == nil {
		n -= int64(len(r.from))
	}
	return n
}

// first finds the first "From ", before which empty lines may stand.
func (r *Reader) first() {
	for {
		line, err := r.read()
		switch {
		case len(line) == 0:
			r.err = err
			return
		case len(bytes.TrimRight(line, "\r\n")) == 0:
			continue
		case !bytes.HasPrefix(line, []byte("From ")):
			r.err = ErrNotMbox
			return
		}
		r.from = bytes.Clone(line)
		_, _, strict := fromLine(line)
		r.loose = !strict
		return
	}
}

// read returns a line, at most 64 KiB of a longer one at a time.
func (r *Reader) read() ([]byte, error) {
	line, err := r.in.ReadSlice('\n')
	if len(line) > 0 && line[len(line)-1] == '\n' {
		r.line++
	}
	if err == bufio.ErrBufferFull {
		err = nil
	}
	return line, err
}

// separates reports whether a line that follows an empty one begins a message.
func (r *Reader) separates(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("From ")) {
		return false
	}
	_, _, strict := fromLine(line)
	return strict || r.loose
}

// message reads up to the next separator or the end. long says that octets are
// missing.
func (r *Reader) message() (data []byte, long bool) {
	var size int64 = -1 // what Content-Length tells of the body
	header, blank, start := true, false, true
	for {
		if !header && size >= 0 {
			if body, ok := r.counted(size); ok {
				return append(data, body...), false
			}
			size = -1
		}
		line, err := r.read()
		if len(line) == 0 {
			r.err = err
			if err == io.EOF {
				return trimSeparator(data), long
			}
			return nil, long
		}
		if start && blank && r.separates(line) {
			r.from = bytes.Clone(line)
			return trimSeparator(data), long
		}
		whole := line[len(line)-1] == '\n'
		blank = start && len(bytes.TrimRight(line, "\r\n")) == 0
		if header && start {
			if n, ok := contentLength(line); ok && n <= r.max {
				size = n
			}
			header = !blank
		}
		if start && !header {
			line = unquote(line)
		}
		start = whole
		if int64(len(data)+len(line)) > r.max {
			long = true
			continue
		}
		data = append(data, line...)
	}
}

// counted reads a body of so many octets, if the next message or the end of the file
// stands behind it; else it reads nothing.
func (r *Reader) counted(size int64) ([]byte, bool) {
	const behind = 1024 // octets in which a line "From " has its date
	ahead, err := io.ReadAll(io.LimitReader(r.in, size+behind))
	rest := ahead[min(size, int64(len(ahead))):]
	gap := len(rest) - len(bytes.TrimLeft(rest, "\r\n"))
	next := rest[gap:]
	if err != nil || int64(len(ahead)) < size || gap > 4 || len(next) > 0 && !r.separates(next[:lineEnd(next)]) {
		r.unread(ahead)
		return nil, false
	}
	r.line += int64(bytes.Count(ahead[:int(size)+gap], []byte("\n")))
	r.unread(next)
	line, err := r.read()
	if len(line) == 0 {
		r.err = err
	} else {
		r.from = bytes.Clone(line)
	}
	return ahead[:size:size], true
}

// unread puts octets back before those that are to come.
func (r *Reader) unread(b []byte) {
	ahead, _ := r.in.Peek(r.in.Buffered())
	r.src.front = slices.Concat(b, ahead, r.src.front)
	r.in.Reset(&r.src)
}

// source is the file, with octets that were put back before it.
type source struct {
	front []byte
	file  io.Reader
	read  int64 // octets of file
}

func (s *source) Read(p []byte) (int, error) {
	if len(s.front) > 0 {
		n := copy(p, s.front)
		s.front = s.front[n:]
		return n, nil
	}
	n, err := s.file.Read(p)
	s.read += int64(n)
	return n, err
}

func lineEnd(b []byte) int {
	if i := bytes.IndexByte(b, '\n'); i >= 0 {
		return i
	}
	return len(b)
}

// contentLength reads a field Content-Length.
func contentLength(line []byte) (int64, bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || !strings.EqualFold(string(bytes.TrimSpace(name)), "content-length") {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(value)), 10, 64)
	return n, err == nil && n >= 0
}

// unquote takes one ">" off ">From ", ">>From " and so on.
func unquote(line []byte) []byte {
	if line[0] == '>' && bytes.HasPrefix(bytes.TrimLeft(line, ">"), []byte("From ")) {
		return line[1:]
	}
	return line
}

// trimSeparator takes off the empty line that belongs to the separator.
func trimSeparator(data []byte) []byte {
	for _, end := range []string{"\r\n", "\n"} {
		if !bytes.HasSuffix(data, []byte(end)) {
			continue
		}
		body := data[:len(data)-len(end)]
		if len(body) == 0 || body[len(body)-1] == '\n' {
			return body
		}
		return data
	}
	return data
}
