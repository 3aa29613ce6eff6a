// Package message reads internet messages by offset and writes the few that
// Posta composes itself. It never re-serialises what it read: a part is a range
// of the bytes that came, so that signatures stay valid and IMAP's numbers are
// exact.
//
// Standards: RFC 5322 (header fields, with the obsolete forms), RFC 2045–2047
// and 2231 (MIME), RFC 6532 (UTF-8 headers), RFC 9051 §7.5.2 (ENVELOPE,
// BODYSTRUCTURE and the section numbers that derive from them).
//
// The way in:
//
//   - [Header] walks the fields of a header block in place; [SplitHeader] finds
//     where it ends; [Inspect] tells what is wrong with it.
//   - [ParseBytes], [Parse] and the streaming [Parser] make the tree of [Part]s
//     in one pass; [Part.Section] answers IMAP's BODY[…] with a byte range.
//   - [Open] decodes the transfer encoding of a part, [OpenText] its charset
//     too, [Preview] gives a line of text for a message list.
//   - [Envelope] and [Part] have a compact binary form for a database column.
//   - [Builder] composes; [CRLFWriter], [MissingFields] and [BccRanges] mend
//     what users submit.
//
// Limits: whatever a message contains, parsing takes time linear in its size
// and memory within [Budget]. Over budget a part becomes opaque: an
// application/octet-stream leaf over the same bytes. The message is always
// readable as a whole.
//
// Rules where standards are silent or ignored in practice:
//
//   - The header ends at the first empty line, or before the first line that is
//     neither a field nor a continuation; such a line belongs to the body. A
//     "From " line of an mbox at the very start is passed over.
//   - LF alone ends a line as CRLF does; CR alone does not.
//   - A boundary delimiter matches exactly (less trailing white space), the
//     innermost multipart first; an outer delimiter ends all inner parts.
//   - multipart ignores its Content-Transfer-Encoding; message/rfc822 with
//     base64 or quoted-printable is opaque, as is a multipart without boundary
//     or without any part.
package message
