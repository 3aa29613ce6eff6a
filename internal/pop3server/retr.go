package pop3server

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strconv"

	"posta/internal/blob"
	"posta/internal/mailbox"
	"posta/internal/smtp"
	"posta/internal/store"
)

func (c *conn) retr(ctx context.Context, args []string) error {
	if len(args) != 1 {
		return refuse("", "message number expected")
	}
	return c.send(ctx, args[0], -1)
}

func (c *conn) top(ctx context.Context, args []string) error {
	if len(args) != 2 {
		return refuse("", "message number and number of lines expected")
	}
	n, err := strconv.ParseUint(args[1], 10, 31)
	if err != nil {
		return refuse("", "number of lines expected")
	}
	return c.send(ctx, args[0], int(n))
}

// block is how much of a message is read at once.
const block = 16 << 10

// send writes a message with its dots doubled, in blocks; lines >= 0 stops behind
// so many lines of the body. From the +OK on an error is the end of the connection:
// a message that is cut must not look whole.
func (c *conn) send(ctx context.Context, arg string, lines int) error {
	n, l, err := c.letterOf(arg)
	if err != nil {
		return err
	}
	r, err := c.open(ctx, l.uid)
	if err != nil {
		return err
	}
	defer r.blob.Close()
	if lines < 0 {
		c.ok("%d octets", l.size)
	} else {
		c.ok("top of message %d follows", n)
	}
	var stuff smtp.Stuffer
	limit := topLimit{left: lines}
	buf := make([]byte, min(block, max(l.size, 1)))
	for {
		n, err := r.Read(buf)
		piece, end := buf[:n], false
		if lines >= 0 {
			piece, end = limit.cut(piece)
		}
		if err := c.io.Compose(func(b []byte) []byte { return stuff.Append(b, piece) }); err != nil {
			return lost(err)
		}
		if end || err == io.EOF {
			break
		}
		if err != nil {
			c.log.ErrorContext(ctx, "pop3: message unreadable", "uid", l.uid, "err", err)
			return lost(err)
		}
	}
	if lines < 0 {
		l.read = true
	}
	if err := c.io.Compose(stuff.Finish); err != nil {
		return lost(err)
	}
	return nil
}

// topLimit finds where TOP ends: behind the empty line and some lines more.
type topLimit struct {
	left   int // lines of the body to go
	inBody bool
	line   int // octets of the line at hand, CR left out
}

// cut gives what of a piece may be sent, and whether that was the end.
func (t *topLimit) cut(p []byte) ([]byte, bool) {
	for at := 0; at < len(p); {
		if t.inBody && t.left == 0 {
			return p[:at], true
		}
		i := bytes.IndexByte(p[at:], '\n')
		if i < 0 {
			t.line += len(bytes.TrimSuffix(p[at:], []byte{'\r'}))
			return p, false
		}
		t.line += len(bytes.TrimSuffix(p[at:at+i], []byte{'\r'}))
		switch {
		case t.inBody:
			t.left--
		case t.line == 0:
			t.inBody = true
		}
		t.line = 0
		at += i + 1
	}
	return p, t.inBody && t.left == 0
}

// source is a message as the client sees it: prefix, then the blob from skip on.
type source struct {
	blob blob.Reader
	io.Reader
}

// open opens a message; a blob that has moved is looked for again once.
func (c *conn) open(ctx context.Context, uid mailbox.UID) (source, error) {
	for again := false; ; again = true {
		found, err := c.srv.Store.Fetch(ctx, c.account, c.drop.box, store.FetchQuery{From: uid, To: uid, Limit: 1, Want: store.WantBytes})
		if err != nil {
			return source{}, err
		}
		if len(found) == 0 {
			return source{}, refuse("", "the message was removed by another session")
		}
		m := &found[0]
		r, err := c.srv.Blobs.Open(ctx, m.Blob.ID, m.Blob.At)
		if errors.Is(err, blob.ErrNotFound) && !again {
			continue
		}
		if err != nil {
			return source{}, err
		}
		body := io.NewSectionReader(r, m.Skip, r.Size()-m.Skip)
		return source{r, io.MultiReader(bytes.NewReader(m.Prefix), body)}, nil
	}
}
