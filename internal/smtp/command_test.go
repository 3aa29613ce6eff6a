package smtp

import (
	"strings"
	"testing"
)

func TestParseCommand(t *testing.T) {
	for _, tt := range []struct {
		line string
		verb Verb
		arg  string
	}{
		{"HELO a.example", HELO, "a.example"}, {"ehlo  a.example ", EHLO, "a.example"}, {"Mail FROM:<>", MAIL, "FROM:<>"},
		{"STARTTLS", STARTTLS, ""}, {"QUIT", QUIT, ""}, {"", Unknown, ""}, {" QUIT", Unknown, ""}, {"QUITX", Unknown, ""},
		{"MAIL\tFROM:<>", Unknown, ""}, {"GET / HTTP/1.1", HTTP, "/ HTTP/1.1"}, {"PRI * HTTP/2.0", HTTP, "* HTTP/2.0"},
		{"PROXY TCP4 1.2.3.4", PROXY, "TCP4 1.2.3.4"}, {strings.Repeat("A", 500), Unknown, ""},
		{"\x16\x03\x01", Unknown, ""},
	} {
		if v, arg := ParseCommand([]byte(tt.line)); v != tt.verb || string(arg) != tt.arg {
			t.Errorf("%q: %v %q", tt.line, v, arg)
		}
	}
	line := []byte("RCPT TO:<someone@example.org>")
	if n := testing.AllocsPerRun(100, func() { ParseCommand(line) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestBDATArg(t *testing.T) {
	for _, tt := range []struct {
		arg  string
		size int64
		last bool
		ok   bool
	}{
		{"1000", 1000, false, true}, {"86 LAST", 86, true, true}, {"0 last", 0, true, true}, {"", 0, false, false},
		{"-1", 0, false, false}, {"1 2", 0, false, false}, {"1e3", 0, false, false}, {"9999999999999999999", 0, false, false},
		{"LAST", 0, false, false},
	} {
		size, last, err := BDATArg([]byte(tt.arg))
		if size != tt.size || last != tt.last || (err == nil) != tt.ok {
			t.Errorf("%q: %d %v %v", tt.arg, size, last, err)
		}
	}
}

func TestMailParams(t *testing.T) {
	m, err := ParseMailParams(" SIZE=1000 body=8bitmime SMTPUTF8 REQUIRETLS RET=FULL ENVID=a+2Bb AUTH=<>")
	want := MailParams{Size: 1000, Body: EightBit, UTF8: true, RequireTLS: true, HasRet: true, RetFull: true, EnvID: "a+b", Auth: "<>"}
	if err != nil || m != want {
		t.Errorf("%+v %v", m, err)
	}
	for _, s := range []string{
		"SIZE", "SIZE=", "SIZE=x", "SIZE=1 SIZE=1", "SMTPUTF8=1", "RET=SOME", "ENVID=" + strings.Repeat("x", 101), "ENVID=+0D+0A",
		"BODY", "FOO", "FOO=bar", "=x", "SIZE=1\x01", "AUTH=", "-X=1",
	} {
		if m, err := ParseMailParams(s); err == nil {
			t.Errorf("%q was read as %+v", s, m)
		}
	}
}

func TestRcptParams(t *testing.T) {
	r, err := ParseRcptParams("NOTIFY=success,FAILURE,DELAY ORCPT=utf-8;\\x{20AC}@example.org")
	if err != nil || r != (RcptParams{NotifySuccess | NotifyFailure | NotifyDelay, "utf-8;€@example.org"}) {
		t.Errorf("%+v %v", r, err)
	}
	for _, s := range []string{
		"NOTIFY", "NOTIFY=", "NOTIFY=NEVER,DELAY", "NOTIFY=DELAY,NEVER", "NOTIFY=FOO", "NOTIFY=DELAY NOTIFY=DELAY", "ORCPT=x",
		"ORCPT=rfc822;", "ORCPT=rfc822;+0A", "ORCPT=utf-8;\\x{110000}", "ORCPT=utf-8;\\x{41", "ORCPT=rfc822;" + strings.Repeat("x", 500), "SIZE=1",
	} {
		if r, err := ParseRcptParams(s); err == nil {
			t.Errorf("%q was read as %+v", s, r)
		}
	}
	for n := range NotifyDelay << 1 {
		if n.String() == "" {
			continue
		}
		if back, ok := parseNotify(n.String()); !ok || back != n && n&NotifyNever == 0 {
			t.Errorf("%q: %d and %d", n, back, n)
		}
	}
}

// FuzzXtext: encoding and decoding are inverse, and what is decoded twice is
// the same.
func FuzzXtext(f *testing.F) {
	f.Add("a+b=c é\x00")
	f.Add("+2B+")
	f.Fuzz(func(t *testing.T, s string) {
		wire := string(AppendXtext(nil, s))
		if back, ok := DecodeXtext(wire); !ok || back != s || !isXtext(wire) {
			t.Fatalf("%q %q %q", s, wire, back)
		}
		if plain, ok := DecodeXtext(s); ok {
			if again, ok := DecodeXtext(string(AppendXtext(nil, plain))); !ok || again != plain {
				t.Fatalf("%q %q %q", s, plain, again)
			}
		}
	})
}

// FuzzParams: what is read of parameters can stand in a header and a log, and
// is written so that it reads the same.
func FuzzParams(f *testing.F) {
	f.Add("SIZE=1 ENVID=a+2Bb ORCPT=rfc822;x@y NOTIFY=NEVER")
	f.Add("ORCPT=utf-8;\\x{E9}@example.org")
	f.Fuzz(func(t *testing.T, s string) {
		if m, err := ParseMailParams(s); err == nil {
			if !isPrintable(m.EnvID) || m.Size < 0 || len(m.EnvID) > 100 {
				t.Fatalf("%q: %+v", s, m)
			}
			// An identifier may grow beyond its budget when it is encoded anew.
			wire := string(m.Append(nil))
			if back, err := ParseMailParams(wire); (err != nil || back != m) && len(AppendXtext(nil, m.EnvID)) <= 100 {
				t.Fatalf("%q: %+v became %q: %+v %v", s, m, wire, back, err)
			}
		}
		if r, err := ParseRcptParams(s); err == nil {
			if !isPrintable(r.Orcpt) || len(r.Orcpt) > 500 || r.Notify&NotifyNever != 0 && r.Notify != NotifyNever {
				t.Fatalf("%q: %+v", s, r)
			}
			wire := string(r.Append(nil))
			if back, err := ParseRcptParams(wire); (err != nil || back != r) && len(wire) <= 450 {
				t.Fatalf("%q: %+v became %q: %+v %v", s, r, wire, back, err)
			}
		}
	})
}
