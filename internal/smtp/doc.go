// Package smtp has the formats of the Simple Mail Transfer Protocol: command
// lines and their ESMTP parameters, replies and their catalogue, and the
// dot-stuffing of message data. It knows no socket, no disk and no clock; the
// server (smtpserver) and the client (relay) bring the bytes.
//
// # Standards
//
//	RFC 5321  Simple Mail Transfer Protocol
//	RFC 1870  SIZE
//	RFC 2033  LMTP (LHLO)
//	RFC 2034  enhanced status codes in replies; RFC 3463 and 5248, the codes
//	RFC 2920  PIPELINING
//	RFC 3030  CHUNKING and BINARYMIME
//	RFC 3461  DSN parameters: NOTIFY, ORCPT, RET, ENVID, xtext
//	RFC 4954  AUTH parameter of MAIL
//	RFC 6152  8BITMIME
//	RFC 6531  SMTPUTF8; RFC 6533, utf-8-addr-xtext of ORCPT
//	RFC 8689  REQUIRETLS
//	RFC 9422  LIMITS
//
// # Budgets
//
// A reply line that we write has at most 512 octets (RFC 5321 §4.5.3.1.5); a
// reply that we read has at most 100 lines of 2,048 octets. The length of a
// command line is bounded by whoever reads it, the parsers here are linear in it.
//
// # Smuggling
//
// Only CR LF "." CR LF ends message data, here as in the client: see Unstuffer
// and Stuffer.
package smtp
