-- What finds traces: in SQLite a file of its own without syncs, rebuilt from
-- accepted when it is lost; in PostgreSQL tables beside the others. See
-- main_0001.sql for the {words}.

CREATE TABLE refused (
	id    {bytes} PRIMARY KEY, -- mail.ID
	terms TEXT NOT NULL,
	body  {bytes} NOT NULL
) {clustered};

-- Parted by days: what is written together lies together, and a day is forgotten
-- in one stretch.
CREATE TABLE trace_key (
	day    BIGINT NOT NULL, -- days since 1970 (UTC) of the id
	term   TEXT COLLATE {octets} NOT NULL, -- an address as domain@local
	accept {bytes} NOT NULL, -- id in accepted or refused
	PRIMARY KEY (day, term, accept)
) {clustered};

-- How far accepted has been projected: one row, name 'accepted'.
CREATE TABLE trace_progress (
	name   TEXT PRIMARY KEY,
	accept {bytes} NOT NULL
) {clustered};
