-- Who may do what. Three roles without login, the server's, shared by its databases; logins become members of one.
--
-- | role | may |
-- |---|---|
-- | sporelog_worker | read and write all rows, of all tenants; not change tables |
-- | sporelog_reader | read the rows of the tenant that its session names: SET sporelog.tenant = 'acme' |
-- | sporelog_migrator | create tables in the schema |
DO $$
DECLARE
    role text;
BEGIN
    FOREACH role IN ARRAY ARRAY['sporelog_worker', 'sporelog_reader', 'sporelog_migrator'] LOOP
        IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role);
            EXCEPTION
                -- Another database of this server was first.
                WHEN duplicate_object OR unique_violation THEN NULL;
                WHEN insufficient_privilege THEN
                    RAISE insufficient_privilege USING MESSAGE = format('this user may not create the role %s', role),
                        HINT = format('let an administrator run: CREATE ROLE %s NOLOGIN', role);
            END;
        END IF;
    END LOOP;
END
$$;

GRANT USAGE ON SCHEMA {schema} TO sporelog_worker, sporelog_reader;
GRANT USAGE, CREATE ON SCHEMA {schema} TO sporelog_migrator;
GRANT SELECT, INSERT, UPDATE, DELETE ON position, projection, producer, producer_block, dead_record TO sporelog_worker;
GRANT SELECT ON schema_migration TO sporelog_worker;
-- Producers and dead records are tenants' own, and have no policy: readers see neither. Of a position they see what
-- freshness shows: not the log's names, nor the sentence of a note, which may quote what a broker said.
GRANT SELECT (
    projection, version, topic, generation, partition, epoch, first_offset, next_offset, watermark_us, max_append_us,
    last_append_us, applied, duplicate, behind, ignored, unknown, dead, holes, lost,
    parked_cause, parked_offset, parked_since_us
) ON position TO sporelog_reader;
GRANT EXECUTE ON FUNCTION ensure_month TO sporelog_worker;

-- Opens a table of rows with a tenant to the roles. Compression and row-level security exclude each other on a hypertable,
-- so readers get no grant on one: the SQL view over it filters by itself.
CREATE FUNCTION open_to_roles(name text) RETURNS void LANGUAGE plpgsql AS $function$
DECLARE
    hypertable boolean := false;
BEGIN
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO sporelog_worker', name);
    IF EXISTS (SELECT FROM pg_extension WHERE extname = 'timescaledb') THEN
        EXECUTE format('SELECT EXISTS (SELECT FROM timescaledb_information.hypertables '
            'WHERE hypertable_schema = current_schema() AND hypertable_name = %L)', name) INTO hypertable;
    END IF;
    IF hypertable THEN
        RETURN;
    END IF;
    EXECUTE format('GRANT SELECT ON %I TO sporelog_reader', name);
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', name);
    EXECUTE format('CREATE POLICY worker ON %I TO sporelog_worker USING (true) WITH CHECK (true)', name);
    EXECUTE format('CREATE POLICY reader ON %I FOR SELECT TO sporelog_reader '
        'USING (tenant = current_setting(''sporelog.tenant'', true))', name);
END
$function$;

SELECT open_to_roles(relname) FROM pg_class
WHERE relnamespace = to_regnamespace(quote_ident(current_schema())) AND relkind IN ('r', 'p') AND NOT relispartition
    AND (starts_with(relname, '{views}') OR starts_with(relname, '{series}'))
ORDER BY relname;
