package crashtest

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"time"
)

// refused is a reply or status other than the one wanted; every other error of a
// client means that the connection is gone and nobody knows what came of it.
type refused string

func (r refused) Error() string { return string(r) }

// line is a connection that speaks in lines.
type line struct {
	net.Conn
	in *bufio.Reader
}

func dial(network, addr string) (*line, error) {
	c, err := net.DialTimeout(network, addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return nil, err
	}
	return &line{c, bufio.NewReader(c)}, nil
}

func (l *line) secure() error {
	c := tls.Client(l.Conn, &tls.Config{InsecureSkipVerify: true}) // a certificate of the test's own house
	if err := c.Handshake(); err != nil {
		return err
	}
	l.Conn, l.in = c, bufio.NewReader(c)
	return nil
}

// smtpClient is a sender on one connection.
type smtpClient struct{ *line }

// dialSMTP greets with EHLO or LHLO; with login it takes TLS and logs in. What comes
// before the greeting is for a door behind a load balancer.
func dialSMTP(network, addr, verb, login string, before ...string) (*smtpClient, error) {
	l, err := dial(network, addr)
	if err != nil {
		return nil, err
	}
	c := &smtpClient{l}
	for _, text := range before {
		if _, err := io.WriteString(c, text); err != nil {
			c.Close()
			return nil, err
		}
	}
	_, err = c.reply(220)
	if err == nil {
		_, err = c.say(250, "%s client.%s", verb, domain)
	}
	if err == nil && login != "" {
		if _, err = c.say(220, "STARTTLS"); err == nil {
			err = c.secure()
		}
		if err == nil {
			_, err = c.say(250, "%s client.%s", verb, domain)
		}
		if err == nil {
			_, err = c.say(235, "AUTH PLAIN %s", base64.StdEncoding.EncodeToString([]byte("\x00"+login+"\x00"+password)))
		}
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// reply reads one reply; another code than want is refused.
func (c *smtpClient) reply(want int) (string, error) {
	for {
		text, err := c.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		text = strings.TrimRight(text, "\r\n")
		if len(text) > 3 && text[3] == '-' {
			continue
		}
		if !strings.HasPrefix(text, strconv.Itoa(want)) {
			return text, refused(text)
		}
		return text, nil
	}
}

func (c *smtpClient) say(want int, format string, a ...any) (string, error) {
	if _, err := fmt.Fprintf(c, format+"\r\n", a...); err != nil {
		return "", err
	}
	return c.reply(want)
}

// send gives one message and returns its accept id.
func (c *smtpClient) send(from, to, text string) (id string, err error) {
	if _, err := c.say(250, "MAIL FROM:<%s>", from); err != nil {
		return "", err
	}
	if _, err := c.say(250, "RCPT TO:<%s>", to); err != nil {
		return "", errors.Join(err, c.reset(err))
	}
	if _, err := c.say(354, "DATA"); err != nil {
		return "", errors.Join(err, c.reset(err))
	}
	if _, err := io.WriteString(c, text+".\r\n"); err != nil {
		return "", err
	}
	reply, err := c.reply(250)
	if err != nil {
		return "", err
	}
	_, id, _ = strings.Cut(reply, "queued as ")
	return id, nil
}

// reset goes on after a refusal.
func (c *smtpClient) reset(err error) error {
	if _, ok := errors.AsType[refused](err); !ok {
		return nil
	}
	_, err = c.say(250, "RSET")
	return err
}

// imapClient is a reader and writer of one mailbox.
type imapClient struct {
	*line
	n int
}

func dialIMAP(addr, login string) (*imapClient, error) {
	l, err := dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	c := &imapClient{line: l}
	if err = c.secure(); err == nil {
		_, err = c.in.ReadString('\n')
	}
	if err == nil {
		_, err = c.do("LOGIN %s %q", login, password)
	}
	if err == nil {
		_, err = c.do("SELECT INBOX")
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// do gives a command and returns the text behind its OK.
func (c *imapClient) do(format string, a ...any) (string, error) {
	c.n++
	tag := fmt.Sprintf("a%d ", c.n)
	if _, err := fmt.Fprintf(c, tag+format+"\r\n", a...); err != nil {
		return "", err
	}
	for {
		text, err := c.in.ReadString('\n')
		if err != nil {
			return "", err
		}
		if rest, ok := strings.CutPrefix(text, tag); ok {
			if ok, yes := strings.CutPrefix(rest, "OK "); yes {
				return ok, nil
			}
			return "", refused(rest)
		}
	}
}

// append stores a message and returns its UID.
func (c *imapClient) append(text string) (uid uint32, err error) {
	done, err := c.do("APPEND INBOX {%d+}\r\n%s", len(text), text)
	if err != nil {
		return 0, err
	}
	var validity uint32
	if _, err := fmt.Sscanf(done, "[APPENDUID %d %d]", &validity, &uid); err != nil {
		return 0, fmt.Errorf("%q: %w", done, err)
	}
	return uid, nil
}

// expunge removes one message for good.
func (c *imapClient) expunge(uid uint32) error {
	if _, err := c.do(`UID STORE %d +FLAGS.SILENT (\Deleted)`, uid); err != nil {
		return err
	}
	_, err := c.do("UID EXPUNGE %d", uid)
	return err
}
