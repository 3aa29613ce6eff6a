// Package probe looks at one address of one mail server from outside, politely, and
// says what it saw as typed evidence. It knows nothing of findings.
//
// # What is asked
//
// SMTP (port 25, 587, 465): greeting, EHLO, HELP, VRFY, EXPN, STARTTLS with its
// certificate, the extensions before and after, which versions of TLS are accepted,
// whether commands behind STARTTLS are kept (CVE-2011-0411), whether postmaster@ and
// abuse@ are accepted from the null reverse-path and an invented name is refused, and
// whether the server relays. IMAP (143, 993) and POP3 (110, 995): greeting,
// capabilities before and after TLS, whether a password would be taken in clear.
//
// # Manners
//
// A probe says who it is (Config.Hello in EHLO) and sends no mail: a transaction ends
// with RSET before DATA. The one exception is Smuggling, which needs DATA, and which
// is for servers of one's own. A probe has one connection at a time with a pause
// between them, or as many as its Lanes let (an audit: two to one address and port), at
// most maxConnections in all, and asks nothing new after the first 421.
//
// # Budgets
//
// One connection costs at most maxOctets octets, maxLines lines and the times of
// Timeouts; what a server says beyond ends the connection with ErrBudget. A step that
// could not be made leaves its field at Unknown or with an error: silence is never a
// "no".
//
// # Standards
//
// RFC 5321 (SMTP), 3207 (STARTTLS), 2034 (enhanced codes), 8314 (implicit TLS,
// cleartext considered obsolete), 8996 (TLS 1.0 and 1.1), 9051 (IMAP), 2595 and 2449
// (POP3), 2142 (role mailboxes). Certificate problems carry the numbers that OpenSSL
// gives them (x509_vfy.h), since these are what people look up.
package probe
