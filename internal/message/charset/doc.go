// Package charset turns text in the charsets of mail into UTF-8, and reads and
// writes the encoded words of header fields (RFC 2047, RFC 2231 §5).
//
// Reading never fails: an unknown charset is taken for UTF-8 when the bytes
// are valid UTF-8, else for windows-1252, and what cannot be decoded becomes
// U+FFFD. Writing is always UTF-8.
package charset
