-- A job may need a message's bytes: it refers to their blob.
--sqlite ALTER TABLE job ADD COLUMN blob BLOB NOT NULL DEFAULT x'';
--pg ALTER TABLE job ADD COLUMN blob BYTEA NOT NULL DEFAULT '';
CREATE INDEX job_blob ON job (blob);
