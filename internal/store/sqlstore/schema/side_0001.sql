-- What finds traces: in SQLite a file of its own without syncs, rebuilt from
-- accepted when it is lost; in PostgreSQL tables beside the others. See
-- main_0001.sql for the {words}.

CREATE TABLE refused (
	id    {bytes} PRIMARY KEY, -- mail.ID
	terms TEXT NOT NULL,
	body  {bytes} NOT NULL
) {clustered};

-- In parts of some thousand records: what is written together lies together, so
-- that a row costs the same however many there are, and a day is forgotten
-- in one stretch.
CREATE TABLE trace_key (
	part   BIGINT NOT NULL, -- days since 1970 (UTC) of the id, and the second at which the part began
	term   TEXT COLLATE {octets} NOT NULL, -- an address as domain@local
	accept {bytes} NOT NULL, -- id in accepted or refused
	PRIMARY KEY (part, term, accept)
) {clustered};

-- How far accepted has been projected: one row, name 'accepted'.
CREATE TABLE trace_progress (
	name   TEXT PRIMARY KEY,
	accept {bytes} NOT NULL
) {clustered};
