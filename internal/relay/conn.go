package relay

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/netip"
	"slices"
	"time"

	"posta/internal/lineio"
	"posta/internal/route"
	"posta/internal/sasl"
	"posta/internal/smtp"
)

// maxMessages is how many messages one connection carries; servers grow
// suspicious of more.
const maxMessages = 100

// conn is one SMTP connection, ready for MAIL unless dirty.
type conn struct {
	r        *Relay
	raw      net.Conn // the TCP connection: closing it cuts everything
	line     *lineio.Conn
	host     route.Host
	addr     place
	key      poolKey
	parser   smtp.ReplyParser
	ext      smtp.Extensions
	tls      string // description, "" is cleartext
	note     string // why it is cleartext though TLS was offered
	seen     weakness
	verified bool // by certificate, at level verify
	messages int  // transactions that reached their dot
	dirty    bool // a transaction was begun and not ended: RSET before the next
	reused   bool // came out of the pool, and nothing was answered since
	replies  int  // in this session
	release  func() bool
}

// target is one address to connect to.
type target struct {
	host route.Host
	addr place
}

// place is where connections lead: an address with a port, or a unix socket.
type place struct {
	netip.AddrPort
	socket string
}

// String gives "192.0.2.1:25" or "unix:/path".
func (p place) String() string {
	if p.socket != "" {
		return "unix:" + p.socket
	}
	return p.AddrPort.String()
}

// dialTo connects. A socket is of this machine, whatever the network is.
func (r *Relay) dialTo(ctx context.Context, p place) (net.Conn, error) {
	if p.socket != "" {
		var d net.Dialer
		return d.DialContext(ctx, "unix", p.socket)
	}
	return r.cfg.Dial(ctx, "tcp", p.AddrPort.String())
}

// dial connects and greets. On failure the Outcome tells what there is to tell.
func (a *attempt) dial(ctx context.Context, t target, rule Rule) (*conn, *failure) {
	key := keyOf(t, rule)
	c, out := a.begin(ctx, t, rule)
	a.observe(t, rule, c, out)
	if out != nil && out.tlsBroken && rule.Level == route.May {
		// RFC 7435 §3: better in clear than not at all, where nothing else was
		// asked for. STARTTLS cannot be undone, so a new connection is needed.
		why := out.Reply.Text
		rule.Level = route.None
		if c, out = a.begin(ctx, t, rule); c != nil {
			c.note = "sent in clear: " + why
		}
	}
	if c != nil {
		c.key = key
	}
	return c, out
}

// failure is an Outcome of a connection that did not come to be.
type failure struct {
	Outcome
	tlsBroken bool // TLS was tried and failed
	busy      bool // not tried: the address has all the connections it may have
	seen      weakness
}

func (a *attempt) begin(ctx context.Context, t target, rule Rule) (*conn, *failure) {
	r := a.r
	if !r.enter(t.addr) {
		return nil, &failure{busy: true}
	}
	a.connects++
	dctx, cancel := context.WithTimeout(ctx, r.cfg.Timeouts.Connect)
	defer cancel()
	raw, err := r.dialTo(dctx, t.addr)
	if err != nil {
		r.open.Leave(t.addr)
		return nil, &failure{Outcome: t.ours(451, "4.4.1", "No connection: "+plain(err))}
	}
	c := &conn{r: r, raw: raw, line: lineio.New(raw, nil), host: t.host, addr: t.addr}
	c.line.SetTimeouts(0, r.cfg.Timeouts.Block)
	c.hold(ctx)
	if f := c.greet(ctx, rule, a.m.RequireTLS); f != nil {
		c.drop()
		return nil, f
	}
	return c, nil
}

// enter takes one of the places of an address, an idle connection's if need be.
func (r *Relay) enter(a place) bool {
	if r.open.Enter(a, r.cfg.PerHost) {
		return true
	}
	c := r.pool.evict(a)
	if c == nil {
		return false
	}
	c.quit()
	return r.open.Enter(a, r.cfg.PerHost)
}

