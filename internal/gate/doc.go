// Package gate takes the connections of a door that speaks a protocol of lines
// (SMTP, IMAP, POP3). It does what comes before the first word and after the
// last one: accepting, the PROXY header, limits, TLS, the goroutine of each
// connection, our own panics, draining and cutting off. What is said is the
// door's affair (Door, Talk); gate knows no protocol.
//
// # The life of a connection
//
//	accepted ─► PROXY header ─► limits ─► TLS, if from the first octet ─► Talk.Run ─► Talk.End ─► flushed, closed
//	              │               │         │                              │
//	              └─ Door.Refuse ─┘         └ closed                       └ panic: logged, Talk.Fault
//
// A PROXY header (haproxy.org, versions 1 and 2) is what each connection from
// Config.ProxyFrom begins with; from elsewhere it is not looked for. Limits count
// the client that the header names.
//
// # Goroutines
//
// One for each connection, owned by Serve, which waits for all that it took.
// Shutdown interrupts those that wait for a line (lineio.Conn.Interrupt), lets the
// others come to their next one, and waits; when its context ends it closes what
// is left. A Conn's methods are for its own goroutine, save Abort.
package gate
