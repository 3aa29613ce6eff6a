package probe

import (
	"context"
	"crypto/tls"
	"fmt"
	"slices"
	"strings"
	"time"
)

// MailboxOptions are what is asked beyond the one dialogue. Zero: nothing more.
type MailboxOptions struct {
	Versions bool // which versions of TLS, one connection each
	Inject   bool // commands behind STARTTLS or STLS, one connection
}

// Mailbox is what was seen of a server of IMAP or POP3.
type Mailbox struct {
	Target
	Options   MailboxOptions `json:"-"`
	Protocol  string         `json:"protocol"` // "imap" or "pop3"
	Error     error          `json:"-"`
	Connected bool           `json:"connected"`
	Greeting  string         `json:"greeting"`
	Delay     time.Duration  `json:"delay_ns"`
	Version   string         `json:"version"` // what the greeting tells of program and version
	Clear     []string       `json:"clear"`   // capabilities before TLS, in upper case but for arguments
	Secure    []string       `json:"secure"`  // under TLS
	Asked     bool           `json:"asked"`   // Clear was answered
	StartTLS  bool           `json:"starttls"`
	TLS       *TLS           `json:"tls,omitempty"`
	TLSError  error          `json:"-"`
	Injected  Answer         `json:"injected"`
}

// AuthInClear says whether a password would be taken before TLS, as far as the
// capabilities tell: IMAP says LOGINDISABLED (RFC 9051 §6.2.3) and offers no
// mechanism with passwords; POP3 offers neither USER nor SASL with them (RFC 2449
// §6.2, §6.3).
func (m *Mailbox) AuthInClear() Answer {
	switch {
	case m.Implicit:
		return No
	case !m.Asked:
		return Unknown
	}
	open := m.Protocol == "imap" && !slices.Contains(m.Clear, "LOGINDISABLED")
	for _, c := range m.Clear {
		name, args, _ := strings.Cut(c, " ")
		switch {
		case m.Protocol == "imap":
			mechanism, ok := strings.CutPrefix(c, "AUTH=")
			open = open || ok && passwordMechanism(mechanism)
		case name == "USER":
			open = true
		case name == "SASL":
			open = open || slices.ContainsFunc(strings.Fields(args), passwordMechanism)
		}
	}
	return answer(open)
}

// dialect is what differs between the protocols.
type dialect struct {
	name, greeting string // prefix that a good greeting has
	list           func(s *session) (capabilities []string, err error)
	start          string // the command that begins TLS
	end            string
	// reply reads up to the reply of a command that began with tag; ok says whether it succeeded.
	reply  func(s *session) (line string, ok bool, err error)
	inject string // a command that changes nothing, with a tag of its own
	mark   string // how its reply begins
}

// ProbeIMAP probes one address for IMAP. It blocks as ProbeSMTP does.
func ProbeIMAP(ctx context.Context, cfg Config, t Target, opt MailboxOptions) *Mailbox {
	return probeMailbox(ctx, cfg, t, opt, dialect{
		name: "imap", greeting: "* OK", list: listIMAP, start: "a2 STARTTLS", end: "a3 LOGOUT", reply: replyIMAP, inject: "x1 NOOP", mark: "x1 ",
	})
}

// ProbePOP3 probes one address for POP3. It blocks as ProbeSMTP does.
func ProbePOP3(ctx context.Context, cfg Config, t Target, opt MailboxOptions) *Mailbox {
	return probeMailbox(ctx, cfg, t, opt, dialect{
		name: "pop3", greeting: "+OK", list: listPOP3, start: "STLS", end: "QUIT", reply: replyPOP3, inject: "XPOSTA-INJECTED", mark: "-ERR",
	})
}

func probeMailbox(ctx context.Context, cfg Config, t Target, opt MailboxOptions, d dialect) *Mailbox {
	p := newProber(cfg, t)
	ctx, cancel := context.WithTimeout(ctx, p.cfg.Timeouts.Whole)
	defer cancel()
	m := &Mailbox{Target: t, Options: opt, Protocol: d.name}
	m.Error = p.mailbox(ctx, m, &d)
	p.finish()
	return m
}

// furtherMailbox asks what connections of their own are needed for.
func (p *prober) furtherMailbox(ctx context.Context, m *Mailbox, d *dialect) {
	if m.Options.Versions {
		p.versions(ctx, m.TLS, func(ctx context.Context) (*session, error) { return p.beginMailbox(ctx, d) })
	}
	if m.StartTLS && m.Options.Inject {
		p.further(func() { m.Injected = p.injectMailbox(ctx, d) })
	}
}

func (p *prober) mailbox(ctx context.Context, m *Mailbox, d *dialect) error {
	s, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer s.close()
	m.Connected = true
	if m.Implicit {
		if err := s.secureMailbox(ctx, m, d); err != nil {
			return err
		}
	}
	began := time.Now()
	if m.Greeting, err = s.mailboxGreeting(d); err != nil {
		return err
	}
	m.Delay, m.Version = time.Since(began), versionIn(m.Greeting)
	list, err := d.list(s)
	if err != nil {
		return err
	}
	if m.Implicit {
		m.Secure = list
	} else if err := s.upgradeMailbox(ctx, m, d, list); err != nil {
		return err
	}
	s.say(d.end, NoteLogout)
	_, _, err = d.reply(s)
	return err
}

