// Package resolver is the one DNS client of Posta: a stub resolver with a cache.
//
// # What it does
//
// A [Resolver] answers typed questions (A, AAAA, MX, TXT, PTR, NS, TLSA, or any type through Lookup) with a [Result]. The
// result tells three things apart that mail must never confuse: the records were [Found], the name exists without such
// records ([NoData]), the name does not exist ([NXDomain]). Everything else (a timeout, SERVFAIL, REFUSED, a malformed
// reply, a truncated one whose TCP repeat failed) is an [*Error], and its Temporary method says whether to try again. A
// failure is never reported as "missing".
//
// [Client] asks recursive servers over UDP and TCP and keeps answers in a bounded cache; equal questions in flight are
// asked once. [Static] is a literal zone for tests.
//
// # Names
//
// A name that goes in is ASCII (A-labels; IDNA is the caller's matter), in any case, with or without the trailing dot.
// Each octet between two dots is taken literally: there is no escaping, so a label may hold a space or a backslash (SPF
// macros make such names). A name has 1 to 253 octets without the trailing dot, its labels 1 to 63; "." is the root.
// Anything else is an error of kind [InvalidName], which is permanent and costs no query.
//
// A name that comes out is lower-case and without a trailing dot, save the root, which is "." (so a null MX, RFC 7505,
// has the host "."). A dot inside a label comes out as `\.`.
//
// # Standards
//
// RFC 1034, 1035 (messages, CNAME), 2181 (TTL), 2308 (negative answers by SOA), 3596 (AAAA), 5452 (random id and source
// port, question echo), 6840 §5.7 (AD in queries), 6891 (EDNS0, 1232 octets), 6698 (TLSA), 7766 (TCP), 8914 (extended
// errors, shown in error texts).
//
// # Limits
//
// An alias is followed for [MaxChain] steps. A cached answer lives from 1 second to 1 day, a negative one as its SOA says
// up to 15 minutes (5 seconds without a SOA), a failure 5 seconds. The cache is bounded in entries and in bytes; the number
// of exchanges on the wire is bounded, so a burst of questions waits instead of using up file descriptors.
//
// It does not validate DNSSEC. Authentic repeats the AD bit of the server, and only of a server that is trusted: one on a
// loopback address, or any when [Config].TrustAD says that the path to it is protected (as "options trust-ad" does in
// resolv.conf).
package resolver
