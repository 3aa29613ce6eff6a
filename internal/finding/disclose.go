package finding

// Disclosure says who outside the house may read the evidence of a check. The
// check itself, its texts and its standard are for everybody: who is refused may
// know why, and not always how we know.
type Disclosure uint8

// The disclosures.
const (
	// ToAnyone: the evidence is what the other side said itself, what it publishes in
	// DNS, or a rule that is the same for all. The page behind a refusal's link shows
	// it.
	ToAnyone Disclosure = iota
	// ToProven: it tells how content is judged, by which a spammer would learn. Only
	// a sender that has proved who it is and asks (check-auth@) reads it.
	ToProven
	// ToNobody: it is ours, or of others: what the administrator listed, what we
	// remember, how our own house stands.
	ToNobody
)

// disclosures are by section, and by check where one differs from its section. A
// section that is not here is disclosed to nobody; a test wants each to be here.
var disclosures = map[ID]Disclosure{
	"ptr": ToAnyone, "helo": ToAnyone, "sender": ToAnyone, "mx": ToAnyone, "spf": ToAnyone, "dkim": ToAnyone,
	"dmarc": ToAnyone, "bimi": ToAnyone, "arc": ToAnyone, "from": ToAnyone, "header": ToAnyone, "list": ToAnyone, "dnsbl": ToAnyone,
	"greylist": ToAnyone, "rate": ToAnyone, "rcpt": ToAnyone, "address": ToAnyone, "smtp": ToAnyone,
	"tls": ToAnyone, "message": ToAnyone, "loop": ToAnyone, "auth": ToAnyone, "conn": ToAnyone,
	"relay": ToAnyone, "reflect": ToAnyone,
	"ns": ToAnyone, "soa": ToAnyone, "dnssec": ToAnyone, "domain": ToAnyone, "dns": ToAnyone,
	"mtasts": ToAnyone, "dane": ToAnyone, "tlsrpt": ToAnyone, "caa": ToAnyone,
	"auto": ToAnyone,

	"spam": ToProven, "content": ToProven, "url": ToProven, "scan": ToProven,
	DNSBLBody: ToProven, // which of the message's domains gave it away

	"reputation": ToNobody, "access": ToNobody, "quarantine": ToNobody,
	"resolver": ToNobody, "outbound": ToNobody, "catchall": ToNobody,
	"system": ToNobody, "sandbox": ToNobody, "cert": ToNobody,
	DNSBLList:     ToNobody, // which lists we ask, and with which account
	RateRcpt:      ToNobody, // what others sent to the recipient
	Harvest:       ToNobody, // where it begins to be one
	RelayBroad:    ToNobody, // our own configuration
	DKIMAge:       ToNobody, // how long we have had a key
	DKIMRotation:  ToNobody,
	DMARCObserved: ToNobody, // what we sent, and to whom
	ScanDown:      ToNobody, // the names of our scanners
}

// Disclosure is who may read the evidence of the check.
func (c Check) Disclosure() Disclosure {
	if d, ok := disclosures[c.ID]; ok {
		return d
	}
	if d, ok := disclosures[ID(c.ID.Section())]; ok {
		return d
	}
	return ToNobody
}