// upgradeMailbox looks at what is offered in clear, and under TLS.
func (s *session) upgradeMailbox(ctx context.Context, m *Mailbox, d *dialect, list []string) error {
	m.Clear, m.Asked = list, true
	verb := strings.TrimPrefix(d.start, "a2 ")
	m.StartTLS = slices.Contains(list, verb)
	switch m.AuthInClear() {
	case Yes:
		s.p.event("", NoteLoginClear)
	case No:
		s.p.event("", NoteLoginProtected)
	}
	if !m.StartTLS {
		return nil
	}
	s.say(d.start, NoteStartTLS)
	if line, ok, err := d.reply(s); err != nil {
		return err
	} else if !ok {
		m.TLSError = fmt.Errorf("%s is refused: %s", verb, bounded(line))
		return nil
	}
	if err := s.secureMailbox(ctx, m, d); err != nil {
		return err
	}
	var err error
	m.Secure, err = d.list(s)
	return err
}

func (s *session) secureMailbox(ctx context.Context, m *Mailbox, d *dialect) error {
	state, err := s.handshake(ctx, best)
	if err != nil {
		m.TLSError = err
		s.p.event(err.Error(), NoteTLSFailed)
		return err
	}
	m.TLS = s.p.seen(state)
	s.p.furtherMailbox(ctx, m, d)
	return nil
}

func (s *session) mailboxGreeting(d *dialect) (string, error) {
	s.within(s.p.cfg.Timeouts.Greeting)
	l, err := s.hear()
	if err != nil {
		return "", err
	}
	if !strings.HasPrefix(l, d.greeting) {
		s.heard(l, NoteGreetingNot)
		return bounded(l), fmt.Errorf("%w: the greeting is %q", ErrSyntax, bounded(l))
	}
	if v := versionIn(l); v != "" {
		s.heard(l, NoteGreetingName, v)
	} else {
		s.heard(l, NoteGreeting)
	}
	return bounded(l), nil
}

// listIMAP asks for the capabilities. The tag is "a1" each time: nothing runs at the
// same time.
func listIMAP(s *session) (list []string, err error) {
	s.say("a1 CAPABILITY", NoteCapability)
	s.within(s.p.cfg.Timeouts.Command)
	for {
		l, err := s.hear()
		if err != nil {
			return nil, err
		}
		if rest, ok := cutFold(l, "* CAPABILITY "); ok {
			list = append(list, strings.Fields(strings.ToUpper(rest))...)
			note := ""
			if slices.Contains(list, "LOGINDISABLED") {
				note = NoteLoginDisabled
			}
			s.heard(l, note)
			continue
		}
		s.heard(l, "")
		if status, tagged := cutFold(l, "a1 "); tagged {
			if _, ok := cutFold(status, "OK"); !ok {
				return nil, fmt.Errorf("%w: CAPABILITY is answered %q", ErrSyntax, bounded(l))
			}
			return list, nil
		}
	}
}

// replyIMAP reads up to the tagged reply, whatever its tag.
func replyIMAP(s *session) (string, bool, error) {
	s.within(s.p.cfg.Timeouts.Command)
	for {
		l, err := s.hear()
		if err != nil {
			return "", false, err
		}
		s.heard(l, "")
		tag, status, _ := strings.Cut(l, " ")
		if tag != "*" && tag != "+" {
			_, ok := cutFold(status, "OK")
			return l, ok, nil
		}
	}
}

// listPOP3 asks for the capabilities (RFC 2449 §5). A server without CAPA has none,
// and takes USER.
func listPOP3(s *session) (list []string, err error) {
	s.say("CAPA", NoteCapability)
	l, ok, err := replyPOP3(s)
	if err != nil {
		return nil, err
	}
	if !ok {
		if !strings.HasPrefix(l, "-ERR") {
			return nil, fmt.Errorf("%w: CAPA is answered %q", ErrSyntax, bounded(l))
		}
		return []string{"USER"}, nil
	}
	for {
		if l, err = s.hear(); err != nil {
			return nil, err
		}
		if l == "." {
			s.heard(l, "")
			return list, nil
		}
		l = strings.TrimPrefix(l, ".")
		s.heard(l, "")
		name, args, more := strings.Cut(l, " ")
		if name = strings.ToUpper(name); more {
			name += " " + args
		}
		list = append(list, name)
	}
}

func replyPOP3(s *session) (string, bool, error) {
	s.within(s.p.cfg.Timeouts.Command)
	l, err := s.hear()
	if err != nil {
		return "", false, err
	}
	s.heard(l, "")
	return l, strings.HasPrefix(l, "+OK"), nil
}

func (p *prober) beginMailbox(ctx context.Context, d *dialect) (*session, error) {
	s, err := p.open(ctx)
	if err != nil || p.target.Implicit {
		return s, err
	}
	if _, err = s.mailboxGreeting(d); err == nil {
		s.say(d.start, NoteStartTLS)
		var ok bool
		var line string
		if line, ok, err = d.reply(s); err == nil && !ok {
			err = fmt.Errorf("%w: %q", ErrSyntax, bounded(line))
		}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// injectMailbox is injectSMTP for IMAP and POP3.
func (p *prober) injectMailbox(ctx context.Context, d *dialect) Answer {
	s, err := p.open(ctx)
	if err != nil {
		return Unknown
	}
	defer s.close()
	if _, err = s.mailboxGreeting(d); err != nil {
		return Unknown
	}
	s.say(d.start, NoteInject)
	s.say(d.inject, "")
	if _, ok, err := d.reply(s); err != nil {
		return Unknown
	} else if !ok || s.line.Buffered() > 0 {
		return No // refused, or answered in clear
	}
	if _, err := s.handshake(ctx, offer{min: tls.VersionTLS10, max: tls.VersionTLS13}); err != nil {
		return refusedInjection(ctx, err)
	}
	s.say(d.end, NoteLogout)
	line, _, err := d.reply(s)
	if err != nil {
		return Unknown
	}
	if strings.HasPrefix(line, d.mark) {
		s.p.event(line, NoteInjected)
		return Yes
	}
	return No
}

// cutFold cuts a prefix in either case.
func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
