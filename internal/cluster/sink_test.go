package cluster

import (
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
)

// sink is the host to which all mail goes that leaves. It holds transactions
// with a recipient whose name begins with "slow" until it is told to go on.
type sink struct {
	port int
	held chan string // recipients that are being held

	mu   sync.Mutex
	gate chan struct{} // closed: nobody is held
	got  map[string][]string
}

func newSink(t testing.TB) *sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &sink{port: l.Addr().(*net.TCPAddr).Port, held: make(chan string, 10), gate: make(chan struct{}), got: map[string][]string{}}
	server := smtp.NewServer(smtp.BackendFunc(func(*smtp.Conn) (smtp.Session, error) { return &sinkSession{s: s}, nil }))
	server.Domain, server.AllowInsecureAuth = "sink.test", true
	server.ReadTimeout, server.WriteTimeout = time.Minute, time.Minute
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		s.open()
		_ = server.Close() // says that clients were there
		if err := <-ended; err != nil && !errors.Is(err, smtp.ErrServerClosed) {
			t.Error(err)
		}
	})
	return s
}

// open lets what is held go on.
func (s *sink) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case <-s.gate:
	default:
		close(s.gate)
	}
}

// copies are the messages that came for a recipient.
func (s *sink) copies(to string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.got[to]
}

type sinkSession struct {
	s  *sink
	to []string
}

func (k *sinkSession) Reset()                               {}
func (k *sinkSession) Logout() error                        { return nil }
func (k *sinkSession) Mail(string, *smtp.MailOptions) error { k.to = nil; return nil }

func (k *sinkSession) Rcpt(to string, _ *smtp.RcptOptions) error {
	if strings.HasPrefix(to, "slow") {
		k.s.held <- to
		<-k.s.gate
	}
	k.to = append(k.to, to)
	return nil
}

func (k *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	k.s.mu.Lock()
	defer k.s.mu.Unlock()
	for _, to := range k.to {
		k.s.got[to] = append(k.s.got[to], string(b))
	}
	return nil
}
