package sqlstore

// mailInvariants hold for mailboxes and what is in them. A mailbox with a
// negative account is being deleted: it counts no longer.
func mailInvariants() []invariant {
	return []invariant{
		{"mailbox.account", `SELECT 'mailbox ' || m.id || ' is of no account' FROM mailbox m
			LEFT JOIN ledger l ON l.account = m.account WHERE m.account > 0 AND l.account IS NULL`},
		{"mailbox.inbox", `SELECT 'account ' || l.account || ' has no INBOX' FROM ledger l
			LEFT JOIN mailbox m ON m.account = l.account AND m.name = 'INBOX' AND m.role = 1 WHERE m.id IS NULL`},
		{"mailbox.doomed", `SELECT 'mailbox ' || id || ' of account ' || account || ' is detached by half' FROM mailbox
			WHERE (account < 0) <> (doomed = 1)`},
		{"mailbox.live", mailboxCounter("live", "SUM(CASE WHEN state = 0 THEN 1 ELSE 0 END)")},
		{"mailbox.unseen", mailboxCounter("unseen", "SUM(CASE WHEN state = 0 AND (flags & 1) = 0 THEN 1 ELSE 0 END)")},
		{"mailbox.size", mailboxCounter("size", "SUM(CASE WHEN state = 0 THEN size ELSE 0 END)")},
		{"mailbox.tombs", mailboxCounter("tombs", "SUM(CASE WHEN state = 1 THEN 1 ELSE 0 END)")},
		{"mailbox.uidnext", `SELECT 'mailbox ' || p.mailbox || ' has UID ' || p.uid || ' and UIDNEXT ' || m.uidnext FROM placement p
			JOIN mailbox m ON m.id = p.mailbox WHERE p.uid >= m.uidnext OR p.uid < 1`},
		{"mailbox.modseq", `SELECT 'mailbox ' || m.id || ' has MODSEQ ' || m.highmodseq || ', its account ' || l.modseq FROM mailbox m
			JOIN ledger l ON l.account = m.account WHERE m.highmodseq > l.modseq`},
		{"mailbox.floor", `SELECT 'mailbox ' || m.id || ' has floor ' || m.floor || ' above MODSEQ ' || m.highmodseq FROM mailbox m WHERE m.floor > m.highmodseq`},
		{"placement.mailbox", `SELECT 'UID ' || p.uid || ' is in no mailbox ' || p.mailbox FROM placement p
			LEFT JOIN mailbox m ON m.id = p.mailbox WHERE m.id IS NULL`},
		{"placement.modseq", `SELECT 'UID ' || p.uid || ' of mailbox ' || m.id || ' has MODSEQ ' || p.modseq || ' above its ' || m.highmodseq FROM placement p
			JOIN mailbox m ON m.id = p.mailbox WHERE p.modseq > m.highmodseq`},
		{"placement.unique", `SELECT 'account ' || m.account || ' has MODSEQ ' || p.modseq || ' on ' || COUNT(*) || ' placements' FROM placement p
			JOIN mailbox m ON m.id = p.mailbox WHERE m.account > 0 GROUP BY m.account, p.modseq HAVING COUNT(*) > 1`},
		{"placement.email", `SELECT 'UID ' || p.uid || ' of mailbox ' || p.mailbox || ' has no email ' || p.email FROM placement p
			LEFT JOIN email e ON e.id = p.email WHERE p.state <> 1 AND e.id IS NULL`},
		{"placement.account", `SELECT 'UID ' || p.uid || ' of mailbox ' || m.id || ' is an email of account ' || e.account FROM placement p
			JOIN mailbox m ON m.id = p.mailbox JOIN email e ON e.id = p.email WHERE p.state <> 1 AND e.account <> ABS(m.account)`},
		{"placement.size", `SELECT 'UID ' || p.uid || ' of mailbox ' || p.mailbox || ' has ' || p.size || ' octets, its email ' || e.size FROM placement p
			JOIN email e ON e.id = p.email WHERE p.state <> 1 AND e.size <> p.size`},
		{"placement.tomb", `SELECT 'UID ' || p.uid || ' of mailbox ' || p.mailbox || ' is expunged at ' || p.modseq || ', the floor is ' || m.floor FROM placement p
			JOIN mailbox m ON m.id = p.mailbox WHERE p.state = 1 AND m.account > 0 AND p.modseq <= m.floor`},
		{"email.size", `SELECT 'email ' || e.id || ' has ' || e.size || ' octets, its prefix ' || LENGTH(e.prefix) || ', its blob ' || b.size || ', of which ' || e.skip || ' are skipped'
			FROM email e JOIN blob b ON b.id = e.blob WHERE e.size <> LENGTH(e.prefix) + b.size - e.skip`},
		{"email.placement", `SELECT 'email ' || e.id || ' is placed nowhere' FROM email e
			LEFT JOIN (SELECT DISTINCT email FROM placement WHERE state <> 1) p ON p.email = e.id WHERE p.email IS NULL`},
		{"email.once", `SELECT 'email ' || p.email || ' is live ' || COUNT(*) || ' times' FROM placement p
			WHERE p.state <> 1 GROUP BY p.email HAVING COUNT(*) > 1`},
		{"ledger.octets", `SELECT 'account ' || l.account || ' counts ' || l.octets || ' octets, its mailboxes have ' || COALESCE(SUM(m.size), 0) FROM ledger l
			LEFT JOIN mailbox m ON m.account = l.account GROUP BY l.account, l.octets HAVING l.octets <> COALESCE(SUM(m.size), 0)`},
		{"ledger.messages", `SELECT 'account ' || l.account || ' counts ' || l.messages || ' messages, its mailboxes have ' || COALESCE(SUM(m.live), 0) FROM ledger l
			LEFT JOIN mailbox m ON m.account = l.account GROUP BY l.account, l.messages HAVING l.messages <> COALESCE(SUM(m.live), 0)`},
		{"ledger.validity", `SELECT 'mailbox ' || m.id || ' has UIDVALIDITY ' || m.uidvalidity || ' above its account''s ' || l.validity FROM mailbox m
			JOIN ledger l ON l.account = m.account WHERE m.uidvalidity > l.validity`},
	}
}

