// Package dmarc evaluates Domain-based Message Authentication, Reporting, and
// Conformance for one message.
//
// # Standards
//
// RFC 9989, which obsoletes RFC 7489 and RFC 9091: the policy record (§4.7), the
// DNS Tree Walk (§4.10) that replaces the Public Suffix List, policy discovery
// (§4.10.1) and Identifier Alignment (§4.10.2). pct=, rf= and ri= no longer
// exist: they are ignored and reported.
//
// # What Evaluate asks of the DNS
//
// One query when the author domain has a record and every authenticated domain
// that matters is the author domain itself. Otherwise a walk of at most eight
// queries from the author domain, and another one for each authenticated domain
// at or below the author's Organizational Domain. A domain that is not there
// cannot be aligned and is never asked about: neither a stranger's slow DNS nor
// his many signatures can delay or soften the judgement of somebody else's domain.
//
// # Where the standard leaves the choice
//
//   - Several author domains (§5.3.1): each is evaluated, and the strictest outcome
//     holds, so that adding a harmless author does not free a forged one.
//   - No author domain, or a malformed one: permerror.
//   - A record without p= means p=none (§4.7). A record whose p=, sp= or np= is not
//     a policy means p=none if it asks for reports, else permerror (§4.10.1).
//   - A temporary failure of SPF or DKIM makes a temperror only for a domain that
//     would be aligned.
//   - t=y asks for one step less than the policy says.
//
// # Limits
//
// At most 4 author domains, 64 queries, 8 KiB and 64 tags in a record, 16 URIs in
// a list. Reports (RFC 9990, RFC 9991) are made elsewhere.
package dmarc
