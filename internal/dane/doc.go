// Package dane finds and applies TLSA records for hosts that mail is sent to.
//
// # Standards
//
// RFC 7672 (SMTP), 7671 (how the records are used), 6698 (the records). [Find] says which
// records hold for a host, [Records.Verify] whether a TLS connection satisfies them.
//
// # Trust
//
// DANE stands on DNSSEC. The resolver says what is authentic; one that does not validate,
// or that is not trusted to say so, makes every host look insecure, and then there is no
// DANE ([Insecure]). What cannot be looked up, or is bogus, is an error and never
// "no records": a host of which it is not known whether it has records is not used
// (RFC 7672 §2.1.1, §2.2).
//
// # What is usable
//
// Certificate usages 2 (DANE-TA) and 3 (DANE-EE), selectors 0 and 1, matching types 0, 1
// and 2 (RFC 7672 §3.1). Usages 0 and 1 are not. Of several digests of one kind the
// strongest counts (RFC 7671 §9). With records of which none is usable the connection
// must be encrypted, whatever the certificate (RFC 7672 §2.2).
//
// DANE-EE looks at the host's certificate or key alone: not at its name or its dates
// (RFC 7671 §5.1). DANE-TA wants a valid chain to the authority, and one of the names of
// RFC 7672 §3.2.2. An authority that is published as a bare key (2 1 0) or by digest must
// be in the chain that the host sends, as RFC 7671 §5.2.2 asks of hosts.
//
// # Limits
//
// At most 64 records of a host are looked at.
package dane
