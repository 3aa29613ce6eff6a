package finding

// The ids that code refers to. Each stands once in the catalogue below.
const (
	PTRMissing        ID = "ptr.missing"
	PTRMismatch       ID = "ptr.mismatch"
	PTRGeneric        ID = "ptr.generic"
	PTRMany           ID = "ptr.many"
	HELOFQDN          ID = "helo.fqdn"
	HELOLiteral       ID = "helo.literal"
	HELOSelf          ID = "helo.self"
	HELOUnknown       ID = "helo.unknown"
	HELOMismatch      ID = "helo.mismatch"
	SenderDomain      ID = "sender.domain"
	SenderMX          ID = "sender.mx"
	SenderForeign     ID = "sender.foreign"
	MXNull            ID = "mx.null"
	MXAddress         ID = "mx.address"
	MXCNAME           ID = "mx.cname"
	MXDangling        ID = "mx.dangling"
	MXPrivate         ID = "mx.private"
	MXClosed          ID = "mx.closed"
	MXNullMixed       ID = "mx.null-mixed"
	MXParked          ID = "mx.parked"
	MXSame            ID = "mx.same"
	MXWeaker          ID = "mx.weaker"
	MXSendOnly        ID = "mx.send-only"
	MXIPv6            ID = "mx.ipv6"
	SPFFail           ID = "spf.fail"
	SPFSoftFail       ID = "spf.softfail"
	SPFMissing        ID = "spf.missing"
	SPFMultiple       ID = "spf.multiple"
	SPFInvalid        ID = "spf.invalid"
	SPFLookups        ID = "spf.lookups"
	SPFBroad          ID = "spf.broad"
	SPFHELO           ID = "spf.helo"
	SPFMisspelt       ID = "spf.misspelt"
	SPFLegacy         ID = "spf.legacy"
	SPFCrowded        ID = "spf.crowded"
	SPFPTR            ID = "spf.ptr"
	SPFDangling       ID = "spf.dangling"
	SPFWide           ID = "spf.wide"
	SPFHuge           ID = "spf.huge"
	SPFWeb            ID = "spf.web"
	SPFShared         ID = "spf.shared"
	SPFNeutral        ID = "spf.neutral"
	SPFLength         ID = "spf.length"
	SPFNames          ID = "spf.names"
	SPFEmpty          ID = "spf.empty"
	DKIMMissing       ID = "dkim.missing"
	DKIMFail          ID = "dkim.fail"
	DKIMKey           ID = "dkim.key"
	DKIMWeak          ID = "dkim.weak"
	DKIMSHA1          ID = "dkim.sha1"
	DKIMLength        ID = "dkim.length"
	DKIMTesting       ID = "dkim.testing"
	DKIMExpired       ID = "dkim.expired"
	DKIMClock         ID = "dkim.clock"
	DKIMPublished     ID = "dkim.published"
	DKIMSyntax        ID = "dkim.syntax"
	DKIMRestricted    ID = "dkim.restricted"
	DKIMStrict        ID = "dkim.strict"
	DKIMEd25519Only   ID = "dkim.ed25519-only"
	DKIMAge           ID = "dkim.age"
	DKIMRotation      ID = "dkim.rotation"
	DKIMHeaders       ID = "dkim.headers"
	DMARCFail         ID = "dmarc.fail"
	DMARCMissing      ID = "dmarc.missing"
	DMARCInvalid      ID = "dmarc.invalid"
	DMARCMisplaced    ID = "dmarc.misplaced"
	DMARCNone         ID = "dmarc.none"
	DMARCReports      ID = "dmarc.reports"
	DMARCReceiver     ID = "dmarc.receiver"
	DMARCUnreachable  ID = "dmarc.unreachable"
	DMARCAddresses    ID = "dmarc.addresses"
	DMARCFailures     ID = "dmarc.failures"
	DMARCPeople       ID = "dmarc.people"
	DMARCSubdomains   ID = "dmarc.subdomains"
	DMARCTesting      ID = "dmarc.testing"
	DMARCRemoved      ID = "dmarc.removed"
	DMARCObserved     ID = "dmarc.observed"
	BIMIRecord        ID = "bimi.record"
	BIMIPolicy        ID = "bimi.policy"
	BIMILogo          ID = "bimi.logo"
	BIMICertificate   ID = "bimi.certificate"
	ARCFail           ID = "arc.fail"
	FromMissing       ID = "from.missing"
	FromMultiple      ID = "from.multiple"
	HeaderID          ID = "header.message-id"
	HeaderDate        ID = "header.date"
	DateSkew          ID = "header.date-skew"
	HeaderDuplicate   ID = "header.duplicate"
	Header8Bit        ID = "header.8bit"
	HeaderLine        ID = "header.line"
	HeaderSyntax      ID = "header.syntax"
	ListUnsubscribe   ID = "list.unsubscribe"
	DNSBLListed       ID = "dnsbl.listed"
	DNSBLHELO         ID = "dnsbl.helo"
	DNSBLDomain       ID = "dnsbl.domain"
	DNSBLBody         ID = "dnsbl.body"
	DNSBLList         ID = "dnsbl.list"
	ReputationBad     ID = "reputation.bad"
	Greylisted        ID = "greylist.wait"
	RateClient        ID = "rate.client"
	RateSender        ID = "rate.sender"
	RateRcpt          ID = "rate.recipient"
	RateAccount       ID = "rate.account"
	AccessDenied      ID = "access.denied"
	AccessDiscard     ID = "access.discard"
	AccessHeld        ID = "access.held"
	SpamScore         ID = "spam.score"
	SpamHigh          ID = "spam.high"
	ContentExecutable ID = "content.executable"
	ContentMacro      ID = "content.macro"
	ContentArchive    ID = "content.archive"
	ContentEncrypted  ID = "content.encrypted"
	ContentName       ID = "content.name"
	URLAddress        ID = "url.address"
	URLCredential     ID = "url.credential"
	URLScript         ID = "url.script"
	URLMismatch       ID = "url.mismatch"
	URLMany           ID = "url.many"
	ScanVirus         ID = "scan.virus"
	ScanRefused       ID = "scan.refused"
	ScanDown          ID = "scan.down"
	QuarantineOverdue ID = "quarantine.overdue"
	QuarantineFull    ID = "quarantine.full"
	RelayDenied       ID = "relay.denied"
	RelayBroad        ID = "relay.broad"
	RelayOpen         ID = "relay.open"
	RcptUnknown       ID = "rcpt.unknown"
	RcptFull          ID = "rcpt.full"
	RcptFilter        ID = "rcpt.filter"
	RcptSRS           ID = "rcpt.srs"
	RcptLimit         ID = "rcpt.limit"
	RcptAny           ID = "rcpt.any"
	RcptRule          ID = "rcpt.rule"
	RcptMoved         ID = "rcpt.moved"
	CatchAllKept      ID = "catchall.kept"
	CatchAllForwards  ID = "catchall.forwards"
	AddressSyntax     ID = "address.syntax"
	EarlyTalker       ID = "smtp.early-talker"
	BareNewline       ID = "smtp.bare-newline"
	Pipelining        ID = "smtp.pipelining"
	Injection         ID = "smtp.injection"
	BudgetExceeded    ID = "smtp.budget"
	HTTPVerb          ID = "smtp.http"
	Harvest           ID = "smtp.harvest"
	SMTPVersion       ID = "smtp.version"
	SMTPSlow          ID = "smtp.slow"
	SMTPName          ID = "smtp.name"
	SMTPExtensions    ID = "smtp.extensions"
	SMTPNull          ID = "smtp.null"
	SMTPPostmaster    ID = "smtp.postmaster"
	SMTPEnumeration   ID = "smtp.enumeration"
	SMTPSmuggling     ID = "smtp.smuggling"
	TLSNone           ID = "tls.none"
	TLSMissing        ID = "tls.missing"
	TLSBroken         ID = "tls.broken"
	TLSOld            ID = "tls.old"
	TLSWeak           ID = "tls.weak"
	TLSModern         ID = "tls.modern"
	TLSRequire        ID = "tls.require"
	TLSInjection      ID = "tls.injection"
	TLSOutbound       ID = "tls.outbound"
	MessageSize       ID = "message.size"
	LoopHops          ID = "loop.hops"
	ReflectUnproven   ID = "reflect.unproven"
	ReflectAutomatic  ID = "reflect.automatic"
	AuthRequired      ID = "auth.required"
	AuthFailed        ID = "auth.failed"
	AuthExpired       ID = "auth.expired"
	AuthClear         ID = "auth.clear"
	AuthExchanger     ID = "auth.exchanger"
	ConnNetwork       ID = "conn.network"
	ConnTotal         ID = "conn.total"
	ConnProxy         ID = "conn.proxy"
	SystemBusy        ID = "system.busy"
	SystemFull        ID = "system.full"
	SystemDisk        ID = "system.disk"
	SystemQueue       ID = "system.queue"
	SystemBackup      ID = "system.backup"
	SystemVersion     ID = "system.version"
	SystemClock       ID = "system.clock"
	SandboxOff        ID = "sandbox.off"
	MTASTSMissing     ID = "mtasts.missing"
	MTASTSRecord      ID = "mtasts.record"
	MTASTSPolicy      ID = "mtasts.policy"
	MTASTSAge         ID = "mtasts.age"
	MTASTSMode        ID = "mtasts.mode"
	MTASTSHosts       ID = "mtasts.hosts"
	MTASTSCert        ID = "mtasts.certificate"
	DANEMissing       ID = "dane.missing"
	DANEUnsigned      ID = "dane.unsigned"
	DANEMismatch      ID = "dane.mismatch"
	DANEUnusable      ID = "dane.unusable"
	DANERollover      ID = "dane.rollover"
	DANEAuthority     ID = "dane.authority"
	DANEMany          ID = "dane.many"
	TLSRPTMissing     ID = "tlsrpt.missing"
	TLSRPTInvalid     ID = "tlsrpt.invalid"
	CAAMissing        ID = "caa.missing"
	CAAUnbound        ID = "caa.unbound"
	CertSelfSigned    ID = "cert.self-signed"
	CertExpiring      ID = "cert.expiring"
	CertExpired       ID = "cert.expired"
	CertName          ID = "cert.name"
	CertChain         ID = "cert.chain"
	CertWeak          ID = "cert.weak"
	CertUnverified    ID = "cert.unverified"
	NSDelegation      ID = "ns.delegation"
	NSLame            ID = "ns.lame"
	NSGlue            ID = "ns.glue"
	NSDisagree        ID = "ns.disagree"
	NSSingle          ID = "ns.single"
	NSTransport       ID = "ns.transport"
	NSIPv6            ID = "ns.ipv6"
	SOAContact        ID = "soa.contact"
	DNSSECNone        ID = "dnssec.none"
	DNSSECBogus       ID = "dnssec.bogus"
	DNSSECExpiring    ID = "dnssec.expiring"
	DNSSECWeak        ID = "dnssec.weak"
	ResolverPlain     ID = "resolver.plain"
	ResolverPublic    ID = "resolver.public"
	DomainYoung       ID = "domain.young"
	DomainExpiring    ID = "domain.expiring"
	DomainUnlocked    ID = "domain.unlocked"
	DNSCNAME          ID = "dns.cname"
	DNSWildcard       ID = "dns.wildcard"
	DNSDangling       ID = "dns.dangling"
	DNSTTL            ID = "dns.ttl"
	DNSDot            ID = "dns.dot"
	OutboundBlocked   ID = "outbound.blocked"
	OutboundSource    ID = "outbound.source"
	AutoSRV           ID = "auto.srv"
	AutoTarget        ID = "auto.target"
	AutoDoor          ID = "auto.door"
	AutoConfig        ID = "auto.config"
	AutoDiscover      ID = "auto.discover"
	AutoPACC          ID = "auto.pacc"
)

