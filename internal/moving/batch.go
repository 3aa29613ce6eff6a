package moving

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"posta/internal/command"
	"posta/internal/message"
	"posta/internal/parcel"
)

// Bounds of a batch.
const (
	batchOctets   = 8 << 20
	batchMessages = 200
)

// batch gathers the messages of a folder that are to be stored.
type batch struct {
	m      *mover
	folder Folder
	asked  command.MoveFolder
	to     command.MovePlace
	report *FolderReport
	known  command.MoveDigests // what is there and not yet matched by one of the source

	messages []*Message
	octets   int64
	mark     uint64 // what is done once the batch is
}

// take adds a message, unless it is there.
func (b *batch) take(msg *Message) error {
	msg.Data = crlf(msg.Data)
	if msg.Date.IsZero() {
		msg.Date = written(msg.Data)
	}
	b.mark = max(b.mark, msg.Mark)
	digest := sha256.Sum256(msg.Data)
	name := hex.EncodeToString(digest[:])
	elsewhere := b.m.elsewhere(digest)
	if b.known[name] > 0 {
		b.known[name]--
		b.m.count(b.report, 0, 1, 0, msg.Units)
		return nil
	}
	if b.folder.All && elsewhere {
		b.m.count(b.report, 0, 1, 0, msg.Units)
		return nil
	}
	if b.m.opt.Dry {
		b.m.count(b.report, 1, 0, int64(len(msg.Data)), msg.Units)
		return nil
	}
	b.messages = append(b.messages, msg)
	b.octets += int64(len(msg.Data))
	if b.octets >= batchOctets || len(b.messages) >= batchMessages {
		return b.flush()
	}
	return nil
}

// flush stores what was gathered, and notes how far that is.
func (b *batch) flush() error {
	for len(b.messages) > 0 {
		done, err := b.put()
		if err != nil {
			return err
		}
		if done.Problem == nil {
			break
		}
		if !done.Alone || len(b.messages) == 0 {
			return &command.Error{Kind: command.ErrUsage, Key: done.Problem.Key, Args: anyOf(done.Problem.Args)}
		}
		bad := b.messages[0]
		b.messages = b.messages[1:]
		b.m.skip(b.report, &Skipped{Folder: b.folder.Name, Where: bad.Where, Key: done.Problem.Key, Args: anyOf(done.Problem.Args), Units: bad.Units})
	}
	b.messages, b.octets = nil, 0
	if b.mark == 0 || b.asked.Mark == "" || b.m.opt.Dry {
		return nil
	}
	mark := command.MoveMark{Account: b.m.opt.Account, Mark: b.asked.Mark, Value: b.mark}
	return b.m.house.Do("mail.mark", mark, nil)
}

// put gives the batch to the house, and takes off it what was stored.
func (b *batch) put() (done command.MoveDone, err error) {
	r, w := io.Pipe()
	written := make(chan struct{})
	go func(messages []*Message) {
		defer close(written)
		w.CloseWithError(b.write(w, messages))
	}(b.messages)
	var out bytes.Buffer
	err = b.m.house.Stream("mail.put", command.MovePut{Account: b.m.opt.Account, Session: b.m.session}, r, &out)
	r.Close() // whatever is not read is not wanted: the writer ends
	<-written
	if err != nil {
		return done, err
	}
	if err := json.Unmarshal(out.Bytes(), &done); err != nil {
		return done, fmt.Errorf("mail.put: %w", err)
	}
	if done.Put > len(b.messages) {
		return done, fmt.Errorf("mail.put: %d of %d messages", done.Put, len(b.messages))
	}
	for _, msg := range b.messages[:done.Put] {
		b.m.count(b.report, 1, 0, int64(len(msg.Data)), msg.Units)
	}
	b.messages = b.messages[done.Put:]
	return done, nil
}

// write writes messages as a stream.
func (b *batch) write(w io.Writer, messages []*Message) error {
	p := parcel.NewWriter(w)
	for _, msg := range messages {
		if err := p.Add(msg.item(b.to), bytes.NewReader(msg.Data)); err != nil {
			return err
		}
	}
	return p.End(nil)
}

func anyOf(args []string) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = a
	}
	return out
}

// written is the Date of a message; zero if it has none that can be read.
func written(data []byte) (out time.Time) {
	head := data[:min(len(data), 256<<10)]
	if i := bytes.Index(head, []byte("\r\n\r\n")); i >= 0 {
		head = head[:i+2]
	}
	if t, err := message.ParseDate(message.Header(head).Get("Date")); err == nil {
		return t
	}
	return out
}

func digestOf(name string) (d [32]byte, ok bool) {
	b, err := hex.DecodeString(name)
	return d, err == nil && copy(d[:], b) == len(d)
}
