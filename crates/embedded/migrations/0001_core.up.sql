-- Which versions of projections there are, and by which rules each tells duplicates: two versions of one projection may
-- differ in them, and `verify` folds again by those that are stored.
CREATE TABLE projection (
    name TEXT NOT NULL,                  -- The projection.
    version INTEGER NOT NULL,            -- The version of its tables.
    dedup_window_ms INTEGER NOT NULL,    -- How long an event without a sequence number is remembered, in append time. Unit: ms.
    dedup_max_records INTEGER NOT NULL,  -- How many such events of the partition may lie between two occurrences.
    PRIMARY KEY (name, version)
) STRICT, WITHOUT ROWID;

-- Where every projection stands in which log (I2), and the account of every offset before it (I5).
CREATE TABLE position (
    projection TEXT NOT NULL,            -- The projection.
    version INTEGER NOT NULL,            -- The version of its tables.
    topic TEXT NOT NULL,                 -- The topic.
    generation INTEGER NOT NULL,         -- The topic's generation.
    partition INTEGER NOT NULL,          -- The partition.
    epoch INTEGER NOT NULL,              -- How often the partition was claimed; only the last claim may write (I3).
    cluster_id TEXT,                     -- The id of the log that the position belongs to; null before the first claim.
    topic_id TEXT,                       -- The id that the log gave the topic; empty where it has none.
    partition_count INTEGER,             -- The number of partitions that the topic has in that log (I9).
    first_offset INTEGER,                -- The first offset read; null from the first claim to the first commit.
    next_offset INTEGER,                 -- The next offset to read; null likewise.
    last_offset INTEGER,                 -- The offset of the last record passed; null before the first.
    last_append_us INTEGER,              -- The append time of that record. Unit: us.
    last_leader_epoch INTEGER,           -- The leader epoch of that record; -1 where the log does not say.
    max_append_us INTEGER,               -- The largest append time among the records passed. Unit: us.
    watermark_us INTEGER,                -- The largest min(occurred_at, append time) among applied records. Unit: us.
    window_from INTEGER,                 -- The offset where the window of duplicates began anew, if the log was cut.
    applied INTEGER NOT NULL DEFAULT 0,  -- Offsets folded into rows.
    duplicate INTEGER NOT NULL DEFAULT 0,-- Offsets seen before.
    behind INTEGER NOT NULL DEFAULT 0,   -- Of these, offsets at or below the floor of their producer.
    ignored INTEGER NOT NULL DEFAULT 0,  -- Offsets whose event no table of the projection is written by.
    unknown INTEGER NOT NULL DEFAULT 0,  -- Of these, offsets of a kind that the binary did not know.
    dead INTEGER NOT NULL DEFAULT 0,     -- Offsets sent to the dead-letter topic.
    holes INTEGER NOT NULL DEFAULT 0,    -- Offsets without a record.
    lost INTEGER NOT NULL DEFAULT 0,     -- Offsets passed over by an operator's order.
    parked_cause TEXT,                   -- Why the partition is parked (I7); null where it is not.
    parked_offset INTEGER,               -- The offset at which it stands.
    parked_text TEXT,                    -- What is wrong and what to do.
    parked_since_us INTEGER,             -- Since when. Unit: us.
    PRIMARY KEY (projection, version, topic, generation, partition),
    CHECK ((first_offset IS NULL) = (next_offset IS NULL)),
    CHECK ((last_offset IS NULL) = (last_append_us IS NULL))
) STRICT, WITHOUT ROWID;

-- Every producer with sequence numbers: what is not in its blocks (design 7: the 1,024 largest numbers and a floor).
CREATE TABLE producer (
    projection TEXT NOT NULL,            -- The projection.
    version INTEGER NOT NULL,            -- The version of its tables.
    topic TEXT NOT NULL,                 -- The topic.
    generation INTEGER NOT NULL,         -- The topic's generation.
    partition INTEGER NOT NULL,          -- The partition.
    tenant TEXT NOT NULL,                -- The tenant.
    producer_id TEXT NOT NULL,           -- The producer.
    floor INTEGER,                       -- The largest number let go: it and all below count as seen. Null: none was.
    largest INTEGER NOT NULL,            -- The largest number applied.
    minted_us INTEGER NOT NULL,          -- The latest time at which an applied event id was minted. Unit: us.
    last_append_us INTEGER NOT NULL,     -- The partition's append time when the last number was applied. Unit: us.
    PRIMARY KEY (projection, version, topic, generation, partition, tenant, producer_id)
) STRICT, WITHOUT ROWID;

-- The numbers of each producer that were applied, 128 to a block.
CREATE TABLE producer_block (
    projection TEXT NOT NULL,            -- The projection.
    version INTEGER NOT NULL,            -- The version of its tables.
    topic TEXT NOT NULL,                 -- The topic.
    generation INTEGER NOT NULL,         -- The topic's generation.
    partition INTEGER NOT NULL,          -- The partition.
    tenant TEXT NOT NULL,                -- The tenant.
    producer_id TEXT NOT NULL,           -- The producer.
    block INTEGER NOT NULL,              -- The block: its numbers begin at block * 128.
    numbers BLOB NOT NULL CHECK (length(numbers) = 16), -- A bit for each number, big-endian: the lowest number is the lowest bit.
    PRIMARY KEY (projection, version, topic, generation, partition, tenant, producer_id, block)
) STRICT, WITHOUT ROWID;

-- Every record that a projection could not apply, whatever becomes of its dead letter.
CREATE TABLE dead_record (
    projection TEXT NOT NULL,            -- The projection.
    version INTEGER NOT NULL,            -- The version of its tables.
    topic TEXT NOT NULL,                 -- The topic.
    generation INTEGER NOT NULL,         -- The topic's generation.
    partition INTEGER NOT NULL,          -- The partition.
    offset INTEGER NOT NULL,             -- The offset.
    append_us INTEGER NOT NULL,          -- The record's append time. Unit: us.
    reason TEXT NOT NULL,                -- Why: kind and text.
    value_hash INTEGER NOT NULL,         -- XXH3-64 of the value, as the bits of a signed number.
    id_hash INTEGER,                     -- XXH3-64 of the event id, likewise; null where no id can be read.
    PRIMARY KEY (projection, version, topic, generation, partition, offset)
) STRICT, WITHOUT ROWID;
