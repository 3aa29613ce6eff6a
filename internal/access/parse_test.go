package access

import (
	"errors"
	"strings"
	"testing"
)

// Everything that is wrong in a file is told at once, with its line and mend.
func TestProblems(t *testing.T) {
	const file = `# a comment
From:good.example	OK
from:Good.Example	REJECT
Connect:300.1	REJECT
Connect:192.0.2.	REJECT
Connect:192.0.2.1/24	REJECT
Connect:2001:db8::	REJECT
Connect:::ffff:192.0.2.1	REJECT
From:192.0.2	REJECT
Connect:user@	REJECT
@example.org	REJECT
example.org.	REJECT
ClientRate:192.0.2	10
Form:x.example	REJECT
To:x.example
To:x.example	REJECTED
To:y.example	ERROR:5.7.1:450 later
To:z.example	ERROR:nouser
To:z2.example	250 fine
To:a.example	FRIEND
Spam:a.example	OK
From:a@b.example	SKIP
TLS_Srv:a.example	REJECT
TLS_Srv:b.example	ENCR:many
From:c.example	VERIFY
To:d.example	550 näh
From:a..b	REJECT
[192.0.2.1	REJECT
	From:tab.example REJECT
`
	want := []string{
		"line 3: From:good.example: the key stands in line 2 already (OK), which holds: remove one of them",
		`line 4: Connect:300.1: "300" is no octet of an address`,
		`line 5: Connect:192.0.2.: write the network "192.0.2" without the dot at the end`,
		"line 6: Connect:192.0.2.1/24: 192.0.2.1/24 has bits beyond its length; write 192.0.2.0/24",
		`line 7: Connect:2001:db8::: is "2001:db8::" an address or a network? Write 2001:db8::0 or the length, as in 2001:db8::/32`,
		"line 8: Connect:::ffff:192.0.2.1: write 192.0.2.1: a client with an IPv4-mapped address counts as IPv4",
		"line 9: From:192.0.2: From: takes addresses; write Connect:192.0.2 for a client, or From:[192.0.2] for a domain literal",
		"line 10: Connect:user@: Connect: takes hosts and networks; write From:user@ or To:user@ instead",
		`line 11: @example.org: write "example.org" for a domain, without the @`,
		`line 12: example.org.: write "example.org", without the dot at the end`,
		"line 13: ClientRate:192.0.2: the tag ClientRate: is not kept in this map; set the limits of connections in posta.toml",
		`line 14: Form:x.example: unknown tag "Form:"; there are Connect:, From:, To:, Spam:, TLS_Srv:, TLS_Clt:, CERTISSUER: and CERTSUBJECT: tags`,
		"line 15: To:x.example: the value is missing: write OK, RELAY, REJECT, DISCARD, SKIP, QUARANTINE:text or ERROR:D.S.N:code text",
		`line 16: To:x.example: "REJECTED" is no value; for a text that clients read, write ERROR:5.7.1:550 REJECTED`,
		"line 17: To:y.example: the codes 450 and 5.7.1 contradict each other: write 4.7.1 or change the reply code",
		"line 18: To:z.example: ERROR: wants a reply, as in ERROR:5.7.1:550 text; ERROR:nouser belongs into a virtual user table",
		`line 19: To:z2.example: "250 fine" is no reply of refusal: the code is 400 to 599, as in 550 text`,
		"line 20: To:a.example: FRIEND is a value of Spam:; write Spam:a.example",
		"line 21: Spam:a.example: a Spam: key takes FRIEND or HATER",
		"line 22: From:a@b.example: SKIP is for hosts and networks; for an address write OK",
		"line 23: TLS_Srv:a.example: TLS_Srv: takes VERIFY, VERIFY:bits, ENCR:bits or OK",
		`line 24: TLS_Srv:b.example: "many" is no key length in bits`,
		"line 25: From:c.example: TEMP+VERIFY is a value for TLS_Srv: and TLS_Clt: keys",
		"line 26: To:d.example: a value is printable ASCII: replies of SMTP can hold nothing else",
		`line 27: From:a..b: "a..b" is no domain, address or network: addr: syntax error in domain`,
		"line 28: [192.0.2.1: the closing bracket is missing",
		"line 29: From:tab.example REJECT: the line begins with white space: begin with the key; a value stands on one line",
	}
	m, err := Parse([]byte(file))
	p, ok := errors.AsType[*Problems](err)
	if !ok {
		t.Fatalf("no problems: %v", err)
	}
	for i := range max(len(want), len(p.List)) {
		got, wanted := "", ""
		if i < len(p.List) {
			got = p.List[i].String()
		}
		if i < len(want) {
			wanted = want[i]
		}
		if got != wanted {
			t.Errorf("got  %s\nwant %s", got, wanted)
		}
	}
	if got := m.Text(); got != "From:good.example\tOK\n" {
		t.Errorf("what is right: %q", got)
	}
}

