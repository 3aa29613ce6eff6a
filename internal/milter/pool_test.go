package milter

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// echo is a milter, by no code of ours, that adds a field with the queue id that it
// was told, and takes up kept connections.
func echo(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	id := ""
	for {
		var n uint32
		if binary.Read(r, binary.BigEndian, &n) != nil {
			return
		}
		b := make([]byte, n)
		if _, err := io.ReadFull(r, b); err != nil {
			return
		}
		switch b[0] {
		case 'O':
			conn.Write(packet('O', "\x00\x00\x00\x06\x00\x00\x00\x01\x00\x1f\xf0\x80"))
		case 'D':
			if words := strings.Split(string(b[2:]), "\x00"); b[1] == 'M' && words[0] == "i" {
				id = words[1]
			}
		case 'E':
			conn.Write(append(packet('h', "X-Id\x00 "+id+"\x00"), packet('c', "")...))
		case 'K':
			id = "none"
		case 'Q':
			return
		}
	}
}

// Many messages at once go over a few kept connections, and none gets the answer
// of another.
func TestManyAtOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var connections atomic.Int32
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			wg.Go(func() { echo(conn) })
		}
	})
	c, err := New(l.Addr().String(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	const workers, each = 4, 50
	for w := range workers {
		clients.Go(func() {
			for i := range each {
				id := fmt.Sprintf("%d-%d", w, i)
				r, err := c.Play(t.Context(), &Transaction{
					Helo: "a", From: Path{Address: "a@b"}, To: []Path{{Address: "c@d"}}, Macros: Macros{"i": id},
					Header: []byte("A: b\r\n\r\n"), Body: func() io.Reader { return strings.NewReader("Hello\r\n") },
				}, nil)
				if err != nil || len(r.Edits) != 1 || r.Edits[0].Value != " "+id {
					t.Errorf("%s: %+v %v", id, r, err)
				}
			}
		})
	}
	clients.Wait()
	if n := connections.Load(); n > workers {
		t.Errorf("%d connections for %d messages, %d at a time", n, workers*each, workers)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	l.Close()
	wg.Wait()
}
