//! The state of a population, and who does what next.

use super::dice::{Dice, mixed};
use super::name::Name;
use super::options::{Options, Spread};
use domain::event::EventKind;
use domain::window::{HOUR_US, MINUTE_US};
use uuid::Uuid;

/// Regions, and by how many hours their clocks differ from UTC.
pub(super) const REGIONS: &[(&str, i64)] = &[
    ("eu-north", 1),
    ("eu-west", 0),
    ("us-east", -5),
    ("ap-east", 9),
    ("us-west", -8),
    ("ap-south", 5),
    ("sa-east", -3),
    ("af-south", 2),
];

/// How awake a region is by its local hour.
const AWAKE: [f64; 24] = [
    0.15, 0.10, 0.08, 0.06, 0.06, 0.10, 0.25, 0.50, 0.75, 0.90, 1.00, 1.00, 0.95, 0.90, 0.95, 1.00, 0.95, 0.90, 0.85,
    0.90, 0.95, 0.80, 0.55, 0.30,
];

/// How often each kind occurs, by the thousand. Heartbeats come by the minute, see [`World::heartbeat`].
const WEIGHTS: &[(EventKind, u32)] = &[
    (EventKind::InteractionRecorded, 400),
    (EventKind::SporePropagated, 120),
    (EventKind::SporeCreated, 80),
    (EventKind::AgentStateChanged, 80),
    (EventKind::Blessed, 50),
    (EventKind::BeliefUpdated, 40),
    (EventKind::MemoryAnnotated, 40),
    (EventKind::MemoryRecalled, 40),
    (EventKind::LoopAdvanced, 30),
    (EventKind::MemoryTiered, 25),
    (EventKind::MemoryLinked, 25),
    (EventKind::FieldMeasured, 20),
    (EventKind::PolicyDecided, 14),
    (EventKind::LoopOpened, 12),
    (EventKind::CoalitionMembership, 12),
    (EventKind::CoalitionReported, 8),
    (EventKind::AgentProfiled, 5),
    (EventKind::CoalitionFormed, 2),
    (EventKind::Forgotten, 1),
];

/// The largest share of heartbeats where other kinds are wanted too.
const HEARTBEAT_SHARE: f64 = 0.5;
/// How many agents each agent is tied to.
const TIES: u64 = 8;

/// A spore that is still talked about.
#[derive(Clone, Debug)]
pub(super) struct Spore {
    pub(super) id: Uuid,
    pub(super) holder: u64,
    pub(super) hop: i32,
    pub(super) signature: String,
}

/// A loop that is not closed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Loop {
    pub(super) number: u64,
    pub(super) step: i32,
    pub(super) depth: i32,
}

/// A coalition.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coalition {
    pub(super) number: u64,
    pub(super) founder: u64,
    pub(super) reports: u32,
}

/// A talk that goes on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    pub(super) next: u64,
    pub(super) other: u64,
    pub(super) turns: u32,
}

/// The latest few of something.
#[derive(Clone, Debug)]
pub(super) struct Latest<T> {
    items: Vec<T>,
    at: usize,
    most: usize,
}

impl<T> Latest<T> {
    fn new(most: usize) -> Self {
        Self { items: Vec::new(), at: 0, most }
    }

    pub(super) fn push(&mut self, item: T) {
        if self.items.len() < self.most {
            self.items.push(item);
        } else {
            self.items[self.at] = item;
            self.at = (self.at + 1) % self.most;
        }
    }

    /// A place, popular ones more often; none where there is nothing.
    pub(super) fn place(&self, dice: &mut Dice) -> Option<usize> {
        (!self.items.is_empty()).then(|| dice.zipf(self.items.len() as u64) as usize)
    }

    pub(super) fn get(&self, place: usize) -> &T {
        &self.items[place]
    }

    pub(super) fn get_mut(&mut self, place: usize) -> &mut T {
        &mut self.items[place]
    }
}

/// The state of a population.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) spores: Latest<Spore>,
    pub(super) loops: Latest<Loop>,
    pub(super) coalitions: Latest<Coalition>,
    pub(super) talks: Latest<Talk>,
    agents: u64,
    seed: u64,
    spread: Spread,
    turn: u64,
    kinds: Vec<(EventKind, u32)>,
    heartbeats: bool,
    beat: u64,
    beats_due_us: i64,
    profiled: Vec<u64>,
    profiles: bool,
}

impl World {
    pub(super) fn new(options: &Options) -> Self {
        let wanted = |kind: EventKind| options.only.is_empty() || options.only.contains(&kind);
        let mut sum = 0;
        let kinds = WEIGHTS.iter().filter(|(kind, _)| wanted(*kind)).map(|(kind, weight)| {
            sum += weight;
            (*kind, sum)
        });
        let agents = options.agents.max(2);
        Self {
            dice: Dice::new(options.seed, &options.run),
            spores: Latest::new(512),
            loops: Latest::new(256),
            coalitions: Latest::new(64),
            talks: Latest::new(128),
            agents,
            seed: options.seed,
            spread: options.spread,
            turn: 0,
            kinds: kinds.collect(),
            heartbeats: wanted(EventKind::AgentHeartbeat),
            beat: 0,
            beats_due_us: i64::MIN,
            profiled: vec![0; usize::try_from(agents.div_ceil(64)).unwrap_or(usize::MAX)],
            profiles: wanted(EventKind::AgentProfiled) && options.spread == Spread::Zipf,
        }
    }

