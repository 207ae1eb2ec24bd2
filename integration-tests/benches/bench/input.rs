//! A made-up stream: mostly interactions, some heartbeats, a few spores and changes of state; few agents do much.

use codec::{Encoder, Schemas};
use domain::event::{
    AgentHeartbeat, AgentStateChanged, Event, EventKind, InteractionRecorded, Meta, Pairs, SporeCreated,
    SporePropagated, Text, ToneShift,
};
use domain::{Projection, Topic};
use oorandom::Rand64;
use pipeline::{Headers, OutRecord};
use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;
use testkit::events::START_US;
use uuid::Uuid;

/// How many events there are in a second of event time: the more, the more of them share a window.
const RATE: &str = "SPORELOG_BENCH_EVENT_RATE";
const DEFAULT_RATE: i64 = 200;
const REGIONS: u64 = 24;
/// Spores that are still carried on.
const SPORES: usize = 65_536;

const WORDS: &str = "the field remembers what the mycelium carries and every agent that listens adds a voice to it \
                     so that what enough of them bless becomes wisdom";

/// How often which agent acts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Skew {
    /// By Zipf's law with exponent 1: the first of 50,000 sends one in eleven.
    Zipf,
    /// Each as often as any other, in turn.
    Even,
}

/// The id under which the schema of an event would be registered.
pub fn id(kind: EventKind) -> u32 {
    kind as u32 + 1
}

/// How many events there are in a second of event time.
pub fn event_rate() -> i64 {
    std::env::var(RATE).ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_RATE).clamp(1, 1_000_000)
}

/// Makes the events of a stream, one after another; the same for the same seed.
pub struct Maker {
    random: Rand64,
    encoder: Encoder,
    spores: Vec<Uuid>,
    agents: u64,
    skew: Skew,
    step_us: i64,
}

impl Maker {
    pub fn new(schemas: Arc<Schemas>, agents: u64, skew: Skew, seed: u128) -> Self {
        let (random, encoder) = (Rand64::new(seed), Encoder::new(schemas));
        Self { random, encoder, spores: Vec::new(), agents, skew, step_us: 1_000_000 / event_rate() }
    }

    fn agent(&mut self, ix: usize) -> String {
        let number = match self.skew {
            Skew::Zipf => (self.agents as f64).powf(self.random.rand_float()) as u64 - 1,
            Skew::Even => ix as u64 % self.agents,
        };
        format!("agent-{number:07}")
    }

    fn region(&mut self) -> String {
        format!("region-{:02}", self.random.rand_range(0..REGIONS))
    }

    fn words(&mut self) -> &'static str {
        let start = self.random.rand_range(0..60) as usize;
        &WORDS[start..start + 72]
    }

    /// Event number `ix` at its own time.
    pub fn one(&mut self, ix: usize) -> OutRecord {
        self.at(ix, START_US + ix as i64 * self.step_us)
    }

    /// Event number `ix`, as if it happened then.
    pub fn at(&mut self, ix: usize, occurred_at: i64) -> OutRecord {
        let (agent, peer, region) = (self.agent(ix), self.agent(ix + 1), self.region());
        let (words, chance, level) = (self.words(), self.random.rand_range(0..100), self.random.rand_float() * 100.0);
        let meta = meta(ix, occurred_at, self.random.rand_u64());
        let spore = self.spores.get(self.random.rand_range(0..self.spores.len().max(1) as u64) as usize).copied();
        let event = match (chance, spore) {
            (0..72, _) => interaction(meta, (&agent, &peer, &region), words, level),
            (72..90, _) => heartbeat(meta, &agent, &region, level),
            (90..94, Some(spore_id)) => propagated(meta, spore_id, (&agent, &peer, &region), level),
            (94..97, _) => state_changed(meta, &agent, level),
            _ => {
                match self.spores.len() < SPORES {
                    true => self.spores.push(meta.event_id),
                    false => self.spores[ix % SPORES] = meta.event_id,
                }
                spore_created(meta, &agent, &region, words, level)
            }
        };
        encoded(&mut self.encoder, &event)
    }
}

/// What a stream holds.
#[derive(Clone, Debug, Default)]
pub struct Held {
    counts: BTreeMap<Topic, usize>,
    bytes: usize,
}

impl Held {
    /// Counts a record.
    pub fn count(&mut self, record: &OutRecord) {
        *self.counts.entry(record.topic).or_default() += 1;
        self.bytes += record.value.len();
    }

    /// How many events a projection reads.
    pub fn of(&self, projection: &Projection) -> usize {
        projection.topics.iter().filter_map(|topic| self.counts.get(topic)).sum()
    }

    /// How many events the projector derives: one of each spore.
    pub fn derived(&self) -> usize {
        self.counts.get(&Topic::SporeCreated).copied().unwrap_or(0)
    }

    /// The mean size of a value, in bytes.
    pub fn mean_bytes(&self) -> usize {
        self.bytes / self.counts.values().sum::<usize>().max(1)
    }
}

