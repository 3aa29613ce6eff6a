package queue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"time"

	"posta/internal/blob"
	"posta/internal/mail"
	"posta/internal/message"
	"posta/internal/relay"
	"posta/internal/store"
)

const (
	// maxHeader is how much of a message is searched for the end of its header.
	maxHeader = 256 << 10
	// inMemory is the largest message that is held in memory while it is sent.
	inMemory = 256 << 10
	// maxSigned bounds the signatures kept for messages with several recipients.
	maxSigned = 1024
)

// contents gives the bytes of messages as they leave: prefix, stored bytes,
// converted if need be, signed.
type contents struct {
	store Store
	blobs Blobs
	sign  func(*store.QueueEntry) bool
	now   func() time.Time
	log   *slog.Logger
	keys  *signers

	mu     sync.Mutex
	signed map[signedKey]*signature
	order  []signedKey // oldest first
}

// signedKey is a message as it leaves: the accept's id, since a row's may come
// again.
type signedKey struct {
	id    mail.ID
	group int64
}

type signature struct {
	once   sync.Once
	fields []byte
}

func newContents(cfg *Config) *contents {
	return &contents{
		store: cfg.Store, blobs: cfg.Blobs, sign: cfg.Sign, now: cfg.Now, log: cfg.Log,
		keys: newSigners(cfg.Keys), signed: map[signedKey]*signature{},
	}
}

// raw opens the stored bytes. After a compaction the row knows the new place.
func (c *contents) raw(ctx context.Context, e *store.QueueEntry) (blob.Reader, error) {
	r, err := c.blobs.Open(ctx, e.Blob.ID, e.Blob.At)
	if !errors.Is(err, blob.ErrNotFound) {
		return r, err
	}
	ref, rowErr := c.store.BlobRef(ctx, e.Blob.ID)
	if rowErr != nil {
		return nil, errors.Join(err, rowErr)
	}
	return c.blobs.Open(ctx, ref.ID, ref.At)
}

// open gives what is sent. Errors: relay.ErrNotConvertible, those of the store.
func (c *contents) open(ctx context.Context, e *store.QueueEntry, form relay.Form) (*relay.Content, error) {
	r, err := c.raw(ctx, e)
	if err != nil {
		return nil, err
	}
	size := r.Size() - e.Skip
	whole := e.Binary || form == relay.SevenBits // in memory, since it may have to be rewritten
	if whole && size > relay.MaxConvert {
		r.Close()
		return nil, relay.ErrNotConvertible
	}
	if size > inMemory && !whole {
		return c.stream(e, r, size)
	}
	defer r.Close()
	all := make([]byte, int64(len(e.Prefix))+size)
	n := copy(all, e.Prefix)
	if err := readAt(r, all[n:], e.Skip); err != nil {
		return nil, err
	}
	if e.Binary {
		return c.binary(e, all, form)
	}
	all = onlyCRLF(all)
	if form != relay.SevenBits {
		return c.finish(all, c.signature(e, all)), nil
	}
	if all, err = relay.SevenBit(all); err != nil {
		return nil, err
	}
	return c.finish(all, c.signNow(e, all)), nil
}

// binary is a message that came with BODY=BINARYMIME: as it is where the host takes
// that and no CR or LF stands alone, which we never send; else its binary parts
// become base64, for mending their line ends would change what they are.
func (c *contents) binary(e *store.QueueEntry, all []byte, form relay.Form) (*relay.Content, error) {
	if form == relay.AnyOctets && cleanLines(all) {
		out := c.finish(all, c.signNow(e, all))
		out.Chunks = true
		return out, nil
	}
	all, err := relay.WithoutBinary(all)
	if err == nil && form == relay.SevenBits {
		all, err = relay.SevenBit(all)
	}
	if err != nil {
		return nil, err
	}
	all = onlyCRLF(all) // the last line may have no end
	return c.finish(all, c.signNow(e, all)), nil
}

// finish is a message in memory with its signature above it.
func (c *contents) finish(all, sig []byte) *relay.Content {
	h, _ := message.SplitHeader(all)
	return &relay.Content{Head: sig, Body: bytes.NewReader(all), Size: int64(len(all)), UTF8Header: eightBit(h)}
}

// stream is a large message, read from the store as it is sent.
func (c *contents) stream(e *store.QueueEntry, r blob.Reader, size int64) (*relay.Content, error) {
	front := make([]byte, len(e.Prefix)+int(min(size, maxHeader)))
	n := copy(front, e.Prefix)
	if err := readAt(r, front[n:], e.Skip); err != nil {
		r.Close()
		return nil, err
	}
	h, _ := message.SplitHeader(front)
	sig, err := c.signatureOf(e, func() ([]byte, error) { return c.signStream(e, r, size, h) })
	if err != nil {
		r.Close()
		return nil, err
	}
	head := append(bytes.Clone(sig), e.Prefix...)
	return &relay.Content{Head: head, Body: r, Offset: e.Skip, Size: size, UTF8Header: eightBit(h), Close: r.Close}, nil
}

// original is what a notice returns: the header, or the whole message.
func (c *contents) original(ctx context.Context, e *store.QueueEntry, full bool) ([]byte, error) {
	r, err := c.raw(ctx, e)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	size := r.Size() - e.Skip
	if !full {
		size = min(size, maxHeader)
	}
	b := make([]byte, int64(len(e.Prefix))+size)
	n := copy(b, e.Prefix)
	if err := readAt(r, b[n:], e.Skip); err != nil {
		return nil, err
	}
	if full {
		return b, nil
	}
	h, _ := message.SplitHeader(b)
	return h, nil
}

func readAt(r io.ReaderAt, p []byte, at int64) error {
	n, err := r.ReadAt(p, at)
	if n == len(p) {
		return nil
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return err
}

// onlyCRLF mends line ends that the relay would mend on the way: what is signed
// must be what is sent. Stored mail has none to mend, as a rule.
func onlyCRLF(b []byte) []byte {
	if cleanLines(b) {
		return b
	}
	var out bytes.Buffer
	w := message.NewCRLFWriter(&out)
	w.Write(b) // a Buffer never fails
	w.Close()
	return out.Bytes()
}

// cleanLines reports whether CR and LF stand in pairs only.
func cleanLines(b []byte) bool {
	lines := 0
	for rest := b; ; lines++ {
		i := bytes.IndexByte(rest, '\n')
		if i < 0 {
			break
		}
		if i == 0 || rest[i-1] != '\r' {
			return false
		}
		rest = rest[i+1:]
	}
	return bytes.Count(b, []byte{'\r'}) == lines
}

func eightBit(b []byte) bool {
	for _, o := range b {
		if o > 0x7f {
			return true
		}
	}
	return false
}
