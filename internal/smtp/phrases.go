package smtp

import "fmt"

// Phrase names one of the replies that Posta's server speaks of itself. All of
// them stand in one table, which a test prints; what policy, filing and the
// queue say comes from the catalogue of checks.
type Phrase uint8

// The phrases, in the order of a session.
const (
	Greeting Phrase = iota
	TooManyConnections
	TooManyFromNetwork
	NotAProxy
	HelloOK
	HelloEmpty
	HelloSyntax
	WrongHello
	HelloNeeded
	CommandUnknown
	CommandTooLong
	CommandBareNewline
	CommandOctets
	ParametersUnwanted
	ArgumentNeeded
	NotImplemented
	BadSequence
	NotMail
	TooManyCommands
	TooManyErrors
	TooManyMessages
	TooLong
	Idle
	NotReady
	GoingDown
	InternalError

	StartTLSReady
	StartTLSUnavailable
	StartTLSTwice
	StartTLSNeeded

	AuthOK
	AuthPrompt
	AuthFailed
	AuthTooMany
	AuthTwice
	AuthInTransaction
	AuthNeedsTLS
	AuthMechanism
	AuthSyntax
	AuthCancelled
	AuthNeeded
	AuthNotOffered

	MailOK
	MailSyntax
	MailInTransaction
	SenderSyntax
	SenderLiteral
	SenderUTF8
	MailParamUnknown
	MailParamBad
	MessageTooLarge
	RequireTLSNeedsTLS

	RcptOK
	RcptSyntax
	RcptAddress
	RcptLiteral
	RcptUTF8
	RcptNull
	RcptTooMany
	RcptTooManyRefused
	RcptNeedsMail
	RcptInChunks

	DataStart
	DataNeedsRcpt
	DataNeedsMail
	DataBinary
	DataAfterBdat
	DataBareNewline
	DataTooLarge
	DataTimeout
	BdatSyntax
	BdatOK
	BdatNeedsRcpt
	BdatTooMany
	BdatTooLarge
	Accepted
	CommitFailed
	CommitLate

	ResetOK
	NoopOK
	HelpText
	VerifyOK
	ByeOK
	NumPhrases
)

// Entry is one row of the catalogue.
type Entry struct {
	Name     string
	Code     int
	Enhanced string // "" if the reply has none by its RFC
	Text     string // with %s or %d for the arguments of With
	Check    string // id that the refusal carries, "" for plain protocol
	Rule     string // where the reply comes from
	When     string // when it is spoken
}

// Entry is the phrase's row.
func (p Phrase) Entry() Entry { return phrases[p] }

func (p Phrase) String() string { return phrases[p].Name }

// Reply is the phrase as a reply; for phrases without arguments.
func (p Phrase) Reply() Reply {
	e := &phrases[p]
	return Reply{Code: e.Code, Enhanced: parsed[p], Text: e.Text, Check: e.Check}
}

// With is the phrase with its arguments filled in.
func (p Phrase) With(args ...any) Reply {
	r := p.Reply()
	r.Text = fmt.Sprintf(r.Text, args...)
	return r
}

// parsed are the enhanced codes of the table, read once.
var parsed = func() (out [NumPhrases]Enhanced) {
	for i := range phrases {
		out[i], _, _ = cutEnhanced(phrases[i].Enhanced)
	}
	return out
}()

