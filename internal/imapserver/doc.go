// Package imapserver is the IMAP door: IMAP4rev2 (RFC 9051) and IMAP4rev1
// (RFC 3501) over the store's mailboxes.
//
// Extensions: SASL-IR (4959), LITERAL+ (7888), ID (2971), ENABLE (5161), IDLE
// (2177), NAMESPACE (2342), UIDPLUS (4315), MOVE (6851), UNSELECT (3691), CHILDREN
// (3348), LIST-EXTENDED (5258), LIST-STATUS (5819), SPECIAL-USE and
// CREATE-SPECIAL-USE (6154), STATUS=SIZE (8438), ESEARCH (4731), SEARCHRES (5182),
// WITHIN (5032), CONDSTORE and QRESYNC (7162), BINARY (3516), UTF8=ACCEPT (6855),
// OBJECTID (8474), SAVEDATE (8514), PREVIEW (8970), APPENDLIMIT (7889).
//
// # How to read it
//
// commands, in table.go, is the protocol: each command, the states in which it
// may be given, its handler and its rule. A handler is a method of conn and one
// file. It reads its arguments with an imap.Decoder and returns nil for the plain
// OK, an *imap.Reply for another, or an error, which replyFor turns into a reply.
//
// # The selected mailbox
//
// A session keeps the UIDs that it has announced, as runs, and the value of the
// account's change counter up to which it has seen changes. After each command,
// and on a wake-up in IDLE, it asks the store for what changed since and announces
// it; EXPUNGE waits while message numbers must not move (RFC 9051 §7.5.1).
//
// No store call spans a write to the client: lists come in pages, and a message
// is copied from its blob in pieces.
//
// # Goroutines
//
// One for each connection; in IDLE a second one announces while the first waits
// for DONE, and the first waits for its end. Serve waits for all of them.
//
// # Passwords
//
// Before TLS there is no login: LOGINDISABLED is announced, and LOGIN and
// AUTHENTICATE answer NO [PRIVACYREQUIRED] with what to type instead.
//
// # Known limits
//
// No MULTIAPPEND, SORT, THREAD, ACL, QUOTA, METADATA, NOTIFY. Text searches read
// the messages. A STORE in steps may be partly done when the database fails.
package imapserver
