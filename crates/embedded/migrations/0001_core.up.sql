-- Where every projection stands (I2), and the account of every offset before it (I5).
CREATE TABLE position (
    projection TEXT NOT NULL,            -- The projection.
    version INTEGER NOT NULL,            -- The version of its tables.
    topic TEXT NOT NULL,                 -- The topic.
    partition INTEGER NOT NULL,          -- The partition.
    epoch INTEGER NOT NULL,              -- How often the partition was claimed; only the last claim may write (I3).
    first_offset INTEGER,                -- The first offset read; null from the first claim to the first commit.
    next_offset INTEGER,                 -- The next offset to read; null likewise.
    watermark_us INTEGER,                -- The largest min(occurred_at, append time) among applied records. Unit: us.
    last_append_us INTEGER,              -- The append time of the last record passed. Unit: us.
    applied INTEGER NOT NULL DEFAULT 0,  -- Offsets folded into rows.
    duplicate INTEGER NOT NULL DEFAULT 0,-- Offsets seen before.
    ignored INTEGER NOT NULL DEFAULT 0,  -- Offsets whose event no table of the projection is written by.
    dead INTEGER NOT NULL DEFAULT 0,     -- Offsets sent to the dead-letter topic.
    holes INTEGER NOT NULL DEFAULT 0,    -- Offsets without a record.
    PRIMARY KEY (projection, version, topic, partition),
    CHECK ((first_offset IS NULL) = (next_offset IS NULL))
) STRICT, WITHOUT ROWID;

-- The high-water mark of each sequenced producer: what is at or below it was applied before.
CREATE TABLE producer (
    projection TEXT NOT NULL,            -- The projection.
    version INTEGER NOT NULL,            -- The version of its tables.
    topic TEXT NOT NULL,                 -- The topic.
    partition INTEGER NOT NULL,          -- The partition.
    producer_id TEXT NOT NULL,           -- The producer.
    seq INTEGER NOT NULL,                -- The largest sequence number applied.
    PRIMARY KEY (projection, version, topic, partition, producer_id)
) STRICT, WITHOUT ROWID;
