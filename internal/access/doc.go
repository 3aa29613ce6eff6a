// Package access is sendmail's access map: what the administrator says about
// clients, senders and recipients, in one file that a person writes.
//
//	# keys                       values
//	Connect:192.0.2              REJECT
//	Connect:IPv6:2001:db8:1      ERROR:5.7.1:550 Not from here
//	From:good@another.example    OK
//	From:another.example         REJECT
//	To:friend.example            RELAY
//	Spam:abuse@                  FRIEND
//
// A [Map] is an immutable snapshot. Every look-up is a pure function of the
// snapshot and the [Facts] of a session; a change makes a new snapshot that
// shares nearly all of the old one, and [Live] swaps it in. Nothing here blocks
// or looks anything up elsewhere.
//
// # Keys
//
// A key is a tag and a name. Tags are Connect:, From:, To:, Spam:, TLS_Srv:,
// TLS_Clt:, CERTISSUER: and CERTSUBJECT:; a key without a tag answers for
// Connect:, From: and To: wherever no tagged key did. Names are
//
//	example.org                   the domain and all below it
//	.example.org                  what is below it only (FEATURE lookupdotdomain)
//	user@                         the local part at any of our domains, as a sender at any domain
//	user@example.org              one address; user+*@ any detail, user@ also user+detail
//	192.168.212  128.32  1.2.3.4  a network by its octets, an address
//	IPv6:2001:db8:1               the same by groups of 16 bits; IPv6: may be left out
//	192.0.2.0/25  2001:db8::/33   a network by its length (sendmail has not got this)
//	[192.0.2.3]  [192.0.2]        a client without a verified name; a domain literal
//
// Of networks the longest answers, of domains too; at equal length the tagged
// key goes first. Letters of either case are the same.
//
// # Values
//
//	OK                    other rules (DNSBL, unresolvable sender domain) do not refuse
//	RELAY                 OK, and mail to or from there may leave again
//	REJECT                refused, with sendmail's text for the ruleset
//	DISCARD               From: the message, To: this recipient is accepted and dropped
//	SKIP                  ends this search as if nothing were there (hosts and networks)
//	QUARANTINE:text       held, for this reason
//	ERROR:D.S.N:code text, ERROR:code text, code text
//	                      refused with exactly this reply; without D.S.N it is 4.0.0 or 5.0.0
//	FRIEND, HATER         Spam: only; see [Delay]. To: takes the older SPAMFRIEND, SPAMHATER
//	VERIFY:bits, ENCR:bits, with PERM+ or TEMP+ before and +CN:… after
//	                      TLS_Srv: and TLS_Clt: only
//	SUBJECT               CERTISSUER: only: ask CERTSUBJECT: too
//
// # Order
//
// As sendmail's cf/m4/proto.m4 (8.18) has it; [Map.Explain] shows each key in
// the order in which it is asked.
//
// # Differences
//
// DISCARD of a recipient drops that recipient only, not the message. CIDR and
// .example.org are always understood, and both the older To: SPAMFRIEND and the
// newer Spam: FRIEND. A line that could never match, or whose codes contradict each
// other, is an error with its mend. ClientRate:, ClientConn:, GreetPause:,
// Srv_Features:, Try_TLS:, TLS_Rcpt:, AuthInfo: and Compat: are not kept here. CERTISSUER:,
// CERTSUBJECT: and requirements of TLS_Srv: and TLS_Clt: are read, and refused when they are
// put into the map, since nobody asks them (Unasked).
package access
