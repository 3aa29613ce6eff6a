package milter

import (
	"bufio"
	"context"
	"encoding/binary"
	"net"
	"net/netip"
	"strings"
	"time"
)

// Session is one dialogue: Connect, Helo, then any number of transactions of
// Mail, Rcpt, Data, Message, each ended by Message, Abort or a final verdict. Its
// methods are for one goroutine; they block for at most the Timeouts, and end
// early with the context. After an error the session is over.
//
// When the milter has accepted (or refused) the connection or the message, later
// stages of it are not sent, and answer as the milter did.
type Session struct {
	client *Client
	conn   net.Conn
	r      *bufio.Reader
	w      *bufio.Writer
	buf    []byte // of the packet that was read last

	version uint32
	actions Actions
	steps   Steps
	wanted  [stages][]string // macros that the milter lists itself; nil: the default

	// Macros are told at their stages; the caller sets them before.
	Macros Macros

	onConnection Verdict // holds until the session ends
	onMessage    Verdict // holds until the transaction ends
	inMessage    bool    // the milter has heard of a MAIL
	skip         byte    // the event that the milter has heard enough of
	mayKeep      bool    // the milter is where it takes QUIT_NC
	unheard      bool    // nothing was heard since the connection was kept
	err          error   // the first error: it stays
	since        time.Time
}

// Peer tells what was agreed: the version, the edits that the milter may make
// and the steps that it leaves out.
func (s *Session) Peer() (version int, a Actions, st Steps) {
	return int(s.version), s.actions, s.steps
}

// negotiate offers all that we can and reads what the milter takes of it.
func (s *Session) negotiate(ctx context.Context) error {
	defer s.guard(ctx)()
	offer := binary.BigEndian.AppendUint32(nil, Version)
	offer = binary.BigEndian.AppendUint32(offer, uint32(allActions))
	offer = binary.BigEndian.AppendUint32(offer, uint32(offeredSteps))
	s.deadline(s.client.o.Timeouts.Connect)
	if err := writePacket(s.w, cmdOptions, offer); err != nil {
		return s.fail(ctx, err)
	}
	if err := s.w.Flush(); err != nil {
		return s.fail(ctx, err)
	}
	code, data, err := readPacket(s.r, &s.buf)
	if err != nil {
		return s.fail(ctx, err)
	}
	if code != cmdOptions {
		return s.fail(ctx, protocolError("reply %q to the offer of options", code))
	}
	return s.fail(ctx, s.agree(data))
}

// agree reads the milter's answer to our offer.
func (s *Session) agree(data []byte) error {
	f := fields{data: data}
	s.version = f.uint32()
	s.actions = Actions(f.uint32())
	s.steps = Steps(f.uint32())
	switch {
	case f.bad:
		return protocolError("options of %d octets", len(data))
	case s.version < minVersion || s.version > Version:
		return protocolError("version %d", s.version)
	case s.actions&^allActions != 0:
		return protocolError("asks for unknown edits, %#x", uint32(s.actions&^allActions))
	case s.steps&^allSteps != 0:
		return protocolError("asks for unknown steps, %#x", uint32(s.steps&^allSteps))
	}
	for len(f.data) > 0 {
		stage := f.uint32()
		list := f.string()
		if f.bad {
			return protocolError("a broken list of macros")
		}
		if stage < uint32(stages) {
			s.wanted[stage] = append([]string{}, parseMacroList(list)...)
		}
	}
	return nil
}

// Connect tells of the client: its verified name ("" if it has none) and its
// address; an invalid one is a program of this machine.
func (s *Session) Connect(ctx context.Context, name string, client netip.AddrPort) (Verdict, error) {
	ip := client.Addr().Unmap()
	var family byte
	switch {
	case !ip.IsValid():
		family = 'U'
	case ip.Is4():
		family = '4'
	default:
		family = '6'
	}
	if name == "" && ip.IsValid() {
		name = "[" + ip.String() + "]"
	} else if name == "" {
		name = "localhost"
	}
	b := append(appendString(nil, name), family)
	if ip.IsValid() {
		b = binary.BigEndian.AppendUint16(b, client.Port())
		b = appendString(b, ip.String())
	}
	v, err := s.tell(ctx, &evConnect, b)
	if v.Final() {
		s.onConnection = v
	}
	return v, err
}