    /// Who does what at this time.
    pub(super) fn next(&mut self, at_us: i64) -> (EventKind, u64) {
        let (kind, actor) = match self.heartbeat(at_us) {
            Some(agent) => (EventKind::AgentHeartbeat, agent),
            None => self.deed(at_us),
        };
        if self.profiles && self.unknown(actor) {
            return (EventKind::AgentProfiled, actor);
        }
        (kind, actor)
    }

    fn deed(&mut self, at_us: i64) -> (EventKind, u64) {
        let total = self.kinds.last().map_or(0, |(_, sum)| *sum);
        let throw = self.dice.below(total.into()) as u32;
        let kind = self.kinds.iter().find(|(_, sum)| throw < *sum).map_or(EventKind::AgentHeartbeat, |(kind, _)| *kind);
        (kind, self.actor(at_us))
    }

    /// The agent whose heartbeat is due: every agent that is awake has one a minute, spread over it. Where events come
    /// too slowly for that, heartbeats take their share and the rest are skipped.
    fn heartbeat(&mut self, at_us: i64) -> Option<u64> {
        if !self.heartbeats {
            return None;
        }
        if self.kinds.is_empty() {
            return Some(self.actor(at_us));
        }
        let gap = (MINUTE_US / i64::try_from(self.agents).unwrap_or(MINUTE_US)).max(1);
        if at_us.saturating_sub(self.beats_due_us) > MINUTE_US {
            self.beats_due_us = at_us;
        }
        while self.beats_due_us <= at_us {
            if !self.dice.chance(HEARTBEAT_SHARE) {
                return None;
            }
            let agent = self.beat % self.agents;
            self.beat += 1;
            self.beats_due_us += gap;
            if self.is_awake(agent, at_us) {
                return Some(agent);
            }
        }
        None
    }

    fn actor(&mut self, at_us: i64) -> u64 {
        match self.spread {
            Spread::RoundRobin => {
                self.turn += 1;
                (self.turn - 1) % self.agents
            }
            Spread::Uniform => self.dice.below(self.agents),
            Spread::Zipf => {
                let mut agent = self.anyone();
                // Whoever sleeps is passed over, unless all seem to.
                for _ in 0..4 {
                    if self.is_awake(agent, at_us) {
                        break;
                    }
                    agent = self.anyone();
                }
                agent
            }
        }
    }

    /// An agent, active ones more often. Their numbers tell nothing about how active they are.
    fn anyone(&mut self) -> u64 {
        let rank = self.dice.zipf(self.agents);
        (rank.wrapping_mul(0x9e37_79b1) ^ mixed(self.seed, 1)) % self.agents
    }

    fn is_awake(&mut self, agent: u64, at_us: i64) -> bool {
        let (_, offset) = self.home(agent);
        let hour = (at_us.div_euclid(HOUR_US) + offset).rem_euclid(24) as usize;
        self.dice.chance(AWAKE[hour])
    }

    /// How awake the population is at this time, 0 to 1.
    pub(super) fn awake(at_us: i64) -> f64 {
        let hours =
            REGIONS.iter().map(|(_, offset)| AWAKE[(at_us.div_euclid(HOUR_US) + offset).rem_euclid(24) as usize]);
        hours.sum::<f64>() / REGIONS.len() as f64
    }

    fn home(&self, agent: u64) -> (&'static str, i64) {
        let hash = mixed(self.seed ^ 0x5eed, agent);
        // The smaller of two: the first regions are the larger ones.
        REGIONS[((hash % 8).min((hash >> 8) % 8)) as usize]
    }

    /// The region of an agent.
    pub(super) fn region(&self, agent: u64) -> &'static str {
        self.home(agent).0
    }

    /// Something about an agent that never changes.
    pub(super) fn trait_of(&self, agent: u64, which: u64) -> u64 {
        mixed(self.seed.wrapping_add(which), agent)
    }

    /// Somebody that an agent is tied to, never itself.
    pub(super) fn friend(&mut self, agent: u64) -> u64 {
        let tie = self.dice.zipf(TIES);
        let other = mixed(self.seed ^ agent, tie) % (self.agents - 1);
        if other >= agent { other + 1 } else { other }
    }

    /// Marks an agent as known; whether it was not.
    fn unknown(&mut self, agent: u64) -> bool {
        let Some(word) = self.profiled.get_mut((agent / 64) as usize) else { return false };
        let bit = 1 << (agent % 64);
        let new = *word & bit == 0;
        *word |= bit;
        new
    }

    /// The number of a new loop or coalition; runs do not share numbers.
    pub(super) fn begin(&mut self) -> u64 {
        self.dice.bits() >> 20
    }
}

/// The name of an agent.
pub(super) fn agent(number: u64) -> Name {
    Name::new("agent-", number)
}

impl World {
    /// Whether every interaction is its actor's own: where activity is not to be skewed, talks would skew it.
    pub(super) fn keeps_to_itself(&self) -> bool {
        self.spread != Spread::Zipf
    }
}
