-- Search: full text, JSON, and where the server has the extensions, trigrams and vectors.

-- The words of a spore's text; sealed text has none. The first 100,000 characters always fit into a tsvector.
ALTER TABLE {views}spore ADD COLUMN content_words tsvector
    GENERATED ALWAYS AS (to_tsvector('english', left(content, 100000))) STORED;
COMMENT ON COLUMN {views}spore.content_words IS 'The words of the text, for full-text search; derived, in no digest.';
CREATE INDEX {views}spore_words ON {views}spore USING gin (content_words);

-- What carries a tag, or a pair of the metadata (M-013): metadata @> '{"place": "park"}' in the SQL view.
CREATE INDEX {views}spore_tags ON {views}spore USING gin ((tags::jsonb) jsonb_path_ops);
CREATE INDEX {views}spore_metadata ON {views}spore USING gin ((metadata::jsonb) jsonb_path_ops) WHERE metadata IS NOT NULL;

-- Full text with its rank, best first: SELECT * FROM search_spores('river & moon').
CREATE FUNCTION search_spores(question text) RETURNS TABLE (tenant text, spore_id uuid, rank real)
LANGUAGE sql STABLE AS $$
    SELECT s.tenant, s.spore_id, ts_rank(s.content_words, q) AS rank
    FROM {views}spore AS s, websearch_to_tsquery('english', question) AS q
    WHERE s.content_words @@ q ORDER BY rank DESC
$$;
COMMENT ON FUNCTION search_spores IS 'The spores whose text answers a question (as in a web search), best first.';

-- What the extensions of this server allow; called again after an extension was installed.
CREATE FUNCTION enable_extensions() RETURNS text LANGUAGE plpgsql AS $function$
DECLARE
    enabled text := '';
BEGIN
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'pg_trgm') THEN
        CREATE EXTENSION IF NOT EXISTS pg_trgm;
        CREATE INDEX IF NOT EXISTS {views}spore_trigrams ON {views}spore USING gin (content gin_trgm_ops);
        enabled := 'pg_trgm';
    END IF;
    IF EXISTS (SELECT FROM pg_available_extensions WHERE name = 'vector') THEN
        CREATE EXTENSION IF NOT EXISTS vector;
        PERFORM enable_vectors();
        PERFORM index_embeddings(1536);
        enabled := enabled || ' vector';
    END IF;
    RETURN trim(enabled);
EXCEPTION WHEN insufficient_privilege OR undefined_object THEN
    RAISE NOTICE 'extensions were left out (%): let an administrator create them in this schema or in public, '
        'then SELECT enable_extensions()', SQLERRM;
    RETURN 'none';
END
$function$;
COMMENT ON FUNCTION enable_extensions IS 'Adds what needs pg_trgm and pgvector; to be called again after they were installed.';

-- Embeddings are stored as they came: 32-bit floats, least byte first, of any number of dimensions. A vector is a view of
-- them: decoded here, and by the index of one number of dimensions.
CREATE FUNCTION enable_vectors() RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
    IF to_regproc('embedding_vector') IS NOT NULL THEN
        RETURN;
    END IF;
    -- A 32-bit float is a sign, an exponent of 8 bits and a fraction of 23 bits (IEEE 754); all ones in the exponent is no
    -- number. Indexes are built under a search path of their own, so the function keeps this one.
    CREATE FUNCTION embedding_vector(embedding bytea) RETURNS vector
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE STRICT SET search_path FROM CURRENT AS $$
    DECLARE
        bytes CONSTANT bytea := embedding || ''::bytea; -- Fetched and decompressed once.
        count CONSTANT integer := length(bytes) / 4;
        floats real[];
        bits integer;
        exponent integer;
        value float8;
    BEGIN
        IF count NOT BETWEEN 1 AND 16000 OR length(bytes) % 4 <> 0 THEN
            RETURN NULL;
        END IF;
        floats := array_fill(0::real, ARRAY[count]);
        FOR place IN 0..count - 1 LOOP
            bits := get_byte(bytes, 4 * place) | (get_byte(bytes, 4 * place + 1) << 8)
                | (get_byte(bytes, 4 * place + 2) << 16) | (get_byte(bytes, 4 * place + 3) << 24);
            exponent := (bits >> 23) & 255;
            IF exponent = 255 THEN
                RETURN NULL;
            ELSIF exponent = 0 THEN
                value := (bits & 8388607) * 2::float8 ^ -149;
            ELSE
                value := (8388608 + (bits & 8388607)) * 2::float8 ^ (exponent - 150);
            END IF;
            floats[place + 1] := CASE WHEN bits < 0 THEN -value ELSE value END;
        END LOOP;
        RETURN floats;
    END
    $$;
    COMMENT ON FUNCTION embedding_vector IS 'A stored embedding as a vector of pgvector.';
    -- Ask with the dimensions, so that the index is used: WHERE dimensions = 1536 ORDER BY vector::vector(1536) <=> '[...]'.
    CREATE VIEW spore_embedding WITH (security_invoker) AS
    SELECT tenant, spore_id, embedding_model, length(embedding) / 4 AS dimensions, embedding_vector(embedding) AS vector
    FROM {views}spore WHERE embedding IS NOT NULL;
    COMMENT ON VIEW spore_embedding IS 'The embeddings of spores, as vectors of pgvector.';
    GRANT SELECT ON spore_embedding TO sporelog_reader, sporelog_worker;
END
$function$;

-- An index for cosine distance (<=>) over the embeddings of so many dimensions, whatever their model.
CREATE FUNCTION index_embeddings(dimensions integer) RETURNS void LANGUAGE plpgsql AS $function$
BEGIN
    EXECUTE format('CREATE INDEX IF NOT EXISTS {views}spore_embedding_%s ON {views}spore USING hnsw '
        '((embedding_vector(embedding)::vector(%1$s)) vector_cosine_ops) WHERE length(embedding) / 4 = %1$s', dimensions);
END
$function$;
COMMENT ON FUNCTION index_embeddings IS 'Makes an index for cosine distance over the embeddings of so many dimensions.';

SELECT enable_extensions();
