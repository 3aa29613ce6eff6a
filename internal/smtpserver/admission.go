package smtpserver

import (
	"net"
	"net/netip"

	"posta/internal/mail"
	"posta/internal/ratelimit"
	"posta/internal/smtp"
)

// setAddresses takes the client's addresses from a connection; a unix socket
// has none.
func (c *conn) setAddresses(remote, local net.Addr) {
	if a, ok := remote.(*net.TCPAddr); ok {
		ap := a.AddrPort()
		c.client.IP, c.client.Port = ap.Addr().Unmap().WithZone(""), ap.Port()
	}
	if a, ok := local.(*net.TCPAddr); ok {
		ap := a.AddrPort()
		c.client.Local = netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
}

// trusted says that limits for strangers do not concern this client.
func (c *conn) trusted() bool {
	if c.known || !c.client.IP.IsValid() {
		return true
	}
	return c.srv.cfg.Trusted != nil && c.srv.cfg.Trusted(c.client.IP)
}

// admit counts the connection in its network. What was counted is given back
// by the function.
func (c *conn) admit() (leave func(), refused smtp.Reply, ok bool) {
	nothing := func() {}
	if c.trusted() {
		return nothing, smtp.Reply{}, true
	}
	s := c.srv
	if n := s.cfg.Limits.Connections; n > 0 && s.Connections() > n {
		return nil, smtp.TooManyConnections.Reply(), false
	}
	// One gauge holds both: a /24 and a /32 are different keys.
	network, host := ratelimit.Network(c.client.IP), ratelimit.Host(c.client.IP)
	if !s.networks.Enter(network, s.cfg.Limits.PerNetwork) {
		return nil, smtp.TooManyFromNetwork.Reply(), false
	}
	if !s.networks.Enter(host, s.cfg.Limits.PerHost) {
		s.networks.Leave(network)
		return nil, smtp.TooManyFromNetwork.Reply(), false
	}
	return func() {
		s.networks.Leave(host)
		s.networks.Leave(network)
	}, smtp.Reply{}, true
}

// budget is the Budget of the moment: strangers at the MX have less of it while
// the node is busy.
func (c *conn) budget() *Budget {
	s := c.srv
	if s.cfg.Load == nil || c.client.Door != mail.MX || c.client.Class >= mail.LocalNetwork ||
		s.cfg.Load() < loadTight || c.trusted() {
		return &s.calm
	}
	return &s.tight
}
