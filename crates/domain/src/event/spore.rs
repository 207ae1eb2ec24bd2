//! Spores: created, carried on, and the interactions that carry them.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Meta;
use super::canonical;
use super::value::{Pairs, Text};

/// A vector that stands for the content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Embedding<'a> {
    /// The model that made it. 1 to 256 bytes.
    pub model: &'a str,
    /// Number of components, 1 to 8192; the length of `vector`.
    pub dim: i32,
    /// The components, finite 32-bit floats.
    #[serde(default)]
    pub vector: Vec<f32>,
}

/// An agent created a spore: an immutable record of content.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SporeCreated<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The spore; equals `meta.event_id`.
    #[serde(with = "canonical")]
    pub spore_id: Uuid,
    /// Who made it. 1 to 256 bytes.
    pub origin_agent: &'a str,
    /// The region where it happened. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub region_id: Option<&'a str>,
    /// One of the vocabulary `spore_type`.
    pub spore_type: &'a str,
    /// What it says, at most 1 MiB; personal.
    #[serde(borrow)]
    pub content: Text<'a>,
    /// BLAKE3 or SHA-256 of the content as made, hexadecimal. 1 to 256 bytes.
    pub content_hash: &'a str,
    /// Hash of the normalised content: what crystallises. 1 to 256 bytes.
    pub signature: &'a str,
    /// How strongly it resonates, 0 to 1. Summed in fixed point, scale 1e6.
    pub resonance_score: f64,
    /// How important it is, 0 to 10.
    #[serde(default)]
    pub importance: Option<f64>,
    /// How strongly it moves, 0 to 1.
    #[serde(default)]
    pub emotional_relevance: Option<f64>,
    /// The emotion around it, plain text or JSON text.
    #[serde(borrow, default)]
    pub emotional_context: Option<&'a str>,
    /// The memory tier it starts in: one of the vocabulary `tier`.
    #[serde(default = "working")]
    pub tier: &'a str,
    /// Labels; at most 10000.
    #[serde(borrow, default)]
    pub tags: Vec<&'a str>,
    /// Agents it concerns; at most 10000.
    #[serde(borrow, default)]
    pub related_agents: Vec<&'a str>,
    /// Spores it was made from; at most 10000.
    #[serde(default, with = "canonical::list")]
    pub derived_from: Vec<Uuid>,
    /// The loop it belongs to. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub loop_id: Option<&'a str>,
    /// Where it was made: an H3 cell index, 15 or 16 hexadecimal digits.
    #[serde(borrow, default)]
    pub location_h3: Option<&'a str>,
    /// Kept until then, microseconds since the Unix epoch, UTC; null means for ever.
    #[serde(default)]
    pub retention_until: Option<i64>,
    /// A vector that stands for the content.
    #[serde(borrow, default)]
    pub embedding: Option<Embedding<'a>>,
    /// Anything else, by name.
    #[serde(borrow, default)]
    pub metadata: Pairs<'a, &'a str>,
}

/// A spore was carried from one agent to another; the receiver now remembers it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SporePropagated<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The spore.
    #[serde(with = "canonical")]
    pub spore_id: Uuid,
    /// Who gave it. 1 to 256 bytes.
    pub from_agent: &'a str,
    /// Who received it. 1 to 256 bytes.
    pub to_agent: &'a str,
    /// The region where it happened. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub region_id: Option<&'a str>,
    /// Steps from the origin, 1 at the first receiver, 0 to 1000000.
    pub hop: i32,
    /// Resonance at the receiver, 0 to 1.
    pub resonance: f64,
    /// How it travelled.
    #[serde(borrow, default)]
    pub channel: Option<&'a str>,
}

/// An agent addressed another: a conversation, a message, a contact.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InteractionRecorded<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The interaction; equals `meta.event_id`.
    #[serde(with = "canonical")]
    pub interaction_id: Uuid,
    /// Who acted. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// With whom. 1 to 256 bytes.
    pub peer_id: &'a str,
    /// One of the vocabulary `interaction_type`.
    pub interaction_type: &'a str,
    /// The spore that was exchanged.
    #[serde(default, with = "canonical::option")]
    pub spore_id: Option<Uuid>,
    /// The loop it belongs to. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub loop_id: Option<&'a str>,
    /// What was said, at most 1 MiB; personal.
    #[serde(borrow, default)]
    pub message: Option<Text<'a>>,
    /// What was answered, at most 1 MiB; personal.
    #[serde(borrow, default)]
    pub response: Option<Text<'a>>,
    /// The circumstances, by name.
    #[serde(borrow, default)]
    pub context: Pairs<'a, &'a str>,
    /// The tone of it.
    #[serde(borrow, default)]
    pub emotional_tone: Option<&'a str>,
    /// Effect on the field, -1000 to 1000. Summed in fixed point, scale 1e6.
    pub field_impact: f64,
    /// Change of affection, -100 to 100. Summed unclamped in fixed point, scale 1e6; clamped to -100..100 at read.
    pub affection_delta: f64,
    /// Change of trust, -100 to 100. Summed unclamped in fixed point, scale 1e6; clamped to 0..100 at read.
    pub trust_delta: f64,
    /// What they now are to each other.
    #[serde(borrow, default)]
    pub relationship_type: Option<&'a str>,
    /// The region where it happened. 1 to 256 bytes.
    #[serde(borrow, default)]
    pub region_id: Option<&'a str>,
    /// How long it took, milliseconds, 0 to 31536000000 (one year).
    #[serde(default)]
    pub duration_ms: Option<i64>,
}

fn working() -> &'static str {
    "WORKING"
}
