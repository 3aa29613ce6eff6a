package audit

import "posta/internal/finding"

// Area is one side of how a domain stands; each is graded apart, so that no single
// number hides a critical fault.
type Area string

// The areas, in the order of a report.
const (
	Zone           Area = "zone"           // DNS itself: delegation, servers, SOA, DNSSEC
	Identity       Area = "identity"       // who the servers say they are: PTR, HELO
	Authentication Area = "authentication" // SPF, DKIM, DMARC, ARC
	Transport      Area = "transport"      // TLS, DANE, MTA-STS, certificates
	Reachability   Area = "reachability"   // MX, doors, replies, programs that set themselves up
	Reputation     Area = "reputation"     // blocklists, what others remember
)

// Areas lists them in the order of a report.
func Areas() []Area {
	return []Area{Zone, Identity, Authentication, Transport, Reachability, Reputation}
}

// areas are by the section of the check. A section that is not here belongs to
// Reachability.
var areas = map[string]Area{
	"ns": Zone, "soa": Zone, "dns": Zone, "dnssec": Zone, "resolver": Zone, "domain": Zone,
	"ptr": Identity, "helo": Identity,
	"spf": Authentication, "dkim": Authentication, "dmarc": Authentication, "arc": Authentication, "bimi": Authentication, "from": Authentication,
	"tls": Transport, "cert": Transport, "mtasts": Transport, "dane": Transport, "tlsrpt": Transport, "caa": Transport,
	"dnsbl": Reputation, "reputation": Reputation, "rate": Reputation, "spam": Reputation,
}

// AreaOf is the area of a check.
func AreaOf(id finding.ID) Area {
	if a, ok := areas[id.Section()]; ok {
		return a
	}
	return Reachability
}
