package lab

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// script is a raw peer's connection: what it sends are the bytes of the
// scenario, what it reads are lines. It knows no more of SMTP than that a reply
// ends with the line whose code has no hyphen behind it.
type script struct {
	p     *play
	conn  net.Conn
	r     *bufio.Reader
	heard []exchange // all but the reply to QUIT
	said  time.Time
	took  time.Duration // from what was said last to the last reply
}

// exchange is a reply with the pattern that it fitted.
type exchange struct{ pattern, reply string }

// dialogue plays a connection line by line.
func (p *play) dialogue(ctx context.Context, s Section) error {
	if p.peer == nil {
		return errors.New("no peer has been named")
	}
	conn, err := p.lab.connect(ctx, p.house, p.peer)
	if err != nil {
		return err
	}
	d := &script{p: p, conn: conn, r: bufio.NewReader(conn)}
	defer func() { d.conn.Close() }()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for n, line := range s.lines {
		if err := d.line(ctx, n, p.fill(line)); err != nil {
			return err
		}
	}
	d.note()
	return nil
}

// note tells of a dialogue what was refused, or, if nothing was, its last reply.
func (d *script) note() {
	refused := false
	for _, e := range d.heard {
		if e.reply[0] == '4' || e.reply[0] == '5' {
			d.p.note(short(e.pattern), short(e.reply))
			refused = true
		}
	}
	if n := len(d.heard); n > 0 && !refused {
		d.p.note(short(d.heard[n-1].pattern), short(d.heard[n-1].reply))
	}
}

var credentials = regexp.MustCompile(`\{plain ([^}]+)\}`)

// fill puts the SASL response of a user in the place of {plain USER}.
func (p *play) fill(line string) string {
	return credentials.ReplaceAllStringFunc(line, func(s string) string {
		user, password, own := strings.Cut(credentials.FindStringSubmatch(s)[1], " ")
		if !own {
			password = p.lab.password(user)
		}
		return base64.StdEncoding.EncodeToString([]byte(plain{user, password}.initial()))
	})
}

func (d *script) line(ctx context.Context, n int, line string) error {
	switch {
	case strings.HasPrefix(line, "S: "):
		return d.expect(n, line[3:])
	case strings.HasPrefix(line, "C: "):
		return d.say(line[3:] + "\r\n")
	case strings.HasPrefix(line, `C"`):
		raw, err := strconv.Unquote(line[1:])
		if err != nil {
			return fmt.Errorf("%s: %w", d.p.where(n), err)
		}
		return d.say(raw)
	case strings.HasPrefix(line, "C< "):
		text, ok := d.p.letters[line[3:]]
		if !ok {
			return fmt.Errorf("%s: no letter is called %q", d.p.where(n), line[3:])
		}
		return d.say(stuffed(text) + ".\r\n")
	case line == "TLS":
		t := tls.Client(d.conn, d.p.lab.tlsConfig())
		if err := t.HandshakeContext(ctx); err != nil {
			return &mismatch{d.p.where(n), "a handshake", err.Error()}
		}
		d.conn, d.r = t, bufio.NewReader(t)
		return nil
	case line == "DROP":
		return d.drop()
	case strings.HasPrefix(line, "SLOW "):
		return d.slow(n, line[5:])
	case line == "END":
		return d.ended(n)
	}
	return fmt.Errorf("%s: %q is not understood", d.p.where(n), line)
}

// stuffed is a text with CRLF and stuffed dots (RFC 5321 §4.5.2).
func stuffed(text string) string {
	text = crlf(text)
	if strings.HasPrefix(text, ".") {
		text = "." + text
	}
	return strings.ReplaceAll(text, "\r\n.", "\r\n..")
}

func (d *script) say(s string) error {
	if len(s) < 500 {
		fmt.Fprintf(&d.p.log, "C: %q\n", s)
	} else {
		fmt.Fprintf(&d.p.log, "C: %q… (%d octets)\n", s[:200], len(s))
	}
	d.said = time.Now()
	_, err := io.WriteString(d.conn, s)
	if err != nil && !gone(err) {
		return err
	}
	return nil // a server that has closed is met when its reply is read
}

