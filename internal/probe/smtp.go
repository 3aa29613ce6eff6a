package probe

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"posta/internal/smtp"
)

// slowGreeting is from when a greeting's delay is told: senders that are in a hurry
// leave, and so do many monitors.
const slowGreeting = 2 * time.Second

// SMTPOptions are what is asked beyond the one dialogue. Zero: nothing more.
type SMTPOptions struct {
	Versions bool // which versions of TLS, one connection each
	Inject   bool // commands behind STARTTLS, one connection
	// Domain is one for which the host should take mail: postmaster@, abuse@ and an invented name are asked for. Empty:
	// only <postmaster>, which every server must know (RFC 5321 §4.5.1).
	Domain string
	// Invented is a local part that surely does not exist there. Empty: one of our own.
	Invented string
	// Relay asks the first so many rows of RelayForms; a number above asks all.
	Relay int
	// Outside is the domain to which nobody may relay. Empty: example.com, which takes no mail (RFC 2606).
	Outside string
}

// Exchange is a question with its reply. The zero value was not asked.
type Exchange struct {
	Asked string     `json:"asked,omitempty"`
	Reply smtp.Reply `json:"-"`
	Text  string     `json:"reply,omitempty"` // the reply on one line
	Error string     `json:"error,omitempty"` // why there is no reply
}

// Answered says whether there is a reply.
func (e *Exchange) Answered() bool { return !e.Reply.IsZero() }

// Role is one recipient that was asked for.
type Role struct {
	Address  string   `json:"address"`
	Exchange Exchange `json:"exchange"`
}

// SMTP is what was seen of a server of mail.
type SMTP struct {
	Target
	Asked      SMTPOptions     `json:"-"`
	Error      error           `json:"-"` // why the dialogue went no further; nil if it came to its end
	Connected  bool            `json:"connected"`
	Greeting   Exchange        `json:"greeting"`
	Delay      time.Duration   `json:"delay_ns"`      // from the connection to the greeting
	Version    string          `json:"version"`       // what the greeting tells of program and version, "" if nothing
	Hello      Exchange        `json:"hello"`         // the answer to EHLO
	HELOOnly   bool            `json:"helo_only"`     // EHLO was refused, HELO not
	Clear      smtp.Extensions `json:"clear"`         // offered before TLS (with implicit TLS: empty)
	Secure     smtp.Extensions `json:"secure"`        // offered under TLS
	Help       Exchange        `json:"help"`          //
	Verify     []Exchange      `json:"vrfy"`          // of postmaster and of an invented name
	Expand     Exchange        `json:"expn"`          //
	StartTLS   Exchange        `json:"starttls"`      //
	TLS        *TLS            `json:"tls,omitempty"` // nil: there was no handshake
	TLSError   error           `json:"-"`             // of the handshake
	Null       Exchange        `json:"null"`          // MAIL FROM:<>
	Roles      []Role          `json:"roles,omitempty"`
	Invented   Exchange        `json:"invented"`
	Injected   Answer          `json:"injected"` // commands behind STARTTLS were kept and executed
	Relay      []Relayed       `json:"relay,omitempty"`
	RelayError error           `json:"-"` // why not all forms were asked
}

// Name is what the server calls itself in its greeting; empty when it does not.
func (r *SMTP) Name() string {
	word, _, _ := strings.Cut(r.Greeting.Reply.Text, " ")
	return strings.TrimRight(word, "\n")
}

// ProbeSMTP probes one address. It blocks until all is asked, the time is over or ctx
// ends; what is known by then is in the result.
func ProbeSMTP(ctx context.Context, cfg Config, t Target, opt SMTPOptions) *SMTP {
	p := newProber(cfg, t)
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeouts.Whole)
	defer cancel()
	r := &SMTP{Target: t, Asked: opt}
	r.Error = p.dialogue(ctx, r, &opt)
	p.finish()
	return r
}

