// Package dkim verifies and makes DomainKeys Identified Mail signatures.
//
// # Standards
//
// RFC 6376 (DKIM), RFC 8301 (rsa-sha1 is dead, RSA keys have at least 1024
// bits), RFC 8463 (ed25519-sha256), RFC 8616 (internationalized names), and the
// result words of RFC 8601 §2.7.1.
//
// # Verifying
//
// A message is verified from its exact received bytes. The header block comes
// first, so that the keys can be looked up while the body is still arriving:
//
//	v := dkim.NewVerifier(header, dkim.VerifyOptions{Lookup: lookup, Keys: cache, Now: now})
//	v.Start(ctx)          // optional: look the keys up now, side by side
//	v.Write(body)         // any number of times
//	results := v.Finish(ctx)
//
// The body is canonicalised as it streams by and is hashed once for each
// different pair of canonicalisation and length. Header fields are never copied
// or reparsed: signatures are computed from offsets into the header block.
//
// Result.Facts tells in words what was seen. The two signature fields of ARC are
// verified by the same Verifier, for package arc.
//
// # Judgement beyond the standard
//
//   - l= lets anyone append to a signed message, so a signature that carries it
//     is at best neutral.
//   - A signature from more than an hour in the future is at best policy.
//   - A failing signature whose key is marked t=y (testing) is neutral: the RFC
//     asks that it be treated as if it were not there.
//
// # Limits
//
// At most 8 signatures of a message are verified, topmost first; Ignored tells
// how many were left. A DKIM-Signature field may have 16 KiB, 64 tags and 512
// signed names; a key record 8 KiB and RSA keys 8192 bits; a header block 4,000
// fields. Beyond these a signature is a permerror, and the message still
// arrives.
//
// # Signing
//
// Sign makes relaxed/relaxed signatures, never with l=, and signs one more of
// each important name than the message has, so that none can be added.
package dkim
