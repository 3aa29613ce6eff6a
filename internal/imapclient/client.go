// Package imapclient fetches mail from another server by IMAP (RFC 3501, RFC 9051): it
// logs in, lists the mailboxes and reads messages with flags and dates, and changes
// nothing there: mailboxes are opened with EXAMINE, and octets read with BODY.PEEK.
//
// What the server says is read within bounds (see Limits); one that says something else
// than IMAP ends the session with an error.
package imapclient

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"posta/internal/imap"
)

// Errors of a session.
var (
	ErrRefused   = errors.New("imapclient: the server refused the login")
	ErrNoTLS     = errors.New("imapclient: the server offers no TLS")
	ErrMechanism = errors.New("imapclient: the server takes neither LOGIN nor AUTHENTICATE PLAIN")
)

// Config says how to reach the server.
type Config struct {
	Address  string // host:port
	Implicit bool   // TLS from the first octet (993); else STARTTLS is asked for
	Plain    bool   // no TLS at all: the password goes in clear
	TLS      *tls.Config
	User     string
	Password string
	// Dial opens the connection; nil is the system's.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
}

// Timeout is how long the server may be silent.
const Timeout = 5 * time.Minute

// Client is one session. It is for one caller at a time.
type Client struct {
	conn net.Conn
	r    *reader
	tag  int
	caps map[string]bool
}

// Dial opens a session and logs in. It blocks for the network, until ctx ends.
func Dial(ctx context.Context, cfg Config) (_ *Client, err error) {
	host, _, err := net.SplitHostPort(cfg.Address)
	if err != nil {
		return nil, err
	}
	dial := cfg.Dial
	if dial == nil {
		dial = (&net.Dialer{Timeout: 30 * time.Second}).DialContext
	}
	conn, err := dial(ctx, "tcp", cfg.Address)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	c := &Client{conn: conn}
	defer func() {
		if err != nil {
			c.conn.Close()
		}
	}()
	secure := tls.Config{ServerName: host}
	if cfg.TLS != nil {
		secure = *cfg.TLS.Clone()
		if secure.ServerName == "" {
			secure.ServerName = host
		}
	}
	if cfg.Implicit {
		c.conn = tls.Client(conn, &secure)
	}
	c.fresh()
	if err := c.greeting(); err != nil {
		return nil, err
	}
	if !cfg.Implicit && !cfg.Plain {
		if err := c.startTLS(ctx, &secure); err != nil {
			return nil, err
		}
	}
	if err := c.login(cfg.User, cfg.Password); err != nil {
		return nil, err
	}
	return c, c.capability()
}

// fresh begins to read the connection anew, as after STARTTLS: what came before it in
// clear is not believed.
func (c *Client) fresh() {
	c.r = &reader{in: bufio.NewReaderSize(timed{c.conn}, 64<<10)}
}

// timed is a connection on which silence ends.
type timed struct{ net.Conn }

func (t timed) Read(p []byte) (int, error) {
	if err := t.SetReadDeadline(time.Now().Add(Timeout)); err != nil {
		return 0, err
	}
	return t.Conn.Read(p)
}

func (c *Client) greeting() error {
	resp, err := c.r.response()
	if err != nil {
		return err
	}
	if status := resp.word(1); status != "OK" {
		return fmt.Errorf("imapclient: the server greets with %s", resp)
	}
	return c.capability()
}

func (c *Client) startTLS(ctx context.Context, secure *tls.Config) error {
	if !c.caps["STARTTLS"] {
		return ErrNoTLS
	}
	if _, err := c.command("STARTTLS"); err != nil {
		return err
	}
	t := tls.Client(c.conn, secure)
	if err := t.HandshakeContext(ctx); err != nil {
		return err
	}
	c.conn = t
	c.fresh()
	return c.capability()
}

func (c *Client) capability() error {
	all, err := c.command("CAPABILITY")
	c.caps = map[string]bool{}
	for _, r := range all {
		if r.word(1) == "CAPABILITY" {
			for i := 2; i < len(r); i++ {
				c.caps[r.word(i)] = true
			}
		}
	}
	return err
}

