//! What agents do with their memories.

use super::population::Scratch;
use super::words::{TAGS, remark, thought};
use super::world::{World, agent};
use crate::text::content_hash;
use domain::event::{
    Compression, Event, MemoryAnnotated, MemoryLinked, MemoryRecalled, MemoryTiered, Meta, Pairs, RecalledSpore, Text,
    Weights,
};
use uuid::Uuid;

const TIERS: &[(&str, &str, &str)] = &[
    ("WORKING", "EPISODIC", "the day is over"),
    ("WORKING", "EPISODIC", "recalled more than once"),
    ("EPISODIC", "SEMANTIC", "recalled in many contexts"),
    ("SEMANTIC", "SHARED", "agreed upon"),
];
const RELATIONS: &[&str] = &["supports", "contradicts", "supersedes", "derived_from", "similar", "follows", "causes"];

/// A spore that somebody remembers; one out of the blue where none is known.
fn remembered(at_us: i64, world: &mut World) -> (Uuid, Option<u64>) {
    match world.spores.place(&mut world.dice) {
        Some(at) => {
            let spore = world.spores.get(at);
            (spore.id, Some(spore.holder))
        }
        None => (world.dice.id(at_us), None),
    }
}

pub(super) fn annotated<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let (spore_id, holder) = remembered(meta.occurred_at, world);
    let corrects = world.dice.chance(0.1);
    if corrects {
        thought(&mut world.dice, &mut scratch.text);
    }
    let dice = &mut world.dice;
    MemoryAnnotated {
        meta,
        agent_id: scratch.names[0].insert(agent(holder.unwrap_or(actor))),
        spore_id,
        importance: Some(dice.near(5.0, 4.0, 0.0, 10.0)),
        emotional_relevance: dice.chance(0.5).then(|| dice.near(0.5, 0.5, 0.0, 1.0)),
        tags: vec![dice.pick(TAGS)],
        context_analysis: None,
        policy_decisions: None,
        embedding: None,
        correction: corrects.then_some(Text::Plain(&scratch.text)),
        retention_until: None,
        metadata: Pairs::default(),
        cleared: Vec::new(),
    }
    .into()
}

pub(super) fn tiered<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let (spore_id, holder) = remembered(meta.occurred_at, world);
    let (from, to, reason) = world.dice.pick(TIERS);
    let compressed = to == "SEMANTIC";
    let ratio = world.dice.between(0.1, 0.6);
    MemoryTiered {
        meta,
        agent_id: scratch.names[0].insert(agent(holder.unwrap_or(actor))),
        spore_id,
        from,
        to,
        reason,
        compressed,
        compression: compressed.then_some(Compression { codec: "summary", ratio, summary_spore_id: None }),
    }
    .into()
}

pub(super) fn recalled<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    remark(&mut world.dice, true, &mut scratch.text);
    scratch.hash = content_hash(&scratch.text);
    let at_us = meta.occurred_at;
    let answers = (0..world.dice.below(5)).map(|_| {
        let (spore_id, _) = remembered(at_us, world);
        let [recency, importance, relevance, emotion] = std::array::from_fn(|_| world.dice.between(0.0, 1.0));
        RecalledSpore { spore_id, score: recency + importance + relevance, recency, importance, relevance, emotion }
    });
    let mut spores: Vec<_> = answers.collect();
    spores.sort_by(|a, b| b.score.total_cmp(&a.score));
    MemoryRecalled {
        meta,
        agent_id: scratch.names[0].insert(agent(actor)),
        query_hash: &scratch.hash,
        purpose: Some("conversation"),
        k: 5,
        weights: Weights { recency: 1.0, importance: 1.0, relevance: 1.0, emotion: 0.0 },
        spores,
    }
    .into()
}

pub(super) fn linked<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let (source_id, holder) = remembered(meta.occurred_at, world);
    let (target_id, _) = remembered(meta.occurred_at, world);
    let dice = &mut world.dice;
    MemoryLinked {
        meta,
        agent_id: scratch.names[0].insert(agent(holder.unwrap_or(actor))),
        source_id,
        target_id,
        relationship_type: dice.pick(RELATIONS),
        confidence: dice.near(0.6, 0.4, 0.0, 1.0),
        metadata: Pairs::default(),
        retracted: dice.chance(0.03),
    }
    .into()
}
