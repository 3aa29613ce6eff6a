-- The access map (store.Access). A removed row stays for a while without a value,
-- so that every node hears of it; floor is the highest change of those that are
-- forgotten. The row of access_state is the lock of all changes.

CREATE TABLE access_state (
	one     {key} CHECK (one = 1),
	changed BIGINT NOT NULL,
	floor   BIGINT NOT NULL
);
INSERT INTO access_state (one, changed, floor) VALUES (1, 0, 0);

CREATE TABLE access (
	name    TEXT COLLATE {octets} NOT NULL PRIMARY KEY,
	value   TEXT NOT NULL,
	note    TEXT NOT NULL,
	who     TEXT NOT NULL,
	at      BIGINT NOT NULL,
	until   BIGINT NOT NULL, -- 0: for ever
	changed BIGINT NOT NULL
) {clustered};

-- What a node takes, in order.
CREATE UNIQUE INDEX access_changed ON access (changed);
CREATE INDEX access_until ON access (until) WHERE until <> 0;
CREATE INDEX access_gone ON access (changed) WHERE value = '';
