package gate

import (
	"bytes"
	"encoding/binary"
	"testing"
)

// FuzzProxy: a header is read to its end and not an octet further, within its
// budget, and only with addresses of one family.
func FuzzProxy(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.7 198.51.100.9 4242 25\r\nEHLO"))
	f.Add([]byte("PROXY TCP6 2001:db8::1 2001:db8::2 4242 25\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(proxySignature + "\x21\x11\x00\x0c\xc0\x00\x02\x07\xc6\x33\x64\x09\x10\x92\x00\x19EHLO"))
	f.Add([]byte(proxySignature + "\x20\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		r := bytes.NewReader(in)
		h, err := readProxy(r)
		used := len(in) - r.Len()
		if used > 16+maxProxyV2 {
			t.Fatalf("read %d octets", used)
		}
		if err != nil {
			return
		}
		if bytes.HasPrefix(in, []byte(proxySignature)) {
			if used != 16+int(binary.BigEndian.Uint16(in[14:])) {
				t.Fatalf("read %d octets", used)
			}
		} else if used != bytes.Index(in, []byte("\r\n"))+2 || used > maxProxyV1 {
			t.Fatalf("read %d octets of %q", used, in)
		}
		if h.valid && !(h.src.Addr().IsValid() && h.dst.Addr().IsValid()) {
			t.Fatalf("%+v", h)
		}
	})
}
