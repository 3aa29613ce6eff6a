package trace

import (
	"encoding/base64"
	"reflect"
	"strings"
	"testing"
	"time"

	"posta/internal/addr"
	"posta/internal/dsn"
	"posta/internal/finding"
	"posta/internal/mail"
)

const (
	anID    = "06gc8m3c03m513y2jrzg4bkgm0"
	another = "06gc8m3c03m513y2jrzg4bkgmg"
)

// What people paste, and what is found in it.
func TestFindClues(t *testing.T) {
	for _, c := range []struct {
		name, text string
		ids        []string
		messages   []string
		others     []string
		checks     []finding.ID
	}{
		{"an id", anID, []string{anID}, nil, nil, nil},
		{"a reply", "550 5.7.23 <ana@empresa.test>: no [spf.fail] https://mail.empresa.test/why/" + anID, []string{anID}, nil, []string{"ana@empresa.test"}, []finding.ID{finding.SPFFail}},
		{"read out in capitals", "the id is " + strings.ToUpper(anID) + ".", []string{anID}, nil, nil, nil},
		{"a reply over several lines", "550-5.7.1 no [helo.self]\n550 5.7.1 https://mail.empresa.test/why/" + anID, []string{anID}, nil, nil, []finding.ID{finding.HELOSelf}},
		{"a link that a mail program broke", "> see https://mail.empresa.test/why/06gc8m3c03m5\n> 13y2jrzg4bkgm0 please", []string{anID}, nil, nil, nil},
		{"soft line breaks", "see https://mail.emp=\nresa.test/why/06gc8m3c03m5=\r\n13y2jrzg4bkgm0=\n", []string{anID}, nil, nil, nil},
		{"a link to a check", "421 4.7.0 Too many connections [conn.network] https://mail.empresa.test/why/conn.network", nil, nil, nil, []finding.ID{finding.ConnNetwork}},
		{"a line of Postfix's log", "postfix/smtp[12]: 4Rk: to=<ana@empresa.test>, relay=mail.empresa.test[203.0.113.25]:25, dsn=5.1.1, status=bounced (host mail.empresa.test[203.0.113.25] said: 550 5.1.1 <ana@empresa.test>: no such recipient here [rcpt.unknown] https://mail.empresa.test/why/" + another + " (in reply to RCPT TO command))",
			[]string{another}, nil, []string{"ana@empresa.test", "203.0.113.25"}, []finding.ID{finding.RcptUnknown}},
		{"a header", "Message-ID: <Uno@Bien.test>\nIn-Reply-To: <dos@bien.test>\nFrom: Inés <ines@bien.test>\nTo: ana@empresa.test", nil, []string{"uno@bien.test", "dos@bien.test"}, []string{"ines@bien.test", "ana@empresa.test"}, nil},
		{"a Message-ID that is no address", "<a(b)@[192.0.2.1]>", nil, []string{"a(b)@[192.0.2.1]"}, []string{"192.0.2.1"}, nil},
		{"IPv6", "from [2001:DB8::1] and ::ffff:192.0.2.7", nil, nil, []string{"2001:db8::1", "192.0.2.7"}, nil},
		{"nothing", "I cannot write to you!", nil, nil, nil, nil},
	} {
		got := FindClues(c.text)
		var ids []string
		for _, id := range got.IDs {
			ids = append(ids, id.String())
		}
		for what, p := range map[string][2]any{"ids": {ids, c.ids}, "messages": {got.MessageIDs, c.messages}, "others": {got.Others, c.others}, "checks": {got.Checks, c.checks}} {
			if !reflect.DeepEqual(p[0], p[1]) {
				t.Errorf("%s: %s %v, want %v", c.name, what, p[0], p[1])
			}
		}
	}
}

// The DSNs that we send name the message, in the part that programs read and in
// what people see; also when a mailer keeps the whole as base64.
func TestFindCluesInOurDSN(t *testing.T) {
	to, err := addr.ParsePath("<ines@bien.test>", true)
	if err != nil {
		t.Fatal(err)
	}
	n := dsn.Notice{
		From: addr.Address{Local: "mailer-daemon", Domain: "mail.empresa.test"}, To: to, Date: time.Unix(1_790_000_000, 0), MessageID: "<x@mail.empresa.test>", Boundary: "=_b",
		Report: dsn.Report{ReportingMTA: "mail.empresa.test", Recipients: []dsn.Recipient{{
			Action: dsn.Failed, Status: "5.1.1", Final: dsn.Address{Type: "rfc822", Value: "nadie@gris.test"}, LogID: anID, Diagnostic: "550 5.1.1 no",
		}}},
		Original: []byte("Message-ID: <uno@bien.test>\r\nFrom: ines@bien.test\r\n\r\n"),
	}
	raw := string(n.Bytes())
	for name, text := range map[string]string{
		"as it is": raw, "unix lines": strings.ReplaceAll(raw, "\r\n", "\n"),
		"base64": "Content-Type: text/plain\nContent-Transfer-Encoding: base64\n\n" + base64.StdEncoding.EncodeToString([]byte(raw)) + "\n",
	} {
		got := FindClues(text)
		if len(got.IDs) != 1 || got.IDs[0].String() != anID || !contains(got.MessageIDs, "uno@bien.test") || !contains(got.Others, "nadie@gris.test") {
			t.Errorf("%s: %+v\n%s", name, got, text)
		}
	}
}

func contains(list []string, s string) bool {
	for _, l := range list {
		if l == s {
			return true
		}
	}
	return false
}

// Whatever is pasted, clues are few and in form, and a link of ours is found
// wherever it was broken.
func FuzzFindClues(f *testing.F) {
	f.Add("Hello, ", " bye", uint8(3), "\n> ")
	f.Add("Content-Transfer-Encoding: base64\n\n", strings.Repeat("<a@b>", 100), uint8(26), "=\r\n")
	f.Add(strings.Repeat("1.2.3.4 ", 50), ":::::::::", uint8(0), "")
	f.Fuzz(func(t *testing.T, before, after string, cut uint8, broken string) {
		if strings.Trim(broken, "\r\n \t>|=") != "" || len(broken) > 10 {
			broken = "\n"
		}
		at := int(cut) % (len(anID) + 1)
		text := before + "https://h.test/why/" + anID[:at] + broken + anID[at:] + "\n" + after
		c := FindClues(text)
		if len(c.IDs) > maxClues || len(c.MessageIDs) > maxClues || len(c.Others) > maxClues || len(c.Checks) > maxClues {
			t.Fatalf("%+v", c)
		}
		id, _ := mail.ParseID(anID)
		found := false
		for _, i := range c.IDs {
			found = found || i == id
		}
		if !found && len(c.IDs) < maxClues && len(before) < MaxPaste/2 {
			t.Errorf("the link was not found in %q", text)
		}
		for _, k := range append(c.MessageIDs, c.Others...) {
			if k == "" || k != Key(k) || strings.ContainsAny(k, " \t\r\n<>") {
				t.Errorf("a key %q", k)
			}
		}
	})
}
