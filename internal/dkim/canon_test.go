package dkim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"regexp"
	"strings"
	"testing"
)

// RFC 6376 §3.4.5, examples 1 and 2.
func TestCanonicalFields(t *testing.T) {
	tests := []struct{ field, relaxed, simple string }{
		{"A: X\r\n", "a:X\r\n", "A: X\r\n"},
		{"B : Y\t\r\n\tZ  \r\n", "b:Y Z\r\n", "B : Y\t\r\n\tZ  \r\n"},
		{"Subject:\r\n", "subject:\r\n", "Subject:\r\n"},
		{"X:   \r\n \r\n", "x:\r\n", "X:   \r\n \r\n"},
		{"X: a\x00b \x01 c\r\n", "x:a\x00b \x01 c\r\n", "X: a\x00b \x01 c\r\n"},
		{"no colon\r\n", "no colon:\r\n", "no colon\r\n"},
		{"X: a", "x:a\r\n", "X: a\r\n"},
	}
	for _, tt := range tests {
		if got := AppendField(nil, []byte(tt.field), Relaxed); string(got) != tt.relaxed {
			t.Errorf("relaxed %q = %q, want %q", tt.field, got, tt.relaxed)
		}
		if got := AppendField(nil, []byte(tt.field), Simple); string(got) != tt.simple {
			t.Errorf("simple %q = %q, want %q", tt.field, got, tt.simple)
		}
	}
}

// Bodies and their canonical forms: RFC 6376 §3.4.5 and the corners.
var bodies = []struct{ body, relaxed, simple string }{
	{" C \r\nD \t E\r\n\r\n\r\n", " C\r\nD E\r\n", " C \r\nD \t E\r\n"},
	{"", "", "\r\n"},
	{"\r\n", "", "\r\n"},
	{"\r\n\r\n", "", "\r\n"},
	{" \t\r\n \r\n", "", " \t\r\n \r\n"},
	{"no line end", "no line end\r\n", "no line end\r\n"},
	{"no line end ", "no line end\r\n", "no line end \r\n"},
	{"\r\n\r\nlate", "\r\n\r\nlate\r\n", "\r\n\r\nlate\r\n"},
	{"a\tb\r\n", "a b\r\n", "a\tb\r\n"},
	{"a  b c\r\n", "a b c\r\n", "a  b c\r\n"},
	{"a\r\n b\r\n", "a\r\n b\r\n", "a\r\n b\r\n"},
	{"bare\rCR\r\r\n", "bare\rCR\r\r\n", "bare\rCR\r\r\n"},
	{"bare\nLF\n\r\n", "bare\nLF\n\r\n", "bare\nLF\n\r\n"},
	{"x \rend\r", "x \rend\r\r\n", "x \rend\r\r\n"},
	{"nul\x00 \x01 x\r\n", "nul\x00 \x01 x\r\n", "nul\x00 \x01 x\r\n"},
	{"ocho letras y más, señor; ñandú\r\n", "ocho letras y más, señor; ñandú\r\n", "ocho letras y más, señor; ñandú\r\n"},
	{"12345678 2345678  x 1234567 \r\n", "12345678 2345678 x 1234567\r\n", "12345678 2345678  x 1234567 \r\n"},
}

func TestCanonicalBodies(t *testing.T) {
	for _, tt := range bodies {
		for c, want := range map[Canonicalization]string{Relaxed: tt.relaxed, Simple: tt.simple} {
			b := NewBodyHash(c)
			b.Write([]byte(tt.body))
			if b.Sum() != sha256.Sum256([]byte(want)) {
				t.Errorf("%s %q is not %q", c, tt.body, want)
			}
			if got := canonicalBody(tt.body, c); got != want {
				t.Errorf("the oracle says %s %q is %q, not %q", c, tt.body, got, want)
			}
		}
	}
}

