package sasl

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// dialogue lets a client speak with our server.
func dialogue(t *testing.T, c Client) (Credentials, error) {
	t.Helper()
	name, response := c.Start()
	s, ok := NewServer(name)
	if !ok {
		t.Fatal("unknown mechanism", name)
	}
	for range 10 {
		challenge, creds, done, err := s.Next(response)
		if done || err != nil {
			return creds, err
		}
		if response, err = c.Next(challenge); err != nil {
			return Credentials{}, err
		}
	}
	t.Fatal("no end")
	return Credentials{}, nil
}

func TestBothSides(t *testing.T) {
	for _, c := range []Client{PlainClient("josé@example.org", "se cret\tü"), LoginClient("josé@example.org", "se cret\tü")} {
		name, _ := c.Start()
		got, err := dialogue(t, c)
		if want := (Credentials{Mechanism: name, User: "josé@example.org", Password: "se cret\tü"}); got != want || err != nil {
			t.Errorf("%s: %#v %v", name, got, err)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, tt := range []struct {
		response string
		want     Credentials
		err      error
	}{
		{"\x00tim\x00tanstaaftanstaaf", Credentials{Mechanism: "PLAIN", User: "tim", Password: "tanstaaftanstaaf"}, nil},             // RFC 4616 §4
		{"Ursel\x00Kurt\x00xipj3plmq", Credentials{Mechanism: "PLAIN", Identity: "Ursel", User: "Kurt", Password: "xipj3plmq"}, nil}, // RFC 4616 §4
		{"", Credentials{}, ErrSyntax},
		{"tim\x00x", Credentials{}, ErrSyntax},
		{"\x00tim\x00a\x00b", Credentials{}, ErrSyntax},
		{"\x00\x00pass", Credentials{}, ErrSyntax},
		{"\x00\xff\x00pass", Credentials{}, ErrSyntax},
		{"\x00" + strings.Repeat("u", MaxName+1) + "\x00p", Credentials{}, ErrTooLong},
		{"\x00u\x00" + strings.Repeat("p", MaxPassword+1), Credentials{}, ErrTooLong},
	} {
		s, _ := NewServer("plain")
		_, got, done, err := s.Next([]byte(tt.response))
		if got != tt.want || !errors.Is(err, tt.err) || done != (tt.err == nil) {
			t.Errorf("%q: %#v %v %v", tt.response, got, done, err)
		}
	}
}

// Without an initial response PLAIN asks once, with an empty challenge.
func TestPlainAsks(t *testing.T) {
	s, _ := NewServer("PLAIN")
	challenge, _, done, err := s.Next(nil)
	if challenge == nil || len(challenge) != 0 || done || err != nil {
		t.Errorf("%q %v %v", challenge, done, err)
	}
	if _, c, done, err := s.Next([]byte("\x00u\x00p")); c.User != "u" || !done || err != nil {
		t.Error(c, done, err)
	}
}

// Outlook sends the name of LOGIN at once.
func TestLoginInitial(t *testing.T) {
	s, _ := NewServer("LOGIN")
	challenge, _, _, err := s.Next([]byte("u"))
	if string(challenge) != "Password:" || err != nil {
		t.Errorf("%q %v", challenge, err)
	}
	if _, c, done, err := s.Next([]byte("p")); c.User != "u" || c.Password != "p" || !done || err != nil {
		t.Error(c, done, err)
	}
	if _, _, _, err := s.Next([]byte("again")); err == nil {
		t.Error("goes on after its end")
	}
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		line, want string
		err        error
	}{
		{"AGEAYg==", "\x00a\x00b", nil}, {"=", "", nil}, {"", "", nil}, {"*", "", ErrCancelled}, {"AGEAYg", "", ErrSyntax},
		{"AGEA\rYg==", "", ErrSyntax}, {"AGEAYh==", "", ErrSyntax}, {"**", "", ErrSyntax}, {strings.Repeat("AAAA", 3073), "", ErrTooLong},
	} {
		got, err := Decode([]byte(tt.line))
		if string(got) != tt.want || !errors.Is(err, tt.err) || err == nil && got == nil {
			t.Errorf("%.20q: %q %v", tt.line, got, err)
		}
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	c := Credentials{Mechanism: "PLAIN", User: "anna", Password: "hunter2"}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("login", "c", c)
	for _, s := range []string{log.String(), fmt.Sprint(c), fmt.Sprintf("%v %+v %#v %s", c, c, c, c)} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("the password stands in %q", s)
		}
	}
}

// FuzzServer: a dialogue ends within three responses, and what it claims is
// within the budgets and free of NUL.
func FuzzServer(f *testing.F) {
	f.Add(true, []byte("AHUAcA=="), []byte("="), []byte("*"))
	f.Add(false, []byte("dQ=="), []byte("cA=="), []byte("cA=="))
	f.Fuzz(func(t *testing.T, plain bool, a, b, c []byte) {
		name := "LOGIN"
		if plain {
			name = "PLAIN"
		}
		s, _ := NewServer(name)
		s.Next(nil)
		for _, line := range [][]byte{a, b, c} {
			response, err := Decode(line)
			if err != nil {
				return
			}
			_, got, done, err := s.Next(response)
			if err != nil {
				return
			}
			if done {
				if got.User == "" || len(got.User) > MaxName || len(got.Password) > MaxPassword ||
					strings.Contains(got.User+got.Password+got.Identity, "\x00") {
					t.Fatalf("%+v", got)
				}
				return
			}
		}
		t.Fatal("no end")
	})
}
