-- Version 1 of the store; never changed once it has been released.
--
-- `events` is the ledger: the truth, never changed. `users`, `holds` and `names`
-- are its fold, written in the same transaction, and `meta.cursor` says how far.
-- `sessions` and `tokens` are known to this gate alone.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta VALUES ('cursor', 0), ('settled', 0);

CREATE TABLE events (
    seq          INTEGER PRIMARY KEY,
    at           INTEGER NOT NULL,
    tenant       TEXT,
    user         TEXT,
    actor        TEXT NOT NULL,
    action       TEXT NOT NULL,
    body         TEXT NOT NULL,
    idempotency  TEXT,
    request_hash BLOB,
    CHECK ((idempotency IS NULL) = (request_hash IS NULL))
) STRICT;
CREATE UNIQUE INDEX events_by_idempotency ON events (idempotency) WHERE idempotency IS NOT NULL;
CREATE INDEX events_by_user ON events (tenant, user) WHERE user IS NOT NULL;
CREATE INDEX events_by_actor ON events (actor);
CREATE INDEX events_by_action ON events (action);
CREATE INDEX events_by_time ON events (at);

-- A numbering without gaps is what lets a reader know that it has seen everything.
CREATE TRIGGER events_are_numbered_without_gaps BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
BEGIN SELECT RAISE(ABORT, 'entries of the ledger are numbered without gaps'); END;
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'entries of the ledger are never changed'); END;
CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'entries of the ledger are never removed'); END;

-- The key is `tenant/id`: a tenant is a range of keys.
CREATE TABLE users (
    key                 TEXT PRIMARY KEY,
    tenant              TEXT NOT NULL,
    id                  TEXT NOT NULL,
    revision            INTEGER NOT NULL,
    deleted             INTEGER NOT NULL,
    sessions_revoked_at INTEGER NOT NULL,
    body                TEXT NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX users_deleted ON users (key) WHERE deleted = 1;

-- Apart from the body because time decides which hold is in force.
CREATE TABLE holds (
    key       TEXT NOT NULL REFERENCES users (key),
    name      TEXT NOT NULL,
    kind      TEXT NOT NULL,
    reason    TEXT,
    starts_at INTEGER NOT NULL,
    ends_at   INTEGER,
    PRIMARY KEY (key, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX holds_by_kind ON holds (kind, key);
CREATE INDEX holds_by_reason ON holds (reason, key);

-- Every name that means a user, the id included, so that no two users of a
-- tenant can ever share one.
CREATE TABLE names (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    key    TEXT NOT NULL REFERENCES users (key),
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX names_by_user ON names (key);
CREATE INDEX names_by_name ON names (name, tenant);

CREATE TABLE sessions (
    tenant             TEXT NOT NULL,
    hash               BLOB NOT NULL CHECK (length(hash) = 32),
    user               TEXT NOT NULL,
    learnt_at_revision INTEGER NOT NULL,
    learnt_at          INTEGER NOT NULL,
    expires_at         INTEGER,
    -- Scope of the cookie, so that it can be taken back.
    path               TEXT,
    domain             TEXT,
    PRIMARY KEY (tenant, hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_user ON sessions (tenant, user);
CREATE INDEX sessions_by_expiry ON sessions (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE tokens (
    id         TEXT PRIMARY KEY,
    hash       BLOB NOT NULL UNIQUE CHECK (length(hash) = 32),
    role       TEXT NOT NULL,
    tenant     TEXT,
    name       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER,
    revoked_at INTEGER
) STRICT, WITHOUT ROWID;
