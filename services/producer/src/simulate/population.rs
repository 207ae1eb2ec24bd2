//! Events of a population, one at a time.

use super::dice::Dice;
use super::options::Options;
use super::world::World;
use super::{acts_agent, acts_group, acts_memory, acts_spore};
use codec::{EncodeError, Encoder, SchemaError, Schemas};
use domain::Topic;
use domain::event::{Event, EventKind, Meta};
use pipeline::{Headers, OutRecord};
use std::sync::Arc;

/// Buffers that events borrow from.
#[derive(Debug, Default)]
pub(super) struct Scratch {
    pub(super) text: String,
    pub(super) reply: String,
    pub(super) hash: String,
    pub(super) signature: String,
    pub(super) names: [Option<super::name::Name>; 4],
}

/// A population that acts.
#[derive(Debug)]
pub struct Population {
    options: Options,
    /// Who it publishes as, from its first event on.
    producer: Option<String>,
    ids: Dice,
    next_seq: [i64; Topic::ALL.len()],
    encoder: Encoder,
    world: World,
    scratch: Scratch,
}

impl Population {
    /// A population that has done nothing yet.
    ///
    /// # Errors
    /// The schemas of this build are unusable.
    pub fn new(options: &Options) -> Result<Self, SchemaError> {
        Ok(Self {
            options: options.clone(),
            producer: None,
            ids: Dice::new(options.seed ^ 0x1d5, &options.run),
            next_seq: [0; Topic::ALL.len()],
            encoder: Encoder::new(Arc::new(Schemas::embedded()?)),
            world: World::new(options),
            scratch: Scratch::default(),
        })
    }

    /// Encodes with these schemas, which know the ids of a registry.
    #[must_use]
    pub fn with_schemas(mut self, schemas: Arc<Schemas>) -> Self {
        self.encoder = Encoder::new(schemas);
        self
    }

    /// Begins a run at this time and rate, under a producer id of its own.
    pub(super) fn begin(&mut self, start_us: i64, rate_per_s: f64) {
        self.producer = Some(self.options.producer_id(start_us, rate_per_s));
    }

    /// What happens at this time, in microseconds since 1970, as a record to be appended. Times must not fall.
    ///
    /// # Errors
    /// Cannot happen, short of a bug: the event does not fit its schema.
    pub fn next_record(&mut self, at_us: i64) -> Result<OutRecord, EncodeError> {
        let options = &self.options;
        // Whoever asks for single events states no rate.
        let producer = self.producer.get_or_insert_with(|| options.producer_id(at_us, 0.0));
        let (kind, actor) = self.world.next(at_us);
        let topic = kind.topic();
        let next_seq = &mut self.next_seq[topic as usize];
        *next_seq += 1;
        let meta = Meta {
            event_id: self.ids.id(at_us),
            occurred_at: at_us,
            tenant_id: &options.tenant,
            producer_id: producer,
            producer_seq: options.sequenced.then_some(*next_seq),
            love_resonance: self.world.dice.near(60.0, 40.0, 0.0, 100.0) as i32,
            base_version: None,
            trace_id: None,
            causation_id: None,
        };
        let event = act(kind, actor, meta, &mut self.world, &mut self.scratch);
        let mut value = Vec::with_capacity(256);
        self.encoder.encode(&event, &mut value)?;
        let mut key = Vec::with_capacity(48);
        event.key(&mut key);
        Ok(OutRecord { topic, key, value, headers: Headers::default() })
    }

    /// How awake the population is at this time, 0 to 1: by day events come closer together.
    #[must_use]
    pub fn awake(at_us: i64) -> f64 {
        World::awake(at_us)
    }
}

fn act<'a>(kind: EventKind, actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    match kind {
        EventKind::AgentHeartbeat => acts_agent::heartbeat(actor, meta, world, scratch),
        EventKind::AgentProfiled => acts_agent::profiled(actor, meta, world, scratch),
        EventKind::AgentStateChanged => acts_agent::state_changed(actor, meta, world, scratch),
        EventKind::BeliefUpdated => acts_agent::belief_updated(actor, meta, world, scratch),
        EventKind::SporePropagated => acts_spore::propagated(actor, meta, world, scratch),
        EventKind::InteractionRecorded => acts_spore::interaction(actor, meta, world, scratch),
        EventKind::Blessed => acts_spore::blessed(actor, meta, world, scratch),
        EventKind::MemoryAnnotated => acts_memory::annotated(actor, meta, world, scratch),
        EventKind::MemoryTiered => acts_memory::tiered(actor, meta, world, scratch),
        EventKind::MemoryRecalled => acts_memory::recalled(actor, meta, world, scratch),
        EventKind::MemoryLinked => acts_memory::linked(actor, meta, world, scratch),
        EventKind::LoopOpened => acts_group::loop_opened(actor, meta, world, scratch),
        EventKind::LoopAdvanced => acts_group::loop_advanced(meta, world, scratch),
        EventKind::CoalitionFormed => acts_group::formed(actor, meta, world, scratch),
        EventKind::CoalitionMembership => acts_group::membership(actor, meta, world, scratch),
        EventKind::CoalitionReported => acts_group::reported(meta, world, scratch),
        EventKind::FieldMeasured => acts_group::measured(actor, meta, world),
        EventKind::PolicyDecided => acts_group::decided(actor, meta, world, scratch),
        EventKind::Forgotten => acts_group::forgotten(actor, meta, world, scratch),
        // Derived kinds are never chosen.
        EventKind::SporeCreated | EventKind::Contributed | EventKind::WisdomCrystallized => {
            acts_spore::created(actor, meta, world, scratch)
        }
    }
}
