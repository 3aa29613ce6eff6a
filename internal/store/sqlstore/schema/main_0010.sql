-- Rules of addresses, rewriting and transports (store.Store.Rules): the form and the
-- mechanism of the access map.

CREATE TABLE rule_state (
	one     {key} CHECK (one = 1),
	changed BIGINT NOT NULL,
	floor   BIGINT NOT NULL
);
INSERT INTO rule_state (one, changed, floor) VALUES (1, 0, 0);

CREATE TABLE rule (
	name    TEXT COLLATE {octets} NOT NULL PRIMARY KEY,
	value   TEXT NOT NULL,
	note    TEXT NOT NULL,
	who     TEXT NOT NULL,
	at      BIGINT NOT NULL,
	until   BIGINT NOT NULL, -- 0: for ever
	changed BIGINT NOT NULL
) {clustered};

-- What a node takes, in order.
CREATE UNIQUE INDEX rule_changed ON rule (changed);
CREATE INDEX rule_until ON rule (until) WHERE until <> 0;
CREATE INDEX rule_gone ON rule (changed) WHERE value = '';
