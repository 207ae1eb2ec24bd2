//! What an agent does with its memories.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::Embedding;
use super::Meta;
use super::canonical;
use super::value::{Pairs, Text};

/// How a memory was compressed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Compression<'a> {
    /// The codec or summariser. 1 to 256 bytes.
    pub codec: &'a str,
    /// Compressed size over original size, 0 to 1.
    pub ratio: f64,
    /// The spore that holds the summary.
    #[serde(default, with = "canonical::option")]
    pub summary_spore_id: Option<Uuid>,
}

/// Weights of the four terms of a recall, each 0 to 1000.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    /// Weight of recency, 0 to 1000.
    pub recency: f64,
    /// Weight of importance, 0 to 1000.
    pub importance: f64,
    /// Weight of relevance, 0 to 1000.
    pub relevance: f64,
    /// Weight of emotion, 0 to 1000.
    pub emotion: f64,
}

/// One answer of a recall, with its components.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecalledSpore {
    /// The spore recalled.
    #[serde(with = "canonical")]
    pub spore_id: Uuid,
    /// The weighted sum.
    pub score: f64,
    /// Normalised recency, 0 to 1.
    pub recency: f64,
    /// Normalised importance, 0 to 1.
    pub importance: f64,
    /// Normalised relevance, 0 to 1.
    pub relevance: f64,
    /// Normalised emotion, 0 to 1.
    pub emotion: f64,
}

/// An agent's own note on a spore changes; null or empty means unchanged.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryAnnotated<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// The spore.
    #[serde(with = "canonical")]
    pub spore_id: Uuid,
    /// How important it is to this agent, 0 to 10.
    #[serde(default)]
    pub importance: Option<f64>,
    /// How strongly it moves this agent, 0 to 1.
    #[serde(default)]
    pub emotional_relevance: Option<f64>,
    /// Labels; at most 10000.
    #[serde(borrow, default)]
    pub tags: Vec<&'a str>,
    /// Analysis of the context, JSON text.
    #[serde(borrow, default)]
    pub context_analysis: Option<&'a str>,
    /// Policy decisions that apply, JSON text.
    #[serde(borrow, default)]
    pub policy_decisions: Option<&'a str>,
    /// A vector that stands for the memory.
    #[serde(borrow, default)]
    pub embedding: Option<Embedding<'a>>,
    /// What the memory should say; personal.
    #[serde(borrow, default)]
    pub correction: Option<Text<'a>>,
    /// Kept until then, microseconds since the Unix epoch, UTC.
    #[serde(default)]
    pub retention_until: Option<i64>,
    /// Anything else, by name; empty means unchanged.
    #[serde(borrow, default)]
    pub metadata: Pairs<'a, &'a str>,
    /// Names of the nullable fields that this event sets to null. At most 64.
    #[serde(borrow, default)]
    pub cleared: Vec<&'a str>,
}

/// A memory moves from one tier to another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryTiered<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// The spore.
    #[serde(with = "canonical")]
    pub spore_id: Uuid,
    /// The tier it leaves: one of the vocabulary `tier`.
    pub from: &'a str,
    /// The tier it enters: one of the vocabulary `tier`.
    pub to: &'a str,
    /// Why. 1 to 8192 bytes.
    pub reason: &'a str,
    /// Whether the content was compressed.
    pub compressed: bool,
    /// How it was compressed.
    #[serde(borrow, default)]
    pub compression: Option<Compression<'a>>,
}

/// An agent asked its memory (sampled).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRecalled<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// Hash of the question, hexadecimal. 1 to 256 bytes.
    pub query_hash: &'a str,
    /// Why it asked.
    #[serde(borrow, default)]
    pub purpose: Option<&'a str>,
    /// How many answers it wanted, 1 to 10000.
    pub k: i32,
    /// Weights of the four terms.
    pub weights: Weights,
    /// The answers, best first; at most 10000.
    #[serde(default)]
    pub spores: Vec<RecalledSpore>,
}

/// An agent linked two memories, or withdrew a link.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryLinked<'a> {
    /// Identity, time and origin.
    #[serde(borrow)]
    pub meta: Meta<'a>,
    /// The agent. 1 to 256 bytes.
    pub agent_id: &'a str,
    /// The spore the link starts from.
    #[serde(with = "canonical")]
    pub source_id: Uuid,
    /// The spore it leads to.
    #[serde(with = "canonical")]
    pub target_id: Uuid,
    /// One of the vocabulary `memory_relationship`.
    pub relationship_type: &'a str,
    /// How sure the agent is, 0 to 1.
    #[serde(default = "half")]
    pub confidence: f64,
    /// Anything else, by name.
    #[serde(borrow, default)]
    pub metadata: Pairs<'a, &'a str>,
    /// Whether the link is withdrawn.
    #[serde(default)]
    pub retracted: bool,
}

fn half() -> f64 {
    0.5
}
