package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"
)

// doorTime is how long a visit to a door may last.
const doorTime = time.Minute

// auditDoor is a server of mail that says what its section makes it say. In order it
// answers as a careful server does; the lines of the section change that:
//
//	S: 220 …           the greeting, before any C:
//	C: VRFY            how a command begins (the longest beginning counts)
//	S: 250 …           and what is answered; several lines for a reply of several
//	TLS                what follows is said under TLS only
//
// Faults: clear (no TLS), keeps (what stood behind STARTTLS is executed under TLS,
// CVE-2011-0411), implicit (TLS from the first octet), slow (2.5 s to the greeting), tls1.0 (TLS 1.0 to 1.2, with suites
// without forward secrecy), broken (no handshake succeeds), and of the certificate
// self, stranger (of an unknown authority, for another name), expired, soon (it ends in
// five days) and small (RSA with 1024 bits).
type auditDoor struct {
	host     string
	implicit bool // TLS from the first octet
	faults   map[string]bool
	greeting string
	clear    map[string]string // answers by the beginning of a command
	secure   map[string]string // those that are others under TLS
	tls      *tls.Config
	socket   string
}

// readDoor reads the section of one host, with all its addresses.
func (w *auditWorld) readDoor(words []string, text string) (err error) {
	if len(words) < 3 {
		return errors.New("a door has a host and an address")
	}
	d := &auditDoor{host: words[1], faults: map[string]bool{}, greeting: "220 " + words[1] + " ESMTP\r\n"}
	for _, word := range words[3:] {
		if !slices.Contains(doorFaults(), word) {
			return fmt.Errorf("doors have no fault %q", word)
		}
		d.faults[word] = true
	}
	_, domain, _ := strings.Cut(d.host, ".")
	d.clear, d.secure = careful(d.host, domain)
	if d.faults["clear"] {
		d.clear["EHLO"] = "250-" + d.host + "\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250-8BITMIME\r\n250 ENHANCEDSTATUSCODES\r\n"
		d.clear["STARTTLS"] = "502 5.5.1 not here\r\n"
	}
	if err := d.learn(text); err != nil {
		return err
	}
	if d.tls, err = w.doorTLS(d); err != nil {
		return err
	}
	for a := range strings.SplitSeq(words[2], ",") {
		at, err := netip.ParseAddrPort(a)
		if ip, bare := netip.ParseAddr(a); bare == nil {
			at, err = netip.AddrPortFrom(ip, 25), nil
		}
		if err != nil {
			return err
		}
		d.implicit = d.faults["implicit"]
		w.doors[at] = d
	}
	return nil
}

func doorFaults() []string {
	return []string{"clear", "keeps", "implicit", "slow", "tls1.0", "broken", "self", "stranger", "expired", "soon", "small"}
}

// careful are the answers of a server without fault.
func careful(host, domain string) (clear, secure map[string]string) {
	offers := "250-" + host + "\r\n250-PIPELINING\r\n250-SIZE 50000000\r\n250-8BITMIME\r\n250-ENHANCEDSTATUSCODES\r\n250 "
	return map[string]string{
		"EHLO": offers + "STARTTLS\r\n", "HELO": "250 " + host + "\r\n", "HELP": "214 2.0.0 RFC 5321\r\n",
		"VRFY": "252 2.1.5 send some mail\r\n", "EXPN": "502 5.5.1 not here\r\n", "STARTTLS": "220 2.0.0 go ahead\r\n",
		"MAIL": "250 2.1.0 ok\r\n", "RCPT": "554 5.7.1 relay access denied\r\n",
		"RCPT TO:<postmaster>": "250 2.1.5 ok\r\n", "RCPT TO:<postmaster@" + domain: "250 2.1.5 ok\r\n", "RCPT TO:<abuse@" + domain: "250 2.1.5 ok\r\n", "RCPT TO:<hostmaster@" + domain: "250 2.1.5 ok\r\n",
		"RCPT TO:<posta-probe-nobody": "550 5.1.1 nobody\r\n", "RSET": "250 2.0.0 ok\r\n", "NOOP": "250 2.0.0 ok\r\n", "QUIT": "221 2.0.0 bye\r\n",
	}, map[string]string{"EHLO": offers + "REQUIRETLS\r\n", "STARTTLS": "503 5.5.1 already\r\n"}
}

// learn reads the lines of the section.
func (d *auditDoor) learn(text string) error {
	answers, command, fresh := d.clear, "", true
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		said, isReply := strings.CutPrefix(line, "S: ")
		asked, isCommand := strings.CutPrefix(line, "C: ")
		switch {
		case line == "" || line[0] == ';':
		case line == "TLS":
			answers = d.secure
		case isCommand:
			command, fresh = asked, true
		case isReply && command == "":
			if fresh {
				d.greeting = ""
			}
			d.greeting, fresh = d.greeting+said+"\r\n", false
		case isReply:
			if fresh {
				answers[command] = ""
			}
			answers[command], fresh = answers[command]+said+"\r\n", false
		default:
			return fmt.Errorf("%q is not understood", line)
		}
	}
	return nil
}

// answer is what is said to a command.
func (d *auditDoor) answer(line string, secure bool) string {
	best, out := -1, "500 5.5.1 what?\r\n"
	take := func(answers map[string]string) {
		for begin, answer := range answers {
			if strings.HasPrefix(line, begin) && len(begin) >= best {
				best, out = len(begin), answer
			}
		}
	}
	take(d.clear)
	if secure {
		take(d.secure)
	}
	return out
}

// open listens; it serves under g until the context ends.
func (d *auditDoor) open(ctx context.Context, g *errgroup.Group) error {
	if d.socket != "" {
		return nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	d.socket = l.Addr().String()
	g.Go(func() error {
		<-ctx.Done()
		return l.Close()
	})
	g.Go(func() error {
		for {
			c, err := l.Accept()
			if errors.Is(err, net.ErrClosed) {
				return nil
			}
			if err != nil {
				return fmt.Errorf("door of %s: %w", d.host, err)
			}
			g.Go(func() error {
				defer context.AfterFunc(ctx, func() { c.Close() })()
				d.serve(ctx, c)
				return nil
			})
		}
	})
	return nil
}

// serve is one visit.
func (d *auditDoor) serve(ctx context.Context, c net.Conn) {
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(doorTime))
	if d.faults["slow"] {
		select {
		case <-time.After(2500 * time.Millisecond):
		case <-ctx.Done():
			return
		}
	}
	secure := d.implicit
	if secure {
		c = tls.Server(c, d.tls)
	}
	if _, err := io.WriteString(c, d.greeting); err != nil {
		return
	}
	in := bufio.NewReader(c)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		reply := d.answer(line, secure)
		if _, err := io.WriteString(c, reply); err != nil || line == "QUIT" {
			return
		}
		if line != "STARTTLS" || !strings.HasPrefix(reply, "220") {
			continue
		}
		behind, _ := in.Peek(in.Buffered())
		kept := ""
		if d.faults["keeps"] {
			kept = string(behind)
		}
		if d.faults["broken"] {
			_, _ = io.WriteString(c, "this is no handshake\r\n")
			return
		}
		t := tls.Server(c, d.tls)
		if t.HandshakeContext(ctx) != nil {
			return
		}
		c, secure = t, true
		in = bufio.NewReader(io.MultiReader(strings.NewReader(kept), c))
	}
}