// login authenticates. A password that is refused is ErrRefused with what the server
// said.
func (c *Client) login(user, password string) error {
	var err error
	switch {
	case c.caps["AUTH=PLAIN"]:
		err = c.plain(base64.StdEncoding.EncodeToString([]byte("\x00" + user + "\x00" + password)))
	case c.caps["LOGINDISABLED"]:
		return ErrMechanism
	default:
		b := imap.AppendString([]byte("LOGIN "), user, false)
		b = imap.AppendString(append(b, ' '), password, false)
		if strings.Contains(string(b), "}\r\n") {
			return ErrMechanism // a literal; every server of today knows PLAIN
		}
		_, err = c.command(string(b))
	}
	if _, ok := errors.AsType[*Refusal](err); ok {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// plain is AUTHENTICATE PLAIN, whose answer waits for the server's word (RFC 3501 §6.2.2).
func (c *Client) plain(answer string) error {
	tag, err := c.send("AUTHENTICATE PLAIN")
	if err != nil {
		return err
	}
	for {
		resp, err := c.r.response()
		if err != nil {
			return err
		}
		if resp.word(0) == "+" {
			if _, err := c.conn.Write([]byte(answer + "\r\n")); err != nil {
				return err
			}
			continue
		}
		if resp.word(0) == tag {
			return ended(resp)
		}
	}
}

// Refusal is what the server said in the place of OK.
type Refusal struct{ Text string }

func (r *Refusal) Error() string { return "the server said: " + r.Text }

// ended makes an error of a tagged response that is not OK.
func ended(resp response) error {
	if resp.word(1) == "OK" {
		return nil
	}
	return &Refusal{resp.String()}
}

func (c *Client) send(command string) (tag string, err error) {
	c.tag++
	tag = "A" + strconv.Itoa(c.tag)
	if err := c.conn.SetWriteDeadline(time.Now().Add(Timeout)); err != nil {
		return "", err
	}
	_, err = c.conn.Write([]byte(tag + " " + command + "\r\n"))
	return tag, err
}

// command gives a command and returns the untagged responses to it.
func (c *Client) command(command string) (all []response, err error) {
	err = c.each(command, func(r response) error {
		all = append(all, r)
		if len(all) > maxResponses {
			return errTooMuch
		}
		return nil
	})
	return all, err
}

// each gives a command and calls f with each untagged response.
func (c *Client) each(command string, f func(response) error) error {
	tag, err := c.send(command)
	if err != nil {
		return err
	}
	for {
		resp, err := c.r.response()
		switch {
		case err != nil:
			return err
		case resp.word(0) == tag:
			return ended(resp)
		case resp.word(0) == "*" && resp.word(1) == "BYE":
			return &Refusal{resp.String()}
		}
		if err := f(resp); err != nil {
			return err
		}
	}
}

// Mailbox is a mailbox of the server.
type Mailbox struct {
	Raw        string // as the server names it
	Name       string // UTF-8, levels parted by "/"
	Use        string // special use: "\\Sent"
	All        bool   // \All or \Flagged: a view of what other mailboxes hold
	Subscribed bool
}

// List lists the mailboxes that hold messages.
func (c *Client) List() ([]Mailbox, error) {
	command := `LIST "" "*"`
	extended := c.caps["LIST-EXTENDED"] || c.caps["IMAP4REV2"]
	if extended {
		command += " RETURN (SUBSCRIBED SPECIAL-USE)"
	}
	all, err := c.command(command)
	if err != nil {
		return nil, err
	}
	subscribed := map[string]bool{}
	if !extended {
		subs, err := c.command(`LSUB "" "*"`)
		if err != nil {
			return nil, err
		}
		for _, r := range subs {
			subscribed[r.text(4)] = true
		}
	}
	var out []Mailbox
	for _, r := range all {
		if m, ok := mailboxOf(r); ok {
			m.Subscribed = m.Subscribed || subscribed[m.Raw]
			out = append(out, m)
		}
	}
	return withoutPrefix(out), nil
}

// mailboxOf reads "* LIST (\Sent) "/" name".
func mailboxOf(r response) (m Mailbox, ok bool) {
	if r.word(1) != "LIST" || len(r) < 5 {
		return m, false
	}
	m.Raw = r.text(4)
	for _, a := range r[2].list {
		switch strings.ToLower(a.text) {
		case `\noselect`, `\nonexistent`:
			return m, false
		case `\subscribed`:
			m.Subscribed = true
		case `\all`, `\flagged`, `\important`:
			m.All = true
		case `\sent`, `\drafts`, `\junk`, `\trash`, `\archive`:
			m.Use = `\` + strings.ToUpper(a.text[1:2]) + strings.ToLower(a.text[2:])
		}
	}
	m.Name = nameOf(m.Raw, r.text(3))
	return m, m.Name != ""
}

// nameOf turns a server's name into ours.
func nameOf(raw, separator string) string {
	levels := []string{raw}
	if separator != "" {
		levels = strings.Split(raw, separator)
	}
	for i, l := range levels {
		if u, err := imap.DecodeUTF7(l); err == nil {
			l = u
		}
		levels[i] = strings.ReplaceAll(strings.ToValidUTF8(l, "_"), "/", "_")
	}
	if strings.EqualFold(levels[0], "INBOX") {
		levels[0] = "INBOX"
	}
	return strings.Join(levels, "/")
}

// withoutPrefix takes off what a server puts before every name: where all stand below
// INBOX (Courier, Cyrus), and Gmail's own folder.
func withoutPrefix(all []Mailbox) []Mailbox {
	below := !slices.ContainsFunc(all, func(m Mailbox) bool { return m.Name != "INBOX" && !strings.HasPrefix(m.Name, "INBOX/") })
	for i, m := range all {
		if below {
			all[i].Name = strings.TrimPrefix(m.Name, "INBOX/")
		}
		all[i].Name = strings.TrimPrefix(strings.TrimPrefix(all[i].Name, "[Gmail]/"), "[Google Mail]/")
	}
	return all
}

// Close says goodbye and ends the connection.
func (c *Client) Close() error {
	_, err := c.command("LOGOUT")
	if _, ok := errors.AsType[*Refusal](err); ok {
		err = nil // BYE is what LOGOUT is answered with
	}
	return errors.Join(err, c.conn.Close())
}
