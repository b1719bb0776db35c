-- Tokens that belong to a user, the last use of each, and the secret that a
-- rotation left working for a while.

ALTER TABLE tokens ADD COLUMN user_tenant  TEXT;
ALTER TABLE tokens ADD COLUMN user         TEXT;
ALTER TABLE tokens ADD COLUMN last_used_at INTEGER;
ALTER TABLE tokens ADD COLUMN old_hash     BLOB;
ALTER TABLE tokens ADD COLUMN old_until    INTEGER;
