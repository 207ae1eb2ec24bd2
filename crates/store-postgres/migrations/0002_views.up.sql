-- The views: what is.
-- {views} stands for what the names of the projection's tables begin with, such as views_v1_. Columns, keys and types follow
-- the declarations in crates/domain/src/tables/views.rs; a test holds this file against them. Their sentences become
-- comments when migrations are applied. A column <name>_stamp says which write of <name> won. Text compares by its bytes,
-- so that all stores order keys alike and any two columns can be joined; JSON is kept as it came.

-- Every spore, for analysts.
CREATE TABLE {views}spore (
    tenant text COLLATE "C" NOT NULL,
    spore_id uuid NOT NULL,
    origin_agent text COLLATE "C",
    created_at bigint,
    region_id text COLLATE "C",
    spore_type text COLLATE "C",
    content text COLLATE "C",
    content_sealed bytea,
    content_hash text COLLATE "C",
    signature text COLLATE "C",
    resonance_score double precision,
    importance double precision,
    emotional_relevance double precision,
    emotional_context text COLLATE "C",
    tier text COLLATE "C",
    tags json,
    related_agents json,
    derived_from json,
    loop_id text COLLATE "C",
    location_h3 text COLLATE "C",
    retention_until bigint,
    embedding_model text COLLATE "C",
    embedding bytea,
    metadata json,
    love_resonance bigint,
    PRIMARY KEY (tenant, spore_id)
);

-- Which agent received which spore.
CREATE TABLE {views}received (
    tenant text COLLATE "C" NOT NULL,
    spore_id uuid NOT NULL,
    to_agent text COLLATE "C" NOT NULL,
    times bigint,
    first_at bigint,
    last_at bigint,
    hop bigint,
    resonance bigint,
    PRIMARY KEY (tenant, spore_id, to_agent)
) WITH (fillfactor = 85);

-- Directed contact: what agent_id did towards peer_id.
CREATE TABLE {views}contact (
    tenant text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    peer_id text COLLATE "C" NOT NULL,
    interactions bigint,
    affection_sum bigint,
    trust_sum bigint,
    field_impact_sum bigint,
    relationship_type text COLLATE "C",
    relationship_type_stamp bytea,
    first_at bigint,
    last_at bigint,
    PRIMARY KEY (tenant, agent_id, peer_id)
) WITH (fillfactor = 85);

-- Every agent as it is now.
CREATE TABLE {views}agent (
    tenant text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    kind text COLLATE "C",
    kind_stamp bytea,
    name text COLLATE "C",
    name_stamp bytea,
    owner_id text COLLATE "C",
    owner_id_stamp bytea,
    archetype text COLLATE "C",
    archetype_stamp bytea,
    harmony text COLLATE "C",
    harmony_stamp bytea,
    sacred_name text COLLATE "C",
    sacred_name_stamp bytea,
    sacred_role text COLLATE "C",
    sacred_role_stamp bytea,
    constitution text COLLATE "C",
    constitution_stamp bytea,
    background text COLLATE "C",
    background_stamp bytea,
    background_sealed bytea,
    background_sealed_stamp bytea,
    personality json,
    personality_stamp bytea,
    likes json,
    likes_stamp bytea,
    dislikes json,
    dislikes_stamp bytea,
    goals text COLLATE "C",
    goals_stamp bytea,
    public_key text COLLATE "C",
    public_key_stamp bytea,
    primary_region text COLLATE "C",
    primary_region_stamp bytea,
    backup_regions json,
    backup_regions_stamp bytea,
    capabilities json,
    capabilities_stamp bytea,
    subscription_tier text COLLATE "C",
    subscription_tier_stamp bytea,
    private_sealed bytea,
    private_sealed_stamp bytea,
    tone text COLLATE "C",
    tone_stamp bytea,
    mood text COLLATE "C",
    mood_stamp bytea,
    energy double precision,
    energy_stamp bytea,
    location_h3 text COLLATE "C",
    location_h3_stamp bytea,
    position json,
    position_stamp bytea,
    action json,
    action_stamp bytea,
    emotional_state text COLLATE "C",
    emotional_state_stamp bytea,
    physical_state text COLLATE "C",
    physical_state_stamp bytea,
    cognitive_load double precision,
    cognitive_load_stamp bytea,
    consciousness_score double precision,
    consciousness_score_stamp bytea,
    status text COLLATE "C",
    status_stamp bytea,
    credits_sum bigint,
    changes bigint,
    first_at bigint,
    last_at bigint,
    PRIMARY KEY (tenant, agent_id)
) WITH (fillfactor = 85);

