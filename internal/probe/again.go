package probe

import (
	"context"

	"posta/internal/smtp"
)

// greeted opens a further connection and goes to the state after EHLO.
func (p *prober) greeted(ctx context.Context) (*session, error) {
	s, err := p.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.againTo(ctx); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *session) againTo(ctx context.Context) error {
	if s.p.target.Implicit {
		if _, err := s.handshake(ctx, best); err != nil {
			return err
		}
	}
	r, lines, err := s.reply(s.p.cfg.Timeouts.Greeting)
	for _, l := range lines {
		s.heard(l, "")
	}
	if err != nil {
		return err
	}
	if r.Code == 421 {
		s.p.close()
	}
	if r.Code != 220 {
		return r
	}
	if r, err = s.quietly("EHLO "+s.p.cfg.Hello, ""); err == nil && !r.OK() {
		r, err = s.quietly("HELO "+s.p.cfg.Hello, "")
	}
	if err == nil && !r.OK() {
		return r
	}
	s.pipelining = err == nil && smtp.ParseExtensions(r).Pipelining
	return err
}

// beginSMTP brings a new connection to the point where a handshake may begin.
func (p *prober) beginSMTP(ctx context.Context) (*session, error) {
	if p.target.Implicit {
		return p.open(ctx)
	}
	s, err := p.greeted(ctx)
	if err != nil {
		return nil, err
	}
	r, err := s.quietly("STARTTLS", NoteStartTLS)
	if err == nil && r.Code != 220 {
		err = r
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}
