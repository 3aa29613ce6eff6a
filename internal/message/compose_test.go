package message

import (
	"bytes"
	"io"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"posta/internal/addr"
)

func TestBuilder(t *testing.T) {
	t.Parallel()
	var b Builder
	b.Mailbox("From", "Correo José", addr.Address{Local: "postmaster", Domain: "example.org"})
	b.Field("Subject", "Hola\r\nBcc: evil@example.net")
	b.Date(time.Date(2024, 1, 2, 3, 4, 5, 0, time.FixedZone("", 3600)))
	b.Structured("Message-ID", NewMessageID([]byte{1, 2, 3, 4, 5}, "example.org"))
	b.Multipart("mixed", Boundary([]byte{0xab}))
	b.Part()
	b.Text("plain", "Hello\nworld")
	b.Part()
	b.Text("plain", "Año\n")
	b.Part()
	b.Base64("application/pdf"+FormatParam("name", "año.pdf"), []byte("data"))
	b.EndMultipart()
	const want = `From: =?utf-8?q?Correo_Jos=C3=A9?= <postmaster@example.org>
Subject: Hola Bcc: evil@example.net
Date: Tue, 2 Jan 2024 03:04:05 +0100
Message-ID: <04106105@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="=_ab"

--=_ab
Content-Type: text/plain; charset=us-ascii
Content-Transfer-Encoding: 7bit

Hello
world

--=_ab
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

A=C3=B1o

--=_ab
Content-Type: application/pdf; name*=utf-8''a%C3%B1o.pdf
Content-Transfer-Encoding: base64

ZGF0YQ==

--=_ab--
`
	if got := string(b.Bytes()); got != string(crlf(want)) {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p := ParseBytes(b.Bytes(), Budget{})
	if len(p.Children) != 3 || p.Defects != 0 || p.Children[2].Filename() != "año.pdf" {
		t.Errorf("%+v", p)
	}
}

func FuzzField(f *testing.F) {
	f.Add("hello", "José Álvarez de la Ñ")
	f.Add(strings.Repeat("word ", 50), "a  b   c")
	f.Fuzz(func(t *testing.T, plain, text string) {
		b := new(Builder)
		b.Field("Subject", text)
		b.Structured("X-Plain", plain)
		b.endHeader()
		h, body := SplitHeader(b.Bytes())
		n := 0
		for range h.Fields() {
			n++
		}
		if n != 2 || len(body) != 0 || Inspect(h).Has(BareLF) || Inspect(h).Has(BareCR) {
			t.Fatalf("%q", b.Bytes())
		}
		if want := strings.TrimSpace(oneLine(plain)); utf8.ValidString(want) && strings.Trim(h.Get("X-Plain"), " \t") != strings.Trim(want, " \t") {
			t.Fatalf("%q → %q", want, h.Get("X-Plain"))
		}
	})
}

func TestDates(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Fri, 21 Nov 1997 09:55:06 -0600":                                                 "1997-11-21T15:55:06Z", // RFC 5322 App. A
		"Thu,\n      13\n        Feb\n          1969\n 23:32\n -0330 (Newfoundland Time)": "1969-02-14T03:02:00Z",
		"21 Nov 97 09:55:06 GMT":                                                          "1997-11-21T09:55:06Z",
		"1 Jan 04 0:00 EST":                                                               "2004-01-01T05:00:00Z",
		"Mon, 1 January 2024 10:00:00":                                                    "2024-01-01T10:00:00Z",
		"1-Feb-2024 10:00:00 +0000":                                                       "2024-02-01T10:00:00Z",
		"29 Feb 2023 10:00:00 +0000":                                                      "",
		"1 Foo 2023 10:00:00 +0000":                                                       "",
		"1 Jan 2023 24:00:00 +0000":                                                       "",
		"":                                                                                "",
		"yesterday":                                                                       "",
	} {
		got, err := ParseDate(in)
		if want == "" {
			if err != ErrDate {
				t.Errorf("%q: %v, %v", in, got, err)
			}
			continue
		}
		if err != nil || got.UTC().Format(time.RFC3339) != want {
			t.Errorf("%q: %v, %v; want %s", in, got, err, want)
		}
		if back, err := ParseDate(FormatDate(got)); err != nil || !back.Equal(got) {
			t.Errorf("%q: back %v, %v", in, back, err)
		}
	}
}

func TestRepairs(t *testing.T) {
	t.Parallel()
	now := time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC)
	all := Supply{From: addr.Address{Local: "a", Domain: "b.example"}, Date: now, MessageID: "<1@b.example>"}
	if got := MissingFields(Header("Subject: x\r\n\r\n"), all); string(got) != "Date: Tue, 2 Jan 2024 03:04:05 +0000\r\nFrom: a@b.example\r\nMessage-ID: <1@b.example>\r\n" {
		t.Errorf("%q", got)
	}
	if got := MissingFields(Header("date:\r\nFROM: x\r\nMessage-Id: y\r\n\r\n"), all); got != nil {
		t.Errorf("%q", got)
	}
	if got := MissingFields(Header("\r\n"), Supply{}); got != nil {
		t.Errorf("%q", got)
	}
	const msg = "Bcc: a@b,\r\n c@d\r\nTo: x\r\nbcc:y\r\nResent-Bcc: z\r\n\r\nBcc: body\r\n"
	h, _ := SplitHeader([]byte(msg))
	if got := Cut([]byte(msg), BccRanges(h)); string(got) != "To: x\r\n\r\nBcc: body\r\n" {
		t.Errorf("%q", got)
	}
}

func TestCRLFWriter(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, want string
		changed  int64
	}{
		{"a\r\nb\r\n", "a\r\nb\r\n", 0},
		{"a\nb\n", "a\r\nb\r\n", 2},
		{"a\rb\r", "a\r\nb\r\n", 2},
		{"a\r\r\nb", "a\r\n\r\nb", 1},
		{"\n\r\n\r", "\r\n\r\n\r\n", 2},
		{"", "", 0},
		{"a", "a", 0},
		{"\r\n.\n.\r", "\r\n.\r\n.\r\n", 2},
	} {
		for _, step := range []int{1, 2, 100} {
			var out bytes.Buffer
			w := NewCRLFWriter(&out)
			for i := 0; i < len(c.in); i += step {
				io.WriteString(w, c.in[i:min(i+step, len(c.in))])
			}
			if err := w.Close(); err != nil || out.String() != c.want || w.Changed() != c.changed {
				t.Errorf("%q by %d: %q, %d; want %q, %d", c.in, step, out.String(), w.Changed(), c.want, c.changed)
			}
		}
	}
}

func FuzzCRLF(f *testing.F) {
	f.Add([]byte("a\r\n\nb\r\r\n"), 3)
	f.Fuzz(func(t *testing.T, b []byte, cut int) {
		var out bytes.Buffer
		w := NewCRLFWriter(&out)
		cut = min(max(cut, 0), len(b))
		w.Write(b[:cut])
		w.Write(b[cut:])
		w.Close()
		got := out.Bytes()
		if n := bytes.Count(got, []byte("\r\n")); bytes.Count(got, []byte("\n")) != n || bytes.Count(got, []byte("\r")) != n {
			t.Fatalf("bare line endings in %q", got)
		}
		if strip := func(b []byte) string { return strings.NewReplacer("\r", "", "\n", "").Replace(string(b)) }; strip(got) != strip(b) {
			t.Fatalf("%q became %q", b, got)
		}
		if w.Changed() == 0 && !bytes.Equal(got, b) {
			t.Fatalf("changed without counting: %q, %q", b, got)
		}
	})
}
