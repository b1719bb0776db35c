-- Version 7 of the store: a change touches fewer pages. Each index whose order has
-- nothing to do with that of the changes costs a page of the log for each of them.

-- An id is where its user is, and is not written down as a name once more. A search of
-- all tenants goes through them one by one. There is no reference to the user, or each
-- deletion would look through every name for one.
DROP INDEX names_by_name;
DROP INDEX names_by_user;
ALTER TABLE names RENAME TO names_6;
CREATE TABLE names (
    tenant TEXT NOT NULL,
    name   TEXT NOT NULL,
    key    TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
INSERT INTO names
    SELECT tenant, name, key FROM names_6 WHERE key <> tenant || '/' || name
    ORDER BY tenant, name;
DROP TABLE names_6;
CREATE INDEX names_by_user ON names (key);

-- A deletion looks for them.
CREATE INDEX former_names_by_user ON former_names (key);

-- By which rule the names of a tenant are spelt here: under another, a suspended user
-- would be somebody whom nobody has heard of.
CREATE TABLE tenants (
    id    TEXT PRIMARY KEY,
    names TEXT NOT NULL
) STRICT, WITHOUT ROWID;

DROP INDEX holds_by_reason;
CREATE INDEX holds_by_reason ON holds (reason, key) WHERE reason IS NOT NULL;
