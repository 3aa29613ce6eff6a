// Package milter is the MTA's side of the mail filter protocol, version 6: it asks programs such as OpenDKIM what they think of a
// message and what they want changed.
//
// # What it does
//
// A [Client] knows where a milter listens and keeps a few idle connections to it. There are two ways to use it. [Client.Open] gives a
// [Session], whose methods tell the milter of each stage as it happens ([Session.Connect], Helo, Mail, Rcpt, Data, Message), so that
// it can refuse at MAIL or RCPT. [Client.Play] tells it the whole envelope and message in one call, after the dot.
//
// What the milter wants changed comes back as a list of [Edit]; nothing is changed here. [EditHeader] is the pure function from a
// header and its edits to the new header, and [Session.Message] writes a replaced body, in CRLF lines, to a writer of the caller's.
//
// # Standards
//
// There is no RFC. The protocol is that of sendmail's libmilter (include/libmilter/mfdef.h, 8.14 and later), with these choices where
// sendmail and Postfix differ or are silent:
//
//   - Without SMFIP_HDR_LEADSPC one space after the colon is eaten on the way out and supplied on the way in, as both do.
//   - Lines of a folded field are parted by LF on the way out (smfi docs, xxfi_header) and become CRLF on the way in.
//   - The milter sees the message as it was received: fields that we put above it are not shown and do not count in positions.
//   - SMFIR_CHGHEADER counts the fields that are left at that moment; beyond the last one it appends; an empty value deletes.
//   - The body and its end are two packets, as Postfix sends them.
//   - Rejected recipients are not told (SMFIP_RCPT_REJ is not offered).
//   - A milter that asks for what was not offered, or edits what it did not ask for, has broken the protocol: an error.
//
// # Limits
//
// A packet of the milter has at most 256 KiB, a message at most [MaxEdits] edits of together at most [MaxEditBytes] octets; the
// replaced body is bounded by [Options.MaxBody]. Every wait is bounded by one of [Timeouts], and everything by the context.
// A field longer than one packet (64 KiB) cannot be told: [ErrTooLarge].
//
// # Errors
//
// An error means that the milter's opinion is not known; the session is over. What follows is the caller's to decide.
package milter
