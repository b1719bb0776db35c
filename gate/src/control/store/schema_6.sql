-- Version 6 of the store: what is personal of an entry is sealed with a key of its
-- user's own, so that a deletion can forget it in a log that never changes. Before
-- this runs, foreign keys are not enforced, and renaming leaves references as they are.

DROP TRIGGER events_are_numbered_without_gaps;
DROP TRIGGER events_are_never_changed;
DROP TRIGGER events_are_never_removed;
DROP INDEX events_by_idempotency;
DROP INDEX events_by_user;
DROP INDEX events_by_actor;
DROP INDEX events_by_action;
DROP INDEX events_by_time;
DROP INDEX events_by_batch;
DROP INDEX events_by_ticket;
DROP INDEX users_deleted;
ALTER TABLE events RENAME TO events_5;
ALTER TABLE users RENAME TO users_5;

-- A user's number is what entries name it by. Deletion takes the key away, and puts
-- a pseudonym in the place of the name.
CREATE TABLE users (
    number              INTEGER PRIMARY KEY,
    -- `tenant/id`: a tenant is a range of keys.
    key                 TEXT NOT NULL UNIQUE,
    -- 0: entries speak of the user, and nothing is known of it.
    revision            INTEGER NOT NULL,
    deleted             INTEGER NOT NULL,
    body                TEXT NOT NULL
) STRICT;
CREATE INDEX users_deleted ON users (key) WHERE deleted = 1;

-- What opens a user's entries. Rows are appended, all of one length, and overwritten
-- where they lie: none is ever moved, so that nothing of a key is left behind in a
-- page when a deletion writes zeros over it.
CREATE TABLE seals (
    number INTEGER PRIMARY KEY REFERENCES users (number),
    seal   BLOB NOT NULL CHECK (length(seal) = 32)
) STRICT;

-- Deletions since the file was last written anew: names may stand in unused parts of
-- its pages.
INSERT INTO meta VALUES ('unscrubbed', 0);

CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    tenant       TEXT,
    user         INTEGER REFERENCES users (number),
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    -- What may be read for ever.
    body         TEXT NOT NULL,
    -- All of it, under the user's key; NULL where `body` is all.
    sealed       BLOB,
    -- Both under a key of the store's own: clients choose the one, and the other is
    -- made from what may be guessed.
    idempotency  BLOB,
    request_hash BLOB,
    batch        TEXT,
    ticket       TEXT GENERATED ALWAYS AS (json_extract(body, '$.ticket')) VIRTUAL,
    CHECK ((idempotency IS NULL) = (request_hash IS NULL))
) STRICT;

-- Names of deleted users, as pseudonyms.
CREATE TABLE forgotten (
    name BLOB PRIMARY KEY CHECK (length(name) = 16),
    user INTEGER NOT NULL REFERENCES users (number)
) STRICT, WITHOUT ROWID;

-- API keys that were given to users by the admin API, by the hash of each.
CREATE TABLE api_keys (
    tenant TEXT NOT NULL,
    hash   BLOB NOT NULL CHECK (length(hash) = 32),
    user   INTEGER NOT NULL REFERENCES users (number),
    -- Taken away: it goes on meaning the user until it means another.
    former INTEGER NOT NULL,
    PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX api_keys_by_user ON api_keys (user);

-- A deletion looks for the user's sessions while everybody waits to write.
CREATE INDEX sessions_by_user ON sessions (tenant, user);