-- Every change of an agent's state.
CREATE TABLE {views}agent_history (
    tenant text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    occurred_at bigint NOT NULL,
    event_id uuid NOT NULL,
    event text COLLATE "C",
    tone_from text COLLATE "C",
    tone_to text COLLATE "C",
    tone_magnitude double precision,
    trigger_type text COLLATE "C",
    trigger_content text COLLATE "C",
    trigger_content_sealed bytea,
    mood text COLLATE "C",
    energy double precision,
    location_h3 text COLLATE "C",
    action json,
    emotional_state text COLLATE "C",
    physical_state text COLLATE "C",
    cognitive_load double precision,
    consciousness_score double precision,
    status text COLLATE "C",
    credits_delta double precision,
    PRIMARY KEY (tenant, agent_id, occurred_at, event_id)
) {by_month:occurred_at};
SELECT store_by_month('{views}agent_history', 'occurred_at', 'tenant, agent_id');

-- When each agent was heard, by day.
CREATE TABLE {views}agent_presence (
    tenant text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    day bigint NOT NULL,
    minutes bit varying,
    heartbeats bigint,
    last_seen bigint,
    region_id text COLLATE "C",
    region_id_stamp bytea,
    PRIMARY KEY (tenant, agent_id, day)
) WITH (fillfactor = 85);

-- On which minutes of each day two agents were in direct contact.
CREATE TABLE {views}contact_day (
    tenant text COLLATE "C" NOT NULL,
    agent_id text COLLATE "C" NOT NULL,
    peer_id text COLLATE "C" NOT NULL,
    day bigint NOT NULL,
    minutes bit varying,
    interactions bigint,
    PRIMARY KEY (tenant, agent_id, peer_id, day)
) WITH (fillfactor = 85);

-- Indexes. Each costs a write per new row, so each names the question that needs it.

-- What an agent made, newest first: its memory stream.
CREATE INDEX {views}spore_by_agent ON {views}spore (tenant, origin_agent, created_at DESC);
-- The same, of one type (H-042).
CREATE INDEX {views}spore_by_agent_type ON {views}spore (tenant, origin_agent, spore_type, created_at DESC);
-- What was made in a span of time, by anybody; and of one type (S-072, S-073).
CREATE INDEX {views}spore_by_time ON {views}spore (tenant, created_at DESC);
CREATE INDEX {views}spore_by_type ON {views}spore (tenant, spore_type, created_at DESC);
-- What an agent holds important (H-039, S-074); the others need no entry.
CREATE INDEX {views}spore_by_importance ON {views}spore (tenant, origin_agent, importance DESC) WHERE importance IS NOT NULL;
-- What says the same: the spores behind a crystal.
CREATE INDEX {views}spore_by_signature ON {views}spore (tenant, signature);
-- What has to be expired; few spores have a date, and only those are in it (M-012).
CREATE INDEX {views}spore_by_retention ON {views}spore (retention_until) WHERE retention_until IS NOT NULL;
-- The spores of a loop.
CREATE INDEX {views}spore_by_loop ON {views}spore (tenant, loop_id) WHERE loop_id IS NOT NULL;
-- What an agent received: the other half of its memory stream.
CREATE INDEX {views}received_by_agent ON {views}received (tenant, to_agent);
-- Who acted upon an agent: the other direction of a tie.
CREATE INDEX {views}contact_by_peer ON {views}contact (tenant, peer_id);
CREATE INDEX {views}contact_day_by_peer ON {views}contact_day (tenant, peer_id, day);
-- Agents of a kind, and those of them that are active.
CREATE INDEX {views}agent_by_kind ON {views}agent (tenant, kind, status);
-- Those that are active, the last heard first (F-050).
CREATE INDEX {views}agent_active ON {views}agent (tenant, last_at DESC) WHERE status = 'active';
-- The agents that somebody owns (S-071).
CREATE INDEX {views}agent_by_owner ON {views}agent (tenant, owner_id) WHERE owner_id IS NOT NULL;
-- The agents in a place (H-043).
CREATE INDEX {views}agent_by_location ON {views}agent (tenant, location_h3) WHERE location_h3 IS NOT NULL;