// The hashes of an empty body, as RFC 6376 §3.4.3 and §3.4.4 print them.
func TestEmptyBodyHash(t *testing.T) {
	for c, want := range map[Canonicalization]string{
		Simple:  "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=",
		Relaxed: "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=",
	} {
		sum := NewBodyHash(c).Sum()
		if got := base64.StdEncoding.EncodeToString(sum[:]); got != want {
			t.Errorf("%s: %s, want %s", c, got, want)
		}
	}
}

var wspRun = regexp.MustCompile(`[ \t]+`)

// canonicalBody is the plainest reading of RFC 6376 §3.4.3 and §3.4.4.
func canonicalBody(body string, c Canonicalization) string {
	if c == Relaxed {
		lines := strings.Split(body, "\r\n")
		for i, l := range lines {
			lines[i] = strings.TrimRight(wspRun.ReplaceAllString(l, " "), " ")
		}
		body = strings.Join(lines, "\r\n")
	}
	for strings.HasSuffix(body, "\r\n") {
		body = strings.TrimSuffix(body, "\r\n")
	}
	if body == "" && c == Relaxed {
		return ""
	}
	return body + "\r\n"
}

// Written in any pieces, a body hashes as the plain oracle says, and l= takes a
// prefix of it.
func FuzzBodyHash(f *testing.F) {
	for i, tt := range bodies {
		f.Add([]byte(tt.body), uint8(i), uint8(3))
	}
	f.Add([]byte(plain), uint8(5), uint8(200))
	f.Fuzz(func(t *testing.T, body []byte, step, limit uint8) {
		for _, c := range []Canonicalization{Simple, Relaxed} {
			want := []byte(canonicalBody(string(body), c))
			whole, pieces, prefix := NewBodyHash(c), NewBodyHash(c), newBodyHash(c, int64(limit))
			whole.Write(body)
			prefix.Write(body)
			for rest, n := body, int(step); len(rest) > 0; n = n*7%11 + 1 {
				k := min(max(n, 1), len(rest))
				pieces.Write(rest[:k])
				rest = rest[k:]
			}
			if whole.Sum() != sha256.Sum256(want) {
				t.Errorf("%s %q is not %q", c, body, want)
			}
			if pieces.Sum() != whole.Sum() {
				t.Errorf("%s %q in pieces differs", c, body)
			}
			if whole.seen != int64(len(want)) {
				t.Errorf("%s %q: counted %d octets, want %d", c, body, whole.seen, len(want))
			}
			if prefix.Sum() != sha256.Sum256(want[:min(int(limit), len(want))]) {
				t.Errorf("%s %q with l=%d differs", c, body, limit)
			}
		}
	})
}

// Relaxed header canonicalisation is idempotent, one line, and cannot tell
// refoldings apart.
func FuzzAppendField(f *testing.F) {
	f.Add([]byte("B : Y\t\r\n\tZ  \r\n"))
	f.Add([]byte("Subject: =?utf-8?q?x?=\r\n =?utf-8?q?y?=\r\n"))
	f.Fuzz(func(t *testing.T, field []byte) {
		once := AppendField(nil, field, Relaxed)
		if twice := AppendField(nil, once, Relaxed); !bytes.Equal(once, twice) && bytes.IndexByte(field, ':') >= 0 && !bytes.ContainsAny(field, "\r\n") {
			t.Errorf("%q: once %q, twice %q", field, once, twice)
		}
		if !bytes.HasSuffix(once, crlf) || bytes.ContainsAny(once, "\t") && bytes.IndexByte(field, ':') >= 0 && bytes.IndexByte(once, '\t') > bytes.IndexByte(once, ':') {
			t.Errorf("%q canonicalises to %q", field, once)
		}
		if simple := AppendField(nil, field, Simple); !bytes.HasPrefix(simple, bytes.TrimSuffix(field, crlf)) {
			t.Errorf("%q changed to %q", field, simple)
		}
		if got := AppendField([]byte("prefix"), field, Relaxed); !bytes.Equal(got[6:], once) {
			t.Errorf("%q depends on what stands before", field)
		}
	})
}
