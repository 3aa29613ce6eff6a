package scan

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"posta/internal/mail"
	"posta/internal/milter"
)

// ClamAVOptions are what a ClamAV may be told. The zero value is usable.
type ClamAVOptions struct {
	// MaxBytes is the largest message that is sent; it should be clamd's
	// StreamMaxLength. 0: clamd says so itself, after having read that much.
	MaxBytes int64
	// OnFound is what a virus means; Accept, the zero value, stands for Reject.
	OnFound mail.Action
	// Dial connects; nil is a net.Dialer.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// ClamAV is a scanner that sends messages to clamd with INSTREAM (clamd(8)).
type ClamAV struct {
	network, address string
	o                ClamAVOptions
}

// NewClamAV makes a scanner of clamd's address: unix:/run/clamav/clamd.ctl or
// host:port.
func NewClamAV(address string, o ClamAVOptions) (*ClamAV, error) {
	network, addr, err := milter.ParseAddress(address)
	if err != nil {
		return nil, fmt.Errorf("clamd: %w", err)
	}
	if o.OnFound == mail.Accept {
		o.OnFound = mail.Reject
	}
	if o.Dial == nil {
		o.Dial = new(net.Dialer).DialContext
	}
	return &ClamAV{network, addr, o}, nil
}

// Defaults implements Scanner.
func (*ClamAV) Defaults() Defaults {
	return Defaults{Kind: "clamav", Timeout: 30 * time.Second, OnFailure: Defer, OnTooLarge: Pass}
}

// Close implements Scanner: nothing is kept open.
func (*ClamAV) Close() error { return nil }

// Ping asks for PONG and the version of program and signatures.
func (c *ClamAV) Ping(ctx context.Context) (string, error) {
	pong, err := c.command(ctx, "PING", nil)
	if err != nil {
		return "", err
	}
	if pong != "PONG" {
		return "", failed(Nonsense, "%q instead of PONG", clean(pong))
	}
	version, err := c.command(ctx, "VERSION", nil)
	return clean(version), err
}

// Scan sends the whole message.
func (c *ClamAV) Scan(ctx context.Context, _ *Facts, m Message, _ TempDir) (Report, error) {
	if c.o.MaxBytes > 0 && m.Size() > c.o.MaxBytes {
		return Report{}, failed(TooLarge, "%d octets, of at most %d", m.Size(), c.o.MaxBytes)
	}
	reply, err := c.command(ctx, "INSTREAM", m.Reader())
	if err != nil {
		return Report{}, err
	}
	name, err := parseClamd(reply)
	if err != nil || name == "" {
		return Report{}, err
	}
	return Report{Action: c.o.OnFound, Reason: name}, nil
}

// maxClamd bounds a reply of clamd in octets.
const maxClamd = 4 << 10

// command sends a command, for INSTREAM with a stream, and reads its reply.
func (c *ClamAV) command(ctx context.Context, command string, stream io.Reader) (string, error) {
	conn, err := c.o.Dial(ctx, c.network, c.address)
	if err != nil {
		return "", err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	_, err = io.WriteString(conn, "z"+command+"\x00")
	if err == nil && stream != nil {
		err = sendStream(conn, stream)
	}
	if _, local := errors.AsType[*milter.LocalError](err); local {
		return "", err
	}
	// clamd may have answered and closed before it has read everything.
	reply, readErr := bufio.NewReader(io.LimitReader(conn, maxClamd)).ReadString(0)
	switch {
	case readErr == nil:
		return reply[:len(reply)-1], nil
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case len(reply) == maxClamd:
		return "", failed(Nonsense, "a reply of more than %d octets", maxClamd)
	case err != nil:
		return "", failed(Down, "broke off while it was reading: %w", err)
	}
	return "", failed(Down, "broke off before its reply: %w", readErr)
}

// streamChunk is the size of a chunk; the buffers are reused.
const streamChunk = 64 << 10

var streamBuffers = sync.Pool{New: func() any { b := make([]byte, 4+streamChunk); return &b }}

// sendStream sends the octets in chunks, each after its length, and a chunk of
// nothing at the end.
func sendStream(w io.Writer, r io.Reader) error {
	p := streamBuffers.Get().(*[]byte)
	defer streamBuffers.Put(p)
	b := *p
	for {
		n, err := io.ReadFull(r, b[4:])
		over := err == io.EOF || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !over {
			return &milter.LocalError{Err: fmt.Errorf("reading the message: %w", err)}
		}
		if n > 0 {
			binary.BigEndian.PutUint32(b, uint32(n))
			if _, err := w.Write(b[:4+n]); err != nil {
				return err
			}
		}
		if over {
			_, err := w.Write([]byte{0, 0, 0, 0})
			return err
		}
	}
}

// parseClamd reads the reply to INSTREAM: the name of what was found, or "".
func parseClamd(reply string) (found string, err error) {
	reply = strings.TrimSpace(reply)
	text, isStream := strings.CutPrefix(reply, "stream: ")
	switch {
	case isStream && text == "OK":
		return "", nil
	case isStream && strings.HasSuffix(text, " FOUND"):
		name := clean(strings.TrimSuffix(text, " FOUND"))
		if strings.HasPrefix(name, "Heuristics.Limits.Exceeded") {
			// With AlertExceedsMax: part of the message was not looked at.
			return "", failed(TooLarge, "%s", name)
		}
		if name == "" {
			return "", failed(Nonsense, "%q", clean(reply))
		}
		return name, nil
	case strings.HasPrefix(reply, "INSTREAM size limit exceeded"):
		return "", failed(TooLarge, "%s", clean(reply))
	case strings.HasSuffix(reply, "ERROR"), reply == "UNKNOWN COMMAND", reply == "COMMAND READ TIMED OUT":
		return "", failed(Refused, "%s", clean(reply))
	}
	return "", failed(Nonsense, "%q", clean(reply))
}
