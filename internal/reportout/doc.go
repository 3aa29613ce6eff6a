// Package reportout counts what others want to be told of, and tells them once a day:
// how sessions with their hosts were protected (TLS reports, RFC 8460), and what DMARC
// made of mail in their name (aggregate reports, RFC 9990).
//
// # What is counted
//
// [Reporter.Session] and [Reporter.Judged] add to counts in memory, bounded in number, and
// never block. [Reporter.Run] writes them every few seconds to the facts of the store, by
// UTC day and domain: what a crash loses is a few seconds of statistics. Not counted are
// sessions that carry mail from the null reverse-path, messages that are reports
// themselves, and domains of our own: so no two reporters keep each other busy.
//
// # What is sent
//
// [Reporter.Work], a job of the store that one node of many does at [Reporter.Due] (after
// midnight UTC and a delay that differs between hosts), writes one report for each domain that asks for them. They
// leave through the queue, from the null reverse-path, signed like all our mail, or by an
// HTTPS POST (TLS reports). A report that was sent is noted and not sent again; its id is
// the same if it is. At most two addresses of a domain are told (RFC 9990 §4.1 leaves the
// number to us); one in another organization must agree to it, and a size limit is kept.
//
// An address that refuses for good is left alone for thirty days, and the administrator
// can suppress any address or domain ([Suppress]).
package reportout
