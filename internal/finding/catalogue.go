package finding

// The ids that code refers to. Each stands once in the catalogue below.
const (
	PTRMissing     ID = "ptr.missing"
	PTRMismatch    ID = "ptr.mismatch"
	PTRGeneric     ID = "ptr.generic"
	HELOFQDN       ID = "helo.fqdn"
	HELOLiteral    ID = "helo.literal"
	HELOSelf       ID = "helo.self"
	HELOUnknown    ID = "helo.unknown"
	HELOMismatch   ID = "helo.mismatch"
	SenderDomain   ID = "sender.domain"
	SenderMX       ID = "sender.mx"
	SenderForeign  ID = "sender.foreign"
	MXNull         ID = "mx.null"
	SPFFail        ID = "spf.fail"
	SPFSoftFail    ID = "spf.softfail"
	SPFMissing     ID = "spf.missing"
	SPFInvalid     ID = "spf.invalid"
	DKIMMissing    ID = "dkim.missing"
	DKIMFail       ID = "dkim.fail"
	DKIMWeak       ID = "dkim.weak"
	DMARCFail      ID = "dmarc.fail"
	DMARCMissing   ID = "dmarc.missing"
	DMARCInvalid   ID = "dmarc.invalid"
	FromMissing    ID = "from.missing"
	FromMultiple   ID = "from.multiple"
	HeaderID       ID = "header.message-id"
	HeaderDate     ID = "header.date"
	HeaderSyntax   ID = "header.syntax"
	DNSBLListed    ID = "dnsbl.listed"
	RelayDenied    ID = "relay.denied"
	RcptUnknown    ID = "rcpt.unknown"
	RcptFull       ID = "rcpt.full"
	RcptLimit      ID = "rcpt.limit"
	AddressSyntax  ID = "address.syntax"
	EarlyTalker    ID = "smtp.early-talker"
	BareNewline    ID = "smtp.bare-newline"
	Pipelining     ID = "smtp.pipelining"
	Injection      ID = "smtp.injection"
	BudgetExceeded ID = "smtp.budget"
	LoopHops       ID = "loop.hops"
	MessageSize    ID = "message.size"
	AuthRequired   ID = "auth.required"
	AuthFailed     ID = "auth.failed"
	ConnNetwork    ID = "conn.network"
	ConnTotal      ID = "conn.total"
	ConnProxy      ID = "conn.proxy"
	HTTPVerb       ID = "smtp.http"
	Harvest        ID = "smtp.harvest"
	SystemBusy     ID = "system.busy"
	SystemFull     ID = "system.full"
	SandboxOff     ID = "sandbox.off"
	CertSelfSigned ID = "cert.self-signed"
	CertExpiring   ID = "cert.expiring"
	RelayBroad     ID = "relay.broad"
)

