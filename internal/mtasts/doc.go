// Package mtasts reads, fetches and remembers the MTA-STS policies of domains that
// mail is sent to.
//
// # Standards
//
// RFC 8461: the TXT record (§3.1), the policy (§3.2), how it is fetched (§3.3), how MX
// hosts are compared with it (§4.1), and how a kept policy holds while a new one
// cannot be had (§5.1).
//
// # Use
//
// [ParseRecord] and [ParsePolicy] read what domains publish, [Policy.Text] writes our
// own. A [Fetcher] gets a policy over HTTPS. A [Cache] says which policy holds for a
// domain now. The package compares and remembers; whether a host is used, and what its
// certificate must show, is the relay's.
//
// # Limits
//
// A record has at most 512 octets, a policy 64 KiB and 1,000 mx patterns. A fetch takes
// at most one minute. A domain whose policy could not be fetched is asked again after
// five minutes at the earliest.
package mtasts
