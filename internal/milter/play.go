package milter

import (
	"context"
	"errors"
	"io"
	"net/netip"
	"os"
)

// Path is the argument of a MAIL or RCPT: an address without brackets ("" is the
// null reverse-path) and its ESMTP parameters.
type Path struct {
	Address string
	Params  []string
}

// Transaction is all that a milter is told of one message.
type Transaction struct {
	Client netip.AddrPort // invalid: a program of this machine
	Name   string         // the client's verified name, "" if it has none
	Helo   string
	From   Path
	To     []Path
	Macros Macros // see there; Play does not change them
	Header []byte // with or without its empty line
	Body   func() io.Reader
}

// Result is what a milter says of a Transaction.
type Result struct {
	Verdict Verdict   // about the message
	Rcpt    []Verdict // about each recipient, in the order of To; nil: none was refused
	Edits   []Edit    // only where the verdict is Continue or Accept
}

// Play tells a milter a whole transaction and takes its answer. When the milter
// refuses every recipient that it is told of, that is the verdict. The replaced
// body goes to what replaced returns, see [Session.Message]; after a connection
// that was kept turned out to be dead, it may be called again.
func (c *Client) Play(ctx context.Context, t *Transaction, replaced func() io.Writer) (Result, error) {
	if s := c.reuse(); s != nil {
		r, err := s.play(ctx, t, replaced)
		mute := s.unheard && errors.Is(err, os.ErrDeadlineExceeded) && ctx.Err() == nil
		if mute {
			c.keepNone()
		}
		if err == nil || !mute && !broken(ctx, err) {
			return r, err
		}
	}
	s, err := c.Open(ctx)
	if err != nil {
		return Result{}, err
	}
	return s.play(ctx, t, replaced)
}

// broken reports whether an error may be that of a connection which the milter
// closed while it was idle.
func broken(ctx context.Context, err error) bool {
	_, ours := errors.AsType[*LocalError](err)
	return !ours && ctx.Err() == nil && !errors.Is(err, ErrProtocol) && !errors.Is(err, ErrTooLarge) && !errors.Is(err, os.ErrDeadlineExceeded)
}

// play goes through the stages and gives the session back.
func (s *Session) play(ctx context.Context, t *Transaction, replaced func() io.Writer) (Result, error) {
	defer s.release()
	for k, v := range t.Macros {
		s.Macros[k] = v
	}
	v, err := s.Connect(ctx, t.Name, t.Client)
	if err != nil || v.Final() {
		return Result{Verdict: v}, err
	}
	if v, err = s.Helo(ctx, t.Helo); err != nil || v.Final() {
		return Result{Verdict: v}, err
	}
	if v, err = s.Mail(ctx, t.From.Address, t.From.Params); err != nil || v.Final() {
		return Result{Verdict: v}, err
	}
	var r Result
	if v, r.Rcpt, err = s.recipients(ctx, t.To); err != nil || v.Final() {
		r.Verdict = v
		return r, err
	}
	if v, err = s.Data(ctx); err != nil || v.Final() {
		r.Verdict = v
		return r, err
	}
	r.Verdict, r.Edits, err = s.Message(ctx, t.Header, t.Body(), replaced)
	return r, err
}

// recipients tells of each recipient. The verdict is about the message: that of
// the last refusal, the milder where there are both, when nobody is left.
func (s *Session) recipients(ctx context.Context, to []Path) (message Verdict, each []Verdict, err error) {
	left := len(to)
	for i, p := range to {
		v, err := s.Rcpt(ctx, p.Address, p.Params)
		if err != nil {
			return Verdict{}, nil, err
		}
		switch v.Action {
		case Continue:
			continue
		case Accept, Discard:
			return v, each, nil
		}
		if each == nil {
			each = make([]Verdict, len(to))
		}
		each[i] = v
		left--
		if !message.Final() || v.Action == TempFail {
			message = v
		}
	}
	if left > 0 {
		return Verdict{}, each, nil
	}
	return message, each, s.Abort(ctx)
}