// hold makes the end of ctx cut the connection; drop and pool.put undo it.
func (c *conn) hold(ctx context.Context) {
	raw := c.raw
	c.release = context.AfterFunc(ctx, func() { raw.Close() })
}

// greet goes from the greeting to the state in which MAIL may be said.
func (c *conn) greet(ctx context.Context, rule Rule, requireTLS bool) *failure {
	to := &c.r.cfg.Timeouts
	if c.host.Implicit {
		if f := c.handshake(ctx, rule); f != nil {
			return f
		}
	}
	g, err := c.reply(to.Greeting)
	if err != nil {
		return c.lost(err, "waiting for the greeting")
	}
	if g.Code != 220 {
		return c.refused(g)
	}
	if f := c.hello(); f != nil {
		return f
	}
	if f := c.secure(ctx, rule); f != nil {
		return f
	}
	if c.host.Login != nil {
		if f := c.login(); f != nil {
			return f
		}
	}
	if requireTLS && !c.ext.RequireTLS && c.host.Socket == "" {
		return c.fail(550, "5.7.30", "The message requires TLS all the way (RFC 8689), which the host does not offer")
	}
	return nil
}

// hello says EHLO, or HELO to a host that does not know it; LHLO where LMTP is spoken.
func (c *conn) hello() *failure {
	c.ext = smtp.Extensions{}
	verb := "EHLO"
	if c.host.LMTP {
		verb = "LHLO"
	}
	r, err := c.command(c.r.cfg.Timeouts.Hello, verb+" "+c.r.cfg.Hostname)
	if err != nil {
		return c.lost(err, "after "+verb)
	}
	if r.OK() {
		c.ext = smtp.ParseExtensions(r)
		// With BDAT the replies to the last chunk are one for each recipient too; no
		// store that takes BINARYMIME this way is known, so it gets what all take.
		c.ext.Chunking = c.ext.Chunking && !c.host.LMTP
		return nil
	}
	if c.host.LMTP || !r.Permanent() || r.Closes() {
		return c.refused(r)
	}
	if r, err = c.command(c.r.cfg.Timeouts.Hello, "HELO "+c.r.cfg.Hostname); err != nil {
		return c.lost(err, "after HELO")
	}
	if !r.OK() {
		return c.refused(r)
	}
	return nil
}

// secure starts TLS as the rule wants it.
func (c *conn) secure(ctx context.Context, rule Rule) *failure {
	if c.tls != "" || rule.Level == route.None {
		return nil
	}
	must := rule.Level >= route.Encrypt
	if !c.ext.StartTLS {
		c.seen = weakness{NoSTARTTLS, "STARTTLS is not offered"}
		if must {
			return c.fail(451, "4.7.4", "Encryption is required here ("+cmp.Or(rule.Source, "policy")+") and the host does not offer STARTTLS")
		}
		return nil
	}
	r, err := c.command(c.r.cfg.Timeouts.Hello, "STARTTLS")
	switch {
	case err != nil:
		return c.broken(c.lost(err, "after STARTTLS"))
	case r.Code != 220 && must:
		c.seen = weakness{NoSTARTTLS, r.String()}
		return c.fail(451, "4.7.4", "Encryption is required here and STARTTLS is refused: "+bounded(r.String()))
	case r.Code != 220:
		c.seen = weakness{NoSTARTTLS, r.String()}
		if r.Closes() {
			return c.broken(c.refused(r))
		}
		return nil
	case c.line.Buffered() > 0:
		// The injection of RFC 3207 §5 seen from the client.
		return c.fail(451, "4.7.5", "The host sent cleartext behind its reply to STARTTLS")
	}
	if f := c.handshake(ctx, rule); f != nil {
		return f
	}
	return c.hello() // RFC 3207 §4.2: what was said before is forgotten
}

func (c *conn) broken(f *failure) *failure {
	f.tlsBroken = true
	return f
}

