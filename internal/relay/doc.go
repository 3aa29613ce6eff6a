// Package relay delivers one message to one destination: it is the client side
// of SMTP. It takes a route (hosts in order), a message and up to 100
// recipients, and says for each recipient what became of it, in the words of who
// refused it. It keeps no queue and never waits to try again; that is the work
// of queue.
//
// # One attempt
//
//	host ─► address ─► connection (new, or idle from before) ─► greeting ─► EHLO
//	     ─► STARTTLS ─► EHLO ─► AUTH ─► MAIL RCPT… DATA ─► message ─► dot ─► reply
//
// Commands are pipelined where the host offers it (RFC 2920). The first
// connection that cannot be made, or a host that answers 4yz, leads to the next
// host for the recipients that it concerns, at most [MaxSessions] sessions and
// [MaxConnects] connections for one attempt. A 5yz to MAIL, RCPT or the message
// is final. When the connection ends between the dot and its reply, the outcome
// is Temporary and Unknown: the message may arrive twice (RFC 1047), never not.
//
// Where a route says so it is LMTP that is spoken (RFC 2033), over TCP or a unix socket:
// LHLO, and after the dot a reply for each recipient.
//
// # TLS
//
// A [Policy] gives the level for each host: none, opportunistic (RFC 7435: any
// certificate, and cleartext if the handshake fails), required, verified. A
// route's own level goes before it. TLS 1.2 is the least. What came in clear
// behind the reply to STARTTLS ends the connection. REQUIRETLS (RFC 8689) is
// honoured: verified TLS and a host that offers it, or 5.7.30.
//
// [DANE] and [STS] are what others publish about their hosts (RFC 7672, 8461), asked in
// this order ([InOrder]). A host that fails what is published is not used (4.7.5), and the
// message waits for one that does not. How each connection was protected is told to
// [Config].Sessions, in the words of TLS reports (RFC 8460).
//
// # Conversion
//
// To a host without 8BITMIME, text and other leaf parts with octets over 127 are
// sent as quoted-printable ([SevenBit]), before signing; where that cannot be done
// rightly (signed or opaque parts, 8-bit header fields, over 32 MiB) the message
// is refused with 5.6.3. A message that came with BODY=BINARYMIME is sent so, with
// BDAT (RFC 3030), to a host that offers CHUNKING and BINARYMIME; to others, and
// where a CR or LF stands alone, its binary parts are sent as base64
// ([WithoutBinary]). To a host without SMTPUTF8 a message that needs it is
// refused with 5.6.7 (RFC 6531 §3.6).
//
// # What is never sent
//
// A bare CR or LF, whatever the message holds (smtp.Stuffer; with BDAT the connection
// is cut instead), and no control
// characters in an address: an address with one is refused here with 5.1.3.
//
// # Limits
//
// Times are those of RFC 5321 §4.5.3.2 (see [Timeouts]). Idle connections are
// kept for 30 seconds and 100 messages; at most [Config].PerHost connections are
// open to one address. Marks of hosts that are down, and idle connections, are
// bounded in number.
package relay
