// Package arc verifies and makes Authenticated Received Chains: what each host on
// the way of a forwarded message saw when the message came to it.
//
// # Standards
//
// RFC 8617 (ARC), with the signatures of package dkim (RFC 6376, 8301, 8463, 8616)
// and the results of package authres (RFC 8601).
//
// # Verifying
//
// A chain is verified beside the message's DKIM-Signatures, so that the body is
// hashed once and each key looked up once:
//
//	v := dkim.NewVerifier(header, opts)
//	chain := arc.NewVerifier(v)
//	v.Start(ctx)           // optional
//	v.Write(body)          // any number of times; needless unless v.NeedsBody()
//	signatures := v.Finish(ctx)
//	result := chain.Finish()
//
// The result is none, pass or fail, with every set as evidence. [Result.Attested]
// gives the results that a sealer recorded whom the caller trusts: a chain that
// passes tells who says something, never that it is true.
//
// # Judgement where the standard leaves it or is silent
//
//   - All failures are permanent (RFC 8617 §5.2.1), DNS failures too; Unverified
//     marks those, because a timeout is nobody's fault.
//   - An ARC-Message-Signature without c= is read as relaxed/relaxed, as the public
//     test suite and other implementations do. RFC 8617 gives no default of its own.
//   - One with l= is never valid.
//   - One that does not cover From can be valid, but nothing is taken for attested on
//     its word: the sealed results could stand above any letter.
//   - An ARC-Authentication-Results that cannot be read beyond its instance breaks no
//     chain; it attests nothing.
//
// # Limits
//
// 50 sets, and those of package dkim for each signature. A chain that is not well
// formed costs no look-up.
//
// # Sealing
//
// [Seal] makes the three fields of the next set. It never seals a chain that a set
// has declared failed, never uses l=, covers every DKIM-Signature, and covers no
// Authentication-Results.
package arc
