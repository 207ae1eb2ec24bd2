//! What validity refuses, field by field.

use uuid::Uuid;

use super::*;
use crate::cell::Cell;
use crate::delta::Deltas;
use crate::event::{
    AgentStateChanged, Blessed, CoalitionReported, Contributed, FieldMeasured, InteractionRecorded, Pairs, Sealed,
    SporeCreated, Text,
};
use crate::fold::views::VIEWS;
use crate::merge::merge_cell;
use crate::table::Merge;
use crate::tables::views::AGENT_VIEW;

const NOW: i64 = 1_764_000_000_000_000;

fn meta_of(id: u128) -> Meta<'static> {
    Meta {
        event_id: Uuid::from_u128(id),
        occurred_at: NOW,
        tenant_id: "grove",
        producer_id: "test",
        producer_seq: None,
        love_resonance: 50,
        base_version: None,
        trace_id: None,
        causation_id: None,
    }
}

fn spore() -> SporeCreated<'static> {
    SporeCreated {
        meta: meta_of(7),
        spore_id: Uuid::from_u128(7),
        origin_agent: "willow",
        region_id: None,
        spore_type: "whisper",
        content: Text::Plain("hello"),
        content_hash: "c",
        signature: "s",
        resonance_score: 0.5,
        importance: Some(5.0),
        emotional_relevance: None,
        emotional_context: None,
        tier: "WORKING",
        tags: vec!["a"],
        related_agents: vec![],
        derived_from: vec![],
        loop_id: None,
        location_h3: None,
        retention_until: None,
        embedding: None,
        metadata: Pairs::default(),
    }
}

fn interaction() -> InteractionRecorded<'static> {
    InteractionRecorded {
        meta: meta_of(8),
        interaction_id: Uuid::from_u128(8),
        agent_id: "willow",
        peer_id: "oak",
        interaction_type: "gift",
        spore_id: None,
        loop_id: None,
        message: None,
        response: None,
        context: Pairs::default(),
        emotional_tone: None,
        field_impact: 0.0,
        affection_delta: 0.0,
        trust_delta: 0.0,
        relationship_type: None,
        region_id: None,
        duration_ms: None,
    }
}

fn verdict(event: Event<'_>) -> String {
    let mut key = Vec::new();
    event.key(&mut key);
    match check(&event, &key, NOW) {
        Ok(()) => "valid".to_owned(),
        Err(violation) => violation.to_string(),
    }
}