// Helo tells of the client's greeting.
func (s *Session) Helo(ctx context.Context, name string) (Verdict, error) {
	v, err := s.tell(ctx, &evHelo, appendString(nil, name))
	if v.Final() {
		s.onConnection = v
	}
	return v, err
}

// Mail begins a transaction. path is the reverse-path without brackets, "" the
// null one; params are its ESMTP parameters.
func (s *Session) Mail(ctx context.Context, path string, params []string) (Verdict, error) {
	if err := s.Abort(ctx); err != nil {
		return Verdict{}, err
	}
	s.onMessage, s.skip, s.mayKeep = Verdict{}, 0, false
	s.address("mail", path)
	v, err := s.tell(ctx, &evMail, appendCommand(path, params))
	s.inMessage = true
	return s.hold(ctx, v, err)
}

// Rcpt tells of a recipient that we would accept. A refusal is of this recipient
// only.
func (s *Session) Rcpt(ctx context.Context, path string, params []string) (Verdict, error) {
	s.address("rcpt", path)
	v, err := s.tell(ctx, &evRcpt, appendCommand(path, params))
	if v.Action == Reject || v.Action == TempFail {
		return v, err
	}
	return s.hold(ctx, v, err)
}

// Data tells that the recipients are complete.
func (s *Session) Data(ctx context.Context) (Verdict, error) {
	v, err := s.tell(ctx, &evData, nil)
	return s.hold(ctx, v, err)
}

// address sets the macros of a MAIL or RCPT.
func (s *Session) address(kind, path string) {
	s.Macros[kind+"_addr"] = path
	host := ""
	if i := strings.LastIndexByte(path, '@'); i >= 0 {
		host = path[i+1:]
	}
	s.Macros[kind+"_host"] = host
}

// appendCommand makes the arguments of MAIL or RCPT.
func appendCommand(path string, params []string) []byte {
	b := appendString(nil, "<"+path+">")
	for _, p := range params {
		b = appendString(b, p)
	}
	return b
}

// hold keeps a verdict about the message. The milter is told that the transaction
// is over, because it hears no more of it.
func (s *Session) hold(ctx context.Context, v Verdict, err error) (Verdict, error) {
	if err != nil || !v.Final() || s.onConnection.Final() || s.onMessage.Final() {
		return v, err
	}
	s.onMessage = v
	return v, s.abort(ctx)
}

// Abort ends a transaction that comes to nothing (RSET, or a refusal of ours).
func (s *Session) Abort(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	if s.onConnection.Final() || !s.inMessage {
		return nil
	}
	return s.abort(ctx)
}

func (s *Session) abort(ctx context.Context) error {
	defer s.guard(ctx)()
	s.inMessage = false
	s.deadline(s.client.o.Timeouts.Command)
	if err := writePacket(s.w, cmdAbort); err != nil {
		return s.fail(ctx, err)
	}
	return s.fail(ctx, s.w.Flush())
}

// Close says QUIT, if the milter listens, and ends the session. It blocks for at
// most a second, while QUIT is sent.
func (s *Session) Close() error {
	if s.err == nil {
		s.err = ErrClosed
		s.deadline(time.Second)
		if writePacket(s.w, cmdQuit) == nil {
			s.w.Flush()
		}
	}
	return s.conn.Close()
}

// release ends the session, but keeps its connection for the next message where
// the milter and the pool allow it.
//
// libmilter takes QUIT_NC only after an end of message that it answered with
// "continue". After "accept", a refusal or an abort it passes over QUIT_NC and over the
// CONNECT that follows, without a reply (next_states in its engine.c, 8.17).
func (s *Session) release() {
	if s.err != nil || s.version < 6 || !s.mayKeep || s.r.Buffered() > 0 || !s.client.room() {
		s.Close()
		return
	}
	s.deadline(time.Second)
	if writePacket(s.w, cmdQuitNC) != nil || s.w.Flush() != nil {
		s.conn.Close()
		return
	}
	s.Macros, s.skip, s.mayKeep, s.unheard = Macros{}, 0, false, true
	if !s.client.keep(s) {
		s.Close()
	}
}