// furtherSMTP asks what connections of their own are needed for, once the dialogue is
// under TLS. Each writes to fields of r that are its alone.
func (p *prober) furtherSMTP(ctx context.Context, r *SMTP, opt *SMTPOptions) {
	if opt.Versions {
		p.versions(ctx, r.TLS, p.beginSMTP)
	}
	if r.Clear.StartTLS && opt.Inject {
		p.further(func() { r.Injected = p.injectSMTP(ctx) })
	}
}

// dialogue is the one conversation that a person would have by telnet.
func (p *prober) dialogue(ctx context.Context, r *SMTP, opt *SMTPOptions) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	r.Connected = true
	if r.Implicit {
		if err := s.secureSMTP(ctx, r); err != nil {
			return err
		}
		p.furtherSMTP(ctx, r, opt)
	}
	if err := s.greetingOf(r); err != nil {
		return err
	}
	if err := s.hello(r); err != nil {
		return err
	}
	if opt.Relay > 0 {
		p.further(func() { p.relay(ctx, r, opt) })
	}
	if err := s.curious(r, opt); err != nil {
		return err
	}
	if r.Clear.StartTLS && !s.secure {
		if r.StartTLS, err = s.ask("STARTTLS", NoteStartTLS, plainly); err != nil {
			return err
		}
		if r.StartTLS.Reply.Code == 220 {
			if err := s.secureSMTP(ctx, r); err != nil {
				return err
			}
			p.furtherSMTP(ctx, r, opt)
			if err := s.hello(r); err != nil {
				return err
			}
		}
	}
	if err := s.recipients(r, opt); err != nil {
		return err
	}
	_, err = s.ask("QUIT", NoteQuit, plainly)
	return err
}

func (s *session) secureSMTP(ctx context.Context, r *SMTP) error {
	state, err := s.handshake(ctx, best)
	if err != nil {
		r.TLSError = err
		s.p.event(err.Error(), NoteTLSFailed)
		return err
	}
	r.TLS = s.p.seen(state)
	return nil
}

// greetingOf waits for the greeting and measures how long it takes.
func (s *session) greetingOf(r *SMTP) error {
	began := time.Now()
	reply, lines, err := s.reply(s.p.cfg.Timeouts.Greeting)
	r.Delay = time.Since(began)
	r.Greeting = exchange("", reply, err)
	if err != nil {
		return err
	}
	r.Version = versionIn(reply.Text)
	for i, l := range lines {
		switch {
		case i > 0:
			s.heard(l, "")
		case reply.Code != 220:
			s.heard(l, NoteGreetingNot)
		case r.Delay > slowGreeting:
			s.heard(l, NoteGreetingSlow, int(r.Delay.Seconds()))
		case r.Version != "":
			s.heard(l, NoteGreetingName, r.Version)
		default:
			s.heard(l, NoteGreeting)
		}
	}
	if reply.Code != 220 {
		return reply
	}
	return nil
}

// versions of programs and systems in a greeting: "Exim 4.96", "Postfix (Debian/GNU)",
// "Sendmail 8.15.2/8.15.2", "Microsoft ESMTP MAIL Service ready". A plain "ESMTP
// Postfix" tells little, and is not counted.
var versionPattern = regexp.MustCompile(`(?i)\(?(?:debian|ubuntu|centos|red ?hat|freebsd|gnu/linux|windows)[^\s;]*|[a-z][a-z-]* v?\d+\.\d+[\w./-]*|microsoft esmtp mail service`)

func versionIn(text string) string {
	// The first word is the host's name, which may have digits and dots in it.
	_, rest, _ := strings.Cut(text, " ")
	return strings.Trim(bounded(versionPattern.FindString(rest)), "(")
}

