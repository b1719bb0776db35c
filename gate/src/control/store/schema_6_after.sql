-- The second half of version 6, after the rows have been taken over.

DROP TABLE events_5;
DROP TABLE users_5;

CREATE UNIQUE INDEX events_by_idempotency ON events (idempotency) WHERE idempotency IS NOT NULL;
CREATE INDEX events_by_user ON events (user) WHERE user IS NOT NULL;
CREATE INDEX events_by_actor ON events (actor);
CREATE INDEX events_by_action ON events (action);
CREATE INDEX events_by_time ON events (at);
CREATE INDEX events_by_batch ON events (batch) WHERE batch IS NOT NULL;
CREATE INDEX events_by_ticket ON events (ticket) WHERE ticket IS NOT NULL;

CREATE TRIGGER events_are_numbered_without_gaps BEFORE INSERT ON events
WHEN NEW.seq IS NOT (SELECT coalesce(max(seq), 0) + 1 FROM events)
BEGIN SELECT RAISE(ABORT, 'entries of the ledger are numbered without gaps'); END;
CREATE TRIGGER events_are_never_changed BEFORE UPDATE ON events
BEGIN SELECT RAISE(ABORT, 'entries of the ledger are never changed'); END;
CREATE TRIGGER events_are_never_removed BEFORE DELETE ON events
BEGIN SELECT RAISE(ABORT, 'entries of the ledger are never removed'); END;
