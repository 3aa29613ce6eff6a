// Package autoconf writes what mail programs read to set an account up from nothing
// but its address: Thunderbird's autoconfig (draft-ietf-mailmaint-autoconfig),
// Outlook's Autodiscover in its plain XML form ([MS-OXDSCLI], "POX"), and PACC
// (draft-ietf-mailmaint-pacc-02). Values in, bytes out.
//
// Only doors with TLS belong in there: a program takes what it reads for granted.
package autoconf

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// Protocol is what is spoken at a door.
type Protocol string

// The protocols of mail programs.
const (
	IMAP Protocol = "imap"
	POP3 Protocol = "pop3"
	SMTP Protocol = "smtp" // submission
)

// Door is a way in for mail programs.
type Door struct {
	Protocol Protocol
	Port     uint16
	Implicit bool // TLS from the first octet (RFC 8314 §3); otherwise STARTTLS before any password
}

// Account is whose settings are wanted, and where they lead.
type Account struct {
	Domain  string // A-labels
	Host    string // the name of every door, and of its certificate
	Address string // "" if the program did not say it
	Doors   []Door // in the order of preference within each protocol
}

// Paths at which the documents are asked for. Autodiscover's is compared without case.
const (
	AutoconfigPath   = "/mail/config-v1.1.xml"
	WellKnownPath    = "/.well-known/autoconfig/mail/config-v1.1.xml"
	AutodiscoverPath = "/autodiscover/autodiscover.xml"
	PACCPath         = "/.well-known/user-agent-configuration.json"
)

type clientConfig struct {
	XMLName  xml.Name `xml:"clientConfig"`
	Version  string   `xml:"version,attr"`
	Provider provider `xml:"emailProvider"`
}

type provider struct {
	ID       string   `xml:"id,attr"`
	Domain   string   `xml:"domain"`
	Name     string   `xml:"displayName"`
	Short    string   `xml:"displayShortName"`
	Incoming []server `xml:"incomingServer"`
	Outgoing []server `xml:"outgoingServer"`
}

type server struct {
	Type           Protocol `xml:"type,attr"`
	Host           string   `xml:"hostname"`
	Port           uint16   `xml:"port"`
	Socket         string   `xml:"socketType"`
	Username       string   `xml:"username"`
	Authentication string   `xml:"authentication"`
}

// Autoconfig writes the XML of autoconfig, version 1.1. Where the address is not
// known the program puts it in the place of %EMAILADDRESS%.
func Autoconfig(a Account) []byte {
	c := clientConfig{Version: "1.1", Provider: provider{ID: a.Domain, Domain: a.Domain, Name: a.Domain, Short: a.Domain}}
	user := a.Address
	if user == "" {
		user = "%EMAILADDRESS%"
	}
	for _, d := range a.Doors {
		s := server{Type: d.Protocol, Host: a.Host, Port: d.Port, Socket: "STARTTLS", Username: user, Authentication: "password-cleartext"}
		if d.Implicit {
			s.Socket = "SSL"
		}
		if d.Protocol == SMTP {
			c.Provider.Outgoing = append(c.Provider.Outgoing, s)
		} else {
			c.Provider.Incoming = append(c.Provider.Incoming, s)
		}
	}
	return marshal(c)
}

const (
	outerSchema = "http://schemas.microsoft.com/exchange/autodiscover/responseschema/2006"
	outlook     = "http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a"
)

type autodiscover struct {
	XMLName  xml.Name  `xml:"Autodiscover"`
	Schema   string    `xml:"xmlns,attr"`
	Response discovery `xml:"Response"`
}

type discovery struct {
	Schema  string      `xml:"xmlns,attr"`
	User    *user       `xml:"User,omitempty"`
	Account *poxAccount `xml:"Account,omitempty"`
}

type user struct {
	Name string `xml:"DisplayName"`
}

type poxAccount struct {
	Type      string        `xml:"AccountType"`
	Action    string        `xml:"Action"`
	Protocols []poxProtocol `xml:"Protocol"`
}

type poxProtocol struct {
	Type       string `xml:"Type"` // IMAP, POP3, SMTP
	Server     string `xml:"Server"`
	Port       uint16 `xml:"Port"`
	LoginName  string `xml:"LoginName"`
	DomainReq  string `xml:"DomainRequired"`
	SPA        string `xml:"SPA"`
	SSL        string `xml:"SSL"`
	Encryption string `xml:"Encryption"` // "SSL" from the first octet, "TLS" by STARTTLS
	AuthReq    string `xml:"AuthRequired"`
}

