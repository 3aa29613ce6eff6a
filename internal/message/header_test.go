package message

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestHeaderWalk(t *testing.T) {
	t.Parallel()
	const in = "Received: from a\r\n\tby b\r\nSUBJECT : folded\r\n  value  \r\nreceived:c\r\nX-Empty:\r\n\r\nbody: x\r\n"
	h, body := SplitHeader([]byte(in))
	if string(body) != "body: x\r\n" {
		t.Errorf("body %q", body)
	}
	var names []string
	var raw []byte
	for f := range h.Fields() {
		names = append(names, f.Name())
		raw = append(raw, f.Raw()...)
	}
	if want := []string{"Received", "SUBJECT", "received", "X-Empty"}; !slices.Equal(names, want) {
		t.Errorf("names %q", names)
	}
	if string(raw)+"\r\n" != string(h) {
		t.Errorf("fields do not add up to the header: %q", raw)
	}
	for name, want := range map[string]string{"received": "from a\tby b", "Subject": "folded  value", "x-empty": "", "none": ""} {
		if got := h.Get(name); got != want {
			t.Errorf("Get(%q) = %q, want %q", name, got, want)
		}
	}
	n := 0
	for range h.All("Received") {
		n++
	}
	if n != 2 || !h.Has("X-Empty") || h.Has("X") {
		t.Error("All or Has")
	}
	if got := h.AppendFields(nil, []string{"Received", "none"}, false); string(got) != "Received: from a\r\n\tby b\r\nreceived:c\r\n\r\n" {
		t.Errorf("AppendFields: %q", got)
	}
	if got := h.AppendFields(nil, []string{"Received", "Subject"}, true); string(got) != "X-Empty:\r\n\r\n" {
		t.Errorf("AppendFields not: %q", got)
	}
}

func TestSplitHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, header, body string }{
		{"CRLF", "A: b\r\n\r\n", "c"},
		{"LF", "A: b\n\n", "c"},
		{"no header", "\r\n", "c"},
		{"only body", "", "no field here\r\nA: b\r\n"},
		{"malformed line", "A: b\r\n", "garbage\r\nFrom: x\r\n"},
		{"starts with continuation", "", " x\r\nA: b\r\n"},
		{"space only line continues", "A: b\r\n \r\nC: d\r\n\r\n", "e"},
		{"mbox", "From a@b Mon Jan 1 10:00:00 2024\r\nA: b\r\n\r\n", "c"},
		{"no end", "A: b", ""},
		{"empty", "", ""},
		{"8-bit name", "A: b\r\n", "Ñ: b\r\n"},
		{"colon first", "", ": b\r\n"},
	} {
		h, body := SplitHeader([]byte(c.header + c.body))
		if string(h) != c.header || string(body) != c.body {
			t.Errorf("%s: %q | %q", c.what, h, body)
		}
	}
}

func TestInspect(t *testing.T) {
	t.Parallel()
	const good = "From: a@b\r\nDate: x\r\nMessage-ID: <a@b>\r\n"
	for _, c := range []struct {
		in   string
		want string
	}{
		{good + "\r\n", ""},
		{"\r\n", "missing-from missing-date missing-message-id"},
		{good + "From: c@d\r\n\r\n", "duplicate-from"},
		{good + "Subject: a\r\nsubject: b\r\n\r\n", "duplicate-field"},
		{good + "Subject: ñ\r\n\r\n", "8bit-header"},
		{good + "Subject: \xff\r\n\r\n", "8bit-header invalid-utf8-header"},
		{good + "Subject : a\r\n\r\n", "obsolete-syntax"},
		{good + "Subject: a\r\n \r\n\r\n", "obsolete-syntax"},
		{good + "X: " + strings.Repeat("x", 1000) + "\r\n\r\n", "long-line"},
		{good + "X: \x00\r\n\r\n", "nul"},
		{good + "X: a\n\r\n", "bare-lf"},
		{good + "X: a\rb\r\n\r\n", "bare-cr"},
		{good, "no-header-end"},
		{good + "garbage", "malformed-header"},
		{"From x\r\n" + good + "\r\n", "mbox-from"},
	} {
		if got := strings.Join(slices.Collect(Inspect(Header(c.in)).Names()), " "); got != c.want {
			t.Errorf("%q: %s, want %s", c.in, got, c.want)
		}
	}
}

func TestRepeated(t *testing.T) {
	h := Header("Subject: a\r\nTo: x\r\nX: 1\r\nX: 2\r\nsubject: b\r\nTO: y\r\nto: z\r\nReceived: a\r\nReceived: b\r\n\r\nCc: x\r\nCc: y\r\n")
	if got := Repeated(h); !slices.Equal(got, []string{"subject", "to"}) {
		t.Errorf("got %q", got)
	}
	if got := Repeated(Header("Subject: a\r\n\r\n")); got != nil {
		t.Errorf("got %q", got)
	}
}

func TestMessageIDs(t *testing.T) {
	t.Parallel()
	got := slices.Collect(MessageIDs("<a@b> junk <c\r\n d@e><> <f@g> <open"))
	if !slices.Equal(got, []string{"<a@b>", "<cd@e>", "<f@g>"}) {
		t.Errorf("%q", got)
	}
}

func FuzzHeader(f *testing.F) {
	for _, s := range []string{"A: b\r\n\r\nc", "A : b\n c\n\n", "From x\nA:b", "x", "\r\n", "A:\r\n\t\r\n", ">From \n:"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		h, body := SplitHeader(b)
		if !bytes.Equal(append(bytes.Clone(h), body...), b) {
			t.Fatal("bytes lost")
		}
		pos := mboxLine(h)
		for f := range h.Fields() {
			if f.Start != pos || len(f.Raw()) == 0 || f.Name() == "" {
				t.Fatalf("field at %d, want %d", f.Start, pos)
			}
			if strings.ContainsAny(f.Value(), "\r\n") {
				t.Fatalf("value %q", f.Value())
			}
			pos = f.End()
		}
		if pos+blankLine(h[pos:]) != len(h) {
			t.Fatalf("fields end at %d of %d", pos, len(h))
		}
		Inspect(h)
	})
}

func BenchmarkHeaderFind(b *testing.B) {
	h := Header(strings.Repeat("Received: from a.example by b.example with ESMTP id 1234567890;\r\n\tMon, 1 Jan 2024 10:00:00 +0000\r\n", 10) + "Subject: x\r\n\r\n")
	b.ReportAllocs()
	for b.Loop() {
		h.Find("Subject")
	}
}