// expect reads one reply and holds it against a pattern.
func (d *script) expect(n int, pattern string) error {
	reply, err := d.reply()
	if err != nil {
		return &mismatch{d.p.where(n), pattern, fmt.Sprintf("%s (%v)", reply, err)}
	}
	d.took = time.Since(d.said)
	fmt.Fprintf(&d.p.log, "S: %s\n", reply)
	d.p.heard(reply)
	if !match(pattern, reply) {
		return &mismatch{d.p.where(n), pattern, reply}
	}
	if !strings.HasPrefix(reply, "221") {
		d.heard = append(d.heard, exchange{pattern, reply})
	}
	return nil
}

// reply reads a reply and joins its lines with blanks.
func (d *script) reply() (string, error) {
	out := ""
	for {
		line, err := d.r.ReadString('\n')
		if err != nil {
			return out + line, err
		}
		line = strings.TrimSuffix(line, "\r\n")
		if len(line) < 3 || len(out) > 1<<16 {
			return out + line, errors.New("not a reply")
		}
		more := len(line) > 3 && line[3] == '-'
		if out == "" {
			out = line[:3] + " "
		} else {
			out += " "
		}
		if len(line) > 4 {
			out += line[4:]
		}
		if !more {
			return strings.TrimRight(out, " "), nil
		}
	}
}

// ended expects that the server has closed the connection, with nothing more to
// say.
func (d *script) ended(n int) error {
	rest, err := io.ReadAll(io.LimitReader(d.r, 1<<16))
	if len(rest) > 0 || err != nil && !gone(err) {
		return &mismatch{d.p.where(n), "the end", fmt.Sprintf("%q %v", rest, err)}
	}
	return nil
}

// slow expects that the last reply took at least so long.
func (d *script) slow(n int, text string) error {
	least, err := time.ParseDuration(text)
	if err != nil {
		return fmt.Errorf("%s: %w", d.p.where(n), err)
	}
	if d.took < least {
		return &mismatch{d.p.where(n), "a reply after " + text, "after " + d.took.String()}
	}
	return nil
}

// drop goes away as a client does whose cable was pulled: it sends no more and
// never reads what it is told. It returns when the server has noticed, so that
// what comes next in the scenario comes after that.
func (d *script) drop() error {
	c, ok := d.conn.(interface{ CloseWrite() error })
	if !ok {
		return fmt.Errorf("%T cannot be closed on one side", d.conn)
	}
	if err := c.CloseWrite(); err != nil && !gone(err) {
		return err
	}
	fmt.Fprintln(&d.p.log, "   (the client goes away)")
	if _, err := io.Copy(io.Discard, d.r); err != nil && !gone(err) {
		return err
	}
	return d.conn.Close()
}

// gone reports whether an error says that the other side closed.
func gone(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, net.ErrClosed)
}

// send hands a letter to a client that knows the protocol.
func (p *play) send(ctx context.Context, s Section) error {
	if p.peer == nil {
		return errors.New("no peer has been named")
	}
	head, text, _ := strings.Cut(s.Text, "\n\n")
	var m letter
	want, at := "250*", s.Line
	for n, l := range (Section{Text: head, Line: s.Line}).lines {
		key, v, _ := strings.Cut(l, " ")
		switch key {
		case "from":
			m.From = strings.Trim(v, "<>")
		case "to":
			m.To = append(m.To, v)
		case "S:":
			want, at = v, n
		default:
			return fmt.Errorf("%s: %q is not understood", p.where(n), l)
		}
	}
	if name, ok := strings.CutPrefix(strings.TrimSpace(text), "< "); ok {
		text = p.letters[name]
	}
	m.Data = []byte(crlf(text))
	reply, err := p.lab.post(ctx, p.house, p.peer, m)
	if err != nil {
		return err
	}
	fmt.Fprintf(&p.log, "   (%s sends from <%s> to %v)\nS: %s\n", p.peer.With, m.From, m.To, reply)
	p.heard(reply)
	if !match(want, reply) {
		return &mismatch{p.where(at), want, reply}
	}
	p.note(short(want), short(reply))
	return nil
}
