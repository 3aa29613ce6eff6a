// Package scan asks other programs what they think of a message: milters, rspamd over HTTP, and ClamAV.
//
// # What it does
//
// A [Runner] has a list of members, each a [Scanner] with a name, a limit of time and what to do when it fails. [Runner.Run] asks them in
// order after the dot. Each sees the message as those before it left it: an edit of one is what the next one reads, and what the last
// one approved is what [Outcome] hands back, to be kept and sent (DESIGN §5.3). The outcome has the hardest action of all, and one
// [Result] for each member, fit for a trace and for findings. Refusal, deferral and discarding end the run.
//
// Milters can be asked in the session too: [Runner.Listen] gives a [Dialogue], whose methods follow the session's commands.
//
// # Never loss, never a hang
//
// A scanner that is down, slow, busy, or talks nonsense has no opinion. Its member says what follows: [Defer] (the client comes again)
// or [Pass] (the message goes on as it was, none of the failed scanner's edits counts). The defaults:
//
//	milter   defer   what it would have refused, or marked for others to refuse, must not slip by (sendmail's F=T, Postfix's tempfail)
//	ClamAV   defer   nobody wants the virus of the minute in which it was being restarted
//	rspamd   pass    it is one opinion beside our own judgement, which stays
//
// A message too large for a scanner is a failure of its own kind, because waiting does not make it smaller. A failure on our side, such as
// a full disk while a replaced body is kept, always defers.
//
// Each member has at most Timeout for a message and all have Total together. After three failures in a row a member rests, for 5 s, then
// twice as long each time, up to a minute: its messages are treated as failed at once, save one that tries. At most Parallel messages
// are with a member at a time; the others wait within their Timeout.
//
// # Limits
//
// rspamd's reply is read up to 1 MiB and ClamAV's up to 4 KiB; the milter's limits are those of internal/milter. Of a report at most 200
// symbols with 20 options each are kept. Texts of scanners are cut and made printable.
//
// Everything ends with the context. Nothing is left running when a method has returned.
package scan
