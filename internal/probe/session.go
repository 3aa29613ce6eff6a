package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"posta/internal/lineio"
)

const maxLine = 2048 // octets of one line that we read, as smtp.MaxReplyLineSize

// session is one connection with its budget.
type session struct {
	p      *prober
	number int // of the connection, from 1
	raw    net.Conn
	line   *lineio.Conn
	lines  int
	secure bool
	// pipelining: the server takes commands in groups (RFC 2920); known on further connections alone.
	pipelining bool
	release    func()
}

// metered counts what a server sends, so that no flood is read to its end.
type metered struct {
	net.Conn
	left int
}

func (m *metered) Read(b []byte) (int, error) {
	if m.left <= 0 {
		return 0, ErrBudget
	}
	n, err := m.Conn.Read(b[:min(len(b), m.left)])
	m.left -= n
	return n, err
}

// open connects. The end of ctx cuts the connection; the caller closes it.
func (p *prober) open(ctx context.Context) (*session, error) {
	release, err := p.lane(ctx)
	if err != nil {
		return nil, err
	}
	s, err := p.connect(ctx)
	if err != nil {
		release()
		return nil, err
	}
	cut := context.AfterFunc(ctx, func() { s.raw.Close() })
	s.release = func() { cut(); release() }
	return s, nil
}

func (p *prober) connect(ctx context.Context) (*session, error) {
	number, err := p.next()
	if err != nil {
		return nil, err
	}
	dctx, cancel := context.WithTimeout(ctx, p.cfg.Timeouts.Connect)
	defer cancel()
	raw, err := p.cfg.Dial(dctx, "tcp", p.target.Addr.String())
	if err != nil {
		p.event(err.Error(), NoteNoConnection)
		return nil, err
	}
	m := &metered{raw, maxOctets}
	s := &session{p: p, number: number, raw: m, line: lineio.New(m, nil)}
	if local, ok := raw.LocalAddr().(*net.TCPAddr); ok && p.cfg.Hello == "" {
		p.cfg.Hello = literal(local.AddrPort().Addr().WithZone("")) // RFC 5321 §4.1.4: who has no name says his address
	}
	p.event(p.target.Addr.String(), NoteConnected)
	return s, nil
}

func (s *session) close() {
	s.line.Close()
	s.release()
}

// say writes a line; it is sent when the answer is awaited.
func (s *session) say(text, note string) {
	s.p.saw(Line{Connection: s.number, From: Us, Text: text, Note: note})
	s.line.WriteString(text + "\r\n")
}

// hear reads one line; what was written is sent first. Heard tells it.
func (s *session) hear() (string, error) {
	if s.lines++; s.lines > maxLines {
		return "", ErrBudget
	}
	b, err := s.line.ReadLine(maxLine)
	switch {
	case errors.Is(err, lineio.ErrTooLong), errors.Is(err, lineio.ErrFlood):
		err = ErrBudget
	case err == nil:
		return string(b), nil
	}
	s.p.event(err.Error(), NoteBroken)
	return "", err
}

// heard tells a line of theirs.
func (s *session) heard(text, note string, args ...any) {
	s.p.saw(Line{Connection: s.number, From: Them, Text: text, Note: note, Args: args})
}

// within bounds the next answer, all its lines together.
func (s *session) within(d time.Duration) {
	s.line.SetTimeouts(d, s.p.cfg.Timeouts.Command)
	s.line.SetLast(time.Now().Add(d))
}

// handshake makes the connection a TLS one. Certificates are not verified by it: what
// is wrong with them is evidence (see inspect).
func (s *session) handshake(ctx context.Context, offer offer) (tls.ConnectionState, error) {
	if s.line.Buffered() > 0 {
		s.p.event(strings.ToValidUTF8(string(s.line.Peek()), "?"), NoteCleartext)
		return tls.ConnectionState{}, ErrCleartext
	}
	conf := &tls.Config{
		InsecureSkipVerify: true, // looked at afterwards, and nothing secret is said
		MinVersion:         offer.min, MaxVersion: offer.max, CipherSuites: offer.suites,
		Time: s.p.cfg.Now,
	}
	if !isAddress(s.p.target.Host) {
		conf.ServerName = s.p.target.Host
	}
	t := tls.Client(s.raw, conf)
	hctx, cancel := context.WithTimeout(ctx, s.p.cfg.Timeouts.Command)
	defer cancel()
	if err := t.HandshakeContext(hctx); err != nil {
		return tls.ConnectionState{}, err
	}
	if _, err := s.line.Upgrade(t); err != nil {
		return tls.ConnectionState{}, err
	}
	s.secure = true
	return t.ConnectionState(), nil
}
