package gate

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The PROXY protocol (haproxy.org, proxy-protocol.txt of 2020/03/05), sections
// 2.1 (version 1, text) and 2.2 (version 2, binary).

const (
	proxySignature = "\r\n\r\n\x00\r\nQUIT\n"
	maxProxyV1     = 107 // octets with CR LF
	maxProxyV2     = 536 // octets behind the fixed header: addresses and TLVs
)

var errProxy = errors.New("not a PROXY header")

// proxyHeader is what a proxy tells. Valid says that it names a client; a
// health check of the proxy itself (LOCAL, UNKNOWN) does not.
type proxyHeader struct {
	valid    bool
	src, dst netip.AddrPort
}

// readProxy reads one header and not an octet more: TLS may follow.
func readProxy(r io.Reader) (proxyHeader, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:12]); err != nil {
		return proxyHeader{}, err
	}
	if string(head[:12]) == proxySignature {
		return readProxyV2(r, head[:])
	}
	line := append(make([]byte, 0, maxProxyV1), head[:12]...)
	for !bytes.HasSuffix(line, []byte("\r\n")) {
		if len(line) == maxProxyV1 {
			return proxyHeader{}, errProxy
		}
		if _, err := io.ReadFull(r, head[:1]); err != nil {
			return proxyHeader{}, err
		}
		line = append(line, head[0])
	}
	return parseProxyV1(string(line[:len(line)-2]))
}

// parseProxyV1 reads "PROXY TCP4 192.0.2.1 192.0.2.2 40000 25".
func parseProxyV1(line string) (proxyHeader, error) {
	f := strings.Split(line, " ")
	if f[0] != "PROXY" || len(f) < 2 {
		return proxyHeader{}, errProxy
	}
	if f[1] == "UNKNOWN" {
		return proxyHeader{}, nil
	}
	if len(f) != 6 || f[1] != "TCP4" && f[1] != "TCP6" {
		return proxyHeader{}, errProxy
	}
	src, err1 := proxyAddr(f[2], f[4], f[1] == "TCP4")
	dst, err2 := proxyAddr(f[3], f[5], f[1] == "TCP4")
	if err := errors.Join(err1, err2); err != nil {
		return proxyHeader{}, errProxy
	}
	return proxyHeader{true, src, dst}, nil
}

func proxyAddr(ip, port string, v4 bool) (netip.AddrPort, error) {
	a, err := netip.ParseAddr(ip)
	if err != nil || a.Is4() != v4 || a.Zone() != "" {
		return netip.AddrPort{}, errProxy
	}
	p, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return netip.AddrPort{}, errProxy
	}
	return netip.AddrPortFrom(a.Unmap(), uint16(p)), nil
}

// readProxyV2 reads the binary form; its first twelve octets are in head.
func readProxyV2(r io.Reader, head []byte) (proxyHeader, error) {
	if _, err := io.ReadFull(r, head[12:16]); err != nil {
		return proxyHeader{}, err
	}
	version, cmd, family := head[12]>>4, head[12]&15, head[13]
	size := int(binary.BigEndian.Uint16(head[14:16]))
	if version != 2 || cmd > 1 || size > maxProxyV2 {
		return proxyHeader{}, errProxy
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return proxyHeader{}, err
	}
	if cmd == 0 { // LOCAL: the proxy speaks for itself
		return proxyHeader{}, nil
	}
	n := 0
	switch family {
	case 0x11: // TCP over IPv4
		n = 4
	case 0x21: // TCP over IPv6
		n = 16
	default:
		return proxyHeader{}, errProxy
	}
	if size < 2*n+4 {
		return proxyHeader{}, errProxy
	}
	src, _ := netip.AddrFromSlice(body[:n])
	dst, _ := netip.AddrFromSlice(body[n : 2*n])
	ports := body[2*n:]
	return proxyHeader{
		valid: true,
		src:   netip.AddrPortFrom(src.Unmap(), binary.BigEndian.Uint16(ports)),
		dst:   netip.AddrPortFrom(dst.Unmap(), binary.BigEndian.Uint16(ports[2:])),
	}, nil
}

// proxied reads the header of a connection that comes from one of our proxies,
// and takes the client's addresses from it. A health check keeps the proxy's own.
func (c *Conn) proxied() error {
	if !c.fromProxy() {
		return nil
	}
	c.raw.SetReadDeadline(time.Now().Add(c.gate.cfg.Handshake))
	h, err := readProxy(c.raw)
	if err == nil && h.valid {
		c.Remote, c.Local = h.src, h.dst
	}
	return err
}

func (c *Conn) fromProxy() bool {
	return slices.ContainsFunc(c.gate.cfg.ProxyFrom, func(p netip.Prefix) bool { return p.Contains(c.Remote.Addr()) })
}
