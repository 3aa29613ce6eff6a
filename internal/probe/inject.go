package probe

import (
	"context"
	"crypto/tls"
	"errors"
)

// injectSMTP sends a command behind STARTTLS in the same packet. A server that
// executes it under TLS has taken cleartext, which anybody on the way may have added,
// for what its client said encrypted (CVE-2011-0411; RFC 3207 §6). The command is one
// that no server knows, so that its answer (5yz) cannot be mistaken for that to EHLO
// (250).
func (p *prober) injectSMTP(ctx context.Context) Answer {
	s, err := p.greeted(ctx)
	if err != nil {
		return Unknown
	}
	defer s.close()
	s.say("STARTTLS", NoteInject)
	r, err := s.quietly("XPOSTA-INJECTED", "")
	switch {
	case err != nil:
		return Unknown
	case r.Code != 220:
		return No // it refuses STARTTLS with something behind it
	}
	if s.line.Buffered() > 0 {
		return No // it answers in clear, before the handshake: nothing is carried over
	}
	if _, err := s.handshake(ctx, best); err != nil {
		return refusedInjection(ctx, err)
	}
	r, err = s.quietly("EHLO "+p.cfg.Hello, NoteEhlo)
	switch {
	case err != nil:
		return Unknown
	case r.OK():
		_, _ = s.quietly("QUIT", NoteQuit)
		return No
	}
	// Either the injected command was answered, and EHLO's answer is still to come, or EHLO itself is refused.
	s.within(p.cfg.Timeouts.Command)
	next, lines, err := s.reply(p.cfg.Timeouts.Command)
	for _, l := range lines {
		s.heard(l, NoteInjected)
	}
	return answer(err == nil && next.OK())
}

// refusedInjection reads a handshake that failed: the server took our cleartext for
// the handshake, or answered it in clear. Both carry nothing over.
func refusedInjection(ctx context.Context, err error) Answer {
	if errors.Is(err, ErrCleartext) || errors.As(err, new(tls.RecordHeaderError)) || refused(ctx, err) == No {
		return No
	}
	return Unknown
}
