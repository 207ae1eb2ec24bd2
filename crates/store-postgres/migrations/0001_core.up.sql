-- Where every projection stands (I2), and the account of every offset before it (I5); what tells repeats; what is dead;
-- what tables are built with. A generation of a topic is a log: another topic of the same name is another one.
-- Every commit of a worker moves its position rows: their pages keep room for the next version. A row begins with the
-- first claim, or with a note that the partition is parked.
CREATE TABLE position (
    projection text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    partition bigint NOT NULL,
    epoch bigint NOT NULL,
    cluster_id text COLLATE "C",
    topic_id text COLLATE "C",
    partition_count bigint,
    first_offset bigint,
    next_offset bigint,
    watermark_us bigint,
    max_append_us bigint,
    last_offset bigint,
    last_append_us bigint,
    last_leader_epoch bigint,
    window_from bigint,
    applied bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    behind bigint NOT NULL DEFAULT 0,
    ignored bigint NOT NULL DEFAULT 0,
    unknown bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    holes bigint NOT NULL DEFAULT 0,
    lost bigint NOT NULL DEFAULT 0,
    parked_cause text COLLATE "C",
    parked_offset bigint,
    parked_text text COLLATE "C",
    parked_since_us bigint,
    PRIMARY KEY (projection, version, topic, generation, partition),
    CHECK ((first_offset IS NULL) = (next_offset IS NULL))
) WITH (fillfactor = 50);
COMMENT ON TABLE position IS 'How far each projection is: the row that every commit moves.';
COMMENT ON COLUMN position.projection IS 'The projection.';
COMMENT ON COLUMN position.version IS 'The version of its tables.';
COMMENT ON COLUMN position.topic IS 'The topic.';
COMMENT ON COLUMN position.generation IS 'The generation of the topic, from 1.';
COMMENT ON COLUMN position.partition IS 'The partition.';
COMMENT ON COLUMN position.epoch IS 'How often the partition was claimed; only the last claim may write (I3).';
COMMENT ON COLUMN position.cluster_id IS 'The cluster of the log that the position belongs to (I2).';
COMMENT ON COLUMN position.topic_id IS 'The id that the cluster gave the topic; empty where the log has no such ids.';
COMMENT ON COLUMN position.partition_count IS 'The number of partitions of the topic: keys lie elsewhere under another one (I9).';
COMMENT ON COLUMN position.first_offset IS 'The first offset read; null from the first claim to the first commit.';
COMMENT ON COLUMN position.next_offset IS 'The next offset to read; null likewise.';
COMMENT ON COLUMN position.watermark_us IS 'The largest min(occurred_at, append time) among applied records. Unit: us.';
COMMENT ON COLUMN position.max_append_us IS 'The largest append time among the records passed. Unit: us.';
COMMENT ON COLUMN position.last_offset IS 'The offset of the last record passed; null before the first.';
COMMENT ON COLUMN position.last_append_us IS 'Its append time, by which the log is told from another one (I2). Unit: us.';
COMMENT ON COLUMN position.last_leader_epoch IS 'The leader epoch under which it was appended; -1 where the log does not say.';
COMMENT ON COLUMN position.window_from IS 'Where the window of duplicates began anew, since the log was cut before; null where it is whole.';
COMMENT ON COLUMN position.applied IS 'Offsets folded into rows.';
COMMENT ON COLUMN position.duplicate IS 'Offsets seen before.';
COMMENT ON COLUMN position.behind IS 'Those of the duplicates at or below the floor of their producer: too late to be told from repeats.';
COMMENT ON COLUMN position.ignored IS 'Offsets whose event no table of the projection is written by.';
COMMENT ON COLUMN position.unknown IS 'Those of the ignored whose kind of event the worker did not know.';
COMMENT ON COLUMN position.dead IS 'Offsets sent to the dead-letter topic.';
COMMENT ON COLUMN position.holes IS 'Offsets without a record.';
COMMENT ON COLUMN position.lost IS 'Offsets passed over by an operator''s order.';
COMMENT ON COLUMN position.parked_cause IS 'Why the partition is parked (I7); null where it is not.';
COMMENT ON COLUMN position.parked_offset IS 'The offset at which it stands.';
COMMENT ON COLUMN position.parked_text IS 'What is wrong and what to do.';
COMMENT ON COLUMN position.parked_since_us IS 'Since when. Unit: us.';

-- Tables of one projection's version name it by (projection, version); here it is what they name.
CREATE TABLE projection (
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    dedup_window_ms bigint NOT NULL,
    dedup_max_records bigint NOT NULL,
    PRIMARY KEY (name, version)
);
COMMENT ON TABLE projection IS 'The versions of projections, with the rules by which each tells repeats.';
COMMENT ON COLUMN projection.name IS 'The projection.';
COMMENT ON COLUMN projection.version IS 'The version of its tables.';
COMMENT ON COLUMN projection.dedup_window_ms IS 'How long an event id counts as seen, in append time. Unit: ms.';
COMMENT ON COLUMN projection.dedup_max_records IS 'How many valid unsequenced records of a partition may lie between two occurrences.';

