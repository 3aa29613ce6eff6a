// Package imap is the wire format of IMAP4: the bytes of commands turned into
// typed values, and values into the bytes of responses. It knows no socket, no
// store and no clock.
//
// Standards: RFC 9051 (IMAP4rev2) and RFC 3501 (IMAP4rev1), RFC 7888 (literals),
// RFC 4731 and 5182 (SEARCH return options, $), RFC 5032 (WITHIN), RFC 5258 and
// 5819 (LIST-EXTENDED, LIST-STATUS), RFC 6154 (special use), RFC 3516 (BINARY),
// RFC 6855 (UTF8=ACCEPT), RFC 7162 (CONDSTORE, QRESYNC), RFC 8474 (OBJECTID),
// RFC 8514 (SAVEDATE), RFC 8970 (PREVIEW).
//
// # Reading
//
// A [Decoder] reads one command. It is given the command's first line, and pulls
// literals and the lines after them from a [Source]; the source decides whether
// a continuation is sent. One method reads one element of the grammar; the first
// error stays, and every later method returns a zero value, so that a command's
// grammar is written as a plain list of calls. Errors are *[Reply] values of type
// BAD whose text names the argument, save a refused literal (TOOBIG) and an unknown charset
// (BADCHARSET), which are NO as their RFCs ask.
//
// # Budgets
//
// [Limits] bounds the octets of one command with its literals, the depth of
// parentheses, the ranges of a set and the items of a list. A decoder never
// holds more than Limits.Bytes octets of foreign text, plus what they decode to.
//
// # Writing
//
// The Append functions write one element each to the end of a byte slice and
// choose between atom, quoted string and literal. Binary octets (NUL) need a
// literal8 (RFC 3516).
package imap
