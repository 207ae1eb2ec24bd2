//! A mixed workload: the same seed gives the same records, byte by byte.

use codec::Schemas;
use pipeline::OutRecord;
use std::sync::Arc;
use testkit::events::{Events, START_US};
use uuid::Uuid;

/// Records that fill every table, and what must come of them.
#[derive(Clone, Debug, Default)]
pub struct Workload {
    /// The records in the order of appending.
    pub records: Vec<OutRecord>,
    /// Distinct interactions.
    pub interactions: i64,
    /// Distinct heartbeats.
    pub heartbeats: i64,
    /// Distinct spores.
    pub spores: i64,
    /// Distinct propagations.
    pub propagations: i64,
    /// Distinct profiles.
    pub profiles: i64,
    /// Distinct changes of state.
    pub changes: i64,
}

/// A maker of framed events with the binary's own schemas.
///
/// # Panics
/// Where those are broken.
#[must_use]
pub fn events() -> Events {
    Events::new(Arc::new(Schemas::embedded().unwrap()))
}

const AGENTS: u32 = 60;
const REGIONS: [&str; 3] = ["north", "south", "west"];

impl Workload {
    /// `events` distinct events, every other one of a sequenced producer, and besides a repeat of every twentieth.
    #[must_use]
    pub fn mixed(events: usize, seed: u64) -> Self {
        let mut maker = Maker { random: oorandom::Rand32::new(seed), events: self::events(), spores: Vec::new() };
        let mut made = Self::default();
        for ix in 0..events {
            let record = maker.one(ix, &mut made);
            made.records.push(record);
            if ix % 20 == 7 {
                // Far enough from the first to lie in another batch, for some of them.
                let back = maker.random.rand_range(1..40) as usize;
                let repeated = made.records[made.records.len().saturating_sub(back)].clone();
                made.records.push(repeated);
            }
        }
        made
    }
}

struct Maker {
    random: oorandom::Rand32,
    events: Events,
    spores: Vec<Uuid>,
}

impl Maker {
    fn agent(&mut self) -> String {
        format!("agent-{:02}", self.random.rand_range(0..AGENTS))
    }

    fn one(&mut self, ix: usize, made: &mut Workload) -> OutRecord {
        // Event time runs a little out of order over three days.
        let jitter_us = i64::from(self.random.rand_range(0..300)) * 1_000_000;
        let occurred_at = START_US + ix as i64 * 60_000_000 + jitter_us;
        let meta = Events::meta(ix as u128, occurred_at, ix.is_multiple_of(2).then_some(ix as i64));
        let (agent, peer) = (self.agent(), self.agent());
        match self.random.rand_range(0..10) {
            0..4 => {
                made.interactions += 1;
                self.events.interaction(meta, &agent, &peer)
            }
            4..6 => {
                made.heartbeats += 1;
                let region = REGIONS[self.random.rand_range(0..3) as usize];
                self.events.heartbeat(meta, &agent, region, f64::from(self.random.rand_range(0..100)))
            }
            6 => {
                made.spores += 1;
                self.spores.push(meta.event_id);
                self.events.spore(meta, &agent, &format!("text {ix}"), 5.0)
            }
            7 if !self.spores.is_empty() => {
                made.propagations += 1;
                let spore = self.spores[self.random.rand_range(0..self.spores.len() as u32) as usize];
                self.events.propagation(meta, spore, &agent, &peer)
            }
            8 => {
                made.profiles += 1;
                self.events.profile(meta, &agent, &format!("name {ix}"))
            }
            _ => {
                made.changes += 1;
                let mood = ["glad", "sad", "awake"][self.random.rand_range(0..3) as usize];
                self.events.state_change(meta, &agent, mood, f64::from(self.random.rand_range(0..100)))
            }
        }
    }
}
