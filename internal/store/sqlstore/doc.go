// Package sqlstore keeps Posta's state in an SQL database: SQLite in this
// process, or PostgreSQL for many nodes. It implements store.Store.
//
// The operations are written once, in the SQL that both engines understand: $1
// parameters, RETURNING, ON CONFLICT. What differs is behind engine: how a
// transaction begins, how commits are grouped, how a row is locked.
//
// # Shapes
//
// Times are microseconds since 1970 in BIGINT, 0 is "none". Ids that the store
// gives come from sequences and are never used again. Ids that callers bring
// (mail.ID, blob.ID) begin with their time, so every index of the main file grows
// at its right edge: the cost of an accept does not depend on how much is stored.
//
// # SQLite
//
// One goroutine owns the writing connection. It takes the operations that wait
// (at most 256, or 15 ms of work), runs them in one transaction and commits it
// with one sync; all of them are answered then. An operation that fails after it
// has written makes the group roll back and run again without it; that second run
// has savepoints. Operations therefore may run more than once and assign their
// results only from their last run. Counters (MODSEQ, UIDNEXT, quota) are kept in
// memory and written back once for each group.
//
// What finds traces by key lies in a second file without syncs: it can be rebuilt
// from the first. Small facts (store.Facts) lie in a third, which may be deleted
// while the store is closed: they are learned again.
//
// # PostgreSQL
//
// One transaction for one operation; account rows are locked in ascending order
// and hold all counters of the account together.
package sqlstore
