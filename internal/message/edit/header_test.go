package edit

import (
	"bytes"
	"strings"
	"testing"

	"posta/internal/message"
	"posta/internal/message/charset"
)

// odd has everything that an edit must leave alone: a fold with tabs, names in odd
// case, the obsolete space before a colon, 8-bit text, a bare LF.
const odd = "Return-Path: <a@example.net>\r\n" +
	"rEcEiVeD: from a\r\n\tby b;\r\n \t Mon, 1 Jun 2026 10:00:00 +0000\r\n" +
	"Subject : =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\n" +
	"X-Eight: \xe9t\xe9\r\n" +
	"X-Bare: lf\n" +
	"Subject: second\r\n" +
	"\r\n"

func header(t testing.TB, raw string) *Header {
	t.Helper()
	h, err := NewHeader(message.Header(raw))
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// Each case edits odd; want is what changes in its text, the rest stays octet for octet.
func TestHeaderEdit(t *testing.T) {
	for _, c := range []struct {
		name      string
		edit      func(h *Header) error
		old, want string
	}{
		{"nothing", func(h *Header) error { return nil }, "", ""},
		{"first", func(h *Header) error { return h.Insert(0, "X-New", "value") }, "Return-Path", "X-New: value\r\nReturn-Path"},
		{"last", func(h *Header) error { return h.Insert(h.Len(), "X-New", "value") }, "second\r\n", "second\r\nX-New: value\r\n"},
		{"in the middle", func(h *Header) error { return h.Insert(3, "X-New", "") }, "X-Eight", "X-New: \r\nX-Eight"},
		{"delete by place", func(h *Header) error { h.Delete(1); return nil },
			"rEcEiVeD: from a\r\n\tby b;\r\n \t Mon, 1 Jun 2026 10:00:00 +0000\r\n", ""},
		{"delete the second of two", func(h *Header) error {
			h.DeleteFunc("SUBJECT", func(n, of int, f message.Field) bool { return n == 2 && of == 2 })
			return nil
		}, "Subject: second\r\n", ""},
		{"replace keeps the name as written", func(h *Header) error { return h.Replace(2, "[L] Grüße") },
			"Subject : =?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Subject: =?utf-8?b?W0xdIEdyw7zDn2U=?="},
		{"rename keeps the value as written", func(h *Header) error { return h.Rename(2, "Old-Subject") }, "Subject :", "Old-Subject:"},
		{"rename keeps the folding", func(h *Header) error { return h.Rename(1, "X-R") }, "rEcEiVeD:", "X-R:"},
	} {
		h := header(t, odd)
		if err := c.edit(h); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if want := strings.Replace(odd, c.old, c.want, 1); string(h.Bytes()) != want {
			t.Errorf("%s:\n%q, want\n%q", c.name, h.Bytes(), want)
		}
		if h.Changed() != (c.name != "nothing") {
			t.Errorf("%s: Changed is %v", c.name, h.Changed())
		}
	}
}

// What a value becomes on the wire, and that reading it gives it back.
func TestAppendText(t *testing.T) {
	long := strings.Repeat("word ", 30) + "end"
	for _, c := range []struct{ name, field, text, want, back string }{
		{"ascii as it is", "Subject", "Frop!", "Subject: Frop!\r\n", "Frop!"},
		{"encoded words as they are", "Subject", "=?utf-8?q?=C3=BC?= x", "Subject: =?utf-8?q?=C3=BC?= x\r\n", "ü x"},
		{"utf-8", "Subject", "[AVISO] Envío nº 7", "Subject: =?utf-8?q?=5BAVISO=5D_Env=C3=ADo_n=C2=BA_7?=\r\n", "[AVISO] Envío nº 7"},
		{"folded at 78", "X-Long", long, "", long},
		{"folding in the text", "X-A", "one\r\n two\r\n\tthree\r\n", "X-A: one two\tthree\r\n", "one two\tthree"},
		{"a line break is no new field", "X-A", "one\r\nBcc: x@example.org", "X-A: one Bcc: x@example.org\r\n", "one Bcc: x@example.org"},
		{"an empty line is no end", "X-A", "one\r\n\r\nbody", "X-A: one body\r\n", "one body"},
		{"a bare CR", "X-A", "one\rX-B: y", "X-A: one X-B: y\r\n", "one X-B: y"},
		{"a word too long for a line", "X-A", strings.Repeat("x", 1200), "", strings.Repeat("x", 1200)},
		{"a control", "X-A", "a\x07b", "X-A: =?utf-8?q?a=07b?=\r\n", "a\x07b"},
		{"display names", "From", `José Núñez <jose@example.org>, "B, C" <b@example.org>`,
			"From: =?utf-8?q?Jos=C3=A9_N=C3=BA=C3=B1ez?= <jose@example.org>, \"B, C\"\r\n <b@example.org>\r\n",
			`José Núñez <jose@example.org>, "B, C" <b@example.org>`},
		{"a group", "To", "Señores: a@example.org, b@example.org;", "To: =?utf-8?q?Se=C3=B1ores?=: a@example.org, b@example.org;\r\n", "Señores: a@example.org, b@example.org;"},
		{"an address of UTF-8", "From", "José <josé@example.org>", "From: =?utf-8?q?Jos=C3=A9?= <josé@example.org>\r\n", "José <josé@example.org>"},
	} {
		got := AppendText(nil, c.field, c.text)
		if c.want != "" && string(got) != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
		for line := range bytes.Lines(got) {
			if len(line) > 998+2 {
				t.Errorf("%s: a line of %d octets", c.name, len(line))
			}
		}
		h := header(t, string(got))
		if h.Len() != 1 || charset.DecodeHeader(h.Get(c.field)) != c.back {
			t.Errorf("%s: %d fields, reads as %q, want %q", c.name, h.Len(), charset.DecodeHeader(h.Get(c.field)), c.back)
		}
	}
}

func TestHeaderLimits(t *testing.T) {
	h := header(t, "A: b\r\n")
	for _, name := range []string{"", "a b", "a:", "é", strings.Repeat("n", 78), "x\r\n"} {
		if err := h.Insert(0, name, "v"); err != ErrFieldName {
			t.Errorf("%q: %v", name, err)
		}
	}
	for h.Len() < maxFields {
		if err := h.Insert(h.Len(), "X", "v"); err != nil {
			t.Fatal(err)
		}
	}
	if err := h.Insert(0, "X", "v"); err != ErrHeaderSize {
		t.Errorf("field %d: %v", maxFields+1, err)
	}
	if _, err := NewHeader(message.Header(strings.Repeat("A: b\r\n", maxFields+1))); err != ErrHeaderSize {
		t.Errorf("too many fields: %v", err)
	}
	h = header(t, "")
	if err := h.Insert(0, "X", strings.Repeat("word ", maxHeader/5)); err != ErrHeaderSize || h.Len() != 0 {
		t.Errorf("too many octets: %v, %d fields", err, h.Len())
	}
}

// FuzzHeader: whatever the header and the edits are, fields that were not touched keep
// their octets and order, and the result is a header that reads as what was meant.
func FuzzHeader(f *testing.F) {
	f.Add([]byte(odd), "Old-Subject", "Grüße\r\n x", uint(2), uint(1))
	f.Add([]byte("From x\r\nA: b"), "X", "a\x00b", uint(0), uint(3))
	f.Fuzz(func(t *testing.T, raw []byte, name, text string, at, what uint) {
		h, err := NewHeader(raw)
		if err != nil {
			return
		}
		if !bytes.HasPrefix(raw, bytes.TrimSuffix(h.AppendTo(nil), []byte("\r\n"))) {
			t.Fatalf("unedited: %q of %q", h.AppendTo(nil), raw)
		}
		var want []string
		for _, f := range h.Fields() {
			want = append(want, ended(f.Raw()))
		}
		place := int(at % uint(h.Len()+1))
		insert := place == h.Len() || what%4 == 0
		switch {
		case insert:
			err = h.Insert(place, name, text)
		case what%4 == 1:
			err = h.Replace(place, text)
		case what%4 == 2:
			err = h.Rename(place, name)
		default:
			h.Delete(place)
		}
		if err != nil {
			return
		}
		again, err := NewHeader(h.Bytes())
		if err != nil || again.Len() != h.Len() {
			t.Fatalf("%q: %d fields and %v, meant %d", h.Bytes(), again.Len(), err, h.Len())
		}
		var got []string
		for i, f := range again.Fields() {
			if i != place || !insert && what%4 == 3 {
				got = append(got, string(f.Raw()))
			}
		}
		if !insert {
			want = append(want[:place:place], want[place+1:]...)
		}
		if strings.Join(got, "|") != strings.Join(want, "|") {
			t.Fatalf("the others are %q, were %q", got, want)
		}
	})
}

func ended(raw []byte) string {
	if raw[len(raw)-1] != '\n' {
		return string(raw) + "\r\n"
	}
	return string(raw)
}

func BenchmarkLabelSubject(b *testing.B) {
	raw := []byte(strings.Repeat("Received: from a by b with ESMTP;\r\n Mon, 1 Jun 2026 10:00:00 +0000\r\n", 8) + odd)
	for b.Loop() {
		h, _ := NewHeader(raw)
		at := h.Places("Subject")[0]
		old := charset.DecodeHeader(h.Get("Subject"))
		_ = h.Rename(at, "Old-Subject")
		_ = h.Insert(0, "Subject", "[AVISO] "+old)
		h.Bytes()
	}
}
