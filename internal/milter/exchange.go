package milter

import (
	"context"
	"errors"
	"os"
	"time"
)

// maxProgress bounds the "please wait" of one reply; time bounds them anyway.
const maxProgress = 10_000

// keptWait is how long a kept connection may be silent before it is given up for
// a new one: some milters pass over QUIT_NC and what follows it.
const keptWait = 2 * time.Second

// tell sends one event, if the milter wants it, and reads the reply, if there is
// one.
func (s *Session) tell(ctx context.Context, ev *event, data []byte) (Verdict, error) {
	if s.err != nil {
		return Verdict{}, s.err
	}
	if v, over := s.decided(); over {
		return v, nil
	}
	if s.version < ev.since || s.steps&ev.off != 0 || s.skip == ev.code {
		return Verdict{}, nil
	}
	defer s.guard(ctx)()
	if err := s.send(ev, data); err != nil {
		return Verdict{}, s.fail(ctx, err)
	}
	if s.steps&ev.silent != 0 {
		return Verdict{}, nil
	}
	v, err := s.receive(ev, s.client.o.Timeouts.Command, nil)
	return v, s.fail(ctx, err)
}

// decided gives the verdict that holds already.
func (s *Session) decided() (Verdict, bool) {
	if s.onConnection.Final() {
		return s.onConnection, true
	}
	return s.onMessage, s.onMessage.Final()
}

// send writes the macros of an event and the event. It is flushed when a reply is
// awaited.
func (s *Session) send(ev *event, data []byte) error {
	if len(data) > maxData {
		return ErrTooLarge
	}
	s.deadline(s.client.o.Timeouts.Command)
	if ev.stage < stages {
		if err := s.sendMacros(ev); err != nil {
			return err
		}
	}
	return writePacket(s.w, ev.code, data)
}

// sendMacros writes the macros of a stage that have a value.
func (s *Session) sendMacros(ev *event) error {
	names := s.wanted[ev.stage]
	if names == nil {
		names = defaultMacros[ev.stage]
	}
	b := []byte{ev.code}
	for _, n := range names {
		if v := s.Macros[n]; v != "" {
			b = appendMacro(b, n, v)
		}
	}
	if len(b) == 1 {
		return nil
	}
	if len(b) > maxData {
		return ErrTooLarge
	}
	return writePacket(s.w, cmdMacros, b)
}

// receive reads the reply to an event, waiting for at most wait, and again after
// each sign of progress. edit takes the requests that come before it; nil: none
// may come.
func (s *Session) receive(ev *event, wait time.Duration, edit func(code byte, data []byte) error) (Verdict, error) {
	if s.unheard {
		s.deadline(min(wait, keptWait))
	} else {
		s.deadline(wait)
	}
	if err := s.w.Flush(); err != nil {
		return Verdict{}, err
	}
	for range maxProgress {
		code, data, err := readPacket(s.r, &s.buf)
		if err != nil {
			return Verdict{}, err
		}
		s.unheard = false
		switch {
		case code == replyProgress:
			s.deadline(wait)
		case editActions[code] != 0 && edit != nil:
			if err := edit(code, data); err != nil {
				return Verdict{}, err
			}
			s.deadline(wait)
		default:
			return s.verdict(ev, code, data)
		}
	}
	return Verdict{}, protocolError("more than %d requests and signs of progress", maxProgress)
}

// verdict reads the reply that ends an event.
func (s *Session) verdict(ev *event, code byte, data []byte) (Verdict, error) {
	if code == replyCode {
		f := fields{data: data}
		text := f.string()
		if !f.done() {
			return Verdict{}, protocolError("a reply code without its end")
		}
		return parseReply(text)
	}
	if len(data) > 0 {
		return Verdict{}, protocolError("reply %q with %d octets to %s", code, len(data), ev.name)
	}
	switch code {
	case replyContinue:
		return Verdict{}, nil
	case replyAccept:
		return Verdict{Action: Accept}, nil
	case replyReject:
		return Verdict{Action: Reject}, nil
	case replyTempFail:
		return Verdict{Action: TempFail}, nil
	case replyShutdown:
		return parseReply("421 4.7.0 Service not available")
	case replyDiscard:
		if ev.code == cmdConnect || ev.code == cmdHelo {
			return Verdict{}, protocolError("discard at %s, where there is no message", ev.name)
		}
		return Verdict{Action: Discard}, nil
	case replySkip:
		s.skip = ev.code
		return Verdict{}, nil
	}
	return Verdict{}, protocolError("reply %q to %s", code, ev.name)
}

// deadline bounds what is read and written from now on.
func (s *Session) deadline(d time.Duration) { s.conn.SetDeadline(time.Now().Add(d)) }

// guard closes the connection when ctx ends before the returned function is
// called.
func (s *Session) guard(ctx context.Context) (done func()) {
	stop := context.AfterFunc(ctx, func() { s.conn.Close() })
	return func() {
		if !stop() && s.err == nil {
			s.err = context.Cause(ctx)
		}
	}
}

// fail ends the session with the first error. What the context ended is told as
// the context's error, what took too long as os.ErrDeadlineExceeded.
func (s *Session) fail(ctx context.Context, err error) error {
	if err == nil || s.err != nil {
		return s.err
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	} else if errors.Is(err, os.ErrDeadlineExceeded) {
		err = os.ErrDeadlineExceeded
	}
	s.err = err
	s.conn.Close()
	return err
}
