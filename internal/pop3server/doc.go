// Package pop3server is the POP3 door to INBOX: RFC 1939, with CAPA (RFC 2449),
// STLS (RFC 2595), AUTH (RFC 5034), the response codes of RFC 2449 §8 and RFC 3206,
// and UTF8 (RFC 6856; messages are sent as they came in either mode).
//
// commands, in table.go, is the protocol: each verb, the states in which it may be
// given, its handler and its rule.
//
// A session sees INBOX as it was at login. UIDL is UIDVALIDITY and UID, so it stays
// for the life of a message, over restarts too. DELE only marks: QUIT removes all
// marked messages in one call and says +OK when that is durable; a session that ends
// otherwise removes nothing. Messages that were retrieved become \Seen at QUIT. There
// is no lock: several sessions on one account, and IMAP beside them, are allowed,
// and a message that another session removed is -ERR.
//
// Before TLS there is no login: USER, PASS and AUTH answer -ERR [SYS/PERM] with what
// to type instead. There is no APOP, which needs the password in clear at rest.
//
// Goroutines: one for each connection; Serve waits for all of them.
package pop3server
