-- Which store this is: a random id, minted with the file. Offsets that are kept elsewhere (ingest's, in the log) belong to
-- one store; a new file in the place of a deleted one has another id, and they start anew.
CREATE TABLE store (
    one INTEGER NOT NULL PRIMARY KEY CHECK (one = 1), -- There is one row.
    id BLOB NOT NULL CHECK (length(id) = 16),         -- The store.
    log_id BLOB CHECK (length(log_id) = 16)           -- The log that its records come from; null before the first.
) STRICT;
INSERT INTO store (one, id) VALUES (1, randomblob(16));