-- A producer's numbers are a set: the largest ones exactly, in blocks, and a floor below which all count as seen.
CREATE TABLE producer (
    projection text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    partition bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    producer_id text COLLATE "C" NOT NULL,
    floor bigint,
    largest bigint NOT NULL,
    minted_us bigint NOT NULL,
    last_append_us bigint NOT NULL,
    PRIMARY KEY (projection, version, topic, generation, partition, tenant, producer_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE producer IS 'The sequences of producers, by which repeats are known: what is not in blocks.';
COMMENT ON COLUMN producer.projection IS 'The projection.';
COMMENT ON COLUMN producer.version IS 'The version of its tables.';
COMMENT ON COLUMN producer.topic IS 'The topic.';
COMMENT ON COLUMN producer.generation IS 'The generation of the topic, from 1.';
COMMENT ON COLUMN producer.partition IS 'The partition.';
COMMENT ON COLUMN producer.tenant IS 'The tenant.';
COMMENT ON COLUMN producer.producer_id IS 'The producer.';
COMMENT ON COLUMN producer.floor IS 'The largest number let go: it and all below count as seen; null while none was.';
COMMENT ON COLUMN producer.largest IS 'The largest number applied.';
COMMENT ON COLUMN producer.minted_us IS 'The latest time at which an applied event id was minted. Unit: us.';
COMMENT ON COLUMN producer.last_append_us IS 'The largest append time of the partition when the last number was applied. Unit: us.';

CREATE TABLE producer_block (
    projection text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    partition bigint NOT NULL,
    tenant text COLLATE "C" NOT NULL,
    producer_id text COLLATE "C" NOT NULL,
    block bigint NOT NULL,
    numbers bytea NOT NULL,
    PRIMARY KEY (projection, version, topic, generation, partition, tenant, producer_id, block)
) WITH (fillfactor = 50);
COMMENT ON TABLE producer_block IS 'The numbers of producers that were applied, in blocks of 128.';
COMMENT ON COLUMN producer_block.projection IS 'The projection.';
COMMENT ON COLUMN producer_block.version IS 'The version of its tables.';
COMMENT ON COLUMN producer_block.topic IS 'The topic.';
COMMENT ON COLUMN producer_block.generation IS 'The generation of the topic, from 1.';
COMMENT ON COLUMN producer_block.partition IS 'The partition.';
COMMENT ON COLUMN producer_block.tenant IS 'The tenant.';
COMMENT ON COLUMN producer_block.producer_id IS 'The producer.';
COMMENT ON COLUMN producer_block.block IS 'Which block: it holds the numbers from 128 times this on.';
COMMENT ON COLUMN producer_block.numbers IS 'A bit per number, 16 bytes, big-endian: the lowest number in the lowest bit.';

-- Written in the transaction that passes the record: what is dead is known without the log, and to verify.
CREATE TABLE dead_record (
    projection text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,
    partition bigint NOT NULL,
    "offset" bigint NOT NULL,
    append_us bigint NOT NULL,
    reason text COLLATE "C" NOT NULL,
    value_hash bigint NOT NULL,
    id_hash bigint,
    PRIMARY KEY (projection, version, topic, generation, partition, "offset")
);
COMMENT ON TABLE dead_record IS 'The records that a projection could not apply.';
COMMENT ON COLUMN dead_record.projection IS 'The projection.';
COMMENT ON COLUMN dead_record.version IS 'The version of its tables.';
COMMENT ON COLUMN dead_record.topic IS 'The topic.';
COMMENT ON COLUMN dead_record.generation IS 'The generation of the topic, from 1.';
COMMENT ON COLUMN dead_record.partition IS 'The partition.';
COMMENT ON COLUMN dead_record."offset" IS 'The offset of the record.';
COMMENT ON COLUMN dead_record.append_us IS 'Its append time. Unit: us.';
COMMENT ON COLUMN dead_record.reason IS 'Why it is dead: a kind, a colon, a sentence.';
COMMENT ON COLUMN dead_record.value_hash IS 'XXH3-64 of the bytes of its value, as a signed number.';
COMMENT ON COLUMN dead_record.id_hash IS 'XXH3-64 of the bytes of its event id, likewise; null where it has no readable one.';

-- The bits of both maps, the shorter one as if padded with zeros; of one where the other is null.
CREATE FUNCTION or_bits(a bit varying, b bit varying) RETURNS bit varying
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE
        WHEN a IS NULL THEN b
        WHEN b IS NULL THEN a
        WHEN length(a) = length(b) THEN a | b
        WHEN length(a) < length(b) THEN (a || substring(b # b FROM length(a) + 1)) | b
        ELSE a | (b || substring(a # a FROM length(b) + 1))
    END
$$;
COMMENT ON FUNCTION or_bits IS 'The bits of both maps; the shorter one is as if padded with zeros.';

-- Now, as the times in the tables: what hypertables measure age by.
CREATE FUNCTION now_us() RETURNS bigint LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT (extract(epoch FROM now()) * 1000000)::bigint
$$;
COMMENT ON FUNCTION now_us IS 'Now, in microseconds since 1970.';

-- What makes a hypertable of a table: chunks of 30 days, compressed after 90. Nothing is dropped by itself: what a store
-- holds is what the log gives (I1). Upserts into compressed chunks and SQL views with a barrier need TimescaleDB 2.14.
-- The Apache edition has neither compression nor policies, and refuses the statements.
CREATE FUNCTION hypertable_statements(name text, time_column text, segment_by text, compressed boolean)
RETURNS SETOF text
LANGUAGE plpgsql STABLE AS $function$
DECLARE
    chunk_us CONSTANT bigint := 2592000000000;
    ordered text;
BEGIN
    -- Columns of the key that do not segment compressed rows must order them.
    SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY k.place) INTO ordered
    FROM pg_index AS i, unnest(i.indkey::smallint[]) WITH ORDINALITY AS k (attnum, place)
    JOIN pg_attribute AS a ON a.attrelid = name::regclass AND a.attnum = k.attnum
    WHERE i.indrelid = name::regclass AND i.indisprimary
        AND a.attname <> ALL (string_to_array(replace(segment_by, ' ', ''), ','));
    RETURN NEXT format('SELECT create_hypertable(%L::regclass, %L::name, chunk_time_interval => %s::bigint)',
        name, time_column, chunk_us);
    RETURN NEXT format('SELECT set_integer_now_func(%L::regclass, %L::regproc)', name, 'now_us');
    IF NOT compressed THEN
        RETURN;
    END IF;
    RETURN NEXT format('ALTER TABLE %I SET (timescaledb.compress, timescaledb.compress_segmentby = %L, '
        'timescaledb.compress_orderby = %L)', name, segment_by, ordered);
    RETURN NEXT format('SELECT add_compression_policy(%L::regclass, compress_after => %s::bigint)', name, 3 * chunk_us);
END
$function$;

-- Makes a new table of windows or events store by month of this column: a partitioned table gets its default partition,
-- any other becomes a hypertable.
CREATE FUNCTION store_by_month(name text, time_column text, segment_by text) RETURNS void
LANGUAGE plpgsql AS $function$
DECLARE
    statement text;
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = name::regclass) = 'p' THEN
        EXECUTE format('CREATE TABLE %I PARTITION OF %I DEFAULT', name || '_default', name);
        RETURN;
    END IF;
    FOR statement IN
        SELECT hypertable_statements(name, time_column, segment_by,
            current_setting('timescaledb.license', true) = 'timescale')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$function$;

-- Makes the partition for the month of a time, unless the table is none that has partitions, or has it. Rows of the month
-- that the default partition took meanwhile move over. Gives up, for this time, where readers hold the default partition
-- longer than a second: rows go there until the next attempt. Workers call it; it acts with its owner's rights.
CREATE FUNCTION ensure_month(name text, time_column text, month_start bigint, month_end bigint) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = {schema}, pg_temp SET lock_timeout = '1s' AS $function$
DECLARE
    parent CONSTANT regclass := name::regclass;
    child CONSTANT text := name || to_char(to_timestamp(month_start / 1000000) AT TIME ZONE 'UTC', '"_y"YYYY"m"MM');
    rest CONSTANT text := name || '_default';
BEGIN
    IF (SELECT relkind FROM pg_class WHERE oid = parent) <> 'p' OR to_regclass(quote_ident(child)) IS NOT NULL THEN
        RETURN true;
    END IF;
    -- One maker at a time; behind the lock, it is seen what the last one made.
    EXECUTE format('LOCK TABLE %I IN ACCESS EXCLUSIVE MODE', rest);
    IF to_regclass(quote_ident(child)) IS NOT NULL THEN
        RETURN true;
    END IF;
    EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL) WITH (fillfactor = 85)', child, name);
    EXECUTE format('WITH moved AS (DELETE FROM %I WHERE %I >= %s AND %2$I < %4$s RETURNING *) INSERT INTO %I SELECT * FROM moved',
        rest, time_column, month_start, month_end, child);
    EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%s) TO (%s)', name, child, month_start, month_end);
    RETURN true;
EXCEPTION WHEN lock_not_available THEN
    RETURN false;
END
$function$;
REVOKE EXECUTE ON FUNCTION ensure_month FROM PUBLIC;
