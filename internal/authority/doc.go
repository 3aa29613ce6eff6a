// Package authority asks the servers of a zone one by one, as no resolver does:
// who is delegated to by the parent, what each of them answers, over UDP and
// TCP, on each of its addresses. It is for those who judge a zone (posta audit)
// or wait until a change has reached all of it; whoever only wants an answer asks
// package resolver.
//
// Zone finds the apex above a name and its servers: those that the parent
// delegates to, with the glue that it gives, and those that the zone itself
// lists. Ask puts one question, without recursion, to one address. A server that
// does not answer is an error, never an empty answer.
//
// Standards: RFC 1034 §4.2 (zones, delegation, glue), RFC 2181 §6 (the zone's own
// NS records rank above the parent's), RFC 6891 (EDNS0), RFC 7766 (TCP).
//
// Limits: 13 servers of a zone and 4 addresses of each are looked at; a reply is
// at most 64 KiB; each question has its timeout, and never more than MaxInFlight
// are open at a time.
package authority