// hello says EHLO, or HELO to a server that does not know it.
func (s *session) hello(r *SMTP) error {
	note := NoteEhlo
	x, err := s.ask("EHLO "+s.p.cfg.Hello, note, func(i int, line string) string {
		if i == 0 {
			return NoteEhloName
		}
		return s.extensionNote(line)
	})
	r.Hello = x
	if err != nil {
		return err
	}
	if x.Reply.OK() {
		if s.secure {
			r.Secure = smtp.ParseExtensions(x.Reply)
		} else {
			r.Clear = smtp.ParseExtensions(x.Reply)
		}
		return nil
	}
	if r.Hello, err = s.ask("HELO "+s.p.cfg.Hello, NoteHeloOnly, plainly); err != nil {
		return err
	}
	r.HELOOnly = r.Hello.Reply.OK()
	if !r.HELOOnly {
		return r.Hello.Reply
	}
	return nil
}

// extensionNote says what a line of the answer to EHLO means.
func (s *session) extensionNote(line string) string {
	if len(line) < 4 {
		return ""
	}
	keyword, _, _ := strings.Cut(line[4:], " ")
	keyword, _, _ = strings.Cut(keyword, "=")
	switch strings.ToUpper(keyword) {
	case "STARTTLS":
		return NoteExtStartTLS
	case "AUTH":
		if s.secure {
			return NoteExtAuth
		}
		return NoteExtAuthClear
	case "SIZE":
		return NoteExtSize
	case "8BITMIME":
		return NoteExt8Bit
	case "PIPELINING":
		return NoteExtPipelining
	case "SMTPUTF8":
		return NoteExtUTF8
	case "DSN":
		return NoteExtDSN
	case "ENHANCEDSTATUSCODES":
		return NoteExtEnhanced
	case "CHUNKING":
		return NoteExtChunking
	case "REQUIRETLS":
		return NoteExtRequireTLS
	case "ETRN":
		return NoteExtETRN
	case "VRFY":
		return NoteExtVrfy
	}
	return ""
}

// curious asks what people ask by telnet: HELP, and whether VRFY and EXPN tell who
// is there (RFC 5321 §3.5.3, §7.3: 252 is the answer that tells nothing).
func (s *session) curious(r *SMTP, opt *SMTPOptions) (err error) {
	if r.Help, err = s.ask("HELP", NoteHelp, plainly); err != nil {
		return err
	}
	for _, who := range []string{"postmaster", invented(opt)} {
		x, err := s.ask("VRFY "+who, NoteVrfy, vrfyNote)
		r.Verify = append(r.Verify, x)
		if err != nil {
			return err
		}
	}
	r.Expand, err = s.ask("EXPN postmaster", NoteExpn, vrfyNote)
	return err
}

func vrfyNote(_ int, line string) string {
	if strings.HasPrefix(line, "250") || strings.HasPrefix(line, "251") || strings.HasPrefix(line, "550") {
		return NoteVrfyTells
	}
	return NoteVrfySafe
}

// Enumerates says whether VRFY or EXPN tell who is there: they know somebody, or they
// answer differently for one who exists and one who does not.
func (r *SMTP) Enumerates() Answer {
	if len(r.Verify) < 2 || !r.Verify[0].Answered() || !r.Verify[1].Answered() {
		return Unknown
	}
	known, unknown := r.Verify[0].Reply, r.Verify[1].Reply
	if r.Expand.Reply.OK() && r.Expand.Reply.Code != 252 {
		return Yes
	}
	return answer(known.Code != unknown.Code && (known.OK() || unknown.Permanent() && known.Code != 252 && !known.Temporary()))
}

func invented(opt *SMTPOptions) string {
	if opt.Invented != "" {
		return opt.Invented
	}
	return "posta-probe-nobody-7f3a91"
}

