-- The extensions stay: they are the database's.
DROP VIEW IF EXISTS spore_embedding;
DO $$
DECLARE
    name text;
BEGIN
    FOR name IN SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()
        AND starts_with(indexname, '{views}spore_embedding_')
    LOOP
        EXECUTE format('DROP INDEX %I', name);
    END LOOP;
END
$$;
DROP INDEX IF EXISTS {views}spore_trigrams;
DROP FUNCTION IF EXISTS embedding_vector;
DROP FUNCTION index_embeddings;
DROP FUNCTION enable_vectors;
DROP FUNCTION enable_extensions;
DROP FUNCTION search_spores;
DROP INDEX {views}spore_metadata;
DROP INDEX {views}spore_tags;
DROP INDEX {views}spore_words;
ALTER TABLE {views}spore DROP COLUMN content_words;
