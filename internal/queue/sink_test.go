package queue

import (
	"bufio"
	"io"
	"net"
	"strings"
)

// serve speaks SMTP as far as the relay needs it.
func (s *countingSink) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReaderSize(c, 64<<10)
	io.WriteString(c, "220 sink\r\n")
	rcpts, data := 0, false
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return
		}
		say := ""
		switch {
		case data && string(line) == ".\r\n":
			data = false
			s.mu.Lock()
			s.rcpts += rcpts
			s.mu.Unlock()
			rcpts, say = 0, "250 2.0.0 taken"
		case data:
			continue
		case strings.HasPrefix(string(line), "EHLO"):
			say = "250-sink\r\n250 PIPELINING"
		case strings.HasPrefix(string(line), "RCPT"):
			rcpts++
			say = "250 ok"
		case string(line) == "DATA\r\n":
			data, say = true, "354 go"
		case string(line) == "QUIT\r\n":
			io.WriteString(c, "221 bye\r\n")
			return
		default:
			say = "250 ok"
		}
		io.WriteString(c, say+"\r\n")
	}
}
