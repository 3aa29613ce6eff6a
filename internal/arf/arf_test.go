package arf

import (
	"errors"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// The example of RFC 5965 Appendix B.2, with a list.
func TestExample(t *testing.T) {
	r, err := Read(crlf(`Feedback-Type: abuse
User-Agent: SomeGenerator/1.0
Version: 1
Original-Mail-From: <somespammer@example.net>
Original-Rcpt-To: <user@example.com>
Arrival-Date: Thu, 8 Mar 2005 14:00:00 -0400
Reporting-MTA: dns; mail.example.com
Source-IP: 192.0.2.1
Authentication-Results: mail.example.com; spf=fail smtp.mail=somespammer@example.com
Reported-Domain: Example.NET.
Reported-Uri: http://example.net/earn_money.html
Incidents: 3
`), crlf(`From: <somespammer@example.net>
Received: from mailserver.example.net by example.com with ESMTP id M63d4137594e46; Thu, 08 Mar 2005 14:00:00 -0400
To: <Undisclosed Recipients>
Subject: Earn money
List-Id: "News, weekly" <News.Example.net>
Message-ID: <8787KJKJ3K4J3.mail@example.net>

Spam Spam Spam
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &Report{
		Type: Abuse, UserAgent: "SomeGenerator/1.0", MailFrom: "somespammer@example.net", RcptTo: []string{"user@example.com"},
		Arrival: time.Date(2005, 3, 8, 18, 0, 0, 0, time.UTC), Source: netip.MustParseAddr("192.0.2.1"), Domains: []string{"example.net"}, Incidents: 3, ReportingMTA: "dns; mail.example.com",
		Original: Original{From: "<somespammer@example.net>", Subject: "Earn money", ListID: "news.example.net", MessageID: "<8787KJKJ3K4J3.mail@example.net>"},
	}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v", r)
	}
}

// Redacted to the least, a failure report, and what is none.
func TestOthers(t *testing.T) {
	if r, err := Read(crlf("Feedback-Type: Abuse\nIncidents: -4\nSource-IP: here\n"), nil); err != nil || r.Type != Abuse || r.Incidents != 1 || r.Source.IsValid() {
		t.Errorf("%+v %v", r, err)
	}
	if r, err := Read(crlf("Feedback-Type: auth-failure\nAuth-Failure: DMARC\nReported-Domain: example.org\n"), nil); err != nil || r.Type != AuthFailure || r.AuthFailure != "dmarc" {
		t.Errorf("%+v %v", r, err)
	}
	for _, in := range []string{"", "Subject: hello\n", "\x00\xff"} {
		if _, err := Read(crlf(in), nil); !errors.Is(err, ErrNotReport) {
			t.Errorf("%q: %v", in, err)
		}
	}
}

// Whatever comes, what is kept is bounded.
func FuzzRead(f *testing.F) {
	f.Add([]byte("Feedback-Type: abuse\r\nOriginal-Rcpt-To: a@b\r\n"), []byte("List-Id: <x>\r\n\r\n"))
	f.Fuzz(func(t *testing.T, machine, header []byte) {
		r, err := Read(machine, header)
		if err != nil {
			return
		}
		for _, s := range append([]string{r.Type, r.MailFrom, r.Original.ListID, r.Original.Subject}, r.RcptTo...) {
			if len(s) > maxText+10 {
				t.Fatalf("%d octets", len(s))
			}
		}
		if len(r.RcptTo) > maxList || r.Incidents < 1 {
			t.Fatalf("%+v", r)
		}
	})
}
