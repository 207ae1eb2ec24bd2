//! Small valid events, framed and keyed as producers do.

use codec::{Encoder, Schemas};
use domain::event::{
    AgentHeartbeat, AgentProfiled, AgentStateChanged, Event, InteractionRecorded, Meta, SporeCreated, SporePropagated,
    Text, ToneShift,
};
use pipeline::{Headers, OutRecord};
use std::sync::Arc;
use uuid::Uuid;

/// 2026-01-01T00:00:00Z in microseconds: the time at which tests start.
pub const START_US: i64 = 1_767_225_600_000_000;

/// Makes framed records.
#[derive(Debug)]
pub struct Events {
    encoder: Encoder,
}

impl Events {
    /// A maker of records that uses these schemas.
    #[must_use]
    pub fn new(schemas: Arc<Schemas>) -> Self {
        Self { encoder: Encoder::new(schemas) }
    }

    /// What every event of the tests carries (its id is one above `event_id`, for the nil UUID is invalid); `seq` of `None` is an unsequenced producer.
    #[must_use]
    pub fn meta(event_id: u128, occurred_at: i64, seq: Option<i64>) -> Meta<'static> {
        Meta {
            event_id: Uuid::from_u128(event_id + 1),
            occurred_at,
            tenant_id: "t",
            producer_id: "test",
            producer_seq: seq,
            love_resonance: 50,
            base_version: None,
            trace_id: None,
            causation_id: None,
        }
    }

    /// The record of an event.
    ///
    /// # Panics
    /// Where the event cannot be encoded.
    pub fn record(&mut self, event: &Event<'_>) -> OutRecord {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        event.key(&mut key);
        let encoded = self.encoder.encode(event, &mut value);
        assert!(encoded.is_ok(), "{encoded:?}");
        OutRecord { topic: event.kind().topic(), key, value, headers: Headers::default() }
    }

    /// `from` writes to `to`; affection 1, trust 0.5, impact 0.25.
    pub fn interaction(&mut self, meta: Meta<'_>, from: &str, to: &str) -> OutRecord {
        let interaction_id = meta.event_id;
        self.record(&Event::InteractionRecorded(InteractionRecorded {
            meta,
            interaction_id,
            agent_id: from,
            peer_id: to,
            interaction_type: "message",
            spore_id: None,
            loop_id: None,
            message: None,
            response: None,
            context: Default::default(),
            emotional_tone: None,
            field_impact: 0.25,
            affection_delta: 1.0,
            trust_delta: 0.5,
            relationship_type: None,
            region_id: Some("north"),
            duration_ms: None,
        }))
    }

    /// An agent is there, with this coherence level.
    pub fn heartbeat(&mut self, meta: Meta<'_>, agent: &str, region: &str, coherence: f64) -> OutRecord {
        self.record(&Event::AgentHeartbeat(AgentHeartbeat {
            meta,
            agent_id: agent,
            region_id: region,
            coherence_level: Some(coherence),
            love_resonance: None,
            status: None,
            location_h3: None,
            merkle_root: None,
            stream_len: None,
        }))
    }

    /// `agent` makes a spore in the region north; its id is the event's.
    pub fn spore(&mut self, meta: Meta<'_>, agent: &str, content: &str, importance: f64) -> OutRecord {
        let spore_id = meta.event_id;
        self.record(&Event::SporeCreated(SporeCreated {
            meta,
            spore_id,
            origin_agent: agent,
            region_id: Some("north"),
            spore_type: "whisper",
            content: Text::Plain(content),
            content_hash: "00",
            signature: "00",
            resonance_score: 0.5,
            importance: Some(importance),
            emotional_relevance: None,
            emotional_context: None,
            tier: "WORKING",
            tags: vec!["test"],
            related_agents: Vec::new(),
            derived_from: Vec::new(),
            loop_id: None,
            location_h3: None,
            retention_until: None,
            embedding: None,
            metadata: Default::default(),
        }))
    }

    /// `from` passes a spore on to `to`, in the region north.
    pub fn propagation(&mut self, meta: Meta<'_>, spore_id: Uuid, from: &str, to: &str) -> OutRecord {
        self.record(&Event::SporePropagated(SporePropagated {
            meta,
            spore_id,
            from_agent: from,
            to_agent: to,
            region_id: Some("north"),
            hop: 1,
            resonance: 0.75,
            channel: None,
        }))
    }

    /// An agent is registered, with a name.
    pub fn profile(&mut self, meta: Meta<'_>, agent: &str, name: &str) -> OutRecord {
        self.record(&Event::AgentProfiled(AgentProfiled {
            meta,
            agent_id: agent,
            kind: "AGENT",
            name: Some(name),
            owner_id: None,
            archetype: None,
            harmony: None,
            sacred_name: None,
            sacred_role: None,
            constitution: None,
            background: None,
            personality: Default::default(),
            likes: Vec::new(),
            dislikes: Vec::new(),
            goals: None,
            public_key: None,
            primary_region: Some("north"),
            backup_regions: Vec::new(),
            capabilities: Default::default(),
            subscription_tier: None,
            private: None,
            cleared: Vec::new(),
        }))
    }

    /// An agent's mood, energy and tone change, and it earns a credit.
    pub fn state_change(&mut self, meta: Meta<'_>, agent: &str, mood: &str, energy: f64) -> OutRecord {
        let tone = ToneShift { from: "calm", to: mood, magnitude: 1.0, trigger_type: None, trigger_content: None };
        self.record(&Event::AgentStateChanged(AgentStateChanged {
            meta,
            agent_id: agent,
            tone: Some(tone),
            mood: Some(mood),
            energy: Some(energy),
            location_h3: None,
            position: None,
            action: None,
            emotional_state: None,
            physical_state: None,
            cognitive_load: None,
            consciousness_score: None,
            status: Some("active"),
            credits_delta: Some(1.0),
            cleared: Vec::new(),
        }))
    }
}
