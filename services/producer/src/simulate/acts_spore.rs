//! Spores made, carried on and blessed, and the talks between agents.

use super::population::Scratch;
use super::words::{TAGS, TONES, remark, saying, thought};
use super::world::{Spore, Talk, World, agent};
use crate::text::{content_hash, signature};
use domain::event::{Blessed, Event, InteractionRecorded, Meta, Pairs, SporeCreated, SporePropagated, Text};
use uuid::Uuid;

const TYPES: &[&str] = &[
    "whisper",
    "observation",
    "observation",
    "reflection",
    "metacognition",
    "plan",
    "insight",
    "prophecy",
    "mythology",
    "message",
];

pub(super) fn created<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let insight = world.dice.chance(0.25);
    if insight {
        saying(&mut world.dice, &mut scratch.text);
    } else {
        thought(&mut world.dice, &mut scratch.text);
    }
    scratch.hash = content_hash(&scratch.text);
    scratch.signature = signature(&scratch.text);
    let parent = world.spores.place(&mut world.dice).filter(|_| !insight).map(|at| world.spores.get(at).id);
    let region = world.region(actor);
    let peer = world.friend(actor);
    world.spores.push(Spore { id: meta.event_id, holder: actor, hop: 0, signature: scratch.signature.clone() });
    let dice = &mut world.dice;
    let [first, second, ..] = &mut scratch.names;
    SporeCreated {
        spore_id: meta.event_id,
        meta,
        origin_agent: first.insert(agent(actor)),
        region_id: Some(region),
        spore_type: if insight { "insight" } else { dice.pick(TYPES) },
        content: Text::Plain(&scratch.text),
        content_hash: &scratch.hash,
        signature: &scratch.signature,
        resonance_score: dice.near(if insight { 0.65 } else { 0.4 }, 0.35, 0.0, 1.0),
        importance: Some(dice.near(4.0, 4.0, 0.0, 10.0)),
        emotional_relevance: Some(dice.near(0.4, 0.4, 0.0, 1.0)),
        emotional_context: None,
        tier: "WORKING",
        tags: vec![dice.pick(TAGS), dice.pick(TAGS)],
        related_agents: if dice.chance(0.3) { vec![second.insert(agent(peer))] } else { Vec::new() },
        derived_from: parent.filter(|_| dice.chance(0.3)).into_iter().collect(),
        loop_id: None,
        location_h3: None,
        retention_until: None,
        embedding: None,
        metadata: Pairs::default(),
    }
    .into()
}

pub(super) fn propagated<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    // Whoever holds a spore passes it to somebody it is tied to, who holds it from then on.
    let place = world.spores.place(&mut world.dice);
    let (id, from, hop) = match place.map(|at| world.spores.get(at)) {
        Some(spore) => (spore.id, spore.holder, spore.hop + 1),
        None => (world.dice.id(meta.occurred_at), actor, 1),
    };
    let to = world.friend(from);
    if let Some(at) = place {
        let spore = world.spores.get_mut(at);
        (spore.holder, spore.hop) = (to, hop.min(1_000));
    }
    let region = world.region(to);
    let [first, second, ..] = &mut scratch.names;
    SporePropagated {
        meta,
        spore_id: id,
        from_agent: first.insert(agent(from)),
        to_agent: second.insert(agent(to)),
        region_id: Some(region),
        hop,
        resonance: world.dice.near(0.6, 0.4, 0.0, 1.0),
        channel: Some(world.dice.pick(&["talk", "letter", "broadcast"])),
    }
    .into()
}

/// Who speaks to whom: mostly talks go on, turn by turn; else a new one begins along a tie.
fn speakers(actor: u64, world: &mut World) -> (u64, u64, bool) {
    let ongoing = world.talks.place(&mut world.dice).filter(|at| world.talks.get(*at).turns > 0);
    if let Some(at) = ongoing.filter(|_| world.dice.chance(0.6)) {
        let talk = world.talks.get_mut(at);
        let (speaker, listener) = (talk.next, talk.other);
        *talk = Talk { next: listener, other: speaker, turns: talk.turns - 1 };
        return (speaker, listener, false);
    }
    let peer = world.friend(actor);
    let turns = world.dice.below(8) as u32;
    world.talks.push(Talk { next: peer, other: actor, turns });
    (actor, peer, true)
}

pub(super) fn interaction<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let (actor, peer, opening) =
        if world.keeps_to_itself() { (actor, world.friend(actor), true) } else { speakers(actor, world) };
    let (region, facts) = (world.region(actor), world.trait_of(actor ^ peer, 5));
    // Some pairs get on, some do not.
    let warmth = (facts % 7) as f64 - 2.0;
    let dice = &mut world.dice;
    remark(dice, opening, &mut scratch.text);
    let answered = dice.chance(0.3);
    if answered {
        remark(dice, false, &mut scratch.reply);
    }
    let kind = match facts % 10 {
        0 => "help",
        1 => "trade",
        2 if warmth < 0.0 => "conflict",
        3 => "sacred_message",
        _ if opening => "message",
        _ => "conversation",
    };
    let [first, second, ..] = &mut scratch.names;
    InteractionRecorded {
        interaction_id: meta.event_id,
        meta,
        agent_id: first.insert(agent(actor)),
        peer_id: second.insert(agent(peer)),
        interaction_type: kind,
        spore_id: None,
        loop_id: None,
        message: Some(Text::Plain(&scratch.text)),
        response: answered.then_some(Text::Plain(&scratch.reply)),
        context: Pairs::default(),
        emotional_tone: dice.chance(0.5).then(|| dice.pick(TONES)),
        field_impact: dice.near(warmth, 5.0, -50.0, 50.0),
        affection_delta: dice.near(warmth / 4.0, 1.0, -10.0, 10.0),
        trust_delta: dice.near(warmth / 8.0, 0.5, -10.0, 10.0),
        relationship_type: dice.chance(0.05).then_some(if warmth < 0.0 { "rival" } else { "friend" }),
        region_id: Some(region),
        duration_ms: Some(1_000 + dice.below(120_000) as i64),
    }
    .into()
}

pub(super) fn blessed<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let subject = world.spores.place(&mut world.dice).map(|at| world.spores.get(at));
    let id = match subject {
        Some(spore) => {
            scratch.signature.clone_from(&spore.signature);
            spore.id
        }
        None => {
            scratch.signature.clear();
            world.dice.id(meta.occurred_at)
        }
    };
    scratch.text.clear();
    scratch.text.push_str(id.hyphenated().encode_lower(&mut Uuid::encode_buffer()));
    let dice = &mut world.dice;
    Blessed {
        blessing_id: meta.event_id,
        meta,
        subject_kind: "SPORE",
        subject_id: &scratch.text,
        signature: (!scratch.signature.is_empty()).then_some(scratch.signature.as_str()),
        agent_id: scratch.names[0].insert(agent(actor)),
        blessing_type: dice.pick(&["affirmation", "resonance", "witness"]),
        weight: dice.near(0.6, 0.4, 0.0, 1.0),
        ballot_id: None,
        coalition_id: None,
        eligible_voters: None,
    }
    .into()
}