fn spore_with(change: impl FnOnce(&mut SporeCreated<'static>)) -> String {
    let mut event = spore();
    change(&mut event);
    verdict(event.into())
}

#[test]
fn a_plain_spore_is_valid() {
    assert_eq!(spore_with(|_| ()), "valid");
}

#[test]
fn violations_name_field_and_limit() {
    assert_eq!(spore_with(|e| e.importance = Some(12.0)), "importance: 12 is outside 0..=10");
    assert_eq!(spore_with(|e| e.importance = Some(f64::NAN)), "importance: not a finite number");
    assert_eq!(spore_with(|e| e.resonance_score = f64::INFINITY), "resonance_score: not a finite number");
    assert_eq!(spore_with(|e| e.content = Text::Plain("a\0b")), "content: contains NUL");
    assert_eq!(spore_with(|e| e.tags = vec!["x\0"]), "tags: contains NUL");
    assert_eq!(spore_with(|e| e.origin_agent = ""), "origin_agent: empty");
    assert_eq!(spore_with(|e| e.region_id = Some("")), "region_id: empty");
    assert_eq!(spore_with(|e| e.spore_id = Uuid::from_u128(1)), "spore_id: differs from meta.event_id");
    assert_eq!(spore_with(|e| e.tags = vec!["t"; 10_001]), "tags: 10001 elements, more than 10000");
    assert_eq!(spore_with(|e| e.meta.event_id = Uuid::nil()), "meta.event_id: the nil UUID");
    assert_eq!(spore_with(|e| e.meta.occurred_at = -1), format!("meta.occurred_at: -1 is outside 0..={TIME_MAX_US}"));
    assert_eq!(spore_with(|e| e.meta.love_resonance = 101), "meta.love_resonance: 101 is outside 0..=100");
    assert_eq!(spore_with(|e| e.spore_type = "never heard of"), "valid", "vocabularies are open");
    assert!(spore_with(|e| e.meta.tenant_id = "a|b").starts_with("meta.tenant_id: contains `|`"));
    let sealed = Sealed { key_ref: "k", nonce: &[0; 11], ciphertext: &[0; 16] };
    assert!(spore_with(|e| e.content = Text::Sealed(sealed)).starts_with("content: not sealed with a nonce"));
}

#[test]
fn sizes_are_bounded() {
    let long = "x".repeat(257);
    let mut event = spore();
    event.signature = &long;
    assert_eq!(
        check(&event.into(), b"", NOW).map_err(|v| v.to_string()),
        Err("signature: 257 bytes, more than 256".into())
    );
    let huge = "x".repeat(TEXT_MAX + 1);
    let mut event = spore();
    event.content = Text::Plain(&huge);
    assert_eq!(check(&event.into(), b"", NOW).map_err(|v| v.field), Err("content"));
}

#[test]
fn five_minutes_ahead_is_the_limit() {
    assert_eq!(spore_with(|e| e.meta.occurred_at = NOW + AHEAD_MAX_US), "valid");
    assert!(
        spore_with(|e| e.meta.occurred_at = NOW + AHEAD_MAX_US + 1).starts_with("meta.occurred_at: 300000001 us ahead")
    );
    assert!(spore_with(|e| e.meta.base_version = Some(NOW + AHEAD_MAX_US + 1)).starts_with("meta.base_version: "));
}

#[test]
fn summed_quantities_are_bounded() {
    for change in [
        |e: &mut InteractionRecorded<'_>| e.affection_delta = 100.5,
        |e: &mut InteractionRecorded<'_>| e.trust_delta = -101.0,
        |e: &mut InteractionRecorded<'_>| e.field_impact = f64::NEG_INFINITY,
    ] {
        let mut event = interaction();
        change(&mut event);
        assert_ne!(verdict(event.into()), "valid");
    }
    assert_eq!(verdict(interaction().into()), "valid");
}

#[test]
fn the_key_is_compared_whole() {
    let event = Event::from(interaction());
    assert_eq!(check(&event, b"grove|willow", NOW), Ok(()));
    for key in ["", "grove", "grove|", "grove|will", "grove|willow|", "other|willow", "grovewillow"] {
        let violation = check(&event, key.as_bytes(), NOW);
        assert_eq!(violation.map_err(|v| v.field), Err("key"), "{key}");
    }
}

fn measured(source: &'static str) -> FieldMeasured<'static> {
    FieldMeasured {
        meta: meta_of(9),
        region_id: "eu",
        window_start: NOW,
        window_secs: 60,
        coherence_level: 50.0,
        peak_coherence: 60.0,
        active_agents: 2,
        resonance_patterns: Pairs::default(),
        crystals: vec![],
        source,
        revision: 0,
    }
}

fn key_of(event: impl Into<Event<'static>>) -> String {
    let mut key = Vec::new();
    event.into().key(&mut key);
    String::from_utf8(key).unwrap()
}

/// I9: two measurements share a key only where region, start, length and source are the same.
#[test]
fn a_field_key_has_four_parts_and_only_the_last_may_hold_a_separator() {
    assert_eq!(key_of(measured("a|b")), format!("grove|eu|{NOW}|60|a|b"));
    assert_eq!(verdict(measured("a|b").into()), "valid");
    assert_ne!(key_of(measured("a")), key_of(FieldMeasured { window_secs: 3_600, ..measured("a") }));
    assert!(verdict(FieldMeasured { region_id: "e|u", ..measured("a") }.into()).starts_with("region_id: "));
}

fn blessed(subject_kind: &'static str, signature: Option<&'static str>) -> Blessed<'static> {
    Blessed {
        meta: meta_of(5),
        blessing_id: Uuid::from_u128(5),
        subject_kind,
        subject_id: "subject",
        signature,
        agent_id: "willow",
        blessing_type: "witness",
        weight: 1.0,
        ballot_id: None,
        coalition_id: None,
        eligible_voters: None,
    }
}

/// I3: all blessings of one subject lie under one key, whether or not they name its signature.
#[test]
fn a_blessing_lies_under_its_subject_and_a_patterns_under_its_signature() {
    for kind in ["SPORE", "LOOP", "never heard of"] {
        assert_eq!(key_of(blessed(kind, Some("sig"))), "grove|subject");
        assert_eq!(key_of(blessed(kind, None)), "grove|subject");
    }
    assert_eq!(key_of(blessed("PATTERN", Some("sig"))), "grove|sig");
    assert_eq!(key_of(blessed("PATTERN", None)), "grove|subject");
    assert_eq!(verdict(blessed("SPORE", None).into()), "valid");
    let other = Blessed { blessing_id: Uuid::from_u128(6), ..blessed("SPORE", None) };
    assert_eq!(verdict(other.into()), "blessing_id: differs from meta.event_id");
}

#[test]
fn an_upper_case_id_in_a_key_is_the_same_id() {
    let id = Uuid::parse_str("01939f5e-7c1a-7b3d-8e2f-0a1b2c3d0001").unwrap();
    let event = SporeCreated { meta: Meta { event_id: id, ..meta_of(1) }, spore_id: id, ..spore() };
    let (key, event) = (key_of(event.clone()), Event::from(event));
    let upper = key.to_uppercase().replace("GROVE", "grove");
    assert_ne!(key, upper);
    assert_eq!(check(&event, upper.as_bytes(), NOW), Ok(()));
    let other_tenant = upper.replace("grove", "Grove");
    assert!(check(&event, other_tenant.as_bytes(), NOW).is_err(), "only ids have canonical forms");
}

#[test]
fn a_wrong_key_is_shown_beside_the_wanted_one() {
    let event = Event::from(interaction());
    let text = |key: &[u8]| check(&event, key, NOW).unwrap_err().to_string();
    assert_eq!(text(b"grove|oak"), "key: the event wants `grove|willow`, the record has `grove|oak`");
    assert_eq!(text(b"a\n\xff"), "key: the event wants `grove|willow`, the record has `a\\n\\xff`");
    let long = text(&[b'x'; 5_000]);
    assert!(long.ends_with("xxx... (5000 bytes)`") && long.len() < 300, "{long}");
    // A key cut within a character is still shown.
    assert!(text("\u{e9}".repeat(400).as_bytes()).contains("(800 bytes)"));
}

/// I1: what projections derive cannot be appended by others, and their ids cannot be taken.
#[test]
fn derived_kinds_and_deriving_producers_belong_together() {
    let contributed = |producer_id| {
        let content = Text::Plain("c");
        Contributed {
            meta: Meta { producer_id, ..meta_of(4) },
            signature: "s",
            spore_id: Uuid::from_u128(7),
            agent_id: "willow",
            region_id: None,
            resonance: 0.5,
            created_at: NOW,
            content,
        }
    };
    assert_eq!(verdict(contributed("views/spore.created.1/3").into()), "valid");
    for producer in ["gateway-1", "views", "view/s", "import/views/1"] {
        let text = verdict(contributed(producer).into());
        assert!(text.starts_with("meta.producer_id: no projection's"), "{producer}: {text}");
    }
    for producer in ["views/spore.created.1/3", "series/x", "records/"] {
        let text = spore_with(|e| e.meta.producer_id = producer);
        assert!(text.starts_with("meta.producer_id: begins with a projection's name"), "{producer}: {text}");
    }
    assert_eq!(spore_with(|e| e.meta.producer_id = "viewsx/1"), "valid");
    assert!(spore_with(|e| e.meta.producer_id = "").starts_with("meta.producer_id: empty"));
    assert!(spore_with(|e| e.meta.producer_seq = Some(-1)).starts_with("meta.producer_seq: -1 is outside 0..="));
}

fn credits(delta: f64) -> AgentStateChanged<'static> {
    AgentStateChanged {
        meta: meta_of(3),
        agent_id: "willow",
        tone: None,
        mood: None,
        energy: None,
        location_h3: None,
        position: None,
        action: None,
        emotional_state: None,
        physical_state: None,
        cognitive_load: None,
        consciousness_score: None,
        status: None,
        credits_delta: Some(delta),
        cleared: vec![],
    }
}