// recipients asks whether those who must be reachable are, from the reverse-path of
// bounces, and whether one who does not exist is refused here and now. RSET ends it.
func (s *session) recipients(r *SMTP, opt *SMTPOptions) (err error) {
	if r.Null, err = s.ask("MAIL FROM:<>", NoteNull, outcomeNote); err != nil {
		return err
	}
	if !r.Null.Reply.OK() {
		return nil
	}
	who := []string{"postmaster"}
	if opt.Domain != "" {
		who = []string{"postmaster@" + opt.Domain, "abuse@" + opt.Domain}
	}
	for _, a := range who {
		x, err := s.ask("RCPT TO:<"+a+">", NoteRole, outcomeNote)
		r.Roles = append(r.Roles, Role{a, x})
		if err != nil {
			return err
		}
	}
	if opt.Domain != "" {
		if r.Invented, err = s.ask("RCPT TO:<"+invented(opt)+"@"+opt.Domain+">", NoteInvented, outcomeNote); err != nil {
			return err
		}
	}
	_, err = s.ask("RSET", NoteReset, plainly)
	return err
}

// plainly gives no note.
func plainly(int, string) string { return "" }

// outcomeNote says what the class of a reply means.
func outcomeNote(_ int, line string) string {
	switch {
	case strings.HasPrefix(line, "421"):
		return NoteClosing
	case strings.HasPrefix(line, "2"):
		return NoteAccepted
	case strings.HasPrefix(line, "4"):
		return NoteDeferred
	case strings.HasPrefix(line, "5"):
		return NoteRefused
	}
	return ""
}

// ask says one command and reads its reply; note says what a line of it means. A 421
// ends the probe: the server wants to be left alone.
func (s *session) ask(command, note string, means func(i int, line string) string) (Exchange, error) {
	if s.line.Buffered() > 0 && s.line.Unsent() == 0 {
		return Exchange{Asked: command, Error: ErrAhead.Error()}, ErrAhead // what follows would be no answer to it
	}
	s.say(command, note)
	reply, lines, err := s.reply(s.p.cfg.Timeouts.Command)
	for i, l := range lines {
		s.heard(l, means(i, l))
	}
	x := exchange(command, reply, err)
	if err == nil && reply.Code == 421 {
		s.p.close()
		return x, fmt.Errorf("%w: %w", ErrClosing, reply)
	}
	return x, err
}

func exchange(asked string, reply smtp.Reply, err error) Exchange {
	x := Exchange{Asked: asked, Reply: reply}
	if err != nil {
		x.Error = err.Error()
		return x
	}
	x.Text = reply.String()
	return x
}

// reply reads a whole reply, with its lines as they came.
func (s *session) reply(wait time.Duration) (smtp.Reply, []string, error) {
	s.within(wait)
	var parser smtp.ReplyParser
	var lines []string
	for {
		l, err := s.hear()
		if err != nil {
			return smtp.Reply{}, lines, err
		}
		lines = append(lines, l)
		r, done, err := parser.Line([]byte(l))
		switch {
		case errors.Is(err, smtp.ErrReplyTooLong):
			return smtp.Reply{}, lines, ErrBudget
		case err != nil:
			return smtp.Reply{}, lines, fmt.Errorf("%w: %w", ErrSyntax, err)
		case done:
			return r, lines, nil
		}
	}
}

// quietly reads a reply where only its outcome matters.
func (s *session) quietly(command, note string) (smtp.Reply, error) {
	x, err := s.ask(command, note, outcomeNote)
	return x.Reply, err
}

// AuthInClear says whether passwords would be taken before TLS (RFC 8314 §3.3). On
// an exchanger (port 25) AUTH is offered at all only by mistake.
func (r *SMTP) AuthInClear() Answer {
	if r.Implicit {
		return No
	}
	if !r.Hello.Answered() {
		return Unknown
	}
	return answer(slices.ContainsFunc(r.Clear.Auth, passwordMechanism))
}

// passwordMechanism tells mechanisms that send a password, or what stands for it, so
// that one who listens can use it.
func passwordMechanism(name string) bool {
	switch strings.ToUpper(name) {
	case "PLAIN", "LOGIN", "XOAUTH2", "OAUTHBEARER":
		return true
	}
	return false
}
