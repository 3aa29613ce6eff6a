package scantest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
)

// hearing is one connection of the milter.
type hearing struct {
	s    *Server
	w    *bufio.Writer
	text strings.Builder // of the message
	do   []string
}

// maxPacket bounds what is read of one packet, in octets.
const maxPacket = 1 << 20

// milter speaks version 6 of the protocol: each packet is a length, a command, data.
func (s *Server) milter(c net.Conn) {
	r, h := bufio.NewReader(c), &hearing{s: s, w: bufio.NewWriter(c)}
	for {
		var size uint32
		if binary.Read(r, binary.BigEndian, &size) != nil || size == 0 || size > maxPacket {
			return
		}
		p := make([]byte, size)
		if _, err := io.ReadFull(r, p); err != nil {
			return
		}
		if !h.packet(p[0], p[1:]) || h.w.Flush() != nil {
			return
		}
	}
}

// packet answers one packet; false ends the connection.
func (h *hearing) packet(command byte, data []byte) bool {
	fields := strings.Split(strings.TrimSuffix(string(data), "\x00"), "\x00")
	answer := byte('c')
	switch command {
	case 'O': // version 6, every action, every step
		h.say('O', "\x00\x00\x00\x06\x00\x00\x01\xff\x00\x00\x00\x00")
		return true
	case 'D', 'A', 'K': // macros, abort, quit but keep: no reply
		return true
	case 'Q':
		return false
	case 'C':
		h.s.note("connect " + fields[0])
	case 'H':
		h.s.note("helo " + fields[0])
	case 'M', 'R':
		h.s.note(map[byte]string{'M': "mail ", 'R': "rcpt "}[command] + fields[0])
		if command == 'M' {
			h.text.Reset()
			h.do = nil
		}
		if strings.HasPrefix(fields[0], "<filtered") {
			h.say('y', "550 5.7.1 not past this filter\x00")
			return true
		}
	case 'L':
		if fields[0] == "X-Do" {
			h.do = append(h.do, strings.TrimSpace(fields[1]))
		}
		h.text.WriteString(fields[0] + ": " + strings.TrimSpace(strings.Join(fields[1:], "")) + "\r\n")
	case 'N':
		h.text.WriteString("\r\n")
	case 'B':
		h.text.Write(data)
	case 'E':
		h.text.Write(data)
		if h.s.dying() {
			return false
		}
		h.s.note(h.text.String())
		answer = h.end()
	}
	if answer != 0 {
		h.say(answer, "")
	}
	return true
}

// end carries out what the message says; it gives the last reply, 0 if it was given.
func (h *hearing) end() byte {
	h.say('h', "X-Filtered\x00yes\x00")
	for _, do := range h.do {
		verb, arg, _ := strings.Cut(do, " ")
		name, value, _ := strings.Cut(arg, ": ")
		switch verb {
		case "insert":
			h.say('i', "\x00\x00\x00\x00"+name+"\x00"+value+"\x00")
		case "change":
			h.say('m', "\x00\x00\x00\x01"+name+"\x00"+value+"\x00")
		case "delete":
			for range strings.Count(h.text.String(), name+": ") {
				h.say('m', "\x00\x00\x00\x01"+name+"\x00\x00")
			}
		case "body":
			h.say('b', arg+"\r\n")
		case "rcpt":
			h.say('+', "<"+arg+">\x00")
		case "drop":
			h.say('-', "<"+arg+">\x00")
		case "from":
			h.say('e', "<"+arg+">\x00")
		case "quarantine":
			h.say('q', arg+"\x00")
		case "reply":
			h.say('y', arg+"\x00")
			return 0
		case "discard":
			return 'd'
		}
	}
	return 'c'
}

func (h *hearing) say(command byte, data string) {
	var size [4]byte
	binary.BigEndian.PutUint32(size[:], uint32(1+len(data)))
	h.w.Write(size[:])
	h.w.WriteByte(command)
	h.w.WriteString(data) // Flush tells the error
}
