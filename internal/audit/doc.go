// Package audit makes findings about a domain, its zone and its hosts: what a
// strict postmaster of the other side would hold against them (DESIGN §1). The
// checks are those that judge incoming mail, and the evaluators the same code.
//
// # The frame
//
// Run makes one audit: its surroundings (Config), what it is about (Target), and
// the facts that several evaluators need (facts.go), each found once, by the first
// that asks. The evaluators stand in one list (list.go) and run side by side. Each
// returns findings in all four outcomes, passes included; what could not be looked
// up is "could not verify", never a fault.
//
// Evidence is made elsewhere, by packages that know nothing of findings (spf,
// iprev, helo, authority…); here it is mapped to checks, one file a subject.
//
// # How to add a subject
//
// Write a file with a function of (ctx, *audit) that returns findings, and put a
// row into list.go. What others may want too becomes a fact in facts.go. A check
// of a new section needs its area in area.go.
//
// # Limits
//
// The whole takes no longer than Config.Timeout, and else about as long as its
// slowest answer: nothing waits that does not need the answer. At most 20 exchangers
// with 8 addresses each are looked at, with two connections to one address and port at a
// time. The audit only reads: it sends no mail and
// changes nothing.
package audit
