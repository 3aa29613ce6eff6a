package autoconf

import (
	"encoding/json"
	"encoding/xml"
	"strings"
	"testing"
)

var account = Account{Domain: "example.org", Host: "mail.example.org", Address: "ana@example.org", Doors: []Door{
	{IMAP, 993, true}, {IMAP, 143, false}, {POP3, 1995, true}, {SMTP, 465, true}, {SMTP, 587, false},
}}

// What Thunderbird reads, whole.
func TestAutoconfig(t *testing.T) {
	a := account
	a.Address, a.Doors = "", a.Doors[:1]
	a.Doors = append(a.Doors[:1:1], Door{SMTP, 587, false})
	const want = `<?xml version="1.0" encoding="UTF-8"?>
<clientConfig version="1.1">
  <emailProvider id="example.org">
    <domain>example.org</domain>
    <displayName>example.org</displayName>
    <displayShortName>example.org</displayShortName>
    <incomingServer type="imap">
      <hostname>mail.example.org</hostname>
      <port>993</port>
      <socketType>SSL</socketType>
      <username>%EMAILADDRESS%</username>
      <authentication>password-cleartext</authentication>
    </incomingServer>
    <outgoingServer type="smtp">
      <hostname>mail.example.org</hostname>
      <port>587</port>
      <socketType>STARTTLS</socketType>
      <username>%EMAILADDRESS%</username>
      <authentication>password-cleartext</authentication>
    </outgoingServer>
  </emailProvider>
</clientConfig>
`
	if got := string(Autoconfig(a)); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// An address cannot break out of its element.
func TestAddressIsEscaped(t *testing.T) {
	a := account
	a.Address = "x</username><evil>@example.org"
	for _, doc := range [][]byte{Autoconfig(a), Autodiscover(a)} {
		if strings.Contains(string(doc), "<evil>") {
			t.Errorf("%s", doc)
		}
	}
}

// The question of [MS-OXDSCLI] §4.1 is understood, and the answer says which door has
// TLS from the first octet.
func TestAutodiscover(t *testing.T) {
	address, err := ParseRequest(strings.NewReader(`<?xml version="1.0" encoding="utf-8"?>
<Autodiscover xmlns="http://schemas.microsoft.com/exchange/autodiscover/outlook/requestschema/2006">
  <Request>
    <EMailAddress>ana@example.org</EMailAddress>
    <AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/outlook/responseschema/2006a</AcceptableResponseSchema>
  </Request>
</Autodiscover>`))
	if err != nil || address != "ana@example.org" {
		t.Fatalf("%q, %v", address, err)
	}
	var got struct {
		Response struct {
			Account struct {
				Protocol []struct{ Type, Server, Port, LoginName, Encryption string }
			}
		}
	}
	if err := xml.Unmarshal(Autodiscover(account), &got); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, p := range got.Response.Account.Protocol {
		lines = append(lines, strings.Join([]string{p.Type, p.Server, p.Port, p.LoginName, p.Encryption}, " "))
	}
	const want = `IMAP mail.example.org 993 ana@example.org SSL
IMAP mail.example.org 143 ana@example.org TLS
POP3 mail.example.org 1995 ana@example.org SSL
SMTP mail.example.org 465 ana@example.org SSL
SMTP mail.example.org 587 ana@example.org TLS`
	if s := strings.Join(lines, "\n"); s != want {
		t.Errorf("got\n%s", s)
	}
}

// What is no question for Outlook's settings is refused: ActiveSync's, a broken one, a large one.
func TestParseRequestRefuses(t *testing.T) {
	for _, in := range []string{
		"", "<Autodiscover/>", "<Autodiscover><Request><EMailAddress>a@b.c</EMailAddress>",
		"<Autodiscover><Request><EMailAddress>a@b.c</EMailAddress><AcceptableResponseSchema>http://schemas.microsoft.com/exchange/autodiscover/mobilesync/responseschema/2006</AcceptableResponseSchema></Request></Autodiscover>",
		"<Autodiscover><Request><EMailAddress>" + strings.Repeat("a", MaxRequest) + "@b.c</EMailAddress></Request></Autodiscover>",
	} {
		if a, err := ParseRequest(strings.NewReader(in)); err == nil {
			t.Errorf("%.80q: %q", in, a)
		}
	}
}

// PACC leaves out a door at an unusual port, and does not depend on who asks.
func TestPACC(t *testing.T) {
	doc := PACC(account)
	const want = `{"protocols":{"imap":{"host":"mail.example.org"},"smtp":{"host":"mail.example.org"}},"authentication":{"password":true},"info":{"provider":{"name":"example.org"}}}` + "\n"
	if string(doc) != want || !json.Valid(doc) {
		t.Errorf("%s", doc)
	}
	other := account
	other.Address = ""
	if string(PACC(other)) != want {
		t.Error("depends on the address")
	}
	if got := PACCRecord([]byte("abc")); got != "v=UAAC1; a=sha256; d=ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=" { // FIPS 180-2 B.1
		t.Error(got)
	}
}

// Whatever is asked, an address that was understood was in the question, and the
// answer to it is well-formed.
func FuzzParseRequest(f *testing.F) {
	f.Add("<Autodiscover><Request><EMailAddress>ana@example.org</EMailAddress></Request></Autodiscover>")
	f.Add("<!DOCTYPE x [<!ENTITY a 'b'>]><Autodiscover><Request><EMailAddress>&a;</EMailAddress></Request></Autodiscover>")
	f.Fuzz(func(t *testing.T, in string) {
		address, err := ParseRequest(strings.NewReader(in))
		if err != nil {
			return
		}
		if len(address) == 0 || len(address) > len(in) {
			t.Fatalf("%q", address)
		}
		a := account
		a.Address = address
		var any struct{ XMLName xml.Name }
		if err := xml.Unmarshal(Autodiscover(a), &any); err != nil {
			t.Fatalf("%q: %v", address, err)
		}
	})
}
