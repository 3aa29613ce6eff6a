// Package quarantine keeps what policy held until somebody has looked at it (S58): it
// files mail anew when it is released, tells people in digests what waits for them,
// and lets go what is too old.
//
// # Life of held mail
//
// It is held by the accept transaction (package intake), one row for each recipient.
// It ends once: released, deleted, or expired.
//
//   - Told: once a day whatever has waited for Quarantine.Digest (3 days) and was not
//     told of is told: by a digest to the account that the recipient leads to; where it
//     leads to none, to several or elsewhere, to the postmaster of its domain, who
//     also gets a summary of what his accounts were told. Mail is marked as told in the
//     transaction that delivers its digest: no crash tells twice or not at all.
//   - Reviewed: somebody has looked at it: `posta quarantine show`, or the button "I
//     have seen these" on the page of a digest. To open that page is no review: mail
//     scanners open links.
//   - Overdue: not reviewed for Quarantine.Overdue (5 days); that is the finding
//     quarantine.overdue about us.
//   - Expired: older than the term of its domain (30 days), told of, and either
//     reviewed or held for its content (a check of the sections content, scan, spam).
//     What was held for anything else, such as a missing signature or DMARC record, is
//     never deleted unreviewed.
//
// # Release
//
// Release resolves the recipient as it is now and files with the verdict accept: into
// the inboxes of the accounts, and into the queue for addresses elsewhere, on the same
// bytes. Sieve does not see it. The end of the row is in the same transaction.
package quarantine
