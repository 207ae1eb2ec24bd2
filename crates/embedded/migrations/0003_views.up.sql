-- The views: what is.
-- {views} stands for what the names of the projection's tables begin with, such as views_v1_. Columns, keys and types
-- follow the declarations in crates/domain/src/tables/views.rs; a test holds this file against them. A column
-- <name>_stamp says which write of <name> won. Tables with up to ten narrow columns lie in their key's own tree
-- (WITHOUT ROWID): one tree to write instead of two.

-- Every spore, for analysts.
CREATE TABLE {views}spore (
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

-- Which agent received which spore.
CREATE TABLE {views}received (
    tenant TEXT NOT NULL,                -- The tenant.
    spore_id BLOB NOT NULL,              -- The spore.
    to_agent TEXT NOT NULL,              -- The agent that received it.
    times INTEGER,                       -- How often it was received.
    first_at INTEGER,                    -- When it was first received (valid time). Unit: us.
    last_at INTEGER,                     -- When it was last received (valid time). Unit: us.
    hop INTEGER,                         -- The shortest way from its origin. Unit: hops.
    resonance INTEGER,                   -- The strongest resonance on arrival. Unit: millionths.
    PRIMARY KEY (tenant, spore_id, to_agent)
) STRICT, WITHOUT ROWID;

-- Directed contact: what agent_id did towards peer_id.
CREATE TABLE {views}contact (
    tenant TEXT NOT NULL,                -- The tenant.
    agent_id TEXT NOT NULL,              -- The agent.
    peer_id TEXT NOT NULL,               -- The agent at the other end.
    interactions INTEGER,                -- How often agent_id acted upon peer_id.
    affection_sum INTEGER,               -- The sum of affection, not clamped. Unit: millionths.
    trust_sum INTEGER,                   -- The sum of trust, not clamped. Unit: millionths.
    field_impact_sum INTEGER,            -- The sum of field impact. Unit: millionths.
    relationship_type TEXT,              -- What the two are to each other.
    relationship_type_stamp BLOB,        -- The stamp of relationship_type.
    first_at INTEGER,                    -- The first interaction (valid time). Unit: us.
    last_at INTEGER,                     -- The last interaction (valid time). Unit: us.
    PRIMARY KEY (tenant, agent_id, peer_id)
) STRICT, WITHOUT ROWID;

-- Every agent as it is now.
CREATE TABLE {views}agent (
    tenant TEXT NOT NULL,                -- The tenant.
    agent_id TEXT NOT NULL,              -- The agent.
    kind TEXT,                           -- AGENT, CHARACTER, USER or SERVICE.
    kind_stamp BLOB,                     -- The stamp of kind.
    name TEXT,                           -- Its name.
    name_stamp BLOB,                     -- The stamp of name.
    owner_id TEXT,                       -- Who owns it.
    owner_id_stamp BLOB,                 -- The stamp of owner_id.
    archetype TEXT,                      -- Its archetype.
    archetype_stamp BLOB,                -- The stamp of archetype.
    harmony TEXT,                        -- Its harmony.
    harmony_stamp BLOB,                  -- The stamp of harmony.
    sacred_name TEXT,                    -- Its sacred name.
    sacred_name_stamp BLOB,              -- The stamp of sacred_name.
    sacred_role TEXT,                    -- Its sacred role.
    sacred_role_stamp BLOB,              -- The stamp of sacred_role.
    constitution TEXT,                   -- The rules it lives by.
    constitution_stamp BLOB,             -- The stamp of constitution.
    background TEXT,                     -- Its background; null where it is sealed.
    background_stamp BLOB,               -- The stamp of background.
    background_sealed BLOB,              -- Its background, sealed.
    background_sealed_stamp BLOB,        -- The stamp of background_sealed.
    personality TEXT,                    -- Its traits, a JSON object.
    personality_stamp BLOB,              -- The stamp of personality.
    likes TEXT,                          -- What it likes, a JSON array.
    likes_stamp BLOB,                    -- The stamp of likes.
    dislikes TEXT,                       -- What it dislikes, a JSON array.
    dislikes_stamp BLOB,                 -- The stamp of dislikes.
    goals TEXT,                          -- What it wants.
    goals_stamp BLOB,                    -- The stamp of goals.
    public_key TEXT,                     -- The key its events are signed with.
    public_key_stamp BLOB,               -- The stamp of public_key.
    primary_region TEXT,                 -- Its home region.
    primary_region_stamp BLOB,           -- The stamp of primary_region.
    backup_regions TEXT,                 -- Where it goes in need, a JSON array.
    backup_regions_stamp BLOB,           -- The stamp of backup_regions.
    capabilities TEXT,                   -- What it can do, a JSON object.
    capabilities_stamp BLOB,             -- The stamp of capabilities.
    subscription_tier TEXT,              -- Its tier.
    subscription_tier_stamp BLOB,        -- The stamp of subscription_tier.
    private_sealed BLOB,                 -- E-mail and user name, sealed.
    private_sealed_stamp BLOB,           -- The stamp of private_sealed.
    tone TEXT,                           -- Its tone now.
    tone_stamp BLOB,                     -- The stamp of tone.
    mood TEXT,                           -- Its mood now.
    mood_stamp BLOB,                     -- The stamp of mood.
    energy REAL,                         -- Its energy now. Unit: 0..100.
    energy_stamp BLOB,                   -- The stamp of energy.
    location_h3 TEXT,                    -- The H3 cell it is in.
    location_h3_stamp BLOB,              -- The stamp of location_h3.
    position TEXT,                       -- Where it stands: x, y, direction.
    position_stamp BLOB,                 -- The stamp of position.
    action TEXT,                         -- What it does: name, started_at, target.
    action_stamp BLOB,                   -- The stamp of action.
    emotional_state TEXT,                -- Its emotional state.
    emotional_state_stamp BLOB,          -- The stamp of emotional_state.
    physical_state TEXT,                 -- Its physical state.
    physical_state_stamp BLOB,           -- The stamp of physical_state.
    cognitive_load REAL,                 -- Its cognitive load.
    cognitive_load_stamp BLOB,           -- The stamp of cognitive_load.
    consciousness_score REAL,            -- Its consciousness score.
    consciousness_score_stamp BLOB,      -- The stamp of consciousness_score.
    status TEXT,                         -- active, inactive or suspended.
    status_stamp BLOB,                   -- The stamp of status.
    credits_sum INTEGER,                 -- The sum of its credit changes. Unit: hundredths.
    changes INTEGER,                     -- How many events changed it.
    first_at INTEGER,                    -- The first event about it (valid time). Unit: us.
    last_at INTEGER,                     -- The last event about it (valid time). Unit: us.
    PRIMARY KEY (tenant, agent_id)
) STRICT;

-- Every change of an agent's state.
CREATE TABLE {views}agent_history (
    tenant TEXT NOT NULL,                -- The tenant.
    agent_id TEXT NOT NULL,              -- The agent.
    occurred_at INTEGER NOT NULL,        -- When it changed (valid time).
    event_id BLOB NOT NULL,              -- The event that changed it.
    event TEXT,                          -- The kind of event.
    tone_from TEXT,                      -- The tone before.
    tone_to TEXT,                        -- The tone after.
    tone_magnitude REAL,                 -- How large the shift was.
    trigger_type TEXT,                   -- What kind of thing caused the shift.
    trigger_content TEXT,                -- What caused the shift; null where it is sealed.
    trigger_content_sealed BLOB,         -- What caused the shift, sealed.
    mood TEXT,                           -- The mood.
    energy REAL,                         -- The energy. Unit: 0..100.
    location_h3 TEXT,                    -- The H3 cell.
    action TEXT,                         -- The action: name, started_at, target.
    emotional_state TEXT,                -- The emotional state.
    physical_state TEXT,                 -- The physical state.
    cognitive_load REAL,                 -- The cognitive load.
    consciousness_score REAL,            -- The consciousness score.
    status TEXT,                         -- The status.
    credits_delta REAL,                  -- The change of credits.
    PRIMARY KEY (tenant, agent_id, occurred_at, event_id)
) STRICT;

-- When each agent was heard, by day.
CREATE TABLE {views}agent_presence (
    tenant TEXT NOT NULL,                -- The tenant.
    agent_id TEXT NOT NULL,              -- The agent.
    day INTEGER NOT NULL,                -- The UTC day.
    minutes BLOB,                        -- A bit per minute of the day in which it was heard. Unit: 1,440 bits.
    heartbeats INTEGER,                  -- How often it was heard.
    last_seen INTEGER,                   -- When it was last heard (valid time). Unit: us.
    region_id TEXT,                      -- The region it was heard from.
    region_id_stamp BLOB,                -- The stamp of region_id.
    PRIMARY KEY (tenant, agent_id, day)
) STRICT, WITHOUT ROWID;

-- Indexes. Each costs a write per new row, so each names the question that needs it.

-- What an agent made, newest first: its memory stream.
CREATE INDEX {views}spore_by_agent ON {views}spore (tenant, origin_agent, created_at);
-- What was made in a span of time, by anybody.
CREATE INDEX {views}spore_by_time ON {views}spore (tenant, created_at);
-- What says the same: the spores behind a crystal.
CREATE INDEX {views}spore_by_signature ON {views}spore (tenant, signature);
-- What has to be expired; few spores have a date, and only those are in it.
CREATE INDEX {views}spore_by_retention ON {views}spore (retention_until) WHERE retention_until IS NOT NULL;
-- What an agent received: the other half of its memory stream.
CREATE INDEX {views}received_by_agent ON {views}received (tenant, to_agent);
-- Who acted upon an agent: the other direction of a tie.
CREATE INDEX {views}contact_by_peer ON {views}contact (tenant, peer_id);
-- Agents of a kind, and those of them that are active.
CREATE INDEX {views}agent_by_kind ON {views}agent (tenant, kind, status);
-- The agents that somebody owns.
CREATE INDEX {views}agent_by_owner ON {views}agent (tenant, owner_id) WHERE owner_id IS NOT NULL;
-- The agents in a place.
CREATE INDEX {views}agent_by_location ON {views}agent (tenant, location_h3) WHERE location_h3 IS NOT NULL;