// Autodiscover writes the answer to Outlook's question.
func Autodiscover(a Account) []byte {
	out := autodiscover{Schema: outerSchema, Response: discovery{
		Schema: outlook, User: &user{a.Address}, Account: &poxAccount{Type: "email", Action: "settings"},
	}}
	for _, d := range a.Doors {
		p := poxProtocol{
			Type: strings.ToUpper(string(d.Protocol)), Server: a.Host, Port: d.Port, LoginName: a.Address,
			DomainReq: "off", SPA: "off", SSL: "on", Encryption: "TLS", AuthReq: "on",
		}
		if d.Implicit {
			p.Encryption = "SSL"
		}
		out.Response.Account.Protocols = append(out.Response.Account.Protocols, p)
	}
	return marshal(out)
}

// MaxRequest is how many octets Autodiscover's question may have.
const MaxRequest = 16 << 10

var errRequest = errors.New("autodiscover: no question for Outlook's settings of an address")

// ParseRequest reads Outlook's question and gives the address in it. The document may
// have MaxRequest octets; no entity and no DTD is looked at.
func ParseRequest(r io.Reader) (address string, err error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxRequest+1))
	if err != nil || len(text) > MaxRequest {
		return "", errRequest
	}
	var q struct {
		XMLName xml.Name `xml:"Autodiscover"`
		Request struct {
			Address string `xml:"EMailAddress"`
			Schema  string `xml:"AcceptableResponseSchema"`
		} `xml:"Request"`
	}
	if err := xml.Unmarshal(text, &q); err != nil {
		return "", errRequest
	}
	address = strings.TrimSpace(q.Request.Address)
	if schema := strings.TrimSpace(q.Request.Schema); address == "" || schema != "" && schema != outlook {
		return "", errRequest
	}
	return address, nil
}

type pacc struct {
	Protocols      map[Protocol]paccHost `json:"protocols"`
	Authentication struct {
		Password bool `json:"password"`
	} `json:"authentication"`
	Info struct {
		Provider struct {
			Name string `json:"name"`
		} `json:"provider"`
	} `json:"info"`
}

type paccHost struct {
	Host string `json:"host"`
}

// PACC writes the configuration document of draft-ietf-mailmaint-pacc-02. It knows
// only hosts: a program takes the port of TLS from the first octet (993, 995, 465), so
// a protocol without such a door at its port is left out. The same Account gives the
// same octets, whatever the address: DNS holds their digest.
func PACC(a Account) []byte {
	doc := pacc{Protocols: map[Protocol]paccHost{}}
	usual := map[Protocol]uint16{IMAP: 993, POP3: 995, SMTP: 465}
	for _, d := range a.Doors {
		if d.Implicit && d.Port == usual[d.Protocol] {
			doc.Protocols[d.Protocol] = paccHost{a.Host}
		}
	}
	doc.Authentication.Password = true
	doc.Info.Provider.Name = a.Domain
	b, err := json.Marshal(doc) // keys of a map are sorted
	if err != nil {
		return nil // strings and booleans only
	}
	return append(b, '\n')
}

// PACCName is the name of the TXT record that vouches for a domain's document, and
// PACCRecord its value.
func PACCName(domain string) string { return "_ua-auto-config." + domain }

// PACCRecord is the text that vouches for the octets of a document.
func PACCRecord(document []byte) string {
	sum := sha256.Sum256(document)
	return "v=UAAC1; a=sha256; d=" + base64.StdEncoding.EncodeToString(sum[:])
}

// Hosts lists the names at which programs look for the documents of a domain.
func Hosts(domain string) []string {
	return []string{"autoconfig." + domain, "autodiscover." + domain, "ua-auto-config." + domain}
}

func marshal(v any) []byte {
	var b bytes.Buffer
	b.WriteString(xml.Header)
	e := xml.NewEncoder(&b)
	e.Indent("", "  ")
	if err := e.Encode(v); err != nil {
		return nil // strings and numbers only
	}
	b.WriteByte('\n')
	return b.Bytes()
}
