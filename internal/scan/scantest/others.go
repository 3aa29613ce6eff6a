package scantest

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"strconv"
	"strings"
)

// clamd speaks clamd's commands with a NUL at their end.
func (s *Server) clamd(c net.Conn) {
	r := bufio.NewReader(c)
	command, err := r.ReadString(0)
	if err != nil {
		return
	}
	reply := "UNKNOWN COMMAND"
	switch command {
	case "zPING\x00":
		reply = "PONG"
	case "zVERSION\x00":
		reply = "ClamAV of tests"
	case "zINSTREAM\x00":
		text, ok := s.stream(r)
		if !ok {
			return
		}
		s.note(text)
		reply = "stream: OK"
		if strings.Contains(text, EICAR) {
			reply = "stream: Eicar-Signature FOUND"
		}
	}
	io.WriteString(c, reply+"\x00") // who has gone away hears nothing
}

// stream reads chunks, each after its length, to an empty one.
func (s *Server) stream(r io.Reader) (string, bool) {
	var text strings.Builder
	for {
		var n uint32
		if binary.Read(r, binary.BigEndian, &n) != nil || n > maxPacket {
			return "", false
		}
		if n == 0 {
			return text.String(), true
		}
		if s.dying() {
			return "", false
		}
		if _, err := io.CopyN(&text, r, int64(n)); err != nil {
			return "", false
		}
	}
}

// rspamd answers one HTTP request and closes.
func (s *Server) rspamd(c net.Conn) {
	req, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return
	}
	reply := "pong\r\n"
	if req.URL.Path == "/checkv2" {
		body, err := io.ReadAll(io.LimitReader(req.Body, 64<<20))
		if err != nil || s.dying() {
			return
		}
		s.note(string(body))
		reply = weigh(string(body))
	}
	fmt.Fprintf(c, "HTTP/1.1 200 OK\r\nServer: rspamd/test\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", len(reply), reply)
}

// weigh is rspamd's opinion of a message.
func weigh(text string) string {
	h, _ := textproto.NewReader(bufio.NewReader(strings.NewReader(text))).ReadMIMEHeader() // what could be read counts
	score, _ := strconv.ParseFloat(h.Get("X-Score"), 64)                                   // none is 0
	action := "no action"
	for _, a := range []struct {
		from float64
		name string
	}{{4, "greylist"}, {6, "add header"}, {15, "reject"}} {
		if score >= a.from {
			action = a.name
		}
	}
	return fmt.Sprintf(`{"action":%q,"score":%g,"required_score":15,"symbols":{"X_SCORE":{"score":%g}},`+
		`"milter":{"add_headers":{"X-Spam-Score":{"value":"%g","order":-1}}}}`, action, score, score, score)
}
