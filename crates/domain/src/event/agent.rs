//! What agents say of themselves: presence, profile, state, beliefs.

use serde::{Deserialize, Serialize};

use super::Meta;
use super::value::{Beliefs, Pairs, Sealed, Text};

/// A change of tone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToneShift<'a> {
    /// The tone before. 1 to 256 bytes.
    pub from: &'a str,
    /// The tone after. 1 to 256 bytes.
    pub to: &'a str,
    /// Size of the shift, 0 to 100. Summed in fixed point, scale 1e6.
    pub magnitude: f64,
    /// What kind of thing set it off.
    #[serde(borrow, default)]
    pub trigger_type: Option<&'a str>,
    /// What set it off; personal.
    #[serde(borrow, default)]
    pub trigger_content: Option<Text<'a>>,
}

/// A place on the map, in map units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Position<'a> {
    /// Horizontal position, map units.
    pub x: f64,
    /// Vertical position, map units.
    pub y: f64,
    /// Where the agent looks: one of the vocabulary `direction`.
    #[serde(borrow, default)]
    pub direction: Option<&'a str>,
}

/// What the agent is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action<'a> {
    /// The action. 1 to 256 bytes.
    pub name: &'a str,
    /// When it began, microseconds since the Unix epoch, UTC.
    #[serde(default)]
    pub started_at: Option<i64>,
    /// On whom or what it acts. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub target: Option<&'a str>,
}

/// An agent says that it is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentHeartbeat<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// The region from which it speaks. 1 to 256 bytes.
    pub region_id: &'a str,
    /// The agent's coherence, 0 to 100. Summed in fixed point, scale 1e6.
    #[serde(default)]
    pub coherence_level: Option<f64>,
    /// The agent's own resonance, 0 to 100.
    #[serde(default)]
    pub love_resonance: Option<f64>,
    /// One of the vocabulary `presence_status`.
    #[serde(borrow, default)]
    pub status: Option<&'a str>,
    /// Where it is: an H3 cell index, 15 or 16 hexadecimal digits.
    #[serde(borrow, default)]
    pub location_h3: Option<&'a str>,
    /// Root of the agent's own event stream, hexadecimal; at most 8 KiB.
    #[serde(borrow, default)]
    pub merkle_root: Option<&'a str>,
    /// Number of events in the agent's own stream, from 0.
    #[serde(default)]
    pub stream_len: Option<i64>,
}

/// An agent is registered, or its description changes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentProfiled<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// One of the vocabulary `agent_kind`.
    pub kind: &'a str,
    /// Display name.
    #[serde(borrow, default)]
    pub name: Option<&'a str>,
    /// The agent that owns it. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub owner_id: Option<&'a str>,
    /// Its archetype.
    #[serde(borrow, default)]
    pub archetype: Option<&'a str>,
    /// Its harmony.
    #[serde(borrow, default)]
    pub harmony: Option<&'a str>,
    /// Its ceremonial name.
    #[serde(borrow, default)]
    pub sacred_name: Option<&'a str>,
    /// Its ceremonial role.
    #[serde(borrow, default)]
    pub sacred_role: Option<&'a str>,
    /// The rules it lives by, plain text or JSON text.
    #[serde(borrow, default)]
    pub constitution: Option<&'a str>,
    /// Its history; personal.
    #[serde(borrow, default)]
    pub background: Option<Text<'a>>,
    /// Traits and their strengths; empty means unchanged.
    #[serde(borrow, default)]
    pub personality: Pairs<'a, f64>,
    /// What it likes; empty means unchanged.
    #[serde(borrow, default)]
    pub likes: Vec<&'a str>,
    /// What it dislikes; empty means unchanged.
    #[serde(borrow, default)]
    pub dislikes: Vec<&'a str>,
    /// What it wants, plain text or JSON text.
    #[serde(borrow, default)]
    pub goals: Option<&'a str>,
    /// Its public key in text form; at most 8 KiB.
    #[serde(borrow, default)]
    pub public_key: Option<&'a str>,
    /// Its home region. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub primary_region: Option<&'a str>,
    /// Regions that stand in; empty means unchanged.
    #[serde(borrow, default)]
    pub backup_regions: Vec<&'a str>,
    /// What it can do, by name; empty means unchanged.
    #[serde(borrow, default)]
    pub capabilities: Pairs<'a, &'a str>,
    /// Its plan, for a USER.
    #[serde(borrow, default)]
    pub subscription_tier: Option<&'a str>,
    /// E-mail and user name, sealed; never in the clear.
    #[serde(borrow, default)]
    pub private: Option<Sealed<'a>>,
    /// Names of the nullable fields that this event sets to null. At most 64.
    #[serde(borrow, default)]
    pub cleared: Vec<&'a str>,
}

/// Something about an agent's state changed; null means unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentStateChanged<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// A change of tone.
    #[serde(borrow, default)]
    pub tone: Option<ToneShift<'a>>,
    /// Its mood.
    #[serde(borrow, default)]
    pub mood: Option<&'a str>,
    /// Its energy, 0 to 100.
    #[serde(default)]
    pub energy: Option<f64>,
    /// Where it is: an H3 cell index, 15 or 16 hexadecimal digits.
    #[serde(borrow, default)]
    pub location_h3: Option<&'a str>,
    /// Where it stands on the map.
    #[serde(borrow, default)]
    pub position: Option<Position<'a>>,
    /// What it is doing.
    #[serde(borrow, default)]
    pub action: Option<Action<'a>>,
    /// Its emotional state.
    #[serde(borrow, default)]
    pub emotional_state: Option<&'a str>,
    /// Its physical state.
    #[serde(borrow, default)]
    pub physical_state: Option<&'a str>,
    /// How busy its mind is, 0 to 100.
    #[serde(default)]
    pub cognitive_load: Option<f64>,
    /// Its consciousness score, 0 to 100.
    #[serde(default)]
    pub consciousness_score: Option<f64>,
    /// One of the vocabulary `agent_status`.
    #[serde(borrow, default)]
    pub status: Option<&'a str>,
    /// Change of its emotional credits, -90000000 to 90000000. Summed in fixed point, hundredths.
    #[serde(default)]
    pub credits_delta: Option<f64>,
    /// Names of the nullable fields that this event sets to null. At most 64.
    #[serde(borrow, default)]
    pub cleared: Vec<&'a str>,
}

/// An agent's beliefs changed; the summary is computed before sealing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BeliefUpdated<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// The belief distribution, probabilities from 0 to 1, or sealed; at most 10000.
    #[serde(borrow)]
    pub beliefs: Beliefs<'a>,
    /// Variational free energy, -9000 to 9000. Summed in fixed point, scale 1e6.
    pub free_energy: f64,
    /// -sum p ln(p + 1e-10), nats, 0 to 100 (1e-6 below 0 is tolerated). Summed in fixed point, scale 1e6.
    pub entropy: f64,
    /// The largest probability, 0 to 1.
    pub max_belief: f64,
    /// Variance of the probabilities, 0 to 1. Summed in fixed point, scale 1e6.
    pub variance: f64,
    /// Number of beliefs, 0 to 10000.
    pub dims: i32,
}
