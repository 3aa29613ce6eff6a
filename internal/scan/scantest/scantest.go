// Package scantest has scanners that do what the letters they read tell them to: a
// milter, an rspamd and a clamd, small and in process, for tests and for the lab.
// They share no code with the clients that they are spoken to by.
//
// The milter adds the field "X-Filtered: yes" below the others, and carries out what
// the fields X-Do of a letter say, in their order:
//
//	X-Do: insert X-Name: value     at the top
//	X-Do: change Subject: value    the first field of that name
//	X-Do: delete X-Do              all fields of that name
//	X-Do: body new text            in the place of the body
//	X-Do: rcpt luis@example.org    one recipient more
//	X-Do: drop ana@example.org     one recipient less
//	X-Do: from x@example.org       another reverse-path
//	X-Do: quarantine its reason
//	X-Do: reply 550 5.7.1 text     refuses, or puts off with 4yz
//	X-Do: discard
//
// In the session it refuses a reverse-path and a recipient whose local part begins
// with "filtered".
//
// rspamd takes its score from the field X-Score: from 4 on it would greylist, from 6
// add a header, from 15 reject. clamd finds EICAR's test string.
package scantest

import (
	"fmt"
	"net"
	"sync"
)

// Manner is how a Server behaves.
type Manner uint8

// The manners.
const (
	Up    Manner = iota
	Down         // takes no connection: each is closed at once, and those that are open
	Dying        // goes away in the middle of every message
)

// Kinds are the values of Start's kind.
const (
	Milter = "milter"
	Rspamd = "rspamd"
	ClamAV = "clamav"
)

// EICAR is the test string that every scanner for viruses knows.
const EICAR = `X5O!P%@AP[4\PZX54(P^)7CC)7}$EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*`

// Server is one scanner on loopback. It is safe for use by many goroutines.
type Server struct {
	l     net.Listener
	serve func(*Server, net.Conn)
	kind  string
	wg    sync.WaitGroup

	mu     sync.Mutex
	manner Manner
	conns  map[net.Conn]bool
	heard  []string
}

// Start runs a scanner until Close.
func Start(kind string) (*Server, error) {
	serve, ok := map[string]func(*Server, net.Conn){Milter: (*Server).milter, Rspamd: (*Server).rspamd, ClamAV: (*Server).clamd}[kind]
	if !ok {
		return nil, fmt.Errorf("scantest: no scanner is of the kind %q", kind)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{l: l, serve: serve, kind: kind, conns: map[net.Conn]bool{}}
	s.wg.Go(s.accept)
	return s, nil
}

func (s *Server) accept() {
	for {
		c, err := s.l.Accept()
		if err != nil {
			return // closed
		}
		if !s.keep(c) {
			c.Close()
			continue
		}
		s.wg.Go(func() {
			defer s.drop(c)
			s.serve(s, c)
		})
	}
}

// keep notes an open connection, unless none is taken.
func (s *Server) keep(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.manner == Down {
		return false
	}
	s.conns[c] = true
	return true
}

func (s *Server) drop(c net.Conn) {
	c.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// Address is where it listens, as posta.toml has it.
func (s *Server) Address() string {
	if s.kind == Rspamd {
		return "http://" + s.l.Addr().String()
	}
	return s.l.Addr().String()
}

// Set changes how it behaves from now on.
func (s *Server) Set(m Manner) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.manner = m
	if m == Down {
		for c := range s.conns {
			c.Close()
		}
	}
}

func (s *Server) dying() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.manner == Dying
}

// note writes down what was heard.
func (s *Server) note(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, text)
}

// Heard is what the milter was told of session and envelope, and each whole message
// that any of them was told of, in order.
func (s *Server) Heard() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.heard...)
}

// Close ends it and waits for its end.
func (s *Server) Close() {
	s.Set(Down)
	s.l.Close()
	s.wg.Wait()
}
