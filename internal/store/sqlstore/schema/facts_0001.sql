-- Small facts that may be lost (store.Facts): in SQLite a file of its own without
-- syncs; in PostgreSQL a table beside the others. See main_0001.sql for the {words}.

CREATE TABLE fact (
	kind   SMALLINT NOT NULL,
	name   TEXT COLLATE {octets} NOT NULL,
	value  {bytes} NOT NULL,
	until  BIGINT NOT NULL,
	PRIMARY KEY (kind, name)
) {clustered};

-- What is over, and what goes first when there is too much.
CREATE INDEX fact_until ON fact (kind, until);
