//! What may be chosen about a population.

use domain::event::EventKind;

/// How activity is spread over the agents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Spread {
    /// Few do much, many do little; by day more than by night.
    #[default]
    Zipf,
    /// All do the same, in random order.
    Uniform,
    /// One after the other: n events have min(n, agents) distinct agents.
    RoundRobin,
}

/// A population.
#[derive(Clone, Debug)]
pub struct Options {
    /// The same seed gives the same population.
    pub seed: u64,
    /// Tells runs of the same population apart: ids and producer carry it. Two runs of one name
    /// that begin at the same time, at the same rate, are one run: the second adds nothing.
    pub run: String,
    /// The number of agents, at least 2.
    pub agents: u64,
    /// The tenant.
    pub tenant: String,
    /// Whether events carry `producer_seq`.
    pub sequenced: bool,
    /// Only these kinds; all that producers may append where it is empty.
    pub only: Vec<EventKind>,
    /// How activity is spread.
    pub spread: Spread,
}

impl Options {
    /// A population with the usual ways.
    #[must_use]
    pub fn new(seed: u64, agents: u64) -> Self {
        Self {
            seed,
            run: "0".to_owned(),
            agents: agents.max(2),
            tenant: "default".to_owned(),
            sequenced: true,
            only: Vec::new(),
            spread: Spread::Zipf,
        }
    }

    /// The producer's id: `sim/SEED/RUN/START.HASH`.
    ///
    /// A population counts its events in memory only, so the id holds all that decides which event
    /// has which number (design 7): where it starts, and a hash of its rate and of the choices made
    /// here. A restart that would give a number to another event is another producer.
    #[must_use]
    pub fn producer_id(&self, start_us: i64, rate_per_s: f64) -> String {
        let Self { seed, run, agents, only, spread, .. } = self;
        let choices = format!("{agents}|{only:?}|{spread:?}|{rate_per_s:?}");
        let hash = blake3::hash(choices.as_bytes()).to_hex();
        format!("sim/{seed}/{run}/{start_us}.{}", &hash[..8])
    }
}
