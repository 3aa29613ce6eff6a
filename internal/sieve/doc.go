// Package sieve is the filter language of RFC 5228 with its extensions: scripts are
// compiled once, and run as a pure function of a message, its envelope and a snapshot
// of what the script may ask for, to actions. It opens nothing, sends nothing and
// knows no clock: what an action does is the caller's (DESIGN §2.4).
//
// # The way in
//
// Compile checks a script against one table (table.go) and tells up to twenty errors
// with their places; Script.Run takes a Message and an Env and gives a Result. A
// Script does not change, and many may run it at once. Format prints a script in one
// plain form; ParseMailto reads what a notification is sent to.
//
// # Standards
//
// RFC 5228 whole, and these capabilities: body (5173), comparator-i;ascii-numeric
// (4790), comparator-i;unicode-casemap (5051), copy (3894), date and index (5260), duplicate (7352), editheader (5293), encoded-character,
// enotify with mailto (5435, 5436), envelope, environment (5183), ereject and reject
// (5429), extlists (6134), fcc (8580), fileinto, ihave (5463), imap4flags (5232),
// imapsieve (6785), include (6609), mailbox, mboxmetadata and servermetadata (5490),
// mailboxid (9042), regex (draft-ietf-sieve-regex-01), relational (5231), spamtest,
// spamtestplus and virustest (5235), special-use (8579), subaddress (5233), vacation
// (5230), vacation-seconds (6131), variables (5229), and vnd.posta.filter, our own.
//
// # Where the standards leave a choice
//
//   - An error of the run ends it; the actions that were taken hold, save refusals, and
//     the message is kept. Only ErrTryLater undoes them all: the run is repeated.
//   - A message goes to one mailbox once; the flags are those of the last action.
//   - A redirect to an address of the owner's is a keep, as it would come back.
//   - reject goes with discard and notify, and with nothing that delivers or answers.
//   - envelope knows "from", "to" and "auth". The detail of an address stands behind "+".
//   - :upper and :lower change the letters of all alphabets; a variable's value and a
//     text with variables in it are cut where they exceed their limits.
//   - "body :text" reads the text parts, HTML without its markup.
//   - With ihave in a script, what is wrong with a command ends the run when it is
//     reached, not the compilation.
//   - Regular expressions are POSIX extended ones without back-references and collating
//     elements; "^" and "$" are the ends of the value.
//
// # Limits
//
// They stand in Limits with their defaults. A run counts its steps, its actions and the
// octets that it looks at, so that no script costs more than two seconds of one
// processor and a few tens of MiB, whatever the message; a script of 50 rules on a
// message of 12 KiB costs about 20 µs. Of a header 256 KiB and 1,000 fields are seen.
package sieve
