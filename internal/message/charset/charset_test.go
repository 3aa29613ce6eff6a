package charset

import (
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"unicode/utf8"
)

func TestDecodeHeader(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ what, in, want string }{
		{"plain", "hello world", "hello world"},
		{"RFC 2047 §8", "=?ISO-8859-1?Q?a?=", "a"},
		{"§8: a word and text", "=?ISO-8859-1?Q?a?= b", "a b"},
		{"§8: space between words goes", "=?ISO-8859-1?Q?a?= =?ISO-8859-1?Q?b?=", "ab"},
		{"§8: so does folding", "=?ISO-8859-1?Q?a?=  \r\n  =?ISO-8859-1?Q?b?=", "ab"},
		{"§8: underscore is space", "=?ISO-8859-1?Q?a_b?=", "a b"},
		{"§8: two charsets", "=?ISO-8859-1?Q?a?= =?ISO-8859-2?Q?_b?=", "a b"},
		{"§8 example", "=?ISO-8859-1?Q?Keld_J=F8rn_Simonsen?=", "Keld Jørn Simonsen"},
		{"base64", "=?ISO-8859-1?B?SWYgeW91IGNhbiByZWFkIHRoaXMgeW8=?=", "If you can read this yo"},
		{"character cut in two words", "=?utf-8?q?=C3?= =?UTF-8?Q?=B1?=", "ñ"},
		{"language, RFC 2231 §5", "=?US-ASCII*EN?Q?Keith_Moore?=", "Keith Moore"},
		{"not a word", "=?utf-8?x?abc?= and =?", "=?utf-8?x?abc?= and =?"},
		{"raw latin-1", "caf\xe9", "café"},
		{"unknown charset", "=?x-none?q?=C3=B1?=", "ñ"},
		{"no new line from inside", "=?utf-8?q?a=0D=0ABcc:_x?=", "a  Bcc: x"},
		{"shift-jis", "=?Shift_JIS?B?k/qWew==?=", "日本"},
		{"text, word, text", "a =?utf-8?q?b?= c =?utf-8?q?d?=", "a b c d"},
	} {
		if got := DecodeHeader(c.in); got != c.want {
			t.Errorf("%s: DecodeHeader(%q) = %q, want %q", c.what, c.in, got, c.want)
		}
	}
}

func TestEncode(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, header, phrase string }{
		{"hello", "hello", "hello"},
		{"Smith, John", "Smith, John", `"Smith, John"`},
		{`a "b"`, `a "b"`, `"a \"b\""`},
		{"José", "=?utf-8?q?Jos=C3=A9?=", "=?utf-8?q?Jos=C3=A9?="},
		{"日本", "=?utf-8?b?5pel5pys?=", "=?utf-8?b?5pel5pys?="},
	} {
		if got := EncodeHeader(c.in); got != c.header {
			t.Errorf("EncodeHeader(%q) = %q, want %q", c.in, got, c.header)
		}
		if got := EncodePhrase(c.in); got != c.phrase {
			t.Errorf("EncodePhrase(%q) = %q, want %q", c.in, got, c.phrase)
		}
	}
}

func TestReader(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("año ", 5000)
	for _, c := range []struct{ label, in, want string }{
		{"utf-8", long, long},
		{"us-ascii", long, long},
		{"", "caf\xe9 s\xf3lo", "café sólo"},
		{"", "ñ\xff", "ñ\uFFFD"},
		{"utf-8", "a\xffb", "a\uFFFDb"},
		{"iso-8859-15", "\xa4", "€"},
		{"x-unknown", "plain", "plain"},
	} {
		for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
			got, err := io.ReadAll(NewReader(c.label, r))
			if err != nil || string(got) != c.want {
				t.Errorf("%s %.20q: got %.40q, %v", c.label, c.in, got, err)
			}
		}
	}
}

func FuzzWords(f *testing.F) {
	for _, s := range []string{"hello", "José", "=?utf-8?q?=C3?= =?utf-8?q?=B1?=", " x ", "日本 语", "a\x00b", "=?=?=?"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if d := DecodeHeader(s); !utf8.ValidString(d) {
			t.Fatalf("invalid UTF-8 %q", d)
		}
		if !utf8.ValidString(s) || strings.ContainsAny(s, "\r\n\x00") {
			return
		}
		enc := EncodeHeader(s)
		for w := range strings.FieldsSeq(enc) {
			if strings.HasPrefix(w, "=?utf-8?") && len(w) > 75 {
				t.Fatalf("word of %d octets", len(w))
			}
		}
		if got := DecodeHeader(enc); got != s {
			t.Fatalf("%q → %q → %q", s, enc, got)
		}
	})
}
