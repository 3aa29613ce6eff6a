package systemd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Notifier tells the service manager how the service is. Its socket is opened
// once, so that it works after the process has been confined. The methods may be
// called from several goroutines, do not block for long, and do nothing where no
// manager listens, such as on the zero value.
type Notifier struct {
	mu       sync.Mutex
	conn     *net.UnixConn // nil where nobody listens
	watchdog time.Duration // 0 where nobody watches
}

// sendTimeout bounds one message: a manager that hangs must not hang us.
const sendTimeout = time.Second

// NewNotifier opens the socket of NOTIFY_SOCKET, and reads how often the watchdog
// wants to hear of us. Without that variable, or empty, it gives a Notifier that
// does nothing.
func NewNotifier(env Environment) (*Notifier, error) {
	n := &Notifier{}
	addr, _ := env("NOTIFY_SOCKET")
	if addr == "" {
		return n, nil
	}
	// Go's net, too, writes an abstract address with a leading "@".
	if addr[0] != '/' && addr[0] != '@' {
		return n, fmt.Errorf("NOTIFY_SOCKET: %q is no unix socket", addr)
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: addr, Net: "unixgram"})
	if err != nil {
		return n, fmt.Errorf("NOTIFY_SOCKET: %w", err)
	}
	n.conn = conn
	n.watchdog, err = watchdog(env, os.Getpid())
	return n, err
}

// watchdog gives the interval of WATCHDOG_USEC, if it is for this process.
func watchdog(env Environment, pid int) (time.Duration, error) {
	text, _ := env("WATCHDOG_USEC")
	if text == "" {
		return 0, nil
	}
	if p, _ := env("WATCHDOG_PID"); p != "" && p != strconv.Itoa(pid) {
		return 0, nil
	}
	usec, err := strconv.ParseInt(text, 10, 64)
	if err != nil || usec <= 0 || usec > int64(24*time.Hour/time.Microsecond) {
		return 0, fmt.Errorf("WATCHDOG_USEC: %q is no time from 1 µs to a day", text)
	}
	return time.Duration(usec) * time.Microsecond, nil
}

// Ready tells that the service is up, or that a reload is done.
func (n *Notifier) Ready(status string) error { return n.send("READY=1", statusLine(status)) }

// Reloading tells that a reload began; Ready ends it.
func (n *Notifier) Reloading() error {
	return n.send("RELOADING=1", "MONOTONIC_USEC="+strconv.FormatInt(monotonic().Microseconds(), 10))
}

// Stopping tells that the service is on its way down.
func (n *Notifier) Stopping(status string) error { return n.send("STOPPING=1", statusLine(status)) }

// Status tells people how the service is, in one line.
func (n *Notifier) Status(status string) error { return n.send(statusLine(status)) }

// ExtendTimeout asks for more time to start, reload or stop, from now.
func (n *Notifier) ExtendTimeout(d time.Duration) error {
	return n.send("EXTEND_TIMEOUT_USEC=" + strconv.FormatInt(d.Microseconds(), 10))
}

// statusLine makes STATUS of any text: a line feed would begin another
// assignment, and part of the text may come from outside.
func statusLine(text string) string {
	if text == "" {
		return ""
	}
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	if len(clean) > 500 {
		clean = strings.ToValidUTF8(clean[:500], "") // a rune may have been cut
	}
	return "STATUS=" + clean
}

// send sends assignments as one datagram.
func (n *Notifier) send(lines ...string) error {
	if n == nil || n.conn == nil {
		return nil
	}
	var b strings.Builder
	for _, l := range lines {
		if l != "" {
			b.WriteString(l)
			b.WriteByte('\n')
		}
	}
	if b.Len() == 0 {
		return nil
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := n.conn.SetWriteDeadline(time.Now().Add(sendTimeout)); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	if _, err := n.conn.Write([]byte(b.String())); err != nil {
		return fmt.Errorf("service manager: %w", err)
	}
	return nil
}

// Close closes the socket. Nothing can be told afterwards, and nothing fails.
func (n *Notifier) Close() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.conn == nil {
		return nil
	}
	conn := n.conn
	n.conn = nil
	return conn.Close()
}

// Interval is how long the watchdog waits before it restarts a service that is
// silent; 0 where nobody watches.
func (n *Notifier) Interval() time.Duration { return n.watchdog }

// Watch keeps the watchdog content while the service is healthy, until ctx ends,
// and gives nil then; at once where nobody watches. healthy is asked every half
// interval, has as long to answer, and should touch what must not hang (the
// store, the queue), so that a process that lives but does not work is
// restarted. While it fails nothing is told but the reason, in the status.
func (n *Notifier) Watch(ctx context.Context, healthy func(context.Context) error) error {
	return watch(ctx, n.watchdog/2, healthy, n.send)
}

func watch(ctx context.Context, every time.Duration, healthy func(context.Context) error, send func(...string) error) error {
	if every <= 0 {
		return nil
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	ill, p := false, patient{healthy: healthy}
	for {
		err := p.ask(ctx, every)
		if ctx.Err() != nil {
			return nil
		}
		// A message that is lost is made good by the next: the manager counts.
		switch {
		case err != nil:
			ill = true
			send(statusLine("unhealthy: " + err.Error()))
		case ill:
			ill = false
			send("WATCHDOG=1", statusLine("healthy again"))
		default:
			send("WATCHDOG=1")
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// errSilent is the health of a service that does not answer.
var errSilent = errors.New("no answer in time")

// patient is whose health is asked, one question at a time.
type patient struct {
	healthy func(context.Context) error
	late    chan error // the answer that an earlier question still waits for
}

// ask asks for the health and waits no longer than limit. A question that hangs
// stays the only one; its goroutine ends when healthy honours its context, or
// with the process that the watchdog is about to end.
func (p *patient) ask(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	if p.late != nil {
		select {
		case <-p.late: // too late to count
			p.late = nil
		case <-ctx.Done():
			return errSilent
		}
	}
	answer := make(chan error, 1)
	go func() { answer <- p.healthy(ctx) }()
	select {
	case err := <-answer:
		if ctx.Err() != nil {
			return errSilent
		}
		return err
	case <-ctx.Done():
		p.late = answer
		return errSilent
	}
}