var phrases = [NumPhrases]Entry{
	Greeting:           {"Greeting", 220, "", "%s", "", "RFC 5321 §4.3.1", "at connect"},
	TooManyConnections: {"TooManyConnections", 421, "4.3.2", "Too many connections, try again later", "conn.total", "RFC 5321 §3.8", "the server is full"},
	TooManyFromNetwork: {"TooManyFromNetwork", 421, "4.7.0", "Too many connections from your network, try again later", "conn.network", "RFC 5321 §3.8", "one network holds too many connections"},
	NotAProxy:          {"NotAProxy", 421, "4.7.0", "PROXY is not accepted from your address", "conn.proxy", "PROXY protocol §2", "a PROXY header from outside the list, or none from a listed proxy"},
	HelloOK:            {"HelloOK", 250, "", "%s", "", "RFC 5321 §4.1.1.1", "HELO, EHLO, LHLO; EHLO has the extensions behind it"},
	HelloEmpty:         {"HelloEmpty", 501, "5.5.4", "%s needs the name of your host", "", "RFC 5321 §4.1.1.1", "no argument"},
	HelloSyntax:        {"HelloSyntax", 501, "5.5.4", "The name of your host holds characters that are not allowed", "", "RFC 5321 §4.1.2", "spaces, control characters or more than 255 octets"},
	WrongHello:         {"WrongHello", 500, "5.5.1", "This server speaks %s: greet with %s", "", "RFC 2033 §4.1", "HELO or EHLO at LMTP, LHLO at SMTP"},
	HelloNeeded:        {"HelloNeeded", 503, "5.5.1", "Say HELO or EHLO first", "", "RFC 5321 §4.1.4", "a command that needs a greeting"},
	CommandUnknown:     {"CommandUnknown", 500, "5.5.2", "Command not known", "", "RFC 5321 §4.2.4", "an unknown verb"},
	CommandTooLong:     {"CommandTooLong", 500, "5.5.2", "Command line too long", "", "RFC 5321 §4.5.3.1.4", "over the line limit of the verb"},
	CommandBareNewline: {"CommandBareNewline", 500, "5.5.2", "Lines must end with CR LF", "smtp.bare-newline", "RFC 5321 §2.3.8", "a command with a lone CR or LF, from a stranger"},
	CommandOctets:      {"CommandOctets", 501, "5.5.2", "Command holds octets that are not allowed", "", "RFC 5321 §2.4", "NUL and other control characters"},
	ParametersUnwanted: {"ParametersUnwanted", 501, "5.5.4", "%s takes no argument", "", "RFC 5321 §4.1.1", "an argument where none is allowed"},
	ArgumentNeeded:     {"ArgumentNeeded", 501, "5.5.4", "%s needs an argument", "", "RFC 5321 §4.1.1", "no argument where one is needed"},
	NotImplemented:     {"NotImplemented", 502, "5.5.1", "%s is not offered here", "", "RFC 5321 §4.2.4", "EXPN, ETRN"},
	BadSequence:        {"BadSequence", 503, "5.5.1", "Commands out of order", "", "RFC 5321 §4.1.4", "a state that does not allow the verb, where nothing better can be said"},
	NotMail:            {"NotMail", 421, "4.7.0", "This is a mail server, not a web server", "smtp.http", "RFC 5321 §3.8", "GET, POST and their like"},
	TooManyCommands:    {"TooManyCommands", 421, "4.7.0", "Too many commands without a message", "smtp.budget", "RFC 5321 §3.8", "Budget.Commands"},
	TooManyErrors:      {"TooManyErrors", 421, "4.7.0", "Too many errors", "smtp.budget", "RFC 5321 §3.8", "Budget.Errors, Budget.Unknown"},
	TooManyMessages:    {"TooManyMessages", 421, "4.7.0", "Enough messages in this connection, open another one", "", "RFC 9422 §5", "Budget.Messages"},
	TooLong:            {"TooLong", 421, "4.7.0", "This connection has lasted too long", "smtp.budget", "RFC 5321 §3.8", "Budget.Total"},
	Idle:               {"Idle", 421, "4.4.2", "No command in time", "", "RFC 5321 §4.5.3.2.7", "Budget.Command"},
	NotReady:           {"NotReady", 421, "4.3.2", "The server is starting, try again soon", "", "RFC 5321 §3.8", "what the state needs from another machine is away at the start"},
	GoingDown:          {"GoingDown", 421, "4.3.2", "The server is going down, try again soon", "", "RFC 5321 §3.8", "shutdown"},
	InternalError:      {"InternalError", 421, "4.3.0", "Internal error, it has been logged", "", "RFC 5321 §3.8", "a panic was caught"},

	StartTLSReady:       {"StartTLSReady", 220, "2.0.0", "Ready to start TLS", "", "RFC 3207 §4", "STARTTLS"},
	StartTLSUnavailable: {"StartTLSUnavailable", 454, "4.7.0", "TLS is not available now", "", "RFC 3207 §4", "no certificate at the moment"},
	StartTLSTwice:       {"StartTLSTwice", 503, "5.5.1", "TLS is in use already", "", "RFC 3207 §4", "STARTTLS over TLS"},
	StartTLSNeeded:      {"StartTLSNeeded", 530, "5.7.0", "Say STARTTLS first", "", "RFC 3207 §4", "MAIL in clear at the submission port"},

	AuthOK:            {"AuthOK", 235, "2.7.0", "Authenticated", "", "RFC 4954 §4", "the password is right"},
	AuthPrompt:        {"AuthPrompt", 334, "", "%s", "", "RFC 4954 §4", "a challenge in base64"},
	AuthFailed:        {"AuthFailed", 535, "5.7.8", "Name or password is wrong", "", "RFC 4954 §6", "the password, or the name, is wrong; the same words for both"},
	AuthTooMany:       {"AuthTooMany", 421, "4.7.0", "Too many failed logins", "", "RFC 4954 §4", "Budget.AuthFailures"},
	AuthTwice:         {"AuthTwice", 503, "5.5.1", "You are authenticated already", "", "RFC 4954 §4", "a second AUTH"},
	AuthInTransaction: {"AuthInTransaction", 503, "5.5.1", "AUTH is not allowed during a transaction", "", "RFC 4954 §4", "AUTH after MAIL"},
	AuthNeedsTLS:      {"AuthNeedsTLS", 538, "5.7.11", "Passwords are accepted over TLS only, say STARTTLS first", "", "RFC 4954 §6", "AUTH in clear"},
	AuthMechanism:     {"AuthMechanism", 504, "5.5.4", "Mechanism not offered", "", "RFC 4954 §4", "neither PLAIN nor LOGIN"},
	AuthSyntax:        {"AuthSyntax", 501, "5.5.2", "Response not understood", "", "RFC 4954 §4", "bad base64, or not the mechanism's form"},
	AuthCancelled:     {"AuthCancelled", 501, "5.7.0", "Authentication cancelled", "", "RFC 4954 §4", "the client sent *"},
	AuthNeeded:        {"AuthNeeded", 530, "5.7.0", "Authentication is required", "", "RFC 4954 §6", "MAIL at the submission port without AUTH"},
	AuthNotOffered:    {"AuthNotOffered", 502, "5.5.1", "Authentication is offered at the submission ports, 465 and 587", "", "RFC 8314 §3.3", "AUTH at the MX, LMTP or local door"},

	MailOK:             {"MailOK", 250, "2.1.0", "Sender ok", "", "RFC 5321 §4.1.1.2", "MAIL"},
	MailSyntax:         {"MailSyntax", 501, "5.5.4", "The form is MAIL FROM:<address>", "", "RFC 5321 §4.1.1.2", "no FROM: or no brackets"},
	MailInTransaction:  {"MailInTransaction", 503, "5.5.1", "Sender already given", "", "RFC 5321 §4.1.1.2", "a second MAIL"},
	SenderSyntax:       {"SenderSyntax", 501, "5.1.7", "Sender address not understood: %s", "", "RFC 5321 §4.1.2", "a reverse-path that cannot be read"},
	SenderLiteral:      {"SenderLiteral", 553, "5.1.7", "A sender address needs a domain, not an IP address", "", "RFC 5321 §4.1.3", "user@[192.0.2.1], or no domain"},
	SenderUTF8:         {"SenderUTF8", 553, "5.6.7", "A sender address that is not ASCII needs SMTPUTF8", "", "RFC 6531 §3.5", "8-bit reverse-path without the parameter"},
	MailParamUnknown:   {"MailParamUnknown", 555, "5.5.4", "Parameter %s is not known", "", "RFC 5321 §4.1.1.11", "an extension that was not offered"},
	MailParamBad:       {"MailParamBad", 501, "5.5.4", "Parameter %s has a bad value", "", "RFC 5321 §4.1.1.11", "a value that cannot be read"},
	MessageTooLarge:    {"MessageTooLarge", 552, "5.3.4", "Message too large, the limit is %d octets", "", "RFC 1870 §6.1", "SIZE= over the limit"},
	RequireTLSNeedsTLS: {"RequireTLSNeedsTLS", 530, "5.7.10", "REQUIRETLS needs TLS", "", "RFC 8689 §4.2.1", "the parameter in clear"},

	RcptOK:             {"RcptOK", 250, "2.1.5", "Recipient ok", "", "RFC 5321 §4.1.1.3", "RCPT"},
	RcptSyntax:         {"RcptSyntax", 501, "5.5.4", "The form is RCPT TO:<address>", "", "RFC 5321 §4.1.1.3", "no TO: or no brackets"},
	RcptAddress:        {"RcptAddress", 501, "5.1.3", "Recipient address not understood: %s", "", "RFC 5321 §4.1.2", "a forward-path that cannot be read"},
	RcptLiteral:        {"RcptLiteral", 550, "5.1.2", "Mail to IP addresses is not accepted", "", "RFC 5321 §4.1.3", "user@[192.0.2.1]"},
	RcptUTF8:           {"RcptUTF8", 553, "5.6.7", "A recipient address that is not ASCII needs SMTPUTF8", "", "RFC 6531 §3.5", "8-bit forward-path without the parameter"},
	RcptNull:           {"RcptNull", 501, "5.1.3", "The recipient is empty", "", "RFC 5321 §4.1.1.3", "RCPT TO:<>"},
	RcptTooMany:        {"RcptTooMany", 452, "4.5.3", "Too many recipients, send the others in another transaction", "", "RFC 5321 §4.5.3.1.10", "Budget.Recipients"},
	RcptTooManyRefused: {"RcptTooManyRefused", 421, "4.7.0", "Too many refused recipients", "smtp.harvest", "RFC 5321 §3.8", "Budget.Refused"},
	RcptNeedsMail:      {"RcptNeedsMail", 503, "5.5.1", "Say MAIL first", "", "RFC 5321 §4.1.4", "RCPT before MAIL"},
	RcptInChunks:       {"RcptInChunks", 503, "5.5.1", "No more recipients once the message has begun", "", "RFC 3030 §2", "RCPT after BDAT"},

	DataStart:       {"DataStart", 354, "", "Send the message, end with a dot on a line of its own", "", "RFC 5321 §4.1.1.4", "DATA"},
	DataNeedsRcpt:   {"DataNeedsRcpt", 503, "5.5.1", "No valid recipients", "", "RFC 5321 §3.3", "DATA without an accepted recipient"},
	DataNeedsMail:   {"DataNeedsMail", 503, "5.5.1", "Say MAIL and RCPT first", "", "RFC 5321 §4.1.4", "DATA or BDAT outside a transaction"},
	DataBinary:      {"DataBinary", 503, "5.5.1", "A binary message needs BDAT", "", "RFC 3030 §3", "DATA after BODY=BINARYMIME"},
	DataAfterBdat:   {"DataAfterBdat", 503, "5.5.1", "DATA and BDAT cannot be mixed", "", "RFC 3030 §2", "DATA after BDAT"},
	DataBareNewline: {"DataBareNewline", 550, "5.6.11", "The message has a CR or LF that stands alone", "smtp.bare-newline", "RFC 5321 §2.3.8", "a stranger's message; the connection is closed"},
	DataTooLarge:    {"DataTooLarge", 552, "5.3.4", "Message too large, the limit is %d octets", "", "RFC 1870 §6.3", "more octets than allowed"},
	DataTimeout:     {"DataTimeout", 421, "4.4.2", "The message did not arrive in time", "", "RFC 5321 §4.5.3.2.5", "Budget.Block, Budget.Total"},
	BdatSyntax:      {"BdatSyntax", 501, "5.5.4", "The form is BDAT size [LAST]", "", "RFC 3030 §2", "an argument that cannot be read; the connection is closed"},
	BdatOK:          {"BdatOK", 250, "2.0.0", "%d octets received", "", "RFC 3030 §2", "a chunk that is not the last"},
	BdatNeedsRcpt:   {"BdatNeedsRcpt", 503, "5.5.1", "No valid recipients", "", "RFC 3030 §2", "BDAT without an accepted recipient, or after a chunk was refused"},
	BdatTooMany:     {"BdatTooMany", 421, "4.7.0", "Too many chunks", "smtp.budget", "RFC 5321 §3.8", "Budget.Chunks"},
	BdatTooLarge:    {"BdatTooLarge", 421, "4.3.4", "Chunk too large to be skipped", "", "RFC 5321 §3.8", "a refused chunk of more octets than we read for nothing"},
	Accepted:        {"Accepted", 250, "2.0.0", "Accepted as %s", "", "RFC 5321 §6.1", "the message is durable; the argument is its id"},
	CommitFailed:    {"CommitFailed", 451, "4.3.0", "The message could not be stored, try again later", "", "RFC 5321 §6.1", "the store failed"},
	CommitLate:      {"CommitLate", 451, "4.3.0", "The message could not be stored in time, try again later", "", "RFC 5321 §4.5.3.2.6", "60 s after the final dot"},

	ResetOK:  {"ResetOK", 250, "2.0.0", "Forgotten", "", "RFC 5321 §4.1.1.5", "RSET"},
	NoopOK:   {"NoopOK", 250, "2.0.0", "Here", "", "RFC 5321 §4.1.1.9", "NOOP"},
	HelpText: {"HelpText", 214, "2.0.0", "%s", "", "RFC 5321 §4.1.1.8", "HELP: the verbs of this door"},
	VerifyOK: {"VerifyOK", 252, "2.1.5", "Send mail to the address to find out", "", "RFC 5321 §3.5.3", "VRFY, for each address alike"},
	ByeOK:    {"ByeOK", 221, "2.0.0", "Bye", "", "RFC 5321 §4.1.1.10", "QUIT"},
}
