// Package spf evaluates the Sender Policy Framework: may this IP address send mail for this domain?
//
// # What it does
//
// [Check] evaluates the MAIL FROM identity (for a null reverse-path, postmaster at the HELO name), [CheckHELO] the HELO
// identity. Both take a resolver and facts and give a [Result]: one of the seven results of RFC 7208 §2.6, the term that
// decided, the explanation of a fail, what the evaluation cost, and its [Step] list as evidence. [Parse] gives a record as a
// list of terms for those who judge the record itself, and prints it back.
//
// # Standards
//
// RFC 7208 whole: all mechanisms, modifiers and macros, record selection (§4.5), syntax before evaluation (§4.6), limits
// (§4.6.4), explanation (§6.2). RFC 8616 for internationalised domains and local parts: domains are looked up as A-labels,
// and a term that uses %{l} or %{s} with a local part outside ASCII does not match. Only TXT records; Sender ID
// ("spf2.0/…") is not SPF and is passed over.
//
// # Limits
//
// 10 terms that look something up, 2 void look-ups, 10 names of one mx (more is permerror) and of one ptr (more are passed
// over), records of at most 16 KiB, explanations of at most 1,000 octets. A void look-up is an a, mx, ptr or exists term
// whose own question found nothing; the addresses of single MX hosts do not count, as the limit speaks of terms. The time is
// the caller's to bound through the context (RFC 7208 §4.6.4: at least 20 seconds); when it ends, the result is temperror.
//
// A DNS failure is temperror, never "none". In the ptr mechanism and the p macro it is "no match", as §5.5 says.
package spf
