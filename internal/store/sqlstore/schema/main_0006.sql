-- When the password was set: 0 is when the account was made, for those that are older
-- than this column (no row is written anew). Messages a day: 0 is what the policy
-- says, -1 no limit.
ALTER TABLE account ADD COLUMN password_set BIGINT NOT NULL DEFAULT 0;
ALTER TABLE account ADD COLUMN messages_per_day BIGINT NOT NULL DEFAULT 0;