fn reported(capital: &'static str, revenue: f64) -> CoalitionReported<'static> {
    CoalitionReported {
        meta: meta_of(2),
        coalition_id: "guild",
        status: "active",
        current_capital: Some(capital),
        revenue_delta: Some(revenue),
        efficiency: None,
        cleared: vec![],
    }
}

/// I10: what validity lets through is what the declared sums have room for.
#[test]
fn money_ends_at_the_bound_of_its_sum() {
    for delta in [9e7, -9e7] {
        assert_eq!(verdict(credits(delta).into()), "valid");
        assert_eq!(verdict(reported("90000000.00", delta).into()), "valid");
    }
    assert_eq!(verdict(credits(9e7 + 0.01).into()), "credits_delta: 90000000.01 is outside -90000000..=90000000");
    assert!(verdict(reported("1", -9e7 - 1.0).into()).starts_with("revenue_delta: "));
    for capital in ["90000000.01", "-90000001", "999999999999999999999999999"] {
        assert_eq!(
            verdict(reported(capital, 0.0).into()),
            "current_capital: outside -90000000..=90000000",
            "{capital}"
        );
    }
    assert!(verdict(reported("1e7", 0.0).into()).starts_with("current_capital: not a decimal"));
}

/// I10: two groupings of the largest events agree, and nothing saturates.
#[test]
fn sums_of_the_largest_events_do_not_depend_on_batches() {
    let sum = |range: std::ops::Range<i64>| {
        let mut deltas = Deltas::new(VIEWS.tables);
        for n in range {
            (VIEWS.fold)(&credits(if n < 10_000 { 9e7 } else { -9e7 }).into(), &mut deltas);
        }
        let delta = &deltas.tables()[AGENT_VIEW.ix];
        let at = delta.slots().iter().position(|slot| !slot.stamp && slot.column.name == "credits_sum").unwrap();
        delta.cells(0)[at].clone()
    };
    let (mut left, right) = (sum(0..10_000), sum(10_000..20_000));
    assert_eq!(left, Cell::Int(10_000 * 9_000_000_000));
    merge_cell(Merge::Sum, &mut left, right);
    assert_eq!(left, sum(0..20_000));
    assert_eq!(left, Cell::Int(0));
}

/// I10: even past every bound, no grouping gives another sum than another.
#[test]
fn sums_past_the_edge_do_not_depend_on_their_grouping() {
    let merged = |values: &[i64]| {
        let mut cell = Cell::Null;
        values.iter().for_each(|value| merge_cell(Merge::Sum, &mut cell, Cell::Int(*value)));
        cell
    };
    let mut grouped = merged(&[i64::MAX, 5]);
    merge_cell(Merge::Sum, &mut grouped, merged(&[-5, -7]));
    assert_eq!(grouped, merged(&[i64::MAX, 5, -5, -7]));
}
