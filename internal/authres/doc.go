// Package authres writes and reads the Authentication-Results header field.
//
// # Standards
//
// RFC 8601, with the signature prefixes of RFC 6008 and the properties of
// RFC 8617 (ARC) and RFC 9989 (DMARC).
//
// # Writing
//
// A Header becomes a folded field, whose lines stay within 78 columns where a
// value allows it. Whatever is put into values, comments and reasons comes out as
// text of one field: control characters and invalid UTF-8 become "?", and the
// rest is quoted as needed. Non-ASCII text is written as it is: only an
// internationalized message has any.
//
// # Reading
//
// Parse reads what the field says, forgiving values that ought to have been
// quoted. Claims answers the one question of a border server: is this field from
// outside to be removed, since it bears our name (RFC 8601 §5)? It must not be
// fooled by the syntax, so it does not depend on the whole field being valid.
//
// # Limits
//
// A field may have 16 KiB, 64 results, 32 properties for each, and 512 octets in
// one value or comment. Comments other than the first one behind a result are
// skipped, nested ones to a depth of 16.
package authres
