package audit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"

	"posta/internal/finding"
)

const (
	outTime  = 15 * time.Second
	outLine  = 512 // octets of a reply line (RFC 5321 §4.5.3.1.5)
	outLines = 30
)

// farEnds are exchangers of large providers that greet everybody and say in their reply
// to EHLO which address they see. They are asked for nothing else.
func farEnds() []string {
	return []string{"gmail-smtp-in.l.google.com", "mx-aol.mail.gm0.yahoodns.net"}
}

// wayOut judges whether this host reaches port 25 of others, and by which address they
// see it (CH-ID-07). It is made for our own house alone.
func wayOut(ctx context.Context, a *audit) []finding.Finding {
	if a.Self == nil {
		return nil
	}
	var facts []string
	failed := error(nil)
	for _, name := range farEnds() {
		h := findHost(ctx, a.cfg.Resolver, name)
		for _, ip := range h.addrs {
			if !ip.Is4() {
				continue
			}
			a.probed("SMTP: EHLO to " + name + ", to see whether port 25 is open")
			seen, err := a.ehlo(ctx, ip)
			if err != nil {
				failed = err
				facts = append(facts, name+" ("+ip.String()+")", err.Error())
				break
			}
			out := []finding.Finding{finding.Of(finding.OutboundBlocked, finding.Pass, a.Self.Hostname, name+" ("+ip.String()+")", "answers")}
			if seen.IsValid() && len(a.Self.IPs) > 0 {
				out = append(out, judged(finding.OutboundSource, !slices.Contains(a.Self.IPs, seen), seen.String(), "declared", addresses(a.Self.IPs), "seen by "+name, seen.String()))
			}
			return out
		}
		if h.err != nil {
			failed = h.err
		}
	}
	if failed == nil {
		failed = errors.New("no exchanger to try was found")
	}
	if len(facts) < 2*len(farEnds()) { // one alone may be away; DNS may be
		return unverified(failed, a.Self.Hostname, finding.OutboundBlocked)
	}
	return []finding.Finding{finding.Of(finding.OutboundBlocked, finding.Fail, a.Self.Hostname, facts...)}
}

// literal finds the address that a server says it sees: "at your service, [192.0.2.1]".
var literal = regexp.MustCompile(`\[(?:IPv6:)?([0-9A-Fa-f.:]+)\]`)

// ehlo greets one server and reads which address it sees; the zero Addr when it does
// not say.
func (a *audit) ehlo(ctx context.Context, ip netip.Addr) (seen netip.Addr, err error) {
	ctx, cancel := context.WithTimeout(ctx, outTime)
	defer cancel()
	conn, err := a.cfg.Dial(ctx, "tcp", netip.AddrPortFrom(ip, 25).String())
	if err != nil {
		return seen, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	r := bufio.NewReaderSize(conn, outLine)
	if _, err := readReply(r); err != nil {
		return seen, err
	}
	fmt.Fprintf(conn, "EHLO %s\r\n", a.Self.Hostname)
	text, err := readReply(r)
	if err != nil {
		return seen, err
	}
	quit(conn)
	if m := literal.FindStringSubmatch(text); m != nil {
		seen, _ = netip.ParseAddr(m[1])
	}
	return seen, nil
}

func quit(conn net.Conn) { fmt.Fprint(conn, "QUIT\r\n") }

// readReply reads one reply of an SMTP server (RFC 5321 §4.2.1); one that is not positive
// is no error here: it came through port 25.
func readReply(r *bufio.Reader) (string, error) {
	var text strings.Builder
	for range outLines {
		line, err := r.ReadSlice('\n')
		if err != nil {
			return "", err
		}
		text.Write(line)
		if len(line) < 4 || line[3] != '-' {
			return text.String(), nil
		}
	}
	return "", errors.New("the reply does not end")
}
