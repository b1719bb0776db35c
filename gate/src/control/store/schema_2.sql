-- Version 2 of the store: sessions with more than one owner, with what is known
-- of their use, and remembered when they have ended; secrets of the gate's own.

ALTER TABLE sessions RENAME TO sessions_1;
DROP INDEX sessions_by_user;
DROP INDEX sessions_by_expiry;

CREATE TABLE sessions (
    tenant             TEXT NOT NULL,
    hash               BLOB NOT NULL CHECK (length(hash) = 32),
    user               TEXT NOT NULL,
    learnt_at_revision INTEGER NOT NULL,
    first_seen         INTEGER NOT NULL,
    last_seen          INTEGER NOT NULL,
    -- The cookie's name and scope, so that it can be taken back.
    name               TEXT NOT NULL,
    path               TEXT,
    domain             TEXT,
    -- Where the login came from.
    address            TEXT,
    agent              TEXT,
    -- NULL: it has not ended.
    ended_by           TEXT,
    -- Somebody may log in over another's session, and the app keep its id.
    PRIMARY KEY (tenant, hash, user)
) STRICT, WITHOUT ROWID;

INSERT INTO sessions
    (tenant, hash, user, learnt_at_revision, first_seen, last_seen, name, path, domain)
    SELECT tenant, hash, user, learnt_at_revision, learnt_at, learnt_at, '', path, domain
    FROM sessions_1;
DROP TABLE sessions_1;

-- Made by the gate for itself, never shown.
CREATE TABLE secrets (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Names that meant a user once: sessions may have been learnt under them, and the
-- app may still take them. They go on meaning the user until they mean another.
CREATE TABLE former_names (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    key    TEXT NOT NULL REFERENCES users (key),
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