// catalogue is in the order of people's reading. Bits are for ever.
var catalogue = [...]Check{
	{PTRMissing, 0, Critical, "RFC 1912 §2.1; RFC 8601 §2.7.3", "CH-ID-01 S14"},
	{PTRMismatch, 1, Critical, "RFC 8601 §2.7.3", "CH-ID-02 S17"},
	{PTRGeneric, 2, High, "M3AAWG sender practice", "CH-ID-04 S19"},
	{HELOFQDN, 3, High, "RFC 5321 §4.1.1.1", "CH-ID-05 S2"},
	{HELOLiteral, 4, Medium, "RFC 5321 §4.1.3", "CH-ID-05 S3"},
	{HELOSelf, 5, High, "RFC 5321 §4.1.1.1", "CH-ID-08 S5"},
	{HELOUnknown, 6, High, "RFC 5321 §2.3.5", "CH-ID-05 S6"},
	{HELOMismatch, 7, Low, "RFC 5321 §4.1.4", "CH-ID-05 S7"},
	{SenderDomain, 8, Critical, "RFC 5321 §3.6.2", "CH-SMTP-17 S9"},
	{SenderMX, 9, High, "RFC 5321 §5.1", "CH-MX-01 S9"},
	{SenderForeign, 10, High, "RFC 6409 §6.1", "S76"},
	{MXNull, 11, High, "RFC 7505 §4.2", "CH-MX-04 S34"},
	{SPFFail, 12, Critical, "RFC 7208 §8.4", "CH-SPF-05 S33"},
	{SPFSoftFail, 13, Medium, "RFC 7208 §8.5", "CH-SPF-04 S33"},
	{SPFMissing, 14, Medium, "RFC 7208 §8.1", "CH-SPF-01 S33"},
	{SPFInvalid, 15, High, "RFC 7208 §8.7", "CH-SPF-01 S33"},
	{DKIMMissing, 16, Medium, "RFC 6376 §6.1", "CH-DKIM-05 S37"},
	{DKIMFail, 17, Medium, "RFC 6376 §6.1.3", "CH-DKIM-05 S37"},
	{DKIMWeak, 18, Medium, "RFC 8301 §3.2", "CH-DKIM-02"},
	{DMARCFail, 19, Critical, "RFC 9989 §5.3", "CH-DMARC-05 S44"},
	{DMARCMissing, 20, Medium, "RFC 9989 §4.10", "CH-DMARC-01 S45"},
	{DMARCInvalid, 21, High, "RFC 9989 §4.7", "CH-DMARC-01 S52"},
	{FromMissing, 22, High, "RFC 5322 §3.6", "CH-MSG-01"},
	{FromMultiple, 23, High, "RFC 9989 §5.3.1", "CH-MSG-01"},
	{HeaderID, 24, Low, "RFC 5322 §3.6.4", "CH-MSG-01"},
	{HeaderDate, 25, Low, "RFC 5322 §3.6.1", "CH-MSG-01"},
	{HeaderSyntax, 26, Low, "RFC 5322 §2.2", "CH-MSG-01"},
	{DNSBLListed, 27, High, "RFC 5782 §2.1", "CH-REP-01 S90"},
	{RelayDenied, 28, Critical, "RFC 5321 §3.6.1", "CH-SMTP-10 S68"},
	{RcptUnknown, 29, Critical, "RFC 5321 §3.3", "CH-SMTP-14"},
	{RcptFull, 30, Critical, "RFC 3463 §3.3", "CH-SMTP-14"},
	{RcptLimit, 31, Low, "RFC 5321 §4.5.3.1.8", "S83"},
	{AddressSyntax, 32, Critical, "RFC 5321 §4.1.2", "CH-SMTP-10"},
	{EarlyTalker, 33, Medium, "RFC 5321 §3.1", "CH-SMTP-15"},
	{BareNewline, 34, Critical, "RFC 5321 §2.3.8", "CH-SMTP-11"},
	{Pipelining, 35, Low, "RFC 2920 §3.1", "CH-SMTP-15"},
	{Injection, 36, Critical, "RFC 3207 §4.2", "CH-TLS-05"},
	{BudgetExceeded, 37, Medium, "RFC 5321 §4.5.3", "S83"},
	{LoopHops, 38, Critical, "RFC 5321 §6.3", "CH-SMTP-14"},
	{MessageSize, 39, Critical, "RFC 1870 §6", "CH-SMTP-15"},
	{AuthRequired, 40, Critical, "RFC 6409 §4.3", "S66"},
	{AuthFailed, 41, High, "RFC 4954 §6", "S76"},
	{ConnNetwork, 42, Medium, "RFC 5321 §4.5.4.2", "S83"},
	{ConnTotal, 49, Medium, "RFC 5321 §4.5.4.2", "S83"},
	{ConnProxy, 50, High, "PROXY protocol §2", "S82"},
	{HTTPVerb, 51, Medium, "RFC 5321 §3.1", "CH-SMTP-15"},
	{Harvest, 52, High, "RFC 5321 §7.3", "CH-SMTP-12"},
	{SystemBusy, 43, Medium, "RFC 5321 §4.2.3", "CH-SMTP-18"},
	{SystemFull, 44, Critical, "RFC 5321 §4.2.3", "CH-SMTP-18"},
	{SandboxOff, 45, Low, "Landlock", "S118"},
	{CertSelfSigned, 46, High, "RFC 8314 §3", "CH-TLS-03 S150"},
	{CertExpiring, 47, High, "RFC 5280 §4.1.2.5", "CH-TLS-03"},
	{RelayBroad, 48, High, "RFC 5321 §3.6.1", "CH-ACC-01 S72"},
}

// byID is made once from the catalogue and never changed.
var byID = func() map[ID]*Check {
	m := make(map[ID]*Check, len(catalogue))
	for i := range catalogue {
		m[catalogue[i].ID] = &catalogue[i]
	}
	return m
}()

// Lookup finds a check.
func Lookup(id ID) (Check, bool) {
	if c := byID[id]; c != nil {
		return *c, true
	}
	return Check{}, false
}

// All lists the catalogue.
func All() []Check { return append([]Check(nil), catalogue[:]...) }
