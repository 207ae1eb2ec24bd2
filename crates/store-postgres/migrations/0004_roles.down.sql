-- The roles stay: other databases of the server may use them.
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN
        SELECT tablename FROM pg_policies WHERE schemaname = current_schema() AND policyname = 'worker' ORDER BY tablename
    LOOP
        EXECUTE format('DROP POLICY worker ON %I', name);
        EXECUTE format('DROP POLICY reader ON %I', name);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', name);
    END LOOP;
END
$$;
DROP FUNCTION open_to_roles;
REVOKE ALL ON ALL TABLES IN SCHEMA {schema} FROM sporelog_worker, sporelog_reader;
REVOKE ALL ON FUNCTION ensure_month FROM sporelog_worker;
REVOKE ALL ON SCHEMA {schema} FROM sporelog_worker, sporelog_reader, sporelog_migrator;