// A file as sendmail's users have it, and how it is printed.
func TestText(t *testing.T) {
	const file = "#comment\r\n\r\n" +
		"Connect:IPv6:2001:DB8:1\tREJECT\r\n" +
		"From:\"a b\"@Example.ORG  ERROR:\"550 no\"\n" +
		"bücher.example REJECT\n" +
		"To:[IPv6:2001:db8::1] ERROR:5.7.1:\"550 not here\"\n" +
		"  # indented\n" +
		"Connect:10/8 relay\n" +
		"Connect:0.0.0.0/0 QUARANTINE:why not\n" +
		"u@[192.0.2.1] discard\n" +
		"TLS_Clt: perm+verify:112+cn:a++CS:/CN=b\n" +
		"CERTISSUER:/C=US/O=A+20B subject"
	const want = "CERTISSUER:/c=us/o=a+20b\tSUBJECT\n" +
		"Connect:0.0.0.0/0\tQUARANTINE:why not\n" +
		"Connect:10\tRELAY\n" +
		"Connect:IPv6:2001:db8:1\tREJECT\n" +
		"From:\"a b\"@example.org\tERROR:550 no\n" +
		"TLS_Clt:\tPERM+VERIFY:112+CN:a++CS:/CN=b\n" +
		"To:[IPv6:2001:db8:0:0:0:0:0:1]\tERROR:5.7.1:550 not here\n" +
		"u@[192.0.2.1]\tDISCARD\n" +
		"xn--bcher-kva.example\tREJECT\n"
	m, err := Parse([]byte(file))
	if err != nil || m.Text() != want {
		t.Errorf("%v\n%s", err, m.Text())
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := Parse([]byte(strings.Repeat("x\n", 5000)))
	p, ok := errors.AsType[*Problems](err)
	if !ok || len(p.List) != maxProblems || p.More != 4000 {
		t.Errorf("%d told, %d more", len(p.List), p.More)
	}
	if m, err := Parse([]byte("a.example\t550 " + strings.Repeat("x", maxLine))); err == nil || m.Len() != 0 {
		t.Error("an endless line")
	}
}

// Whatever a file holds: what is printed reads as the same map, and no look-up
// panics.
func FuzzParse(f *testing.F) {
	f.Add("Connect:192.0.2\tREJECT\nFrom:\"a b\"@x.example 550 5.7.1 no\nTo:.x ERROR:4.2.2:450 full\n TLS\n")
	f.Add("IPv6:1:2:3 OK\n[1.2] SKIP\nSpam:a+*@ FRIEND\nTLS_Srv: PERM+ENCR:1+CN\nCERTISSUER:/A SUBJECT\nConnect:2001:db8::/33 QUARANTINE:\"x\"")
	f.Add("a@b\t\"550 x\"\na@b OK\n\\\"\"@ OK\n")
	f.Fuzz(func(t *testing.T, file string) {
		m, err := Parse([]byte(file))
		if p, ok := errors.AsType[*Problems](err); err != nil && (!ok || len(p.List) == 0) {
			t.Fatalf("an error that names no line: %v", err)
		}
		again, err := Parse([]byte(m.Text()))
		if err != nil {
			t.Fatalf("%v\nin\n%s", err, m.Text())
		}
		if m.Text() != again.Text() || m.Len() != again.Len() {
			t.Fatalf("%q\n%q", m.Text(), again.Text())
		}
		for k, v := range m.All() {
			if got, ok := again.Get(k); !ok || got != v {
				t.Fatalf("%v: %v, was %v", k, got, v)
			}
		}
		fs := facts(t, "192.0.2.1 x.y.dom a+b@x.example a@my.dom")
		for _, o := range []Options{{}, Defaults(), {Delay: Haters, RelayHostsOnly: true, RelayFromAddress: true}} {
			if got, want := decideAll(m, fs, o), decideAll(again, fs, o); got != want {
				t.Fatalf("%s, was %s", got, want)
			}
		}
	})
}
