// Package queue gives what leaves to the relay and keeps the promise of a
// queue: every recipient ends as delivered, or as told to the sender, or as
// dropped where the standards want it, and each end is durable together with the
// notice that tells of it.
//
// # The way of a recipient
//
//	Ready ──claim──► leased ──route, relay──► delivered                      ──► gone
//	  ▲                │                      refused (5yz)   ──► DSN         ──► gone
//	  └──── Due ◄──────┴───── put off (4yz) ──► delay DSN once (Config.Delay)
//	                                            expired, after 5 days ──► DSN ──► gone
//
// The recipients of one message at one domain are one batch: one transaction of
// SMTP. A batch is leased while it is worked on; a node that dies loses its
// leases after a quarter of an hour and another one goes on. Before the final
// dot it is recorded that a delivery may happen, so that a repeat is seen in the
// trace: the only case in which mail is sent twice is that the remote's reply
// was lost, or that we died before recording it.
//
// # Fairness
//
// A domain has at most Config.PerDomain transactions at a time and all together
// have Config.Total. A batch that must wait for its domain keeps no place that
// another domain could use.
//
// # Retries
//
// After the pauses of Config.Retry, of which the last one repeats (usually 1, 5, 15,
// 30 minutes, 1, 2, 4 hours), each up to a tenth shorter or longer; the last at the
// moment of expiry. A greylisting host (450 or 451 4.7.1) is asked again after 45
// seconds the first time, if the first pause is not shorter.
//
// # Notices
//
// RFC 3461 and 3464: failure and delay as NOTIFY permits, success only when
// NOTIFY=SUCCESS and the next host does not know DSNs ("relayed"). Nothing is ever
// sent to the null reverse-path: what fails there is dropped, with a trace
// event, and counted. A notice is accepted in the same transaction as the
// outcome that it tells of, so it is neither lost nor sent twice.
//
// # Signing
//
// Signing is the last thing that happens to a message (DKIM, RFC 6376): over the
// bytes that are sent, after a conversion to 7 bits, with the active keys of the
// domain in the From field when it is ours. Only mail of our own senders is signed:
// a stranger's message that an alias forwards never gets our name. A signature
// is made once for a message and kept in memory for its recipients.
package queue
