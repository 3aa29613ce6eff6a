package smtpserver

import (
	"bytes"
	"io"
	"net"
	"strings"
	"testing"

	"posta/internal/mail"
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
		who := mail.Client{Door: mail.Door(door % 4)}
		if who.Door == mail.Submission {
			who.TLS.Version = "TLS1.3" // as if, so that AUTH is reached
		}
		srv := New(Config{
			Hostname: "mx.example.org", Door: who.Door, Budget: Budget{MessageBytes: 1000},
			Who: func(net.Conn) (mail.Client, error) { return who, nil },
		}, rec)
		client, ended := connect(t, srv)
		go func() {
			io.WriteString(client, in) // fails when the server has had enough
			client.(interface{ CloseWrite() error }).CloseWrite()
		}()
		replies, err := io.ReadAll(client)
		if err != nil {
			t.Fatal(err)
		}
		ended()
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
