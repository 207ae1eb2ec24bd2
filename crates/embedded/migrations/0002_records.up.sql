-- The records: what happened.
-- {records} stands for what the names of the projection's tables begin with, such as records_v1_. Columns, keys and types
-- follow the declarations in crates/domain/src/tables/records.rs; a test holds this file against them. A column
-- <name>_stamp says which write of <name> won. Tables with up to ten narrow columns lie in their key's own tree
-- (WITHOUT ROWID): one tree to write instead of two.

-- Every spore, as it was created.
CREATE TABLE {records}spores (
    tenant TEXT NOT NULL,                -- The tenant.
    spore_id BLOB NOT NULL,              -- The spore.
    origin_agent TEXT,                   -- The agent that made it.
    created_at INTEGER,                  -- When it was made (valid time). Unit: us.
    region_id TEXT,                      -- The region where it was made.
    spore_type TEXT,                     -- What it is: whisper, observation, reflection, plan, insight, ...
    content TEXT,                        -- The text; null where it is sealed.
    content_sealed BLOB,                 -- The sealed text; null where it is plain.
    content_hash TEXT,                   -- The hash of the text.
    signature TEXT,                      -- The hash of the normalised text: equal for what says the same.
    resonance_score REAL,                -- How strongly it resonates. Unit: 0..1.
    importance REAL,                     -- How important its maker held it. Unit: 0..10.
    emotional_relevance REAL,            -- How much feeling it carries.
    emotional_context TEXT,              -- The feeling it was made in.
    tier TEXT,                           -- The memory tier at creation.
    tags TEXT,                           -- Tags, a JSON array.
    related_agents TEXT,                 -- Agents it speaks of, a JSON array.
    derived_from TEXT,                   -- Spores it was made from, a JSON array.
    loop_id TEXT,                        -- The loop it belongs to.
    location_h3 TEXT,                    -- The H3 cell where it was made.
    retention_until INTEGER,             -- Until when it is to be kept. Unit: us.
    embedding_model TEXT,                -- The model of the embedding.
    embedding BLOB,                      -- The embedding. Unit: f32 little-endian.
    metadata TEXT,                       -- Further pairs, a JSON object.
    love_resonance INTEGER,              -- The writer's resonance. Unit: 0..100.
    PRIMARY KEY (tenant, spore_id)
) STRICT;

-- Spores by the day they were made.
CREATE TABLE {records}spores_by_day (
    tenant TEXT NOT NULL,                -- The tenant.
    day INTEGER NOT NULL,                -- The UTC day.
    shard INTEGER NOT NULL,              -- A number from 0 to 15, from the spore's id, that spreads a day.
    created_at INTEGER NOT NULL,         -- When it was made (valid time).
    spore_id BLOB NOT NULL,              -- The spore.
    origin_agent TEXT,                   -- The agent that made it.
    spore_type TEXT,                     -- What it is.
    region_id TEXT,                      -- The region where it was made.
    resonance_score REAL,                -- How strongly it resonates. Unit: 0..1.
    PRIMARY KEY (tenant, day, shard, created_at, spore_id)
) STRICT, WITHOUT ROWID;

-- The way of every spore from agent to agent.
CREATE TABLE {records}spore_path (
    tenant TEXT NOT NULL,                -- The tenant.
    spore_id BLOB NOT NULL,              -- The spore.
    hop INTEGER NOT NULL,                -- The number of hops from its origin.
    to_agent TEXT NOT NULL,              -- The agent that received it.
    event_id BLOB NOT NULL,              -- The propagation.
    from_agent TEXT,                     -- The agent that passed it on.
    propagated_at INTEGER,               -- When it was passed on (valid time). Unit: us.
    region_id TEXT,                      -- The region where it was passed on.
    resonance REAL,                      -- How strongly it resonated on arrival.
    channel TEXT,                        -- The way it was passed on.
    PRIMARY KEY (tenant, spore_id, hop, to_agent, event_id)
) STRICT, WITHOUT ROWID;

-- Every interaction, one row for each of its two ends.
CREATE TABLE {records}interactions (
    tenant TEXT NOT NULL,                -- The tenant.
    agent_id TEXT NOT NULL,              -- The agent.
    month INTEGER NOT NULL,              -- The first moment of the UTC month.
    interaction_time INTEGER NOT NULL,   -- When it happened (valid time).
    peer_id TEXT NOT NULL,               -- The agent at the other end.
    interaction_id BLOB NOT NULL,        -- The interaction.
    direction TEXT,                      -- 'out' where agent_id acted, 'in' where it was acted upon.
    interaction_type TEXT,               -- What kind of interaction it was.
    spore_id BLOB,                       -- The spore that it carried.
    loop_id TEXT,                        -- The loop it belongs to.
    message TEXT,                        -- What was said; null where it is sealed.
    message_sealed BLOB,                 -- What was said, sealed.
    response TEXT,                       -- What was answered; null where it is sealed.
    response_sealed BLOB,                -- What was answered, sealed.
    context TEXT,                        -- Further pairs, a JSON object.
    emotional_tone TEXT,                 -- Its tone.
    field_impact REAL,                   -- What it did to the field.
    affection_delta REAL,                -- What it did to affection. Unit: -100..100.
    trust_delta REAL,                    -- What it did to trust. Unit: -100..100.
    relationship_type TEXT,              -- What the two are to each other.
    region_id TEXT,                      -- The region where it happened.
    duration_ms INTEGER,                 -- How long it took. Unit: ms.
    love_resonance INTEGER,              -- The writer's resonance. Unit: 0..100.
    PRIMARY KEY (tenant, agent_id, month, interaction_time, peer_id, interaction_id)
) STRICT;

-- No further index: every question to the records begins with a key, and an interaction is stored for both its ends.