/// A stream in memory, for what measures without a broker.
pub struct Input {
    pub schemas: Arc<Schemas>,
    pub records: Vec<OutRecord>,
    held: Held,
}

impl Input {
    /// The same events for the same number.
    pub fn new(schemas: Arc<Schemas>, events: usize) -> Self {
        let mut maker = Maker::new(schemas.clone(), AGENTS, Skew::Zipf, 7);
        let records: Vec<OutRecord> = (0..events).map(|ix| maker.one(ix)).collect();
        let mut held = Held::default();
        records.iter().for_each(|record| held.count(record));
        Self { schemas, records, held }
    }
}

impl Deref for Input {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

/// The population, where nothing else is said.
pub const AGENTS: u64 = 50_000;

fn encoded(encoder: &mut Encoder, event: &Event<'_>) -> OutRecord {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    event.key(&mut key);
    encoder.encode(event, &mut value).unwrap();
    OutRecord { topic: event.kind().topic(), key, value, headers: Headers::default() }
}

fn meta(ix: usize, occurred_at: i64, random: u64) -> Meta<'static> {
    // The form of a version 7 id: time first, then chance.
    let ms = (occurred_at / 1_000) as u128;
    Meta {
        event_id: Uuid::from_u128(
            ms << 80 | 0x7 << 76 | (ix as u128 & 0xfff) << 64 | 0b10 << 62 | u128::from(random >> 2),
        ),
        occurred_at,
        tenant_id: "default",
        producer_id: "gateway-1",
        producer_seq: None,
        love_resonance: 50,
        base_version: None,
        trace_id: None,
        causation_id: None,
    }
}

fn interaction<'a>(
    meta: Meta<'a>,
    (from, to, region): (&'a str, &'a str, &'a str),
    words: &'a str,
    level: f64,
) -> Event<'a> {
    Event::InteractionRecorded(InteractionRecorded {
        interaction_id: meta.event_id,
        meta,
        agent_id: from,
        peer_id: to,
        interaction_type: "message",
        spore_id: None,
        loop_id: None,
        message: Some(Text::Plain(words)),
        response: None,
        context: Pairs(vec![("channel", "grove")]),
        emotional_tone: Some("calm"),
        field_impact: level / 100.0,
        affection_delta: level / 50.0 - 1.0,
        trust_delta: 0.5,
        relationship_type: None,
        region_id: Some(region),
        duration_ms: Some(1_200),
    })
}

fn heartbeat<'a>(meta: Meta<'a>, agent_id: &'a str, region_id: &'a str, level: f64) -> Event<'a> {
    Event::AgentHeartbeat(AgentHeartbeat {
        meta,
        agent_id,
        region_id,
        coherence_level: Some(level),
        love_resonance: Some(50.0),
        status: Some("active"),
        location_h3: Some("8928308280fffff"),
        merkle_root: None,
        stream_len: None,
    })
}

fn propagated<'a>(
    meta: Meta<'a>,
    spore_id: Uuid,
    (from, to, region): (&'a str, &'a str, &'a str),
    level: f64,
) -> Event<'a> {
    Event::SporePropagated(SporePropagated {
        meta,
        spore_id,
        from_agent: from,
        to_agent: to,
        region_id: Some(region),
        hop: 1,
        resonance: level / 100.0,
        channel: Some("grove"),
    })
}

fn state_changed<'a>(meta: Meta<'a>, agent_id: &'a str, level: f64) -> Event<'a> {
    Event::AgentStateChanged(AgentStateChanged {
        meta,
        agent_id,
        tone: Some(ToneShift {
            from: "calm",
            to: "glad",
            magnitude: 1.0,
            trigger_type: Some("message"),
            trigger_content: None,
        }),
        mood: Some("glad"),
        energy: Some(level),
        location_h3: Some("8928308280fffff"),
        position: None,
        action: None,
        emotional_state: Some("content"),
        physical_state: None,
        cognitive_load: Some(level),
        consciousness_score: None,
        status: Some("active"),
        credits_delta: Some(1.0),
        cleared: Vec::new(),
    })
}

fn spore_created<'a>(meta: Meta<'a>, agent: &'a str, region: &'a str, words: &'a str, level: f64) -> Event<'a> {
    Event::SporeCreated(SporeCreated {
        spore_id: meta.event_id,
        meta,
        origin_agent: agent,
        region_id: Some(region),
        spore_type: "whisper",
        content: Text::Plain(words),
        content_hash: "6b86b273ff34fce19d6b804eff5a3f57",
        signature: &words[..24],
        resonance_score: level / 100.0,
        importance: Some(level / 10.0),
        emotional_relevance: None,
        emotional_context: None,
        tier: "WORKING",
        tags: vec!["field", "memory"],
        related_agents: Vec::new(),
        derived_from: Vec::new(),
        loop_id: None,
        location_h3: None,
        retention_until: None,
        embedding: None,
        metadata: Pairs::default(),
    })
}
