package access

import (
	"net/netip"
	"strings"

	"posta/internal/addr"
	"posta/internal/smtp"
)

// NameState is what reverse DNS says of a client.
type NameState uint8

// The states, sendmail's ${client_resolve}.
const (
	Resolved   NameState = iota // Name is confirmed by forward DNS
	NoName                      // there is no PTR record (FAIL)
	Forged                      // the name does not lead back to the address
	CannotTell                  // DNS failed (TEMP)
)

// SenderState is whether the domain of the reverse-path can be found in DNS.
type SenderState uint8

// The states. NotAsked is taken for good.
const (
	NotAsked SenderState = iota
	Exists
	DoesNotExist
	DoesNotResolve // DNS failed
)

// Delay is FEATURE delay_checks: what is said of client and sender waits for the
// recipient, who may have a say in it.
type Delay uint8

// The modes.
const (
	NoDelay Delay = iota
	Delayed
	Friends // recipients with Spam:… FRIEND take mail that would be refused for client or sender
	Haters  // only recipients with Spam:… HATER have mail refused for client or sender
)

// Options are the FEATUREs of sendmail that change a decision. The zero value is
// a sendmail with nothing but FEATURE(access_db); see also [Defaults].
type Options struct {
	Delay             Delay // delay_checks
	BlockRecipients   bool  // blocklist_recipients (once blacklist_recipients)
	RelayHostsOnly    bool  // relay_hosts_only: RELAY holds for the host itself, not for what is below it
	RelayToAddress    bool  // relaytofulladdress: To:user@example.org RELAY
	RelayFromAddress  bool  // relay_mail_from: From:user@example.org RELAY lets anybody who says so relay
	RelayFromDomain   bool  // relay_mail_from(domain); only with RelayFromAddress
	AcceptUnresolved  bool  // accept_unresolvable_domains
	AcceptUnqualified bool  // accept_unqualified_senders
}

// Defaults are the options of a Posta whose administrator said nothing:
// recipients can be blocked, and be friends.
func Defaults() Options { return Options{Delay: Friends, BlockRecipients: true} }

// Facts are what a decision rests upon, as far as it is known at the stage.
type Facts struct {
	IP   netip.Addr // the client's; invalid for local programs
	Name string     // its confirmed name in lower-case A-labels, "" if none
	PTR  NameState

	From   addr.Path // reverse-path
	Sender SenderState
	To     addr.Path // forward-path

	// Local tells which domains are ours (sendmail's class w). It must be pure;
	// nil is none.
	Local func(addr.Domain) bool
	// LocalIP does the same for domain literals, user@[192.0.2.1].
	LocalIP func(netip.Addr) bool

	Authenticated           bool   // logged in: nothing here refuses, and the client may relay
	CertIssuer, CertSubject string // distinguished names of a verified client certificate
}

// Stage is the command at which a decision is made.
type Stage uint8

// The stages, each with what is known by then.
const (
	AtConnect Stage = iota // IP, Name, PTR
	AtMail                 // From, Sender, Authenticated
	AtRcpt                 // To
)

// Outcome is what the map says.
type Outcome uint8

// The outcomes.
const (
	Silent     Outcome = iota // nothing against it; other rules decide
	Trusted                   // OK: other rules that would refuse do not (DNSBL, unresolvable domain)
	Refused                   // with Reply
	Discarded                 // accepted and dropped: the message, at AtRcpt this recipient
	Quarantine                // held for Reason
)

var outcomeNames = [...]string{"nothing", "trusted", "refused", "discarded", "quarantine"}

// String gives the outcome as a word.
func (o Outcome) String() string { return outcomeNames[o] }

// Decision is what the map says, and the entry that says so.
type Decision struct {
	Outcome Outcome
	Relay   bool       // AtRcpt: mail for the recipient may leave again
	RelayBy Key        // the entry that lets it; zero where it is sendmail's own rule (a login, loopback)
	Reply   smtp.Reply // of Refused
	Reason  string     // of Quarantine
	Key     Key        // zero when no entry decided
	Value   Value
}

// Decide is what the map says at a stage. It is a pure function.
func (m *Map) Decide(stage Stage, f *Facts, o Options) Decision {
	s := search{m: m}
	return s.decide(stage, f, o, nil)
}

// decide runs the rulesets of a stage; ran, if not nil, is told of each.
func (s *search) decide(stage Stage, f *Facts, o Options, ran func(string, Decision)) Decision {
	tell := func(ruleset string, d Decision) Decision {
		if ran != nil {
			ran(ruleset, d)
		}
		return d
	}
	switch {
	case stage == AtConnect && o.Delay == NoDelay:
		return tell("check_relay", s.connect(f))
	case stage == AtMail && o.Delay == NoDelay && !f.Authenticated:
		return tell("check_mail", s.mail(f, o))
	case stage != AtRcpt:
		return Decision{}
	}
	rcpt := tell("check_rcpt", s.rcpt(f, o))
	if o.Delay == NoDelay || rcpt.Outcome != Silent || f.Authenticated {
		return rcpt
	}
	if o.Delay != Delayed {
		if d := tell(friendRuleset[o.Delay], s.friend(f, o)); d.Outcome == Trusted {
			d.Relay, d.RelayBy = rcpt.Relay, rcpt.RelayBy
			return d
		}
	}
	d := tell("check_mail", s.mail(f, o))
	if d.Outcome == Silent {
		d = tell("check_relay", s.connect(f))
	}
	if d.Outcome == Silent {
		return rcpt
	}
	d.Relay, d.RelayBy = rcpt.Relay, rcpt.RelayBy
	return d
}

