//! What agents say of themselves.

use super::population::Scratch;
use super::words::{SUBJECTS, TAGS, TONES, thought};
use super::world::{World, agent};
use domain::event::{
    Action, AgentHeartbeat, AgentProfiled, AgentStateChanged, BeliefUpdated, Beliefs, Event, Meta, Pairs, Position,
    Text, ToneShift,
};

const STATUS: &[&str] = &["online", "online", "online", "busy", "idle"];
const ARCHETYPES: &[&str] = &["gardener", "archivist", "wanderer", "maker", "listener", "trickster"];
const HARMONIES: &[&str] = &["resonant-coherence", "quiet-accord", "bright-dissonance"];
const ACTIONS: &[&str] = &["walk", "write", "rest", "mend", "listen", "trade"];
const TRAITS: &[&str] = &["openness", "warmth", "patience", "wit"];

pub(super) fn heartbeat<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let base = 40.0 + (world.trait_of(actor, 2) % 40) as f64;
    let region_id = world.region(actor);
    let dice = &mut world.dice;
    AgentHeartbeat {
        meta,
        agent_id: scratch.names[0].insert(agent(actor)),
        region_id,
        coherence_level: Some(dice.near(base, 15.0, 0.0, 100.0)),
        love_resonance: Some(dice.near(60.0, 30.0, 0.0, 100.0)),
        status: Some(dice.pick(STATUS)),
        location_h3: None,
        merkle_root: None,
        stream_len: None,
    }
    .into()
}

pub(super) fn profiled<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let facts = world.trait_of(actor, 3);
    let of = |list: &'static [&'static str], shift: u32| list[((facts >> shift) % list.len() as u64) as usize];
    let region = world.region(actor);
    let owner = world.friend(actor);
    thought(&mut world.dice, &mut scratch.text);
    let kind = match facts % 20 {
        0..=12 => "AGENT",
        13..=15 => "CHARACTER",
        16..=18 => "USER",
        _ => "SERVICE",
    };
    let traits =
        TRAITS.iter().zip(1..).map(|(name, which)| (*name, (world.trait_of(actor, 10 + which) % 101) as f64 / 100.0));
    let [first, second, ..] = &mut scratch.names;
    AgentProfiled {
        meta,
        agent_id: first.insert(agent(actor)),
        kind,
        name: None,
        owner_id: (kind == "CHARACTER").then(|| &**second.insert(agent(owner))),
        archetype: Some(of(ARCHETYPES, 8)),
        harmony: Some(of(HARMONIES, 12)),
        sacred_name: None,
        sacred_role: None,
        constitution: None,
        background: Some(Text::Plain(&scratch.text)),
        personality: Pairs(traits.collect()),
        likes: vec![of(TAGS, 16), of(SUBJECTS, 20)],
        dislikes: vec![of(TAGS, 24)],
        goals: None,
        public_key: None,
        primary_region: Some(region),
        backup_regions: Vec::new(),
        capabilities: Pairs(vec![("speech", "true")]),
        subscription_tier: (kind == "USER").then_some(if facts & 1 == 0 { "free" } else { "plus" }),
        private: None,
        cleared: Vec::new(),
    }
    .into()
}

pub(super) fn state_changed<'a>(
    actor: u64,
    meta: Meta<'a>,
    world: &'a mut World,
    scratch: &'a mut Scratch,
) -> Event<'a> {
    let target = world.friend(actor);
    let dice = &mut world.dice;
    let started_at = meta.occurred_at;
    let tone = dice.chance(0.5).then(|| ToneShift {
        from: dice.pick(TONES),
        to: dice.pick(TONES),
        magnitude: dice.near(20.0, 20.0, 0.0, 100.0),
        trigger_type: Some("interaction"),
        trigger_content: None,
    });
    let [first, second, ..] = &mut scratch.names;
    let action = dice.chance(0.6).then(|| Action {
        name: dice.pick(ACTIONS),
        started_at: Some(started_at),
        target: dice.chance(0.3).then(|| &**second.insert(agent(target))),
    });
    AgentStateChanged {
        meta,
        agent_id: first.insert(agent(actor)),
        tone,
        mood: dice.chance(0.7).then(|| dice.pick(TONES)),
        energy: Some(dice.near(60.0, 40.0, 0.0, 100.0)),
        location_h3: None,
        position: dice.chance(0.5).then(|| Position {
            x: dice.between(0.0, 1_000.0),
            y: dice.between(0.0, 1_000.0),
            direction: Some(dice.pick(&["north", "east", "south", "west"])),
        }),
        action,
        emotional_state: None,
        physical_state: None,
        cognitive_load: Some(dice.near(40.0, 40.0, 0.0, 100.0)),
        consciousness_score: None,
        status: dice.chance(0.02).then(|| dice.pick(&["active", "inactive"])),
        credits_delta: dice.chance(0.2).then(|| dice.near(0.0, 20.0, -50.0, 50.0)),
        cleared: Vec::new(),
    }
    .into()
}

pub(super) fn belief_updated<'a>(
    actor: u64,
    meta: Meta<'a>,
    world: &'a mut World,
    scratch: &'a mut Scratch,
) -> Event<'a> {
    let dims = 2 + world.trait_of(actor, 4) % 7;
    let mut beliefs: Vec<f64> = (0..dims).map(|_| world.dice.unit() + 0.05).collect();
    let sum: f64 = beliefs.iter().sum();
    beliefs.iter_mut().for_each(|belief| *belief /= sum);
    let mean = 1.0 / dims as f64;
    BeliefUpdated {
        meta,
        agent_id: scratch.names[0].insert(agent(actor)),
        free_energy: world.dice.near(2.0, 2.0, 0.0, 10.0),
        entropy: -beliefs.iter().map(|p| p * (p + 1e-10).ln()).sum::<f64>(),
        max_belief: beliefs.iter().copied().fold(0.0, f64::max),
        variance: beliefs.iter().map(|p| (p - mean).powi(2)).sum::<f64>() / dims as f64,
        dims: dims as i32,
        beliefs: Beliefs::Plain(beliefs),
    }
    .into()
}
