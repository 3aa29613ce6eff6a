package access

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"posta/internal/smtp"
)

// Requirement is what TLS_Srv: or TLS_Clt: asks of a session. The zero value
// asks nothing.
type Requirement struct {
	Permanent bool // 503 5.7.0 instead of 403 4.7.0
	Verify    bool // the certificate must be verified
	Bits      int  // least key length of the cipher; 0: any, also none
	CN        string
	AnyCN     bool // the common name must be the peer's name
	CS, CI    string
}

// Session is what a requirement is held against.
type Session struct {
	// Verify is the outcome in sendmail's words: OK, NO (no certificate), NOT
	// (none asked for), FAIL, NONE (no STARTTLS), TEMP, PROTOCOL, SOFTWARE.
	Verify                  string
	Bits                    int    // key length of the cipher, or the strength of the SASL layer if that is greater; 0 in cleartext
	Peer                    string // name of the other side
	CommonName              string
	CertSubject, CertIssuer string // distinguished names
}

// parseTLS reads [PERM+|TEMP+](VERIFY[:bits]|ENCR:bits)[+CN[:name]][++CS:dn…];
// ok tells whether s is meant as one.
func parseTLS(s string) (v Value, ok bool, err error) {
	up := strings.ToUpper(s)
	for _, head := range []string{"PERM+", "TEMP+", "VERIFY", "ENCR:"} {
		ok = ok || strings.HasPrefix(up, head)
	}
	if !ok {
		return Value{}, false, nil
	}
	_, text, err := readRequirement(s)
	return Value{TLS, text}, err == nil, err
}

// readRequirement gives the requirement and its normal text.
func readRequirement(s string) (r Requirement, text string, err error) {
	up := strings.ToUpper(s)
	head := "TEMP+"
	if strings.HasPrefix(up, "PERM+") || strings.HasPrefix(up, "TEMP+") {
		head, s = up[:5], s[5:]
	}
	r.Permanent = head == "PERM+"
	base, more, extended := strings.Cut(s, "+")
	word, bits, hasBits := strings.Cut(base, ":")
	if word = strings.ToUpper(word); word != "VERIFY" && word != "ENCR" || word == "ENCR" && !hasBits {
		return r, "", fmt.Errorf("%q is no requirement of TLS: write VERIFY, VERIFY:bits or ENCR:bits", s)
	}
	r.Verify = word == "VERIFY"
	text = head + word
	if hasBits {
		if r.Bits, err = strconv.Atoi(bits); err != nil || r.Bits < 1 || r.Bits > 4096 {
			return r, "", fmt.Errorf("%q is no key length in bits", bits)
		}
		text += ":" + strconv.Itoa(r.Bits)
	}
	if !extended {
		return r, text, nil
	}
	for i, part := range strings.Split(more, "++") {
		name, value, _ := strings.Cut(part, ":")
		switch name = strings.ToUpper(name); {
		case name == "CN":
			r.CN, r.AnyCN = value, value == ""
		case name == "CS" && value != "":
			r.CS = value
		case name == "CI" && value != "":
			r.CI = value
		default:
			return r, "", fmt.Errorf("%q is no requirement of TLS: after + stands CN, CN:name, CS:subject or CI:issuer", part)
		}
		text += "++"[:1+min(i, 1)] + name
		if value != "" {
			text += ":" + value
		}
	}
	return r, text, nil
}

// TLS gives what the map asks of a session with a server (TLSServer) or client
// (TLSClient): by its name, its address, then the key without a name.
func (m *Map) TLS(tag Tag, name string, ip netip.Addr) (Requirement, Key, bool) {
	s := search{m: m, only: true}
	h, ok := s.host(tag, name, ip)
	if !ok {
		h, ok = s.address(tag, ip, false)
	}
	if !ok {
		h, ok = s.probe(tag, []byte{rawDefault})
	}
	if !ok || h.value.Action != TLS {
		return Requirement{}, h.key, ok
	}
	r, _, err := readRequirement(h.value.Text)
	return r, h.key, err == nil
}

// Check holds a session against the requirement and gives sendmail's reply, the
// zero Reply when all is well.
func (r Requirement) Check(s Session) smtp.Reply {
	refuse := func(text string) smtp.Reply {
		if r.Permanent {
			return smtp.New(503, "5.7.0", text)
		}
		return smtp.New(403, "4.7.0", text)
	}
	switch {
	case s.Verify == "SOFTWARE":
		return refuse("TLS handshake failed.")
	case s.Verify == "PROTOCOL":
		return refuse("STARTTLS failed.")
	case r.Verify && s.Verify != "OK":
		return refuse(unverified(s.Verify))
	case r.Bits > s.Bits:
		return refuse(fmt.Sprintf("encryption too weak %d less than %d", s.Bits, r.Bits))
	}
	cn := r.CN
	if r.AnyCN {
		cn = s.Peer
	}
	switch {
	case cn != "" && !strings.EqualFold(cn, s.CommonName):
		return refuse("CN " + s.CommonName + " does not match " + cn)
	case r.CS != "" && r.CS != s.CertSubject:
		return refuse("Cert Subject " + s.CertSubject + " does not match " + r.CS)
	case r.CI != "" && r.CI != s.CertIssuer:
		return refuse("Cert Issuer " + s.CertIssuer + " does not match " + r.CI)
	}
	return smtp.Reply{}
}

func unverified(verify string) string {
	switch verify {
	case "":
		return "authentication required"
	case "FAIL":
		return "authentication failed"
	case "NO":
		return "not authenticated"
	case "NOT":
		return "no authentication requested"
	case "NONE":
		return "other side does not support STARTTLS"
	}
	return "authentication failure " + verify
}

// certRelay tells whether a verified certificate lets its owner relay: its
// issuer is listed as RELAY, or as SUBJECT and its subject as RELAY.
func (s *search) certRelay(issuer, subject string) (hit, bool) {
	h, ok := s.cert(CertIssuer, issuer)
	if ok && h.value.Action == SUBJECT {
		h, ok = s.cert(CertSubject, subject)
	}
	return h, ok && h.value.Action == RELAY
}

func (s *search) cert(tag Tag, dn string) (hit, bool) {
	if dn == "" || len(dn) > MaxName {
		return hit{}, false
	}
	return s.probe(tag, append([]byte{rawCert}, strings.ToLower(dn)...))
}