// friendRuleset names the question whether a recipient has a say.
var friendRuleset = [...]string{Friends: "spam friend", Haters: "spam hater"}

// connect is ruleset check_relay.
func (s *search) connect(f *Facts) Decision {
	if !f.IP.IsValid() {
		return Decision{}
	}
	h, ok := s.host(Connect, f.Name, f.IP)
	if !ok {
		h, ok = s.address(Connect, f.IP, false)
	}
	if !ok {
		return Decision{}
	}
	return h.decision(accessDenied)
}

// Texts of sendmail for REJECT.
var (
	accessDenied = smtp.New(550, "5.7.1", "Access denied")
	noMailbox    = smtp.New(550, "5.2.1", "Mailbox disabled for this recipient")
	relayDenied  = smtp.New(550, "5.7.1", "Relaying denied")
)

// decision is what an entry says; reject is the reply of REJECT.
func (h hit) decision(reject smtp.Reply) Decision {
	d := Decision{Key: h.key, Value: h.value}
	switch h.value.Action {
	case OK, RELAY:
		d.Outcome = Trusted
	case REJECT:
		d.Outcome, d.Reply = Refused, reject
	case ERROR:
		d.Outcome, d.Reply = Refused, h.value.Reply()
	case DISCARD:
		d.Outcome = Discarded
	case QUARANTINE:
		d.Outcome, d.Reason = Quarantine, h.value.Text
	default: // SKIP, SPAMFRIEND…: nothing
		return Decision{}
	}
	return d
}

// mail is ruleset check_mail.
func (s *search) mail(f *Facts, o Options) Decision {
	if f.From.IsNull() {
		return Decision{} // RFC 5321 §4.5.5: <> must be taken
	}
	h, ok := s.full(From, &f.From)
	if !ok {
		h, ok = s.user(From, &f.From)
	}
	if !ok {
		h, ok = s.pathHost(From, &f.From)
	}
	if ok {
		return h.decision(accessDenied)
	}
	refuse := func(code int, enhanced, text string) Decision {
		return Decision{Outcome: Refused, Reply: smtp.New(code, enhanced, text)}
	}
	switch {
	case f.From.Kind == addr.Postmaster && !o.AcceptUnqualified:
		return refuse(553, "5.5.4", "Domain name required for sender address "+f.From.String())
	case f.Sender == DoesNotResolve && !o.AcceptUnresolved:
		return refuse(451, "4.1.8", "Domain of sender address "+f.From.String()+" does not resolve")
	case f.Sender == DoesNotExist && !o.AcceptUnresolved:
		return refuse(553, "5.1.8", "Domain of sender address "+f.From.String()+" does not exist")
	}
	return Decision{}
}

// friend asks whether the recipient is a friend of spam, or no hater of it:
// Trusted means that client and sender are not asked about. Spam: is of sendmail
// 8.12, To:… SPAMFRIEND of those before it.
func (s *search) friend(f *Facts, o Options) Decision {
	to := s.strip(f, o)
	exact := search{m: s.m, only: true, log: s.log}
	h, ok := exact.befriended(Spam, f, &to)
	if !ok {
		h, ok = exact.befriended(To, f, &to)
		ok = ok && (h.value.Action == SPAMFRIEND || h.value.Action == SPAMHATER)
	}
	if !ok {
		h = hit{}
	}
	a := h.value.Action
	friend := a == FRIEND || a == SPAMFRIEND
	if o.Delay == Haters {
		friend = a != HATER && a != SPAMHATER
	}
	if !friend {
		return Decision{}
	}
	return Decision{Outcome: Trusted, Key: h.key, Value: h.value}
}

// befriended looks for a recipient in the order of delay_checks: F, D, U.
func (s *search) befriended(tag Tag, f *Facts, to *addr.Path) (hit, bool) {
	h, ok := s.full(tag, to)
	if !ok {
		h, ok = s.pathHost(tag, to)
	}
	if !ok && f.local(to) {
		h, ok = s.user(tag, to)
	}
	return h, ok
}

// blocked looks for a recipient in the order of blocklist_recipients: F, U, D.
func (s *search) blocked(f *Facts, to *addr.Path) (hit, bool) {
	h, ok := s.full(To, to)
	if !ok && f.local(to) {
		h, ok = s.user(To, to)
	}
	if !ok {
		h, ok = s.pathHost(To, to)
	}
	return h, ok
}

// local reports whether a recipient is ours: its domain is, or it has none.
func (f *Facts) local(to *addr.Path) bool {
	switch to.Kind {
	case addr.Postmaster:
		return true
	case addr.Mailbox:
		return f.Local != nil && f.Local(to.Domain)
	case addr.IPLiteral:
		return f.LocalIP != nil && f.LocalIP(to.IP)
	}
	return false
}

