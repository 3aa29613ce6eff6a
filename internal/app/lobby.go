package app

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"posta/internal/smtp"
)

// lobby receives clients while there is nobody to serve them yet: the sockets are
// bound from the start, and who is left without a word waits for minutes.
type lobby struct {
	wg     sync.WaitGroup
	places chan struct{}
	clerks []*clerk
	web    *http.Server
}

// Bounds of the lobby.
const (
	lobbyPlaces = 64                     // clients at a time; others are closed on
	lobbyTime   = 2 * time.Second        // for one client
	lobbyOctets = 4 << 10                // read of what a client says, for nothing
	lobbyBreath = 100 * time.Millisecond // after an Accept that failed
)

// receive opens the lobby at every socket whose listening can be broken off. It
// is closed by close, after which the sockets are as before.
func (s *server) receive(ctx context.Context) *lobby {
	l := &lobby{places: make(chan struct{}, lobbyPlaces), web: &http.Server{
		Handler: http.HandlerFunc(notYet), ReadTimeout: lobbyTime, WriteTimeout: lobbyTime, MaxHeaderBytes: lobbyOctets,
	}}
	for _, b := range s.bound {
		socket, ok := b.l.(breakable)
		if !ok {
			continue // its clients wait until it is served
		}
		c := &clerk{socket}
		l.clerks = append(l.clerks, c)
		if b.name == "http" {
			l.wg.Go(func() { _ = l.web.Serve(c) })
			continue
		}
		word := greeting(b.name)
		l.wg.Go(func() { l.send(ctx, c, word) })
	}
	return l
}

// close sends nobody away any more, and waits for those who are being told.
func (l *lobby) close() {
	for _, c := range l.clerks {
		_ = c.Close()
	}
	_ = l.web.Close()
	l.wg.Wait()
	for _, c := range l.clerks {
		_ = c.SetDeadline(time.Time{})
	}
}

// greeting is what a client of a door reads; "" where it expects TLS first.
func greeting(door string) string {
	switch door {
	case "smtp", "smtp_proxy", "submission", "lmtp":
		return smtp.NotReady.Reply().String() + "\r\n"
	case "imap":
		return "* BYE [UNAVAILABLE] the server is starting, try again soon\r\n" // RFC 5530
	case "pop3":
		return "-ERR [SYS/TEMP] the server is starting, try again soon\r\n" // RFC 3206
	}
	return ""
}

// send tells every client of a socket to come again.
func (l *lobby) send(ctx context.Context, c *clerk, word string) {
	for {
		nc, err := c.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			rest(ctx, lobbyBreath) // out of descriptors
			continue
		}
		select {
		case l.places <- struct{}{}:
			l.wg.Go(func() {
				dismiss(nc, word)
				<-l.places
			})
		default:
			nc.Close()
		}
	}
}

// dismiss says a word and hangs up. What the client has said already is read, as
// closing on it would reset the connection and with it the word.
func dismiss(nc net.Conn, word string) {
	defer nc.Close()
	if nc.SetDeadline(time.Now().Add(lobbyTime)) != nil || word == "" {
		return
	}
	if _, err := io.WriteString(nc, word); err != nil {
		return
	}
	if half, ok := nc.(interface{ CloseWrite() error }); ok && half.CloseWrite() == nil {
		_, _ = io.CopyN(io.Discard, nc, lobbyOctets)
	}
}

// notYet is the whole web site: we live, and are not ready.
func notYet(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/healthz" {
		_, _ = io.WriteString(w, "ok\n") // who asked may have gone
		return
	}
	w.Header().Set("Retry-After", "10")
	http.Error(w, strings.ToLower(http.StatusText(http.StatusServiceUnavailable)), http.StatusServiceUnavailable)
}

// breakable is a socket at which an Accept that waits can be broken off without
// closing it.
type breakable interface {
	net.Listener
	SetDeadline(t time.Time) error
}

// clerk listens at a socket that is somebody else's: its Close ends the listening
// and leaves the socket open.
type clerk struct{ breakable }

// Accept implements net.Listener.
func (c *clerk) Accept() (net.Conn, error) {
	nc, err := c.breakable.Accept()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = net.ErrClosed
	}
	return nc, err
}

// Close implements net.Listener.
func (c *clerk) Close() error { return c.SetDeadline(time.Now()) }
