package tlsrpt

import "strings"

// Bounds of a record; a larger one cannot be read.
const (
	MaxRecord = 4096 // octets
	MaxURIs   = 16
)

// ParseRecord gives the rua of the one TLSRPT record among the texts of _smtp._tls (RFC 8460
// §3); nil if there is none that can be read, or more than one.
func ParseRecord(texts []string) (rua []string) {
	found := 0
	for _, t := range texts {
		version, rest, _ := strings.Cut(t, ";")
		if strings.TrimRight(version, " \t") != "v=TLSRPTv1" || len(t) > MaxRecord {
			continue
		}
		found++
		for field := range strings.SplitSeq(rest, ";") {
			if v, ok := strings.CutPrefix(strings.TrimSpace(field), "rua="); ok && rua == nil {
				for uri := range strings.SplitSeq(v, ",") {
					rua = append(rua, strings.TrimSpace(uri))
				}
			}
		}
	}
	if found != 1 || len(rua) > MaxURIs {
		return nil
	}
	return rua
}