// rcpt is ruleset check_rcpt: is the recipient blocked, and may its mail leave?
func (s *search) rcpt(f *Facts, o Options) Decision {
	to := s.strip(f, o)
	if o.BlockRecipients {
		if h, ok := s.blocked(f, &to); ok {
			if d := h.decision(noMailbox); d.Outcome > Trusted {
				return d
			}
		}
	}
	if f.Authenticated {
		return Decision{Relay: true}
	}
	if h, ok := s.certRelay(f.CertIssuer, f.CertSubject); ok {
		return Decision{Relay: true, RelayBy: h.key, Outcome: Trusted, Key: h.key, Value: h.value}
	}
	if to.Kind == addr.Postmaster || !addr.LegacyRoute(to.Local) && f.local(&to) {
		return Decision{}
	}
	if !addr.LegacyRoute(to.Local) {
		if h, ok := s.relayTo(&to, o); ok {
			return Decision{Relay: true, RelayBy: h.key, Key: h.key, Value: h.value}
		}
	}
	return s.relayFrom(f, o)
}

// relayTo asks whether we relay to a recipient's domain.
func (s *search) relayTo(to *addr.Path, o Options) (h hit, ok bool) {
	if o.RelayToAddress {
		h, ok = s.full(To, to)
	}
	switch {
	case ok:
	case o.RelayHostsOnly:
		h, ok = s.exact(To, to)
	default:
		h, ok = s.pathHost(To, to)
	}
	return h, ok && h.value.Action == RELAY
}

// relayFrom is ruleset Relay_ok: may this client relay, whatever the recipient?
func (s *search) relayFrom(f *Facts, o Options) Decision {
	if !f.IP.IsValid() || f.IP.IsLoopback() {
		return Decision{Relay: true}
	}
	relay := func(h hit) Decision { return Decision{Relay: true, RelayBy: h.key, Key: h.key, Value: h.value} }
	if h, ok := s.address(Connect, f.IP, false); ok && h.value.Action == RELAY {
		return relay(h)
	}
	if o.RelayFromAddress {
		if h, ok := s.relaySender(f, o); ok {
			return relay(h)
		}
	}
	client := "[" + f.IP.String() + "]"
	switch f.PTR {
	case CannotTell:
		return Decision{Outcome: Refused, Reply: smtp.New(450, "4.4.0", "Relaying temporarily denied. Cannot resolve PTR record for "+f.IP.String())}
	case Forged:
		return Decision{Outcome: Refused, Reply: smtp.New(550, "5.7.1", "Relaying denied. IP name possibly forged "+client)}
	case NoName:
		return Decision{Outcome: Refused, Reply: smtp.New(550, "5.7.1", "Relaying denied. IP name lookup failed "+client)}
	}
	var h hit
	ok := false
	switch {
	case f.Name == "":
	case o.RelayHostsOnly:
		h, ok = s.probe(Connect, []byte(f.Name))
	default:
		h, ok = s.domain(Connect, f.Name)
	}
	if ok && h.value.Action == RELAY {
		return relay(h)
	}
	return Decision{Outcome: Refused, Reply: relayDenied}
}

// relaySender is FEATURE relay_mail_from; From: only, never the untagged key.
func (s *search) relaySender(f *Facts, o Options) (hit, bool) {
	exact := search{m: s.m, only: true, log: s.log}
	h, ok := exact.full(From, &f.From)
	switch {
	case ok || !o.RelayFromDomain:
	case o.RelayHostsOnly:
		h, ok = exact.exact(From, &f.From)
	default:
		h, ok = exact.pathHost(From, &f.From)
	}
	return h, ok && h.value.Action == RELAY
}

// maxStrips bounds the routes that are taken out of one local part.
const maxStrips = 8

// strip takes the hosts that are ours, or that we relay to, off a recipient with
// a route in its local part (ruleset ParseRecipient): user%there@here is checked
// as user@there. A source route @a,@b:user@c is no part of a Path's address.
func (s *search) strip(f *Facts, o Options) addr.Path {
	to := f.To
	for range maxStrips {
		if to.Kind != addr.Mailbox || !addr.LegacyRoute(to.Local) {
			break
		}
		if !f.local(&to) {
			if _, ok := s.relayTo(&to, o); !ok {
				break
			}
		}
		next, ok := unroute(to.Local)
		if !ok {
			break
		}
		to = next
	}
	return to
}

// unroute reads user@there, user%there or there!user.
func unroute(l addr.Localpart) (addr.Path, bool) {
	s := string(l)
	local, host := "", ""
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		local, host = s[:i], s[i+1:]
	} else if i := strings.IndexByte(s, '!'); i >= 0 {
		host, local = s[:i], s[i+1:]
	} else if i := strings.LastIndexByte(s, '%'); i >= 0 {
		local, host = s[:i], s[i+1:]
	}
	p, err := addr.ParsePath("<"+addr.Localpart(local).Quote()+"@"+host+">", true)
	return p, err == nil && local != ""
}
