package message

import (
	"bytes"
	"encoding/base64"
	"io"
	"mime/quotedprintable"
	"strings"
	"testing"
	"testing/iotest"
)

func decode(t *testing.T, encoding, in string) string {
	t.Helper()
	var got [2]string
	for i, r := range []io.Reader{strings.NewReader(in), iotest.OneByteReader(strings.NewReader(in))} {
		d, err := NewDecoder(encoding, r)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(d)
		if err != nil {
			t.Fatal(err)
		}
		got[i] = string(b)
	}
	if got[0] != got[1] {
		t.Fatalf("%q depends on the reads: %q, %q", in, got[0], got[1])
	}
	return got[0]
}

func TestDecode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ enc, in, want string }{
		{"7bit", "a=20b", "a=20b"},
		{"base64", "aGVsbG8=\r\n", "hello"},
		{"base64", "aGVs\r\n bG8", "hello"},
		{"base64", "aA==aQ==", "hi"},
		{"base64", "a!G*V s\x00bG8=", "hello"},
		{"base64", "aGVsb", "hel"},
		{"base64", "", ""},
		{"quoted-printable", "a=3Db=\r\nc", "a=bc"},
		{"quoted-printable", "a=3db", "a=b"},
		{"quoted-printable", "soft=  \r\nbreak", "softbreak"},
		{"quoted-printable", "trailing \t\r\nspace ", "trailing\r\nspace"},
		{"quoted-printable", "lone = and =ZZ and =4", "lone =and =ZZ and =4"},
		{"quoted-printable", "lf =\nonly \nx", "lf only\nx"},
		{"quoted-printable", "cr\rx =\rx", "cr\rx =\rx"},
		{"quoted-printable", "end=", "end"},
	} {
		if got := decode(t, c.enc, c.in); got != c.want {
			t.Errorf("%s %q: %q, want %q", c.enc, c.in, got, c.want)
		}
	}
	if _, err := NewDecoder("x-uuencode", nil); err != ErrUnknownEncoding {
		t.Error(err)
	}
}

func FuzzTransferEncoding(f *testing.F) {
	for _, s := range []string{"hello", "a  \r\n.\r\nFrom x\n", "ñ=\t", strings.Repeat("x ", 100), "\r\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if got := decode(t, "base64", string(AppendBase64(nil, b))); got != string(b) {
			t.Fatalf("base64 %q → %q", b, got)
		}
		if std, err := base64.StdEncoding.DecodeString(string(b)); err == nil {
			if got := decode(t, "base64", string(b)); got != string(std) {
				t.Fatalf("%q: %q, the standard library says %q", b, got, std)
			}
		}
		// Line endings are the one thing that quoted-printable may change.
		want := bytes.ReplaceAll(bytes.ReplaceAll(b, []byte("\r\n"), []byte("\n")), []byte("\n"), []byte("\r\n"))
		enc := AppendQuotedPrintable(nil, b)
		if got := decode(t, "quoted-printable", string(enc)); got != string(want) {
			t.Fatalf("%q → %q → %q", b, enc, got)
		}
		for line := range bytes.SplitSeq(enc, []byte("\r\n")) {
			if len(line) > 76 || has8Bit(line) {
				t.Fatalf("line %q", line)
			}
		}
		if std, err := io.ReadAll(quotedprintable.NewReader(bytes.NewReader(enc))); err != nil || string(std) != string(want) {
			t.Fatalf("the standard library reads %q from %q, %v", std, enc, err)
		}
		decode(t, "quoted-printable", string(b))
	})
}

func TestPreviewAndText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, in, preview, text string }{
		{"plain", "\n  Hello,\n\n   world\u200b!  \n", "Hello, world!", "Hello, world!"},
		{"latin-1", "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n\na=F1o\n", "año", "año"},
		{"html", "Content-Type: text/html\n\n<html><head><title>T</title><style>p{}</style></head><body><p>One<br>two <b>th</b>ree&nbsp;&amp;</p><script>x()</script><div>four</div>", "One two three & four", "One two three & four"},
		{"alternative prefers plain", "Content-Type: multipart/alternative; boundary=a\n\n--a\nContent-Type: text/html\n\n<p>rich\n--a\nContent-Type: text/plain\n\nplain\n--a--\n", "plain", "rich plain"},
		{"blank plain gives way", "Content-Type: multipart/alternative; boundary=a\n\n--a\n\n \n--a\nContent-Type: text/html\n\n<p>rich\n--a--\n", "rich", "rich"},
		{"attachments are searched, not shown", "Content-Type: multipart/mixed; boundary=a\n\n--a\n\nbody\n--a\nContent-Type: text/plain\nContent-Disposition: attachment\n\nnotes\n--a\nContent-Type: image/png\n\nbin\n--a--\n", "body", "body notes"},
		{"a forwarded message is searched, not shown", "Content-Type: multipart/mixed; boundary=a\n\n--a\nContent-Type: text/html\n\n<i>own\n--a\nContent-Type: message/rfc822\n\n\nforwarded\n--a--\n", "own", "own forwarded"},
		{"cut", "\n" + strings.Repeat("abc ", 100), "abc abc abc abc abc abc abc abc abc abc", strings.TrimSpace(strings.Repeat("abc ", 100))},
		{"nothing", "Content-Type: image/png\n\nx", "", ""},
	} {
		b := crlf(c.in)
		p := ParseBytes(b, Budget{})
		if got, err := Preview(bytes.NewReader(b), p, 40); err != nil || got != c.preview {
			t.Errorf("%s: preview %q, %v", c.what, got, err)
		}
		if got, err := Text(bytes.NewReader(b), p, 1000); err != nil || got != c.text {
			t.Errorf("%s: text %q, %v", c.what, got, err)
		}
	}
}

func BenchmarkPreview(b *testing.B) {
	msg := typical()
	p := ParseBytes(msg, Budget{})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Preview(bytes.NewReader(msg), p, 200); err != nil {
			b.Fatal(err)
		}
	}
}
