package crashtest

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
)

// outside is the world: a DNS server that knows no name, and a host that takes
// every message and counts it by its recipient.
type outside struct {
	dns  string
	sink string

	mu    sync.Mutex
	taken map[string]int // recipient → how often 250 was said after the dot
}

func newOutside(t testing.TB) *outside {
	t.Helper()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	o := &outside{dns: udp.LocalAddr().String(), sink: tcp.Addr().String(), taken: map[string]int{}}
	var wg sync.WaitGroup
	wg.Go(func() { answerNothing(udp) })
	wg.Go(func() {
		for {
			c, err := tcp.Accept()
			if err != nil {
				return
			}
			go o.take(c)
		}
	})
	t.Cleanup(func() { udp.Close(); tcp.Close(); wg.Wait() })
	return o
}

// answerNothing says NXDOMAIN to every question.
func answerNothing(c net.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if err != nil {
			return
		}
		if n < 12 {
			continue
		}
		end := 12
		for end < n && buf[end] != 0 {
			end += 1 + int(buf[end])
		}
		if end += 5; end > n {
			continue
		}
		buf[2], buf[3] = buf[2]&1|0x84, 0x83 // response, authoritative, recursion, NXDOMAIN
		binary.BigEndian.PutUint16(buf[4:], 1)
		clear(buf[6:12])
		if _, err := c.WriteTo(buf[:end], from); err != nil {
			return
		}
	}
}

// take speaks just enough SMTP to receive.
func (o *outside) take(conn net.Conn) {
	defer conn.Close()
	c := &smtpClient{&line{conn, bufio.NewReader(conn)}}

	say := func(s string) bool { _, err := io.WriteString(conn, s+"\r\n"); return err == nil }
	if !say("220 sink.test ESMTP") {
		return
	}
	var to []string
	for {
		text, err := c.in.ReadString('\n')
		if err != nil {
			return
		}
		verb := strings.ToUpper(strings.TrimRight(text, "\r\n"))
		reply := "250 2.0.0 ok"
		switch {
		case strings.HasPrefix(verb, "EHLO"):
			reply = "250-sink.test\r\n250-PIPELINING\r\n250 8BITMIME"
		case strings.HasPrefix(verb, "RCPT TO:<"):
			addr, _, _ := strings.Cut(text[len("RCPT TO:<"):], ">")
			to = append(to, addr)
		case verb == "RSET" || strings.HasPrefix(verb, "MAIL"):
			to = nil
		case verb == "DATA":
			if !say("354 go ahead") || !skipToDot(c) {
				return
			}
			o.mu.Lock() // counted before it is said: the sender may die meanwhile
			for _, a := range to {
				o.taken[a]++
			}
			o.mu.Unlock()
		case verb == "QUIT":
			say("221 2.0.0 bye")
			return
		}
		if !say(reply) {
			return
		}
	}
}

func skipToDot(c *smtpClient) bool {
	for {
		text, err := c.in.ReadString('\n')
		if err != nil {
			return false
		}
		if text == ".\r\n" {
			return true
		}
	}
}

func (o *outside) times(to string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken[to]
}
