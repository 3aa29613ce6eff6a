// Package lab is an internet in a box: a DNS server with forward, reverse and
// blocklist zones, a certificate authority, our server for empresa.test, and an
// outside world of well-kept, badly-kept and hostile peers. All of it runs in
// this process, on loopback, without root and without a network.
//
// Mail really crosses SMTP with SPF, DKIM, DMARC and TLS. The code of our server
// has no shortcut for it: the address of the resolver, the roots of trust, the
// dialler and the clock are its ordinary configuration (package app). A peer
// comes from a documentation address (RFC 5737) by way of the PROXY protocol, on
// a listener of its own; our server reaches the outside by a dialler that knows
// which socket stands for which documentation address, and knows no other.
//
// # The parts
//
//	lab.go       Start and Close: the order of things
//	dns.go       the DNS server; world.zone is what the world publishes
//	house.go     our server, through app.Run
//	outside.go   the servers of the outside world (emersion/go-smtp)
//	peer.go      clients: raw bytes, net/smtp and go-smtp
//	audit*.go    domains, name servers and hosts that are only audited; testdata/audit
//	scenario.go  the format of scenarios; play*.go plays them
//
// The clients and servers of the world are not made of our own engines: a fault
// that both sides shared would go unseen. Signatures of the well-kept peer are
// made by internal/dkim, since the program has no second implementation; the
// tests verify with another one what our server signs, and the letter of RFC
// 8463 §A is verified as the RFC has it.
//
// # Scenarios
//
// A scenario is a text of a page, testdata/scenarios/*.txtar, read from top to
// bottom as a story; see Parse for the format. `posta lab --check` plays all of
// them, and so do the tests.
//
// # Limits
//
// The lab listens on 127.0.0.1 only. Peers have IPv4 addresses. An outside server
// remembers its last 1,000 letters, 64 MiB in all. The certificate authority is a new one at each start, also with
// --keep.
package lab
