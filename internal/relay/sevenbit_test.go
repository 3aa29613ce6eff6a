package relay

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"posta/internal/message"
)

const crlf = "\r\n"

func TestSevenBit(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"nothing to do", "Subject: x\r\n\r\nplain\r\n", "Subject: x\r\n\r\nplain\r\n"},
		{"a text", "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nCamión = ñ\r\n",
			"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nCami=C3=B3n =3D =C3=B1\r\n"},
		{"a text that says nothing of itself", "Subject: x\r\n\r\n\xf1\r\n", "Subject: x\r\nMIME-Version: 1.0\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=F1\r\n"},
		{"one part of two", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
			"--b\r\n\r\nascii\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xe1\r\n--b--\r\n",
			"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" +
				"--b\r\n\r\nascii\r\n--b\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E1\r\n--b--\r\n"},
		{"a message inside", "MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\nSubject: y\r\n\r\n\xe1\r\n",
			"MIME-Version: 1.0\r\nContent-Type: message/rfc822\r\n\r\nMIME-Version: 1.0\r\nSubject: y\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n=E1\r\n"},
	} {
		got, err := SevenBit([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
	}
	for name, in := range map[string]string{
		"8-bit header":    "Subject: \xf1\r\n\r\nx\r\n",
		"signed":          "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\n\xf1\r\n--b\r\n\r\nsig\r\n--b--\r\n",
		"false base64":    "Content-Transfer-Encoding: base64\r\n\r\n\xf1\r\n",
		"in the preamble": "Content-Type: multipart/mixed; boundary=b\r\n\r\n\xf1\r\n--b\r\n\r\nx\r\n--b--\r\n",
		"no boundary":     "Content-Type: multipart/mixed\r\n\r\n\xf1\r\n",
	} {
		if got, err := SevenBit([]byte(in)); !errors.Is(err, ErrNotConvertible) {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
}

// Binary parts become base64; parts that only said so keep their octets (RFC 3030 §3).
func TestWithoutBinary(t *testing.T) {
	long := strings.Repeat("x", 999)
	for _, c := range []struct{ name, in, want string }{
		{"nothing to do", "Subject: x\r\n\r\n\xf1\r\n", "Subject: x\r\n\r\n\xf1\r\n"},
		{"only said", "Content-Transfer-Encoding: binary\r\n\r\n\xf1\r\n", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: 8bit\r\n\r\n\xf1\r\n"},
		{"a NUL", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: binary\r\n\r\na\x00b", "MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\nYQBi\r\n"},
		{"a long line of a text that says nothing", "MIME-Version: 1.0\r\n\r\n" + long + "\r\n",
			"MIME-Version: 1.0\r\nContent-Transfer-Encoding: base64\r\n\r\n" + string(message.AppendBase64(nil, []byte(long+"\r\n")))},
		{"one part of two", "MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: binary\r\n\r\n" +
			"--b\r\n\r\n\xf1\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\r\n--b--\r\n",
			"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\nContent-Transfer-Encoding: 8bit\r\n\r\n" +
				"--b\r\n\r\n\xf1\r\n--b\r\nContent-Transfer-Encoding: base64\r\n\r\nYQpi\r\n--b--\r\n"},
	} {
		got, err := WithoutBinary([]byte(c.in))
		if err != nil || string(got) != c.want {
			t.Errorf("%s: %v\n got %q\nwant %q", c.name, err, got, c.want)
		}
	}
	for name, in := range map[string]string{
		"in the header":   "Subject: a\x00\r\n\r\nx\r\n",
		"signed":          "Content-Type: multipart/signed; boundary=b\r\n\r\n--b\r\n\r\na\x00\r\n--b\r\n\r\nsig\r\n--b--\r\n",
		"false base64":    "Content-Transfer-Encoding: base64\r\n\r\na\x00\r\n",
		"in the preamble": "Content-Type: multipart/mixed; boundary=b\r\n\r\n\x00\r\n--b\r\n\r\nx\r\n--b--\r\n",
	} {
		if got, err := WithoutBinary([]byte(in)); !errors.Is(err, ErrNotConvertible) {
			t.Errorf("%s: %v, %q", name, err, got)
		}
	}
}

// What is converted has no octets that need BINARYMIME, and converts to itself.
func FuzzWithoutBinary(f *testing.F) {
	f.Add([]byte("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\nContent-Transfer-Encoding: binary\r\n\r\na\nb\x00\r\n--b--\r\n"))
	f.Add([]byte("\r"))
	f.Add([]byte("a\n\nb"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := WithoutBinary(in)
		if err != nil {
			return
		}
		if binary(out) {
			t.Fatalf("%q needs BINARYMIME", out)
		}
		if !binary(in) && !bytes.Contains(bytes.ToLower(in), []byte("binary")) && !bytes.Equal(in, out) {
			t.Fatalf("%q was changed to %q", in, out)
		}
	})
}

// What is converted has no octets over 127, the same parts, and in each the same
// octets once decoded.
func FuzzSevenBit(f *testing.F) {
	f.Add([]byte("MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xe1 \r\n.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\nA: b\r\n\r\n\xe2=\r\n--b--\r\n"))
	// A header that is no fields alone: one more field above would end before it.
	f.Add([]byte("ry=ersion: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\n\xe1 \r\n.\r\n--b\r\nContent-Type: message/rfc822\r\n\r\x14A: b\r\n\r\n\xe2"))
	f.Add([]byte("\xf1"))
	f.Add([]byte(" \xe2"))
	f.Add([]byte("--\r\n\xf1\t"))
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := SevenBit(in)
		if err != nil {
			return
		}
		if eightBit(out) {
			t.Fatalf("%q has octets over 127", out)
		}
		if bytes.Contains(bytes.ReplaceAll(in, []byte(crlf), nil), []byte("\n")) || bytes.Contains(in, []byte("\r")) && !bytes.Contains(in, []byte(crlf)) {
			return // line ends that quoted-printable mends
		}
		was, is := leaves(t, in), leaves(t, out)
		if len(was) != len(is) {
			t.Fatalf("%d parts became %d: %q", len(was), len(is), out)
		}
		for i := range was {
			if was[i] != is[i] {
				t.Fatalf("part %d: %q became %q", i, was[i], is[i])
			}
		}
	})
}

func leaves(t *testing.T, b []byte) (out []string) {
	message.ParseBytes(b, message.Budget{}).Walk(func(p *message.Part) bool {
		if !p.Multipart() && p.Message == nil {
			r, err := message.Open(bytes.NewReader(b), p)
			if err != nil {
				return true
			}
			all, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, string(all))
		}
		return true
	})
	return out
}
