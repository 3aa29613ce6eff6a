package probe

// Keys of what a line means. Whoever shows a dialogue has a text for each (Notes
// lists them); those with arguments say which.
const (
	NoteConnected    = "connected"
	NoteNoConnection = "no-connection"
	NoteBroken       = "broken" // the connection broke off, or its budget is over
	NoteCleartext    = "cleartext"

	NoteGreeting     = "greeting"
	NoteGreetingSlow = "greeting-slow"    // seconds
	NoteGreetingName = "greeting-version" // what it tells of itself
	NoteGreetingNot  = "greeting-refused"
	NoteEhlo         = "ehlo"
	NoteEhloName     = "ehlo-name"
	NoteHeloOnly     = "ehlo-refused"
	NoteHelp         = "help"
	NoteVrfy         = "vrfy"
	NoteVrfySafe     = "vrfy-safe"
	NoteVrfyTells    = "vrfy-tells"
	NoteExpn         = "expn"
	NoteQuit         = "quit"
	NoteReset        = "reset"
	NoteNull         = "mail-null"
	NoteMail         = "mail"
	NoteRole         = "rcpt-role"
	NoteInvented     = "rcpt-invented"
	NoteRelay        = "rcpt-relay"
	NoteRelayed      = "rcpt-relay-accepted"
	NoteAccepted     = "accepted"
	NoteDeferred     = "deferred"
	NoteRefused      = "refused"
	NoteClosing      = "closing"
	NoteFalseEnd     = "false-end"
	NoteSmuggled     = "smuggled"
	NoteInject       = "inject"
	NoteInjected     = "injected"

	NoteExtStartTLS   = "ext-starttls"
	NoteExtAuthClear  = "ext-auth-clear"
	NoteExtAuth       = "ext-auth"
	NoteExtSize       = "ext-size"
	NoteExt8Bit       = "ext-8bitmime"
	NoteExtPipelining = "ext-pipelining"
	NoteExtUTF8       = "ext-smtputf8"
	NoteExtDSN        = "ext-dsn"
	NoteExtEnhanced   = "ext-enhanced"
	NoteExtChunking   = "ext-chunking"
	NoteExtRequireTLS = "ext-requiretls"
	NoteExtETRN       = "ext-etrn"
	NoteExtVrfy       = "ext-vrfy"

	NoteStartTLS       = "starttls"
	NoteTLS            = "tls"          // version, suite, group
	NoteTLSFailed      = "tls-failed"   //
	NoteTLSVersion     = "tls-version"  // version: it is accepted
	NoteTLSRefused     = "tls-refused"  // version: it is not
	NoteTLSOld         = "tls-old"      // version: it is accepted and should not be
	NoteTLSWeak        = "tls-weak"     // suite
	NoteTLSStrong      = "tls-strong"   // no weak suite is accepted
	NoteCertificate    = "certificate"  // names, issuer, last day
	NoteCertificateBad = "verify-error" // number and name by OpenSSL

	NoteCapability     = "capability"
	NoteLoginDisabled  = "login-disabled"
	NoteLoginClear     = "login-clear"
	NoteLoginProtected = "login-protected"
	NoteLogout         = "logout"
)

// Notes lists all keys.
func Notes() []string {
	return []string{
		NoteConnected, NoteNoConnection, NoteBroken, NoteCleartext, NoteGreeting, NoteGreetingSlow, NoteGreetingName, NoteGreetingNot,
		NoteEhlo, NoteEhloName, NoteHeloOnly, NoteHelp, NoteVrfy, NoteVrfySafe, NoteVrfyTells, NoteExpn, NoteQuit, NoteReset, NoteNull, NoteMail,
		NoteRole, NoteInvented, NoteRelay, NoteRelayed, NoteAccepted, NoteDeferred, NoteRefused, NoteClosing, NoteFalseEnd, NoteSmuggled,
		NoteInject, NoteInjected, NoteExtStartTLS, NoteExtAuthClear, NoteExtAuth, NoteExtSize, NoteExt8Bit, NoteExtPipelining, NoteExtUTF8,
		NoteExtDSN, NoteExtEnhanced, NoteExtChunking, NoteExtRequireTLS, NoteExtETRN, NoteExtVrfy, NoteStartTLS, NoteTLS, NoteTLSFailed,
		NoteTLSVersion, NoteTLSRefused, NoteTLSOld, NoteTLSWeak, NoteTLSStrong, NoteCertificate, NoteCertificateBad, NoteCapability, NoteLoginDisabled,
		NoteLoginClear, NoteLoginProtected, NoteLogout,
	}
}