// handshake makes the connection a TLS one.
func (c *conn) handshake(ctx context.Context, rule Rule) *failure {
	t := tls.Client(c.raw, c.r.tlsConfig(c.host, rule))
	hctx, cancel := context.WithTimeout(ctx, c.r.cfg.Timeouts.TLS)
	defer cancel()
	if err := t.HandshakeContext(hctx); err != nil {
		c.seen = weaknessOf(err)
		return c.broken(c.fail(451, "4.7.5", "TLS could not be established: "+plain(err)))
	}
	if n, err := c.line.Upgrade(t); err != nil || n > 0 {
		return c.fail(451, "4.7.5", "The host sent cleartext before the TLS handshake")
	}
	c.tls = c.r.describe(t.ConnectionState(), c.host, rule)
	c.verified = rule.Level == route.Verify
	c.seen = c.r.tested(t.ConnectionState(), c.host, rule)
	return nil
}

// login authenticates to a smart host (RFC 4954). A refusal puts the mail off:
// the password here is wrong, not the message.
func (c *conn) login() *failure {
	if c.tls == "" && !c.addr.Addr().IsLoopback() {
		return c.fail(451, "4.7.11", "The host wants a login and offers no TLS to send it through")
	}
	var client sasl.Client
	switch l := c.host.Login; {
	case slices.Contains(c.ext.Auth, "PLAIN"):
		client = sasl.PlainClient(l.User, l.Password)
	case slices.Contains(c.ext.Auth, "LOGIN"):
		client = sasl.LoginClient(l.User, l.Password)
	default:
		return c.fail(451, "4.7.4", "The host offers no way to log in that we know (PLAIN, LOGIN)")
	}
	r, err := c.authenticate(client)
	switch {
	case err != nil:
		return c.lost(err, "while logging in")
	case r.OK():
		return nil
	}
	f := c.refused(r)
	f.Status = Temporary
	return f
}

func (c *conn) authenticate(client sasl.Client) (smtp.Reply, error) {
	mechanism, initial := client.Start()
	line := []byte("AUTH " + mechanism)
	if initial != nil {
		line = append(line, ' ')
		if len(initial) == 0 {
			line = append(line, '=')
		}
		line = sasl.AppendEncoded(line, initial)
	}
	for range 10 { // no mechanism has more rounds
		r, err := c.command(c.r.cfg.Timeouts.Hello, string(line))
		if err != nil || r.Code != 334 {
			return r, err
		}
		challenge, err := sasl.Decode([]byte(r.Text))
		if err != nil {
			return r, err
		}
		answer, err := client.Next(challenge)
		if err != nil {
			line = []byte("*") // RFC 4954 §4: cancelled
			continue
		}
		line = sasl.AppendEncoded(nil, answer)
	}
	return smtp.Reply{}, sasl.ErrSyntax
}

// command sends one line and reads its reply.
func (c *conn) command(wait time.Duration, line string) (smtp.Reply, error) {
	c.line.WriteString(line)
	c.line.WriteString("\r\n")
	return c.reply(wait)
}

// reply reads one whole reply; what was written is sent first.
func (c *conn) reply(wait time.Duration) (smtp.Reply, error) {
	c.line.SetLast(time.Now().Add(wait))
	for {
		line, err := c.line.ReadLine(smtp.MaxReplyLineSize)
		if errors.Is(err, lineio.ErrTooLong) {
			err = smtp.ErrReplyTooLong
		}
		if err != nil {
			return smtp.Reply{}, err
		}
		r, done, err := c.parser.Line(line)
		if err != nil || done {
			c.replies++
			return r, err
		}
	}
}

// reset ends a transaction that was begun; false if the connection is no use any
// more. Nobody waits long for it.
func (c *conn) reset() bool {
	if !c.dirty {
		return true
	}
	r, err := c.command(min(c.r.cfg.Timeouts.Hello, 10*time.Second), "RSET")
	c.dirty = false
	return err == nil && r.OK()
}

// drop closes the connection without a word.
func (c *conn) drop() {
	c.release()
	c.raw.Close()
	c.r.open.Leave(c.addr)
}

// quit says goodbye, then closes (RFC 5321 §4.1.1.10).
func (c *conn) quit() {
	c.line.SetTimeouts(0, c.r.cfg.Timeouts.Quit)
	c.command(c.r.cfg.Timeouts.Quit, "QUIT")
	c.drop()
}
