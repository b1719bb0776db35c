-- Version 4 of the store: which bulk call an entry is part of.

ALTER TABLE events ADD COLUMN batch TEXT;
CREATE INDEX events_by_batch ON events (batch) WHERE batch IS NOT NULL;
