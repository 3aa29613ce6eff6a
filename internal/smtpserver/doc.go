// Package smtpserver is the one engine behind every SMTP door: MX (port 25),
// submission (587, 465), LMTP, and the local socket of the sendmail command. It
// speaks the protocol and knows no policy: who may send what to whom is asked
// of a Backend.
//
// # Standards
//
//	RFC 5321  SMTP                    RFC 3461  DSN
//	RFC 1870  SIZE                    RFC 4954  AUTH (PLAIN, LOGIN; over TLS only)
//	RFC 2033  LMTP                    RFC 6152  8BITMIME
//	RFC 2034  ENHANCEDSTATUSCODES     RFC 6531  SMTPUTF8
//	RFC 2920  PIPELINING              RFC 8314  implicit TLS
//	RFC 3030  CHUNKING, BINARYMIME    RFC 8689  REQUIRETLS
//	RFC 3207  STARTTLS                RFC 9422  LIMITS
//
// and the PROXY protocol, versions 1 and 2, from listed networks. ETRN and EXPN
// are refused; VRFY answers 252 for each address alike. A source route is read
// and ignored (RFC 5321 App. C). Addresses with IP literals are refused.
//
// # The protocol as a table
//
// The verbs, the states in which they are allowed, and what they need besides,
// are the table in table.go; testdata/table.golden shows it with the reply of
// each other state. Each handler has a file of its own.
//
// # Who owns what
//
// Package gate has one goroutine for each connection; all of a Session's methods
// are called from it, one after the other. The engine never holds a whole message:
// it hands the bytes to a Sink in blocks as they come. Replies are buffered and
// sent when the engine must wait for the client (lineio), and after a message
// was accepted.
//
// # Limits
//
// Budget has what one connection may cost, Limits what all of them may. Nobody
// on a network that Trusted names is counted in the latter.
//
// # Smuggling
//
// See smtp.Unstuffer. A stranger's message with a CR or LF that stands alone is
// read to its true end, refused with 550 5.6.11, and the connection is closed
// so that nothing behind it is executed; a stranger's command that ends with LF
// alone is refused and not executed. From LocalNetwork and Authenticated
// clients both are taken, and become CR LF.
package smtpserver
