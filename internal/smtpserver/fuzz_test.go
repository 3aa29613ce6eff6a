package smtpserver

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
	"testing"

	"posta/internal/mail"
	"posta/internal/memnet"
)

// walks lead the server into each of its states; noise follows.
var walks = []string{
	"",
	"EHLO x\r\n",
	"EHLO x\r\nMAIL FROM:<a@example.net>\r\n",
	"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\n",
	"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\n",
	"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nBDAT 3\r\nabc",
	"EHLO x\r\nMAIL FROM:<a@example.net> BODY=BINARYMIME\r\nRCPT TO:<b@example.org>\r\nBDAT 3\r\na\nc",
	"EHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nDATA\r\nx\r\n.\r\n",
	"EHLO x\r\nAUTH LOGIN\r\n",
	"EHLO x\r\nAUTH PLAIN AHUAcA==\r\n",
	"LHLO x\r\nMAIL FROM:<a@example.net>\r\nRCPT TO:<b@example.org>\r\nRCPT TO:<c@example.org>\r\nDATA\r\n",
}

// FuzzServer walks into a state and writes noise. However it goes: no message
// is accepted without CRLF.CRLF or BDAT LAST, each session and each sink ends
// once (the recorder panics otherwise), and the server lets go of the
// connection.
func FuzzServer(f *testing.F) {
	for i := range walks {
		f.Add(uint8(i), uint8(0), []byte("noise\r\n.\r\nQUIT\r\n"))
		f.Add(uint8(i), uint8(1), []byte("x\n.\nMAIL FROM:<>\r\nRSET\r\nBDAT 5 LAST\r\n12345BDAT 0 LAST\r\n"))
		f.Add(uint8(i), uint8(2), []byte("\r\n.\r\nHELO y\r\nRCPT TO:<\"a b\"@x>\r\nSTARTTLS\r\nAUTH PLAIN\r\n"))
	}
	f.Add(uint8(3), uint8(0), []byte("BDAT 2 LAST\r\nxyQUIT\r\nGET / HTTP/1.1\r\n"))
	f.Fuzz(func(t *testing.T, walk, door uint8, noise []byte) {
		in := walks[int(walk)%len(walks)] + string(noise)
		rec := &recorder{class: mail.Class(door / 4 % 4), password: map[string]string{"u": "p"}}
		srv := New(Config{Hostname: "mx.example.org", Door: mail.Door(door % 4), Budget: Budget{MessageBytes: 1000}}, rec)
		client, server := memnet.Pipe(testClient, testServer)
		c := srv.newConn(t.Context(), server, mail.Client{Door: srv.cfg.Door})
		c.setAddresses(server.RemoteAddr(), server.LocalAddr())
		if c.client.Door == mail.Submission {
			c.client.TLS.Version = "TLS1.3" // as if, so that AUTH is reached
		}
		ended := make(chan struct{})
		srv.enter(c)
		go func() {
			defer close(ended)
			defer srv.leave(c)
			c.run()
		}()
		go func() {
			io.WriteString(client, in) // fails when the server has had enough
			client.(interface{ CloseWrite() error }).CloseWrite()
		}()
		replies, err := io.ReadAll(client)
		if err != nil {
			t.Fatal(err)
		}
		<-ended
		if rec.opens != 1 || rec.closes != 1 || srv.Connections() != 0 {
			t.Fatalf("%d sessions opened, %d closed, %d connections", rec.opens, rec.closes, srv.Connections())
		}
		if log := rec.log(); strings.Contains(log, "close failed") {
			t.Fatalf("a panic was caught:\n%s", log)
		}
		ends := strings.Count(strings.ToUpper(in), "LAST")
		for i := range in {
			if strings.HasPrefix(in[i:], "\r\n.\r\n") {
				ends++
			}
		}
		if len(rec.messages) > ends {
			t.Fatalf("%d messages accepted of %d that ended: %q", len(rec.messages), ends, in)
		}
		for line := range bytes.Lines(replies) {
			if len(line) > 512 || !bytes.HasSuffix(line, []byte("\r\n")) || len(line) < 6 {
				t.Fatalf("reply line %q", line)
			}
		}
	})
}

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
