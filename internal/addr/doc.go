// Package addr reads and writes mail addresses: domains, local parts,
// mailboxes, the reverse-path and forward-path of SMTP, and the address lists
// of message headers.
//
// Standards: RFC 5321 §4.1.2–4.1.3 (paths, address literals), RFC 6531 §3.3
// (SMTPUTF8), RFC 5322 §3.4 and §4.4 (address lists with their obsolete
// forms), RFC 5890 and UTS #46 (internationalised domain names), RFC 5233
// (sub-addresses).
//
// Two manners of reading, on purpose:
//
//   - The envelope is read strictly ([ParsePath], [ParseAddress]): a control
//     character, a bare space, a doubled or trailing dot is an error with a
//     sentinel of its own, so that the reply can name what is wrong.
//   - Headers are read tolerantly ([ParseList]): what can be understood is
//     returned together with the first error.
//
// Limits: a domain has at most [MaxDomain] octets and labels of 63. RFC 5321
// §4.5.3.1.1 promises 64 octets for a local part ([MaxLocalpart]) and asks
// receivers to impose no lower limit; bounce addresses of list software are
// often longer, so the parser takes up to [HardLocalpart] and a strict door
// compares the length itself. A list has at most the number of entries that
// the caller grants.
//
// Underscores in domains are accepted because mail with them exists;
// [Domain.IsHostname] tells whether a domain is a proper host name.
package addr
