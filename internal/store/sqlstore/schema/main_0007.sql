-- What others report of our mail (store/report.go). A report is whole when all of its
-- rows are there; sums are of rows. day_sum has for each day and reporter what the rows of
-- a report sum up to, so that views by day do not read all sources.
CREATE TABLE report (
	id       {bytes} PRIMARY KEY,
	kind     SMALLINT NOT NULL,
	domain   TEXT NOT NULL,
	org      TEXT NOT NULL,
	name     TEXT NOT NULL,
	begins   BIGINT NOT NULL,
	ends     BIGINT NOT NULL,
	received BIGINT NOT NULL,
	accept   {bytes} NOT NULL,
	sender   TEXT NOT NULL,
	proved   SMALLINT NOT NULL,
	messages BIGINT NOT NULL,
	failed   BIGINT NOT NULL,
	policy   TEXT NOT NULL,
	account  TEXT NOT NULL,
	list     TEXT NOT NULL,
	whole    SMALLINT NOT NULL,
	data     {bytes} NOT NULL
);
CREATE INDEX report_domain ON report (domain, ends);
CREATE INDEX report_ends ON report (ends);

-- results: 1 DKIM, 2 SPF, 4 forwarded, 8 × disposition.
CREATE TABLE report_row (
	domain  TEXT NOT NULL,
	proved  SMALLINT NOT NULL,
	day     BIGINT NOT NULL,
	source  {bytes} NOT NULL,
	results BIGINT NOT NULL,
	report  {bytes} NOT NULL,
	n       BIGINT NOT NULL,
	PRIMARY KEY (domain, day, source, results, report)
) {clustered};
CREATE INDEX report_row_report ON report_row (report);

CREATE TABLE report_day (
	domain  TEXT NOT NULL,
	day     BIGINT NOT NULL,
	report  {bytes} NOT NULL,
	results BIGINT NOT NULL,
	proved  SMALLINT NOT NULL,
	org     TEXT NOT NULL,
	n       BIGINT NOT NULL,
	PRIMARY KEY (domain, day, report, results)
) {clustered};

CREATE TABLE report_decision (
	domain  TEXT NOT NULL,
	at      BIGINT NOT NULL,
	subject TEXT NOT NULL,
	class   TEXT NOT NULL,
	reason  TEXT NOT NULL,
	actor   TEXT NOT NULL,
	PRIMARY KEY (domain, at, subject)
) {clustered};

CREATE TABLE report_alert (
	id       TEXT PRIMARY KEY,
	domain   TEXT NOT NULL,
	kind     TEXT NOT NULL,
	subject  TEXT NOT NULL,
	page     SMALLINT NOT NULL,
	seen     TEXT NOT NULL,
	first    BIGINT NOT NULL,
	last     BIGINT NOT NULL,
	resolved BIGINT NOT NULL
) {clustered};
CREATE INDEX report_alert_resolved ON report_alert (resolved);
