-- On which minutes of each day two agents were in direct contact, and the analysts' view of it.

CREATE TABLE {views}contact_day (
    tenant TEXT NOT NULL,                -- The tenant.
    agent_id TEXT NOT NULL,              -- The agent.
    peer_id TEXT NOT NULL,               -- The agent at the other end.
    day INTEGER NOT NULL,                -- The UTC day.
    minutes BLOB,                        -- A bit per minute of the day in which agent_id acted upon peer_id. Unit: 1,440 bits.
    interactions INTEGER,                -- How often agent_id acted upon peer_id on that day.
    PRIMARY KEY (tenant, agent_id, peer_id, day)
) STRICT, WITHOUT ROWID;

-- On which minutes of each day two agents were in direct contact.
CREATE VIEW contact_day AS
SELECT tenant, agent_id, peer_id, day, minutes, interactions
FROM {views}contact_day;
