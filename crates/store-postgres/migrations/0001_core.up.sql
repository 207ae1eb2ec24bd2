-- Where every projection stands (I2), and the account of every offset before it (I5); marks; what tables are built with.
-- Every commit of a worker moves its position rows: their pages keep room for the next version.
CREATE TABLE position (
    projection text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    epoch bigint NOT NULL,
    first_offset bigint,
    next_offset bigint,
    watermark_us bigint,
    last_append_us bigint,
    applied bigint NOT NULL DEFAULT 0,
    duplicate bigint NOT NULL DEFAULT 0,
    ignored bigint NOT NULL DEFAULT 0,
    dead bigint NOT NULL DEFAULT 0,
    holes bigint NOT NULL DEFAULT 0,
    PRIMARY KEY (projection, version, topic, partition),
    CHECK ((first_offset IS NULL) = (next_offset IS NULL))
) WITH (fillfactor = 50);
COMMENT ON TABLE position IS 'How far each projection is: the row that every commit moves.';
COMMENT ON COLUMN position.projection IS 'The projection.';
COMMENT ON COLUMN position.version IS 'The version of its tables.';
COMMENT ON COLUMN position.topic IS 'The topic.';
COMMENT ON COLUMN position.partition IS 'The partition.';
COMMENT ON COLUMN position.epoch IS 'How often the partition was claimed; only the last claim may write (I3).';
COMMENT ON COLUMN position.first_offset IS 'The first offset read; null from the first claim to the first commit.';
COMMENT ON COLUMN position.next_offset IS 'The next offset to read; null likewise.';
COMMENT ON COLUMN position.watermark_us IS 'The largest min(occurred_at, append time) among applied records. Unit: us.';
COMMENT ON COLUMN position.last_append_us IS 'The append time of the last record passed. Unit: us.';
COMMENT ON COLUMN position.applied IS 'Offsets folded into rows.';
COMMENT ON COLUMN position.duplicate IS 'Offsets seen before.';
COMMENT ON COLUMN position.ignored IS 'Offsets whose event no table of the projection is written by.';
COMMENT ON COLUMN position.dead IS 'Offsets sent to the dead-letter topic.';
COMMENT ON COLUMN position.holes IS 'Offsets without a record.';

CREATE TABLE producer (
    projection text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    topic text COLLATE "C" NOT NULL,
    partition bigint NOT NULL,
    producer_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    PRIMARY KEY (projection, version, topic, partition, producer_id)
) WITH (fillfactor = 50);
COMMENT ON TABLE producer IS 'The high-water marks of producers, by which repeats are known.';
COMMENT ON COLUMN producer.projection IS 'The projection.';
COMMENT ON COLUMN producer.version IS 'The version of its tables.';
COMMENT ON COLUMN producer.topic IS 'The topic.';
COMMENT ON COLUMN producer.partition IS 'The partition.';
COMMENT ON COLUMN producer.producer_id IS 'The producer.';
COMMENT ON COLUMN producer.seq IS 'The largest sequence number applied: what is at or below it was applied before.';

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
CREATE FUNCTION hypertable_statements(name text, time_column text, segment_by text) RETURNS SETOF text
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
    FOR statement IN SELECT hypertable_statements(name, time_column, segment_by) LOOP
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