// catalogue is in the order of people's reading, the checks of one section (the
// first word of the id) together. Bits are for ever.
var catalogue = [...]Check{
	{PTRMissing, 0, Critical, "RFC 1912 §2.1; RFC 8601 §2.7.3", "CH-ID-01 S14"},
	{PTRMismatch, 1, Critical, "RFC 8601 §2.7.3", "CH-ID-02 S17"},
	{PTRGeneric, 2, High, "M3AAWG sender practice", "CH-ID-04 S19"},
	{PTRMany, 69, Low, "RFC 2181 §10.2", "CH-ID-03 S16"},
	{HELOFQDN, 3, High, "RFC 5321 §4.1.1.1", "CH-ID-05 S2"},
	{HELOLiteral, 4, Medium, "RFC 5321 §4.1.3", "CH-ID-05 S3"},
	{HELOSelf, 5, High, "RFC 5321 §4.1.1.1", "CH-ID-08 S5"},
	{HELOUnknown, 6, High, "RFC 5321 §2.3.5", "CH-ID-05 S6"},
	{HELOMismatch, 7, Low, "RFC 5321 §4.1.4", "CH-ID-05 S7"},
	{SenderDomain, 8, Critical, "RFC 5321 §3.6.2", "CH-SMTP-17 S9"},
	{SenderMX, 9, High, "RFC 5321 §5.1", "CH-MX-01 S9"},
	{SenderForeign, 10, High, "RFC 6409 §6.1", "S76"},
	{MXNull, 11, High, "RFC 7505 §4.2", "CH-MX-04 S34"},
	{MXAddress, 66, Critical, "RFC 5321 §5.1", "CH-MX-02 S11"},
	{MXCNAME, 65, Medium, "RFC 2181 §10.3", "CH-MX-02 S12"},
	{MXDangling, 68, Critical, "RFC 5321 §5.1", "CH-MX-02 S12"},
	{MXPrivate, 67, Critical, "RFC 6890 §2.2", "CH-MX-02 S13"},
	{MXClosed, 160, High, "RFC 5321 §5.1", "CH-MX-03"},
	{MXNullMixed, 131, High, "RFC 7505 §3", "CH-MX-04"},
	{MXParked, 132, Info, "RFC 7505 §1", "CH-MX-04 S34"},
	{MXSame, 133, Low, "RFC 5321 §5.1", "CH-MX-05"},
	{MXWeaker, 280, Medium, "RFC 5321 §5.1", "CH-MX-05"},
	{MXSendOnly, 281, Info, "RFC 5321 §5.1", "CH-MX-01 S10"},
	{MXIPv6, 134, Low, "RFC 3974 §2", "CH-MX-06"},
	{SPFFail, 12, Critical, "RFC 7208 §8.4", "CH-SPF-05 S33"},
	{SPFSoftFail, 13, Medium, "RFC 7208 §8.5", "CH-SPF-04 S33"},
	{SPFMissing, 14, Medium, "RFC 7208 §8.1", "CH-SPF-01 S33"},
	{SPFMultiple, 55, High, "RFC 7208 §4.5", "CH-SPF-01 S30"},
	{SPFInvalid, 15, High, "RFC 7208 §8.7", "CH-SPF-01 S33"},
	{SPFLookups, 54, High, "RFC 7208 §4.6.4", "CH-SPF-02 S30"},
	{SPFBroad, 56, Critical, "RFC 7208 §5.1", "CH-SPF-04 S28"},
	{SPFHELO, 57, Medium, "RFC 7208 §2.3", "CH-ID-05 S7"},
	{SPFMisspelt, 137, High, "RFC 7208 §4.5", "CH-SPF-01 S31"},
	{SPFLegacy, 138, Low, "RFC 7208 §3.1", "CH-SPF-01"},
	{SPFCrowded, 139, Low, "RFC 7208 §4.6.4", "CH-SPF-02"},
	{SPFPTR, 140, Medium, "RFC 7208 §5.5", "CH-SPF-03"},
	{SPFDangling, 141, Critical, "RFC 7208 §5.2", "CH-SPF-06"},
	{SPFWide, 142, Medium, "RFC 7208 §11.4", "CH-SPF-07 S28"},
	{SPFHuge, 143, High, "RFC 7208 §11.4", "CH-SPF-07 S28"},
	{SPFWeb, 144, Medium, "RFC 7208 §5.3", "CH-SPF-08 S28"},
	{SPFShared, 145, Low, "RFC 7208 §11.4", "CH-SPF-09 S32 S36"},
	{SPFNeutral, 146, High, "RFC 7208 §8.2", "CH-SPF-04 S32"},
	{SPFLength, 147, Low, "RFC 7208 §3.4", "CH-SPF-10"},
	{SPFNames, 148, Low, "RFC 7208 §10.1.2", "CH-SPF-11 S34"},
	{SPFEmpty, 149, Critical, "RFC 7208 §4.7", "CH-SPF-05 S25"},
	{DKIMMissing, 16, Medium, "RFC 6376 §6.1", "CH-DKIM-05 S37"},
	{DKIMFail, 17, Medium, "RFC 6376 §6.1.3", "CH-DKIM-05 S37"},
	{DKIMKey, 58, Medium, "RFC 6376 §6.1.2", "CH-DKIM-01 S41"},
	{DKIMWeak, 18, Medium, "RFC 8301 §3.2", "CH-DKIM-02"},
	{DKIMSHA1, 63, Medium, "RFC 8301 §3.1", "CH-DKIM-03"},
	{DKIMLength, 59, Medium, "RFC 6376 §8.2", "CH-DKIM-05"},
	{DKIMTesting, 60, Medium, "RFC 6376 §3.6.1", "CH-DKIM-03"},
	{DKIMExpired, 61, Medium, "RFC 6376 §3.5", "CH-DKIM-05"},
	{DKIMClock, 62, Low, "RFC 6376 §3.5", "CH-DKIM-05"},
	{DKIMPublished, 190, Critical, "RFC 6376 §3.6.2", "CH-DKIM-01 S41"},
	{DKIMSyntax, 191, High, "RFC 6376 §3.6.1", "CH-DKIM-01 S41"},
	{DKIMRestricted, 192, High, "RFC 6376 §3.6.1", "CH-DKIM-03"},
	{DKIMStrict, 193, Low, "RFC 6376 §3.6.1", "CH-DKIM-03"},
	{DKIMEd25519Only, 194, Medium, "RFC 8463 §5", "CH-DKIM-02"},
	{DKIMHeaders, 282, Medium, "RFC 6376 §5.4.1; RFC 8058 §4", "CH-DKIM-05"},
	{DKIMAge, 195, Medium, "M3AAWG sender practice", "CH-DKIM-04"},
	{DKIMRotation, 196, Medium, "RFC 6376 §3.6.1", "CH-DKIM-04"},
	{DMARCFail, 19, Critical, "RFC 9989 §5.3", "CH-DMARC-05 S44"},
	{DMARCMissing, 20, Medium, "RFC 9989 §4.10", "CH-DMARC-01 S45"},
	{DMARCInvalid, 21, High, "RFC 9989 §4.7", "CH-DMARC-01 S52"},
	{DMARCMisplaced, 270, High, "RFC 9989 §4.6", "CH-DMARC-01 S25"},
	{DMARCNone, 64, Low, "RFC 9989 §4.7", "CH-DMARC-02 S48"},
	{DMARCReports, 264, Medium, "RFC 9990 §3", "CH-DMARC-03 S50"},
	{DMARCReceiver, 265, High, "RFC 9990 §4", "CH-DMARC-03"},
	{DMARCUnreachable, 266, Medium, "RFC 9990 §3", "CH-DMARC-03"},
	{DMARCAddresses, 267, Low, "RFC 9990 §3", "CH-DMARC-03"},
	{DMARCFailures, 268, Info, "RFC 9991 §3", "CH-DMARC-04"},
	{DMARCPeople, 269, Info, "RFC 9989 §7.4", "CH-DMARC-06"},
	{DMARCSubdomains, 263, Medium, "RFC 9989 §4.7", "CH-DMARC-02 S52"},
	{DMARCTesting, 262, Low, "RFC 9989 §4.7", "CH-DMARC-02"},
	{DMARCRemoved, 261, Low, "RFC 9989 §4.7", "CH-DMARC-02"},
	{DMARCObserved, 290, High, "RFC 9990", "CH-DMARC-05 S46"},
	{BIMIRecord, 271, Info, "draft-brand-indicators-for-message-identification §4", "CH-BIMI-01"},
	{BIMIPolicy, 272, Info, "draft-brand-indicators-for-message-identification §4", "CH-BIMI-01"},
	{BIMILogo, 273, Info, "draft-svg-tiny-ps-abrotman §2", "CH-BIMI-01"},
	{BIMICertificate, 274, Info, "draft-fetch-validation-vmc-wchuang §4", "CH-BIMI-01"},
	{ARCFail, 53, Low, "RFC 8617 §5.2", "CH-MSG-03"},
	{FromMissing, 22, High, "RFC 5322 §3.6", "CH-MSG-01"},
	{FromMultiple, 23, High, "RFC 9989 §5.3.1", "CH-MSG-01"},
	{HeaderID, 24, Low, "RFC 5322 §3.6.4", "CH-MSG-01"},
	{HeaderDate, 25, Low, "RFC 5322 §3.6.1", "CH-MSG-01"},
	{DateSkew, 77, Low, "RFC 5322 §3.6.1", "CH-SMTP-16"},
	{HeaderDuplicate, 74, High, "RFC 5322 §3.6", "CH-MSG-01"},
	{Header8Bit, 75, Medium, "RFC 5322 §2.2", "CH-MSG-01"},
	{HeaderLine, 76, Medium, "RFC 5322 §2.1.1", "CH-MSG-01"},
	{HeaderSyntax, 26, Low, "RFC 5322 §2.2", "CH-MSG-01"},
	// High, since only what calls itself bulk mail is asked: List-Id, List-Unsubscribe, or
	// Precedence bulk, list or junk. On a single letter the check is not applicable.
	{ListUnsubscribe, 78, High, "RFC 8058 §3.1", "CH-MSG-02"},
	{DNSBLListed, 27, High, "RFC 5782 §2.1", "CH-REP-01 S90"},
	{DNSBLHELO, 70, High, "RFC 5782 §3", "CH-REP-01 S90"},
	{DNSBLDomain, 71, High, "RFC 5782 §3", "CH-REP-01 S90"},
	{DNSBLBody, 72, High, "RFC 5782 §3", "CH-REP-01 S90"},
	{DNSBLList, 73, Medium, "RFC 5782 §5", "CH-REP-02 S91"},
	{ReputationBad, 81, High, "M3AAWG sender practice", "CH-REP-01 S86"},
	{Greylisted, 80, Low, "RFC 6647 §5", "CH-SMTP-15"},
	{RateClient, 82, Medium, "RFC 2505 §2.8", "S83"},
	{RateSender, 83, Medium, "RFC 2505 §2.8", "S84"},
	{RateRcpt, 84, Medium, "RFC 2505 §2.8", "S83"},
	{RateAccount, 108, Medium, "RFC 6409 §6.1", "S83 S84"},
	{AccessDenied, 85, High, "RFC 5321 §7.9", "S70"},
	{AccessDiscard, 86, Critical, "RFC 5321 §6.2", "S70"},
	{AccessHeld, 104, Medium, "RFC 5321 §7.9", "S70"},
	{SpamScore, 87, Medium, "RFC 5321 §6.2", "S54"},
	{SpamHigh, 88, High, "RFC 5321 §6.2", "S54"},
	{ContentExecutable, 89, High, "Gmail 5.7.0 blocked content", "S116"},
	{ContentMacro, 90, Medium, "MITRE ATT&CK T1204.002", "S116"},
	{ContentArchive, 91, Medium, "CWE-409", "S116"},
	{ContentEncrypted, 92, Medium, "Gmail 5.7.0 blocked content", "S116"},
	{ContentName, 93, High, "RFC 2183 §5", "S116"},
	{URLAddress, 94, Medium, "RFC 3986 §7.4", "CH-REP-01 S54"},
	{URLCredential, 95, Medium, "RFC 3986 §7.6", "S54"},
	{URLScript, 96, High, "RFC 5890 §4.4; UTS #39 §5", "S54"},
	{URLMismatch, 97, Medium, "RFC 3986 §7.6", "S54"},
	{URLMany, 98, Low, "M3AAWG sender practice", "CH-REP-01"},
	{ScanVirus, 99, Critical, "RFC 5321 §6.2", "S116"},
	{ScanRefused, 100, High, "RFC 5321 §7.9", "S116"},
	{ScanDown, 101, Medium, "RFC 5321 §4.2.3", "CH-SMTP-18 S116"},
	{QuarantineOverdue, 102, High, "RFC 5321 §6.1", "S58"},
	{QuarantineFull, 109, High, "RFC 3463 §3.4", "S58"},
	{RelayDenied, 28, Critical, "RFC 5321 §3.6.1", "CH-SMTP-10 S68"},
	{RelayBroad, 48, High, "RFC 5321 §3.6.1", "CH-ACC-01 S72"},
	{RelayOpen, 178, Critical, "RFC 5321 §3.6.1; RFC 2505 §2.1", "CH-SMTP-10 S68 S69"},
	{RcptUnknown, 29, Critical, "RFC 5321 §3.3", "CH-SMTP-14"},
	{RcptFull, 30, Critical, "RFC 3463 §3.3", "CH-SMTP-14"},
	{RcptFilter, 291, Info, "RFC 5429", "S100"},
	{RcptSRS, 292, Low, "RFC 5321 §4.5.5", "S15"},
	{RcptLimit, 31, Low, "RFC 5321 §4.5.3.1.8", "S83"},
	{RcptAny, 183, Medium, "RFC 5321 §3.3, §6.1", "CH-SMTP-14"},
	{RcptRule, 296, Critical, "RFC 5321 §3.3", "S103"},
	{RcptMoved, 297, Critical, "RFC 5321 §3.4", "S103"},
	{CatchAllKept, 298, Low, "RFC 5321 §3.3", "S104 S105"},
	{CatchAllForwards, 299, High, "RFC 5321 §3.3, §6.2", "S104 S105"},
	{AddressSyntax, 32, Critical, "RFC 5321 §4.1.2", "CH-SMTP-10"},
	{EarlyTalker, 33, Medium, "RFC 5321 §3.1", "CH-SMTP-15"},
	{BareNewline, 34, Critical, "RFC 5321 §2.3.8", "CH-SMTP-11"},
	{Pipelining, 35, Low, "RFC 2920 §3.1", "CH-SMTP-15"},
	{Injection, 36, Critical, "RFC 3207 §4.2", "CH-TLS-05"},
	{BudgetExceeded, 37, Medium, "RFC 5321 §4.5.3", "S83"},
	{HTTPVerb, 51, Medium, "RFC 5321 §3.1", "CH-SMTP-15"},
	{Harvest, 52, High, "RFC 5321 §7.3", "CH-SMTP-12"},
	{SMTPVersion, 161, Low, "CIS control 4; RFC 5321 §7.5", "CH-ID-06"},
	{SMTPSlow, 162, Info, "RFC 5321 §4.5.3.2.1", "CH-ID-06"},
	{SMTPName, 163, Low, "RFC 5321 §4.2, §4.1.1.1", "CH-ID-06 S8"},
	{SMTPExtensions, 184, Low, "RFC 1870; RFC 6152; RFC 2920; RFC 2034", "CH-SMTP-15"},
	{SMTPNull, 182, High, "RFC 5321 §4.5.5", "CH-SMTP-15"},
	{SMTPPostmaster, 181, High, "RFC 2142 §4; RFC 5321 §4.5.1", "CH-SMTP-13 S96"},
	{SMTPEnumeration, 180, Medium, "RFC 5321 §3.5.3, §7.3", "CH-SMTP-12"},
	{SMTPSmuggling, 179, Critical, "RFC 5321 §2.3.8, §4.1.1.4", "CH-SMTP-11"},
	{TLSNone, 79, Medium, "RFC 3207 §4; Gmail sender guidelines", "CH-BULK-G"},
	{TLSMissing, 164, High, "RFC 3207 §4; RFC 8314 §3", "CH-TLS-01"},
	{TLSBroken, 165, High, "RFC 3207 §4; RFC 8446 §4", "CH-TLS-01"},
	{TLSOld, 166, Medium, "RFC 8996 §2", "CH-TLS-02"},
	{TLSWeak, 167, Medium, "RFC 9325 §4.1", "CH-TLS-02"},
	{TLSModern, 168, Low, "RFC 9325 §3.1.1", "CH-TLS-02"},
	{TLSRequire, 177, Info, "RFC 8689 §2", "CH-TLS-07"},
	{TLSInjection, 173, Critical, "RFC 3207 §6; CVE-2011-0411", "CH-TLS-05"},
	{TLSOutbound, 248, Low, "RFC 7672 §2.1", "CH-TLS-07"},
	{MessageSize, 39, Critical, "RFC 1870 §6", "CH-SMTP-15"},
	{LoopHops, 38, Critical, "RFC 5321 §6.3", "CH-SMTP-14"},
	{ReflectUnproven, 106, Low, "RFC 3834 §4", "S42"},
	{ReflectAutomatic, 107, Low, "RFC 3834 §2", "S42"},
	{AuthRequired, 40, Critical, "RFC 6409 §4.3", "S66"},
	{AuthFailed, 41, High, "RFC 4954 §6", "S76"},
	{AuthExpired, 105, Medium, "RFC 5530 §3", "S79 S80"},
	{AuthClear, 174, High, "RFC 8314 §3.3", "CH-TLS-06 S149"},
	{AuthExchanger, 175, Medium, "RFC 6409 §3.1", "CH-TLS-06"},
	{ConnNetwork, 42, Medium, "RFC 5321 §4.5.4.2", "S83"},
	{ConnTotal, 49, Medium, "RFC 5321 §4.5.4.2", "S83"},
	{ConnProxy, 50, High, "PROXY protocol §2", "S82"},
	{SystemBusy, 43, Medium, "RFC 5321 §4.2.3", "CH-SMTP-18"},
	{SystemFull, 44, Critical, "RFC 5321 §4.2.3", "CH-SMTP-18"},
	{SystemDisk, 256, High, "RFC 3463 §3.4", "CH-SMTP-18"},
	{SystemQueue, 257, Medium, "RFC 5321 §4.5.4.1", "CH-SMTP-18"},
	{SystemBackup, 258, High, "M3AAWG sender practice", "CH-SMTP-18"},
	{SystemVersion, 259, Medium, "M3AAWG sender practice", "CH-SMTP-18 S119"},
	{SystemClock, 260, High, "RFC 5905 §1; RFC 5322 §3.6.1", "CH-SMTP-16"},
	{SandboxOff, 45, Low, "Landlock", "S118"},
	{MTASTSMissing, 230, Medium, "RFC 8461 §3.1", "CH-STS-01"},
	{MTASTSRecord, 231, Medium, "RFC 8461 §3.1", "CH-STS-01"},
	{MTASTSPolicy, 232, High, "RFC 8461 §3.3", "CH-STS-01"},
	{MTASTSAge, 233, Low, "RFC 8461 §3.2", "CH-STS-01"},
	{MTASTSMode, 236, Low, "RFC 8461 §5", "CH-STS-02"},
	{MTASTSHosts, 234, Critical, "RFC 8461 §4.1", "CH-STS-02"},
	{MTASTSCert, 235, Critical, "RFC 8461 §4.2", "CH-STS-02"},
	{DANEMissing, 239, Info, "RFC 7672 §2.2", "CH-DANE-01"},
	{DANEUnsigned, 241, Medium, "RFC 7672 §2.2.1", "CH-DANE-01"},
	{DANEMismatch, 240, Critical, "RFC 7672 §3.1", "CH-DANE-01"},
	{DANEUnusable, 242, High, "RFC 7672 §3.1.3", "CH-DANE-01"},
	{DANERollover, 243, Medium, "RFC 7671 §8.1", "CH-DANE-02"},
	{DANEAuthority, 244, Medium, "RFC 7672 §3.1.2", "CH-DANE-02"},
	{DANEMany, 245, Low, "RFC 7671 §8.1", "CH-DANE-02"},
	{TLSRPTMissing, 237, Medium, "RFC 8460 §3", "CH-RPT-01"},
	{TLSRPTInvalid, 238, Medium, "RFC 8460 §3", "CH-RPT-01"},
	{CAAMissing, 246, Low, "RFC 8659 §3", "CH-TLS-04"},
	{CAAUnbound, 247, Info, "RFC 8657 §3", "CH-TLS-04"},
	{CertSelfSigned, 46, High, "RFC 8314 §3", "CH-TLS-03 S150"},
	{CertExpiring, 47, High, "RFC 5280 §4.1.2.5", "CH-TLS-03"},
	{CertExpired, 169, High, "RFC 5280 §4.1.2.5", "CH-TLS-03"},
	{CertName, 170, High, "RFC 9525 §6", "CH-TLS-03"},
	{CertChain, 171, High, "RFC 8446 §4.4.2", "CH-TLS-03 S150"},
	{CertWeak, 172, High, "RFC 9325 §4.5", "CH-TLS-03"},
	{CertUnverified, 176, Low, "RFC 8461 §4.2; RFC 7435 §3", "CH-TLS-03"},
	{NSDelegation, 110, Medium, "RFC 1034 §4.2.2", "CH-DNS-01 S26"},
	{NSLame, 111, High, "RFC 1912 §2.8", "CH-DNS-01 S26"},
	{NSGlue, 112, High, "RFC 1034 §4.2.1", "CH-DNS-01 S26"},
	{NSDisagree, 113, High, "RFC 1034 §4.3.5", "CH-DNS-01 S151"},
	{NSSingle, 114, Medium, "RFC 2182 §5", "CH-DNS-01 S26"},
	{NSTransport, 115, Medium, "RFC 7766 §5; RFC 6891 §7", "CH-DNS-01"},
	{NSIPv6, 116, Low, "RFC 3901 §4", "CH-MX-06"},
	{SOAContact, 117, Medium, "RFC 1035 §3.3.13; RFC 1912 §2.2", "CH-DNS-02 S20 S21"},
	{DNSSECNone, 118, Low, "RFC 4035 §5", "CH-DNS-03"},
	{DNSSECBogus, 119, Critical, "RFC 4035 §5.5", "CH-DNS-03"},
	{DNSSECExpiring, 120, High, "RFC 6781 §4.4.2", "CH-DNS-03"},
	{DNSSECWeak, 121, Medium, "RFC 9905 §2", "CH-DNS-03"},
	{ResolverPlain, 122, Medium, "RFC 7672 §2.2", "CH-DNS-04"},
	{ResolverPublic, 123, Medium, "Spamhaus usage terms", "CH-DNS-04 CH-REP-02"},
	{DomainYoung, 124, Medium, "M3AAWG sender practice", "CH-DNS-05"},
	{DomainExpiring, 125, High, "RFC 9083 §4.5", "CH-DNS-05"},
	{DomainUnlocked, 126, Low, "RFC 5731 §2.3", "CH-DNS-05"},
	{DNSCNAME, 127, High, "RFC 1034 §3.6.2", "CH-DNS-06"},
	{DNSWildcard, 128, Medium, "RFC 4592 §4", "CH-DNS-06"},
	{DNSDangling, 129, High, "RFC 1034 §3.6.2", "CH-DNS-06"},
	{DNSTTL, 130, Low, "RFC 1912 §2.2", "CH-DNS-07 S24"},
	{DNSDot, 150, Medium, "RFC 1035 §5.1", "CH-DNS-06 S25"},
	{OutboundBlocked, 135, Critical, "RFC 5321 §4.5.4.1", "CH-ID-07"},
	{OutboundSource, 136, Critical, "RFC 7208 §4.1", "CH-ID-07"},
	{AutoSRV, 197, Low, "RFC 6186 §3; RFC 8314 §5.1", "CH-AUTO-01 S23"},
	{AutoTarget, 198, Medium, "RFC 2782; RFC 6186 §3", "CH-AUTO-01 S23"},
	{AutoDoor, 199, Medium, "RFC 6186 §6; RFC 8314 §3", "CH-AUTO-01"},
	{AutoConfig, 200, Low, "draft-ietf-mailmaint-autoconfig", "CH-AUTO-02"},
	{AutoDiscover, 201, Low, "MS-OXDSCLI", "CH-AUTO-02"},
	{AutoPACC, 202, Low, "draft-ietf-mailmaint-pacc", "CH-AUTO-02"},
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
