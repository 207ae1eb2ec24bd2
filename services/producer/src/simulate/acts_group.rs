//! Loops, coalitions, the field of a region, and the audit.

use super::name::Name;
use super::population::Scratch;
use super::words::{SUBJECTS, TAGS, TONES, thought};
use super::world::{Coalition, Loop, World, agent};
use domain::event::{
    CoalitionFormed, CoalitionMembership, CoalitionReported, Event, FieldMeasured, Forgotten, LoopAdvanced, LoopOpened,
    Meta, Pairs, PolicyDecided, Recurrence, Text,
};
use domain::window::{self, MINUTE_US};
use std::fmt::Write;

const KINDS: &[&str] = &["LOOP", "LOOP", "PLAN", "PLAN", "PROPHECY", "SCHEDULE", "VOTE"];
const STEPS: &[&str] = &["ask around", "gather what is needed", "begin", "show it", "mend it", "hand it over"];
const DAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

pub(super) fn loop_opened<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let number = world.begin();
    let parent = world.loops.place(&mut world.dice).map(|at| *world.loops.get(at)).filter(|_| world.dice.chance(0.15));
    let depth = parent.map_or(0, |parent| (parent.depth + 1).min(1_000));
    world.loops.push(Loop { number, step: 0, depth });
    let origin_spore = world.spores.place(&mut world.dice).map(|at| world.spores.get(at).id);
    let dice = &mut world.dice;
    thought(dice, &mut scratch.text);
    let kind = dice.pick(KINDS);
    let [first, second, third, _] = &mut scratch.names;
    LoopOpened {
        loop_id: first.insert(Name::new("loop-", number)),
        kind,
        owner_id: second.insert(agent(actor)),
        origin_spore: origin_spore.filter(|_| dice.chance(0.5)),
        text: Text::Plain(&scratch.text),
        tone: Some(dice.pick(TONES)),
        fork_parent: parent.map(|parent| &**third.insert(Name::new("loop-", parent.number))),
        fork_depth: depth,
        related_loops: Vec::new(),
        steps: if kind == "PLAN" { STEPS[..2 + dice.below(5) as usize].to_vec() } else { Vec::new() },
        priority: dice.chance(0.5).then(|| dice.below(10) as i32),
        deadline: (kind != "SCHEDULE").then(|| meta.occurred_at + (1 + dice.below(72) as i64) * window::HOUR_US),
        recurrence: (kind == "SCHEDULE").then(|| Recurrence {
            day_of_week: dice.pick(DAYS),
            start: "09:00",
            end: "10:30",
            location: None,
            is_flexible: dice.chance(0.5),
        }),
        mythology_id: None,
        eligible_voters: (kind == "VOTE").then(|| 3 + dice.below(20) as i64),
        meta,
    }
    .into()
}

pub(super) fn loop_advanced<'a>(meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let place = world.loops.place(&mut world.dice);
    let (number, step) = match place {
        Some(at) => {
            let held = world.loops.get_mut(at);
            held.step = (held.step + 1).min(5);
            (held.number, held.step)
        }
        None => (world.begin(), 0),
    };
    let dice = &mut world.dice;
    let status = match (step, dice.below(10)) {
        (0 | 1, _) => "active",
        (5, 0..=6) => "fulfilled",
        (5, 7) => "archived",
        (_, 8) => "failed",
        (_, 9) => "dissolved",
        _ => "executing",
    };
    LoopAdvanced {
        meta,
        loop_id: scratch.names[0].insert(Name::new("loop-", number)),
        status,
        current_step: Some(step),
        state: None,
        tone: dice.chance(0.3).then(|| dice.pick(TONES)),
        reason: (status == "failed").then_some("nobody came"),
        cleared: Vec::new(),
    }
    .into()
}

fn coalition(actor: u64, world: &mut World) -> Coalition {
    match world.coalitions.place(&mut world.dice) {
        Some(at) => {
            let held = world.coalitions.get_mut(at);
            held.reports += 1;
            *held
        }
        None => Coalition { number: world.begin(), founder: actor, reports: 0 },
    }
}

