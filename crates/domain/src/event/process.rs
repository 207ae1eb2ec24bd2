//! Loops, and the blessings and crystals that grow from spores.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Meta;
use super::canonical;
use super::value::Text;

/// When a schedule repeats.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recurrence<'a> {
    /// One of the vocabulary `day_of_week`.
    pub day_of_week: &'a str,
    /// Local start time, HH:MM.
    pub start: &'a str,
    /// Local end time, HH:MM.
    pub end: &'a str,
    /// Where. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub location: Option<&'a str>,
    /// Whether it may be moved.
    pub is_flexible: bool,
}

/// An agent began a loop: a process that runs on until it has a final status.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopOpened<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The loop. 1 to 256 bytes.
    pub loop_id: &'a str,
    /// One of the vocabulary `loop_kind`.
    pub kind: &'a str,
    /// Who began it. 1 to 256 bytes.
    pub owner_id: &'a str,
    /// The spore it grew from.
    #[serde(default, with = "canonical::option")]
    pub origin_spore: Option<Uuid>,
    /// What it is about, at most 1 MiB; personal.
    #[serde(borrow)]
    pub text: Text<'a>,
    /// Its emotional tone.
    #[serde(borrow, default)]
    pub tone: Option<&'a str>,
    /// The loop it was forked from. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub fork_parent: Option<&'a str>,
    /// Number of forks above it, 0 to 1000000.
    pub fork_depth: i32,
    /// Loops it is related to; at most 10000.
    #[serde(borrow, default)]
    pub related_loops: Vec<&'a str>,
    /// The steps of a plan, in order; at most 10000.
    #[serde(borrow, default)]
    pub steps: Vec<&'a str>,
    /// Its priority, 0 to 1000; larger comes first.
    #[serde(default)]
    pub priority: Option<i32>,
    /// When it must be done, microseconds since the Unix epoch, UTC.
    #[serde(default)]
    pub deadline: Option<i64>,
    /// When a schedule repeats.
    #[serde(borrow, default)]
    pub recurrence: Option<Recurrence<'a>>,
    /// The mythology it belongs to. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub mythology_id: Option<&'a str>,
    /// How many may bless it, 1 to 1e12.
    #[serde(default)]
    pub eligible_voters: Option<i64>,
}

/// A loop moved on; null means unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopAdvanced<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The loop. 1 to 256 bytes.
    pub loop_id: &'a str,
    /// One of the vocabulary `loop_status`.
    pub status: &'a str,
    /// Index of the current step, from 0 to 10000.
    #[serde(default)]
    pub current_step: Option<i32>,
    /// Its consciousness state, plain text or JSON text.
    #[serde(borrow, default)]
    pub state: Option<&'a str>,
    /// Its emotional tone.
    #[serde(borrow, default)]
    pub tone: Option<&'a str>,
    /// Why it moved.
    #[serde(borrow, default)]
    pub reason: Option<&'a str>,
    /// Names of the nullable fields that this event sets to null. At most 64.
    #[serde(borrow, default)]
    pub cleared: Vec<&'a str>,
}

/// Derived from SporeCreated: an agent contributed to a signature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Contributed<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// Hash of the normalised content. 1 to 256 bytes.
    pub signature: &'a str,
    /// The spore.
    #[serde(with = "canonical")]
    pub spore_id: Uuid,
    /// Who made it. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// The region where it happened. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub region_id: Option<&'a str>,
    /// Resonance of the spore, 0 to 1. Summed in fixed point, scale 1e6.
    pub resonance: f64,
    /// When the spore was made, microseconds since the Unix epoch, UTC.
    pub created_at: i64,
    /// The first 4 KiB of the content; personal.
    #[serde(borrow)]
    pub content: Text<'a>,
}

/// An agent blessed a spore, a loop or a pattern.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Blessed<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The blessing.
    #[serde(with = "canonical")]
    pub blessing_id: Uuid,
    /// One of the vocabulary `subject_kind`.
    pub subject_kind: &'a str,
    /// What is blessed: the id of a spore or a loop, or a signature. 1 to 256 bytes.
    pub subject_id: &'a str,
    /// The signature of the subject, where it has one: then it is the record key. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub signature: Option<&'a str>,
    /// Who blessed it. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// One of the vocabulary `blessing_type`.
    pub blessing_type: &'a str,
    /// How much the blessing counts, 0 to 1. Summed in fixed point, scale 1e6.
    pub weight: f64,
    /// The vote it belongs to. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub ballot_id: Option<&'a str>,
    /// The coalition on whose behalf. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub coalition_id: Option<&'a str>,
    /// How many may bless, 1 to 1e12.
    #[serde(default)]
    pub eligible_voters: Option<i64>,
}

/// Derived: a signature crystallised, its crystal changed, or it was retracted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WisdomCrystallized<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The crystal: UUIDv5 of tenant and signature.
    #[serde(with = "canonical")]
    pub crystal_id: Uuid,
    /// Rises with each announcement of this crystal, from 0.
    pub revision: i64,
    /// Whether the crystal no longer stands.
    #[serde(default)]
    pub retracted: bool,
    /// Hash of the normalised content. 1 to 256 bytes.
    pub signature: &'a str,
    /// Content of the earliest of the three best contributions; personal.
    #[serde(borrow)]
    pub insight: Text<'a>,
    /// The spores it rests on; at most 10000.
    #[serde(default, with = "canonical::list")]
    pub spore_ids: Vec<Uuid>,
    /// The agents who made them; at most 10000.
    #[serde(borrow, default)]
    pub contributors: Vec<&'a str>,
    /// Mean of the three best contributors' best resonances, 0 to 1.
    pub wisdom_score: f64,
    /// Labels; at most 10000.
    #[serde(borrow, default)]
    pub tags: Vec<&'a str>,
}
