package sieve_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"

	"posta/internal/message"
	"posta/internal/sieve"
)

// prefixed is a message of which the first octets stored are replaced: the header of
// the letter stands in Header, changed.
func prefixed(header, stored string, skip int64) *sieve.Message {
	whole := header + stored[skip:]
	return &sieve.Message{
		Header: []byte(header), Skip: skip, Body: bytesBody{bytes.NewReader([]byte(stored))},
		Tree: message.ParseBytes([]byte(whole), message.Budget{}),
	}
}

// TestMessage: what stands above the stored octets, and in place of the first of them,
// reads as one message with them.
func TestMessage(t *testing.T) {
	stored := "Subject: old\r\nFrom: ana@example.org\r\n\r\nbody\r\n"
	m := prefixed("Return-Path: <x@example.org>\r\nSubject: new\r\n", stored, int64(len("Subject: old\r\n")))
	want := "Return-Path: <x@example.org>\r\nSubject: new\r\nFrom: ana@example.org\r\n\r\nbody\r\n"
	if m.Size() != int64(len(want)) {
		t.Fatalf("size %d, want %d", m.Size(), len(want))
	}
	got, err := io.ReadAll(io.NewSectionReader(m, 0, m.Size()))
	if err != nil || string(got) != want {
		t.Fatalf("read %q (%v)", got, err)
	}
	if err := iotest.TestReader(io.NewSectionReader(m, 0, m.Size()), []byte(want)); err != nil {
		t.Fatal(err)
	}
	s := compile(t, "require [\"fileinto\", \"body\"]; if allof (header \"subject\" \"new\", not header \"subject\" \"old\", header \"return-path\" \"<x@example.org>\", body :raw \"body\r\n\") { fileinto \"1\"; }")
	if got := tell(s.Run(m, &newWorld().env)); got != "fileinto \"1\"\n" {
		t.Fatalf("got %s", got)
	}
	m.Tree = nil // then the run makes it
	if got := tell(s.Run(m, &newWorld().env)); got != "fileinto \"1\"\n" {
		t.Fatalf("without a tree: %s", got)
	}
}

func compile(t *testing.T, src string) *sieve.Script {
	t.Helper()
	s, err := sieve.Compile([]byte(src), sieve.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// broken is a body that can be read only to an offset.
type broken struct {
	bytesBody
	to int64
}

func (b broken) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > b.to {
		return 0, errors.New("disk on fire")
	}
	return b.bytesBody.ReadAt(p, off)
}

// TestUnreadable: a message that cannot be read is judged later, not by what is
// missing of it.
func TestUnreadable(t *testing.T) {
	raw := []byte("Subject: x\r\n\r\nmoney\r\n")
	for script, to := range map[string]int64{
		"if not exists \"subject\" { discard; }":                              0,
		"if not header :contains \"subject\" \"x\" { discard; }":              0,
		"require \"body\"; if not body :contains \"money\" { discard; }":      14,
		"require \"body\"; if not body :raw :contains \"money\" { discard; }": 14,
	} {
		m := &sieve.Message{Body: broken{bytesBody{bytes.NewReader(raw)}, to}, Tree: message.ParseBytes(raw, message.Budget{})}
		if r := compile(t, script).Run(m, &newWorld().env); !errors.Is(r.Err, sieve.ErrTryLater) || len(r.Actions) > 0 {
			t.Errorf("%s: %s", script, tell(r))
		}
	}
}

// TestTogether: a script runs for many at once.
func TestTogether(t *testing.T) {
	s := compile(t, rules(20)+"if header :matches \"subject\" \"*lunch*\" { fileinto \"${1}|${2}\"; }")
	m := bigLetter(t)
	want := tell(s.Run(m, &newWorld().env))
	if !strings.Contains(want, "fileinto") {
		t.Fatal(want)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 50 {
				if got := tell(s.Run(m, &newWorld().env)); got != want {
					t.Errorf("got %s", got)
					return
				}
			}
		})
	}
	wg.Wait()
}
