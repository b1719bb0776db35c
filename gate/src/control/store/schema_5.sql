-- Version 5 of the store: entries are found by their ticket.

-- Read from the entry itself, so that what was written before is found as well.
ALTER TABLE events ADD COLUMN ticket TEXT GENERATED ALWAYS AS (json_extract(body, '$.ticket')) VIRTUAL;
CREATE INDEX events_by_ticket ON events (ticket) WHERE ticket IS NOT NULL;
