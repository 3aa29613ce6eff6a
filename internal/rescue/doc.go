// Package rescue is for the day on which something is broken: it checks the whole
// state (posta store verify), makes metadata again from the bytes of the messages
// (posta store rebuild), and copies everything (posta backup create, verify,
// restore). docs/DURABILITY.md tells what each promises.
//
// # Verify
//
// Every invariant of the metadata (store.Verify) and, for each message that is
// alive, that its record is where its row says, passes all its checksums and its
// SHA-256, has the size of its row, and carries an accept record from which it
// could be rebuilt. It works beside a running server: what is deleted or moved
// meanwhile is looked up again before it is called a breach.
//
// # Rebuild
//
// Each record in the packs carries an accept record: which accounts, which
// folder, which flags, which added header. Rebuild reads all packs and files what
// no row refers to. Passwords, aliases, keys, later flags and later moves are not
// beside the bytes: accounts come back without a password, messages in the folder
// where they were first put. It may be broken off and be called again: a message
// whose row is there is passed over.
//
// Metadata that is there stays. Which of the records without a row were deleted,
// and which are missing? A record is missing if it is older than the metadata
// itself, or so young that the metadata would still know its accept, and does not.
// Options.All brings back everything.
//
// # Backup
//
// A backup is a folder: posta.db (a snapshot of the metadata), blobs/ (packs),
// posta.toml and files/ (what it names), certs/, and manifest.json, which is written
// last and has the size and SHA-256 of every file and of itself. A folder without a
// good manifest is a torn backup. The bytes are pinned while they are copied, and
// copied after the metadata: whatever a row of the snapshot refers to is in the
// copy.
//
// A backup is an embedded house (SQLite and packs), whatever it is of. The snapshot
// of PostgreSQL is written as SQLite's file, and what is fetched from a bucket is
// packed, of which the snapshot is told. So it can be restored into any of the
// four: the metadata is loaded into PostgreSQL, or the packs are put into a bucket,
// on the way back.
//
// # Limits
//
// Rebuild knows embedded metadata only.
package rescue
