// Package lineio reads and writes the lines of text protocols (SMTP, POP3,
// IMAP, ManageSieve) over a connection, with a budget for each: a longest line,
// a time for each line as a whole, and a last moment for the connection.
//
// It is made for pipelining: what is written stays in a buffer until the reader
// has nothing left and must wait for the network; only then it is sent. A batch
// of pipelined commands is so answered in one packet, and no handler needs to
// think of flushing.
//
// It tells how many octets the peer has sent ahead (Buffered), which is how a
// door sees early talkers, commands before a reply, and cleartext behind
// STARTTLS; Upgrade throws the latter away.
package lineio
