-- Quarantine -----------------------------------------------------------------

-- What is held, one row for each recipient of an accept. It goes when it is
-- released, deleted or too old; whoever deletes the row puts its blob into loose_blob.
CREATE TABLE held (
	id           {key},
	accept       {bytes} NOT NULL,
	blob         {bytes} NOT NULL,
	recipient    TEXT NOT NULL, -- lower case: what it is found by
	forward_path TEXT NOT NULL, -- as the client wrote it
	domain       TEXT NOT NULL,
	original     TEXT NOT NULL,
	notify       SMALLINT NOT NULL,
	author       TEXT NOT NULL,
	subject      TEXT NOT NULL,
	reasons      TEXT NOT NULL, -- JSON list
	review       SMALLINT NOT NULL, -- 1: it does not expire unreviewed
	skip         BIGINT NOT NULL,
	size         BIGINT NOT NULL, -- prefix + blob - skip
	at           BIGINT NOT NULL, -- and INTERNALDATE
	told         BIGINT NOT NULL,
	reviewed     BIGINT NOT NULL,
	digest       {bytes} NOT NULL, -- that told of it, empty if none did
	-- what its emails will have, as of email
	sent         BIGINT NOT NULL,
	preview      TEXT NOT NULL,
	prefix       {bytes} NOT NULL,
	envelope     {bytes} NOT NULL,
	structure    {bytes} NOT NULL,
	-- how it would leave, as of queue_group
	reverse_path TEXT NOT NULL,
	outgoing     {bytes} NOT NULL,
	envid        TEXT NOT NULL,
	options      SMALLINT NOT NULL,
	seal         TEXT NOT NULL,
	account      BIGINT NOT NULL
);
CREATE INDEX held_blob ON held (blob);
CREATE INDEX held_accept ON held (accept);
CREATE INDEX held_recipient ON held (recipient, id);
CREATE INDEX held_domain ON held (domain, at);
CREATE INDEX held_untold ON held (at) WHERE told = 0;
CREATE INDEX held_digest ON held (digest) WHERE told <> 0;

-- The digests whose links may still be used.
CREATE TABLE digest (
	token {bytes} PRIMARY KEY, -- SHA-256 of the one in the link
	name  TEXT NOT NULL,       -- address that it was sent to
	until BIGINT NOT NULL
) {clustered};
CREATE INDEX digest_until ON digest (until);

--pg CREATE SEQUENCE seq_held INCREMENT BY 64;
