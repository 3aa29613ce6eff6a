-- What an alias sends on is sealed with the key of its domain (store.Enqueue.Seal).
ALTER TABLE queue_group ADD COLUMN seal TEXT NOT NULL DEFAULT '';
