// Package dsn writes and reads delivery status notifications and the SMTP
// parameters that ask for them.
//
// Standards: RFC 3461 (NOTIFY, RET, ENVID, ORCPT, xtext), RFC 3462/6522
// (multipart/report), RFC 3463 (status codes), RFC 3464 (the machine part),
// RFC 3834 (Auto-Submitted), RFC 6533 (internationalised notifications).
//
// A notification has three parts: a text for people, in English and Spanish; the
// machine part; the original message or its header. It is sent with the null
// reverse-path, always: see [Notice].
//
// What comes from outside (diagnostics of remote hosts, ORCPT and ENVID of
// clients) cannot add fields or lines: control characters are refused when
// parameters are read and replaced when a notice is written.
//
// Limits: ENVID 100 octets, ORCPT 500 (RFC 3461 §4.2, §4.4). Of a report that is
// read, 256 KiB and 1,000 recipients.
package dsn