pub(super) fn formed<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let number = world.begin();
    world.coalitions.push(Coalition { number, founder: actor, reports: 0 });
    let dice = &mut world.dice;
    scratch.text.clear();
    let capital = 100 + dice.below(10_000);
    // Writing to a string cannot fail.
    let _ = write!(scratch.text, "{capital}.50");
    scratch.reply.clear();
    let _ = write!(scratch.reply, "Friends of {}", dice.pick(SUBJECTS));
    CoalitionFormed {
        meta,
        coalition_id: scratch.names[0].insert(Name::new("coalition-", number)),
        kind: dice.pick(&["COALITION", "GUILD", "CLUSTER"]),
        name: &scratch.reply,
        business_model: Some(dice.pick(&["workshop", "exchange", "commons"])),
        formation_criteria: None,
        business_config: None,
        initial_capital: Some(&scratch.text),
    }
    .into()
}

pub(super) fn membership<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let coalition = coalition(actor, world);
    let member = if coalition.founder == actor { actor } else { world.friend(coalition.founder) };
    let dice = &mut world.dice;
    let change = dice.pick(&["JOINED", "JOINED", "JOINED", "LEFT", "SCORED", "SCORED"]);
    let [first, second, ..] = &mut scratch.names;
    CoalitionMembership {
        meta,
        coalition_id: first.insert(Name::new("coalition-", coalition.number)),
        agent_id: second.insert(agent(member)),
        change,
        role: (change == "JOINED").then(|| dice.pick(&["member", "steward", "scout"])),
        contribution_score: (change == "SCORED").then(|| dice.between(0.0, 100.0)),
    }
    .into()
}

pub(super) fn reported<'a>(meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let coalition = coalition(0, world);
    let dice = &mut world.dice;
    scratch.text.clear();
    // Writing to a string cannot fail.
    let _ = write!(scratch.text, "{}.25", dice.below(100_000));
    CoalitionReported {
        meta,
        coalition_id: scratch.names[0].insert(Name::new("coalition-", coalition.number)),
        status: match coalition.reports {
            0..=2 => "forming",
            3..=9 => "active",
            _ => dice.pick(&["active", "profitable", "profitable"]),
        },
        current_capital: Some(&scratch.text),
        revenue_delta: Some(dice.near(20.0, 100.0, -200.0, 500.0)),
        efficiency: Some(dice.near(1.0, 0.8, 0.0, 10.0)),
        cleared: Vec::new(),
    }
    .into()
}

pub(super) fn measured<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World) -> Event<'a> {
    let at_us = meta.occurred_at;
    let region_id = world.region(actor);
    let dice = &mut world.dice;
    let coherence_level = dice.near(55.0, 25.0, 0.0, 100.0);
    FieldMeasured {
        meta,
        region_id,
        // The last full minute; who measures it again says so by a larger revision.
        window_start: (window::start(at_us, MINUTE_US) - MINUTE_US).max(0),
        window_secs: 60,
        coherence_level,
        peak_coherence: dice.near(coherence_level + 15.0, 10.0, coherence_level, 100.0),
        active_agents: 1 + dice.below(50) as i64,
        resonance_patterns: Pairs(vec![(dice.pick(TAGS), dice.between(0.0, 1.0))]),
        crystals: Vec::new(),
        source: "simulator",
        revision: at_us.max(0),
    }
    .into()
}

pub(super) fn decided<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let asker = world.friend(actor);
    let dice = &mut world.dice;
    let [first, second, ..] = &mut scratch.names;
    let action = dice.pick(&["allow", "allow", "read", "deny", "redact", "tokenise", "retain", "expire"]);
    PolicyDecided {
        meta,
        subject_id: first.insert(agent(actor)),
        actor_id: second.insert(agent(asker)),
        policy_type: if matches!(action, "retain" | "expire") { "retention" } else { "access" },
        action,
        rule_id: dice.pick(&["rule-ties-only", "rule-30-days", "rule-owner"]),
        decision: match action {
            "deny" => "no tie between subject and actor",
            "redact" | "tokenise" => "personal fields hidden",
            _ => "as the rule says",
        },
    }
    .into()
}

pub(super) fn forgotten<'a>(actor: u64, meta: Meta<'a>, world: &'a mut World, scratch: &'a mut Scratch) -> Event<'a> {
    let spore = world.spores.place(&mut world.dice).map(|at| (world.spores.get(at).id, world.spores.get(at).holder));
    let (spore_id, holder) = spore.unwrap_or_else(|| (world.dice.id(meta.occurred_at), actor));
    let [first, second, ..] = &mut scratch.names;
    Forgotten {
        meta,
        subject_id: first.insert(agent(holder)),
        scope: "MEMORY",
        spore_id: Some(spore_id),
        reason: "the subject asked for it",
        key_ref: None,
        requested_by: second.insert(agent(holder)),
    }
    .into()
}