// mailboxCounter compares a counter of mailboxes with what it counts.
func mailboxCounter(column, sum string) string {
	return `SELECT 'mailbox ' || m.id || ' counts ' || m.` + column + ` || ' ` + column + `, there are ' || COALESCE(c.n, 0) FROM mailbox m
		LEFT JOIN (SELECT mailbox, ` + sum + ` AS n FROM placement GROUP BY mailbox) c ON c.mailbox = m.id
		WHERE m.account > 0 AND m.` + column + ` <> COALESCE(c.n, 0)`
}

// queueInvariants hold for what leaves.
func queueInvariants() []invariant {
	return []invariant{
		{"queue.group", `SELECT 'queue entry ' || q.id || ' has no message' FROM queue_entry q
			LEFT JOIN queue_group g ON g.id = q.grp WHERE g.id IS NULL`},
		{"queue.waiting", `SELECT 'queue group ' || g.id || ' waits for ' || g.waiting || ' recipients, there are ' || COUNT(q.id) FROM queue_group g
			LEFT JOIN queue_entry q ON q.grp = g.id GROUP BY g.id, g.waiting HAVING g.waiting <> COUNT(q.id) OR g.waiting < 1`},
		{"queue.state", `SELECT 'queue entry ' || id || ' has state ' || state FROM queue_entry WHERE state NOT IN (0, 1)`},
		{"queue.lease", `SELECT 'queue entry ' || id || ' is leased by ' || node || ' with fence ' || fence || ' in state ' || state FROM queue_entry
			WHERE leased = 1 AND (state <> 0 OR node = '' OR fence = 0)`},
		{"job.lease", `SELECT 'job ' || id || ' is leased with fence ' || fence FROM job WHERE node <> '' AND fence = 0`},
	}
}
