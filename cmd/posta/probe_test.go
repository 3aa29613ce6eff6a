package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"

	"posta/internal/probe"
	"posta/internal/words"
)

// Every note and every number of OpenSSL has its sentence, with as many arguments as
// it is given.
func TestProbeTexts(t *testing.T) {
	args := map[string]int{probe.NoteGreetingSlow: 1, probe.NoteGreetingName: 1, probe.NoteTLS: 3, probe.NoteTLSVersion: 1, probe.NoteTLSRefused: 1,
		probe.NoteTLSOld: 1, probe.NoteTLSWeak: 1, probe.NoteCertificate: 3, probe.NoteCertificateBad: 2}
	for _, lang := range []words.Lang{"en", "es"} {
		for _, n := range probe.Notes() {
			key := "probe.note." + n
			text := lang.Say(key)
			if text == key || strings.Count(text, "%") != args[n] {
				t.Errorf("%s: %s: %q", lang, key, text)
			}
		}
		for _, code := range probe.ProblemCodes() {
			if key := fmt.Sprintf("probe.error.%d", code); lang.Say(key) == key {
				t.Errorf("%s: %s has no text", lang, key)
			}
		}
	}
}

func TestHostPort(t *testing.T) {
	c := &cli{lang: "en"}
	for in, want := range map[string]string{
		"mx.remota.test": "mx.remota.test 25", "mx.remota.test:587": "mx.remota.test 587", "MX.Remota.test.": "mx.remota.test 25", "192.0.2.1": "192.0.2.1 25",
		"192.0.2.1:465": "192.0.2.1 465", "2001:db8::1": "2001:db8::1 25", "[2001:db8::1]:587": "2001:db8::1 587", "[2001:db8::1]": "2001:db8::1 25",
		"correo.ñandú.test": "correo.xn--and-6ma2c.test 25",
		"a b":               "", "mx.remota.test:smtp": "", "mx.remota.test:0": "", "mx.remota.test:70000": "", "": "", "a;b": "",
	} {
		host, port, err := c.hostPort(in, 25)
		got := fmt.Sprintf("%s %d", host, port)
		if want == "" {
			if !errors.Is(err, errUsage) {
				t.Errorf("%q: %s, %v", in, got, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %s, %v", in, got, err)
		}
	}
}

// scripted answers each line that comes with the next text, and hangs up after the last.
func scripted(texts ...string) probe.Config {
	return probe.Config{Hello: "probe.example.org", Timeouts: probe.Timeouts{Pause: -1}, Dial: func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			in := bufio.NewReader(theirs)
			for i, text := range texts {
				if i > 0 {
					if _, err := in.ReadString('\n'); err != nil {
						return
					}
				}
				if _, err := io.WriteString(theirs, text+"\r\n"); err != nil {
					return
				}
			}
		}()
		return ours, nil
	}}
}

// S148: the dialogue of telnet, each line with what it means; what a server says
// cannot steer the terminal.
func TestProbeDialogue(t *testing.T) {
	dialogue := []string{"220 mx.remota.test ESMTP \x1b[2J Exim 4.96", "250-mx.remota.test\r\n250 SIZE 1000", "214 help", "252 ok", "252 ok", "502 no", "250 ok", "550 no such user", "250 ok", "221 bye"}
	target := probe.Target{Host: "mx.remota.test", Addr: netip.MustParseAddrPort("192.0.2.25:25")}
	for lang, want := range map[words.Lang]string{
		"en": `-- 192.0.2.25:25
   # connected; a mail server speaks first
<< 220 mx.remota.test ESMTP ?[2J Exim 4.96
   # the greeting tells "Exim 4.96"; a good one names the host and no version
>> EHLO probe.example.org
   # we say who we are, and ask what the server can do
<< 250-mx.remota.test
   # its own name; good: the same as in the greeting and in DNS
<< 250 SIZE 1000
   # the largest message, in octets; known before it is sent
>> HELP
`,
		"es": `-- 192.0.2.25:25
   # conectado; un servidor de correo habla primero
<< 220 mx.remota.test ESMTP ?[2J Exim 4.96
   # el saludo revela «Exim 4.96»; uno bueno da el nombre y ninguna versión
>> EHLO probe.example.org
`,
	} {
		var out strings.Builder
		c := &cli{lang: lang, out: &out}
		p := c.probeOne(t.Context(), "smtp", scripted(dialogue...), &probeFlags{quick: true}, target)
		c.showProbe("smtp", &p)
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%s:\n%s", lang, out.String())
		}
		for _, w := range []string{"[smtp.version]", "[tls.missing]", "[smtp.postmaster]", "telnet 192.0.2.25 25", "openssl s_client -connect 192.0.2.25:25 -servername mx.remota.test"} {
			if !strings.Contains(out.String(), w) {
				t.Errorf("%s: no %q in\n%s", lang, w, out.String())
			}
		}
		if status := probeStatus([]probed{p}); status != (found{exitFindings}) {
			t.Errorf("status %v", status)
		}
	}
	var out strings.Builder
	c := &cli{lang: "en", out: &out, json: true}
	p := c.probeOne(t.Context(), "smtp", scripted(dialogue...), &probeFlags{quick: true}, target)
	if err := c.printJSON([]probed{p}); err != nil {
		t.Fatal(err)
	}
	var read []struct {
		SMTP     struct{ Host, Version string }
		Dialogue []struct{ From, Text, Note string }
		Findings []struct{ Check, Outcome string }
	}
	if err := json.Unmarshal([]byte(out.String()), &read); err != nil || read[0].SMTP.Version != "Exim 4.96" || read[0].Dialogue[1].From != "them" || len(read[0].Findings) < 5 {
		t.Errorf("%v %+v", err, read)
	}
}

// What cannot be reached is tried later; it is no fault of theirs.
func TestProbeStatus(t *testing.T) {
	cfg := probe.Config{Timeouts: probe.Timeouts{Pause: -1}, Dial: func(context.Context, string, string) (net.Conn, error) { return nil, errors.New("no route") }}
	c := &cli{lang: "en", out: io.Discard}
	for _, protocol := range []string{"smtp", "imap", "pop3"} {
		p := c.probeOne(t.Context(), protocol, cfg, &probeFlags{}, probe.Target{Host: "mx.remota.test", Addr: netip.MustParseAddrPort("192.0.2.25:25")})
		if status := probeStatus([]probed{p}); status != (found{exitLater}) {
			t.Errorf("%s: status %v", protocol, status)
		}
	}
}
