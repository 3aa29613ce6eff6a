package learn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"path"
	"strings"

	"posta/internal/message"
	"posta/internal/spam/content"
)

// MaxSample bounds the octets of a message that are looked at for learning.
const MaxSample = 4 << 20

// Read takes the features of a message as bytes.
func Read(b []byte) (Features, error) {
	c, err := content.Read(bytes.NewReader(b), message.ParseBytes(b, message.Budget{}), content.Budget{})
	if err != nil {
		return Features{}, err
	}
	return Extract(c), nil
}

// Corpus walks the messages in a folder of a file system: each file of a maildir
// (its new and cur; tmp is passed over) or of a folder of messages, and each
// message of a file in mbox form (one that begins with "From "). Folders within
// are walked too. Names that begin with a dot are passed over. A message is cut
// at 4 MiB; a file that cannot be read is an error with its name.
func Corpus(fsys fs.FS, root string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		err := fs.WalkDir(fsys, root, func(name string, d fs.DirEntry, err error) error {
			base := path.Base(name)
			switch {
			case err != nil:
				return err
			case d.IsDir() && name != root && (base == "tmp" || base[0] == '.'):
				return fs.SkipDir
			case d.IsDir() || base[0] == '.' || !d.Type().IsRegular() || strings.HasPrefix(base, "dovecot"):
				return nil
			}
			for m, err := range fileMessages(fsys, name) {
				if err != nil {
					err = fmt.Errorf("%s: %w", name, err)
				}
				if !yield(m, err) {
					return fs.SkipAll
				}
			}
			return nil
		})
		if err != nil {
			yield(nil, err)
		}
	}
}

// fileMessages walks the one message of a file, or the many of an mbox.
func fileMessages(fsys fs.FS, name string) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		f, err := fsys.Open(name)
		if err != nil {
			yield(nil, err)
			return
		}
		defer f.Close()
		for m, err := range Mbox(f) {
			if !yield(m, err) {
				return
			}
		}
	}
}

// Mbox walks the messages of an mbox: each begins with a line "From " after an
// empty line or at the start. ">From " within is left as it stands. Bytes that do
// not begin so are one message.
func Mbox(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		m := mboxReader{lines: bufio.NewReaderSize(r, 64<<10)}
		for {
			b, err := m.next()
			if err == io.EOF {
				return
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// mboxReader cuts an mbox into messages.
type mboxReader struct {
	lines   *bufio.Reader
	started bool
	mbox    bool
	ended   bool
}

func (m *mboxReader) next() ([]byte, error) {
	if m.ended {
		return nil, io.EOF
	}
	var out []byte
	blank, piece := false, false
	for {
		line, err := m.lines.ReadSlice('\n') // a longer line comes in pieces
		if err == io.EOF && len(line) == 0 {
			m.ended = true
			if len(out) == 0 {
				return nil, io.EOF
			}
			return out, nil
		}
		if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
			return nil, err
		}
		from := !piece && bytes.HasPrefix(line, []byte("From "))
		piece = err == bufio.ErrBufferFull
		switch {
		case !m.started:
			m.started, m.mbox = true, from
			if from {
				continue
			}
		case m.mbox && from && blank:
			return out, nil
		}
		blank = !piece && len(bytes.TrimRight(line, "\r\n")) == 0
		out = append(out, line[:min(len(line), MaxSample-len(out))]...)
	}
}
