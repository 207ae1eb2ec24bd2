//! Coalitions, field measurements, and the audit of policies and erasures.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Meta;
use super::canonical;
use super::value::Pairs;

/// A coalition, guild or cluster was formed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoalitionFormed<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The coalition. 1 to 256 bytes.
    pub coalition_id: &'a str,
    /// One of the vocabulary `coalition_kind`.
    pub kind: &'a str,
    /// Its name. 1 to 8192 bytes.
    pub name: &'a str,
    /// How it earns.
    #[serde(borrow, default)]
    pub business_model: Option<&'a str>,
    /// Why these agents came together, JSON text.
    #[serde(borrow, default)]
    pub formation_criteria: Option<&'a str>,
    /// Its configuration, JSON text.
    #[serde(borrow, default)]
    pub business_config: Option<&'a str>,
    /// What it starts with: a decimal number as text, at most 28 digits, 6 of them after the point; -90000000 to 90000000.
    #[serde(borrow, default)]
    pub initial_capital: Option<&'a str>,
}

/// An agent joined or left a coalition, or was scored in it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoalitionMembership<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The coalition. 1 to 256 bytes.
    pub coalition_id: &'a str,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// One of the vocabulary `membership_change`.
    pub change: &'a str,
    /// Its role there.
    #[serde(borrow, default)]
    pub role: Option<&'a str>,
    /// What it contributed, 0 to 90000000.
    #[serde(default)]
    pub contribution_score: Option<f64>,
}

/// A coalition reports its standing; null means unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CoalitionReported<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The coalition. 1 to 256 bytes.
    pub coalition_id: &'a str,
    /// One of the vocabulary `coalition_status`.
    pub status: &'a str,
    /// What it has: a decimal number as text, at most 28 digits, 6 of them after the point; -90000000 to 90000000.
    #[serde(borrow, default)]
    pub current_capital: Option<&'a str>,
    /// Revenue since the last report, -90000000 to 90000000. Summed in fixed point, hundredths.
    #[serde(default)]
    pub revenue_delta: Option<f64>,
    /// Its efficiency, 0 to 1000. Summed in fixed point, scale 1e6.
    #[serde(default)]
    pub efficiency: Option<f64>,
    /// Names of the nullable fields that this event sets to null. At most 64.
    #[serde(borrow, default)]
    pub cleared: Vec<&'a str>,
}

/// A source measured the coherence of a region over a window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FieldMeasured<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The region. 1 to 256 bytes, without `|`.
    pub region_id: &'a str,
    /// Start of the window, microseconds since the Unix epoch, UTC.
    pub window_start: i64,
    /// Length of the window, seconds, 1 to 86400.
    pub window_secs: i32,
    /// Mean coherence, 0 to 100. Summed in fixed point, scale 1e6.
    pub coherence_level: f64,
    /// Largest coherence, 0 to 100.
    pub peak_coherence: f64,
    /// Agents heard, 0 to 1e12.
    pub active_agents: i64,
    /// Harmony pair to strength.
    #[serde(borrow, default)]
    pub resonance_patterns: Pairs<'a, f64>,
    /// Crystals active in the window; at most 10000.
    #[serde(default, with = "canonical::list")]
    pub crystals: Vec<Uuid>,
    /// Who measured. 1 to 256 bytes.
    pub source: &'a str,
    /// A later measurement of the same window has a larger one, from 0.
    pub revision: i64,
}

/// A policy decided about a subject's data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PolicyDecided<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// Whose data. 1 to 256 bytes.
    pub subject_id: &'a str,
    /// Who asked. 1 to 256 bytes.
    pub actor_id: &'a str,
    /// Which kind of policy. 1 to 256 bytes.
    pub policy_type: &'a str,
    /// One of the vocabulary `policy_action`.
    pub action: &'a str,
    /// The rule that decided. 1 to 256 bytes.
    pub rule_id: &'a str,
    /// What was decided and why, plain text or JSON text. 1 to 8192 bytes.
    pub decision: &'a str,
}

/// A subject's data is erased; appended to every affected topic under that topic's key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Forgotten<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// Whose data. 1 to 256 bytes.
    pub subject_id: &'a str,
    /// One of the vocabulary `forget_scope`.
    pub scope: &'a str,
    /// The spore, for the scope MEMORY.
    #[serde(default, with = "canonical::option")]
    pub spore_id: Option<Uuid>,
    /// Why. 1 to 8192 bytes.
    pub reason: &'a str,
    /// The key that was destroyed. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub key_ref: Option<&'a str>,
    /// Who asked for it. 1 to 256 bytes.
    pub requested_by: &'a str,
}
