-- Refusals above the budget: one row for each network, check and hour.
CREATE TABLE refused_merged (
	id       {bytes} PRIMARY KEY, -- mail.ID; its time is that of the first of them
	network  TEXT NOT NULL,       -- CIDR
	subject  TEXT NOT NULL,       -- the check
	count    BIGINT NOT NULL,
	first_at BIGINT NOT NULL,
	last_at  BIGINT NOT NULL
) {clustered};
