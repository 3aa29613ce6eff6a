// Package rules reads the rules by which an administrator says where mail for an
// address goes, how addresses are rewritten and by which way mail leaves: what other
// servers keep in aliases, virtual, virtusertable, domaintable, genericstable,
// mailertable, transport and sender_dependent_relayhost files. Bytes in, values out;
// it knows no store and looks nothing up.
//
// # Kinds
//
//	address    user@dom, user+detail@dom, user+*@dom, user++@dom, @dom  → targets
//	glob       *@dom, sales-*@dom: the first that matches, in order     → targets
//	fallback   dom or "." for all: what nothing else knows (LUSER_RELAY) → targets
//	alias-domain  dom: another domain with the same addresses            → dom
//	domain     dom: renamed in envelope and header, both ways (domaintable) → dom
//	generic    user@dom, @dom, user: our senders in mail that leaves     → address, @dom
//	masquerade dom, .dom, user@: domains of senders in mail that leaves  → dom, "dom envelope", "-"
//	transport  user@dom, dom, .dom, ".": the way of mail for others      → transport
//	sender     user@dom, @dom: the way of mail of a sender               → transport
//	account    login: the way of mail that an account submits            → transport
//
// # Targets
//
// A list parted by commas: an address, @other (the same user there), \user (that
// account, without looking at rules again), /dev/null, |NAME (a program that the
// administrator named; what smrsh is to sendmail), user@new.REDIRECT (551). Instead
// of a list: error:nouser text, error:D.S.N:code text, error:code text. In targets of
// user+*@dom and @dom, %1 is the user, %2 the detail, %3 the detail with its +.
//
// # Limits
//
// MaxTargets targets of a rule, MaxValue octets; a file has at most MaxLine octets in
// a line, continued lines together, and tells of at most MaxProblems problems.
//
// # Where we differ
//
// A mailbox file (/path) and :include: inside a value are refused with their mend: mail
// is not written beside the store, and a file that is included is read when it is
// loaded. sendmail's user+*@dom takes user+@dom too, and so do we; user++@dom does not.
package rules
