
-- Sieve scripts. owner is an account, 0 the house, a negative number a domain.
CREATE TABLE script (
	owner   BIGINT NOT NULL,
	name    TEXT NOT NULL,
	text    {bytes} NOT NULL,
	size    BIGINT NOT NULL,
	active  SMALLINT NOT NULL,
	changed BIGINT NOT NULL,
	PRIMARY KEY (owner, name)
) {clustered};
