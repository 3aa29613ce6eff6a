// Package reputation is what Posta remembers of strangers: who was asked to come
// again (greylisting), how mail from somewhere fared before (standings), whom our
// own users wrote to (correspondents), and how much comes from one place just now (limits).
//
// Each is a pure function of what was known and the time; [Memory] keeps it in
// store.Facts, which all share and which may be lost. An error of the store is
// never a reason to refuse or delay a letter: the caller goes on as if nothing
// were known.
//
// # Greylisting (RFC 6647)
//
// Only where the findings are suspicious; the caller decides that. A triplet of
// client, reverse-path and recipient is put off for [Grey.Delay]; when it comes
// again within [Grey.Window], the client passes with all that it sends for that
// sender domain from then on. The client is its /24 or /64, or, when SPF passed,
// the domain that says so: a big provider that tries again from another address
// of its pool is the same client. Reverse-paths that are new for each message
// (VERP, SRS, BATV) are brought to one form.
//
// # Standings
//
// Messages are counted by the day and by fate (wanted, junk, refused) for a
// sender domain from a network, and, where SPF or DKIM proved it, for the domain
// alone. The score is between -1 and 1, recent days count more, and nobody is
// below 0 for being unknown. The counts are shown with it.
//
// # Correspondents
//
// Whom an account wrote to, is known to it and to its [Circle], a tenant or a domain
// of ours: what one writes opens no door of another.
//
// # Limits of strangers
//
// [Strangers] limits only a [Stranger], and only [AsStranger] makes one: never
// of local, authenticated or outgoing mail, nor of a null reverse-path (DSNs).
package reputation
