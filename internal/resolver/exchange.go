package resolver

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/miekg/dns"
)

const (
	// ednsSize is the UDP payload that we announce: it passes any network without fragments.
	ednsSize = 1232
	// udpSize is what we can read of a datagram, should a server send more than we announced.
	udpSize = 4096
	// maxStray is how many datagrams that are not our reply (late or forged) are read before giving the server up.
	maxStray = 64
)

var errForeign = errors.New("reply does not fit the question")

// exchange asks one server one question: UDP, then TCP when the reply is cut, once more without EDNS for a server that
// does not know it. The reply's RCODE is 0 or 3.
func (c *Client) exchange(ctx context.Context, server netip.AddrPort, name string, t Type) (*dns.Msg, *Error) {
	select {
	case c.slots <- struct{}{}:
		defer func() { <-c.slots }()
	case <-ctx.Done():
		return nil, &Error{Kind: Timeout, Err: ctx.Err()}
	}
	m, err := c.try(ctx, server, name, t, true)
	if err == nil && m.Rcode == dns.RcodeFormatError {
		m, err = c.try(ctx, server, name, t, false)
	}
	if err != nil {
		return nil, err
	}
	switch m.Rcode {
	case dns.RcodeSuccess, dns.RcodeNameError:
		return m, nil
	case dns.RcodeServerFailure:
		return nil, &Error{Kind: ServFail, Detail: extended(m)}
	case dns.RcodeRefused:
		return nil, &Error{Kind: Refused, Detail: extended(m)}
	}
	return nil, &Error{Kind: Malformed, Detail: dns.RcodeToString[m.Rcode]}
}

// try is one question over UDP and, if need be, TCP.
func (c *Client) try(ctx context.Context, server netip.AddrPort, name string, t Type, edns bool) (*dns.Msg, *Error) {
	query, id, err := pack(name, t, edns)
	if err != nil {
		return nil, &Error{Kind: InvalidName, Err: err}
	}
	m, cut, err := c.talk(ctx, "udp", server, query, func(conn net.Conn) (*dns.Msg, bool, error) {
		return c.readUDP(conn, id, name, t)
	})
	if err != nil {
		return nil, failure(err)
	}
	if !cut {
		return m, nil
	}
	m, _, err = c.talk(ctx, "tcp", server, query, func(conn net.Conn) (*dns.Msg, bool, error) {
		m, err := readTCP(conn, id, name, t)
		return m, false, err
	})
	if err != nil {
		return nil, &Error{Kind: Truncated, Err: err}
	}
	return m, nil
}

// pack makes the query with a random id. The two octets of length that TCP wants stand in front.
func pack(name string, t Type, edns bool) (query []byte, id uint16, err error) {
	var random [2]byte
	rand.Read(random[:])
	m := dns.Msg{
		MsgHdr:   dns.MsgHdr{Id: binary.BigEndian.Uint16(random[:]), RecursionDesired: true, AuthenticatedData: true},
		Question: []dns.Question{{Name: toWire(name), Qtype: uint16(t), Qclass: dns.ClassINET}},
	}
	if edns {
		m.SetEdns0(ednsSize, false)
	}
	buf := make([]byte, 2+512)
	packed, err := m.PackBuffer(buf[2:])
	if err != nil {
		return nil, 0, err
	}
	binary.BigEndian.PutUint16(buf, uint16(len(packed)))
	return buf[:2+len(packed)], m.Id, nil
}

// talk opens a connection, sends the query and reads the reply, all within Timeout and the context.
func (c *Client) talk(ctx context.Context, network string, server netip.AddrPort, query []byte,
	read func(net.Conn) (*dns.Msg, bool, error)) (*dns.Msg, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	conn, err := c.cfg.Dial(ctx, network, server.String())
	if err != nil {
		return nil, false, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if network == "udp" {
		query = query[2:]
	}
	if _, err := conn.Write(query); err != nil {
		return nil, false, err
	}
	return read(conn)
}

// readUDP reads datagrams until one is the reply. Others are passed over (RFC 5452 §9.1), so that a forger who guesses
// wrong does not end the exchange.
func (c *Client) readUDP(conn net.Conn, id uint16, name string, t Type) (*dns.Msg, bool, error) {
	buf := c.bufs.Get().(*[udpSize]byte)
	defer c.bufs.Put(buf)
	for range maxStray {
		n, err := conn.Read(buf[:])
		if err != nil {
			return nil, false, err
		}
		b := buf[:n]
		if n < 12 || binary.BigEndian.Uint16(b) != id {
			continue
		}
		m := new(dns.Msg)
		err = m.Unpack(b)
		cut := b[2]&0x02 != 0 // TC, read by hand because a cut message may not unpack whole
		if err != nil && !cut {
			return nil, false, err
		}
		if !fits(m, name, t) && (err == nil || !cut) {
			continue
		}
		return m, cut, nil
	}
	return nil, false, errForeign
}

func readTCP(conn net.Conn, id uint16, name string, t Type) (*dns.Msg, error) {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return nil, err
	}
	b := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, b); err != nil {
		return nil, err
	}
	m := new(dns.Msg)
	if err := m.Unpack(b); err != nil {
		return nil, err
	}
	if m.Id != id || !fits(m, name, t) || m.Truncated {
		return nil, errForeign
	}
	return m, nil
}

// fits tells whether m is a reply to our question. A server may leave the question out of a plain error reply.
func fits(m *dns.Msg, name string, t Type) bool {
	if !m.Response || m.Opcode != dns.OpcodeQuery {
		return false
	}
	if len(m.Question) == 0 {
		return m.Rcode != dns.RcodeSuccess && m.Rcode != dns.RcodeNameError
	}
	q := m.Question[0]
	return len(m.Question) == 1 && q.Qtype == uint16(t) && q.Qclass == dns.ClassINET && fromWire(q.Name) == name
}

// failure sorts an error of the network or of the unpacker.
func failure(err error) *Error {
	kind := Malformed
	_, isNet := errors.AsType[net.Error](err)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.Is(err, context.DeadlineExceeded):
		kind = Timeout
	case isNet, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed):
		kind = Network
	}
	return &Error{Kind: kind, Err: err}
}

// extended gives the server's own words about an error (RFC 8914), cut to a sane length.
func extended(m *dns.Msg) string {
	opt := m.IsEdns0()
	if opt == nil {
		return ""
	}
	for _, o := range opt.Option {
		if ede, ok := o.(*dns.EDNS0_EDE); ok {
			s := ede.String()
			return s[:min(len(s), 200)]
		}
	}
	return ""
}
