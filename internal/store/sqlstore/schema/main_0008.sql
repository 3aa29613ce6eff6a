
-- Sums of report_row by source and week, each day of the week apart (n0 is the first; weeks
-- begin with day 0, 7, 14… since 1970). They change in the transaction that changes the row.
CREATE TABLE report_week (
	domain  TEXT NOT NULL,
	week    BIGINT NOT NULL,
	source  {bytes} NOT NULL,
	results BIGINT NOT NULL,
	proved  SMALLINT NOT NULL,
	n0      BIGINT NOT NULL DEFAULT 0,
	n1      BIGINT NOT NULL DEFAULT 0,
	n2      BIGINT NOT NULL DEFAULT 0,
	n3      BIGINT NOT NULL DEFAULT 0,
	n4      BIGINT NOT NULL DEFAULT 0,
	n5      BIGINT NOT NULL DEFAULT 0,
	n6      BIGINT NOT NULL DEFAULT 0,
	PRIMARY KEY (domain, week, source, results, proved)
) {clustered};
