//! What validity refuses, field by field.

use uuid::Uuid;

use super::*;
use crate::event::{FieldMeasured, InteractionRecorded, Pairs, Sealed, SporeCreated, Text};

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

#[test]
fn a_field_key_has_three_parts() {
    let event = FieldMeasured {
        meta: meta_of(9),
        region_id: "eu",
        window_start: NOW,
        window_secs: 60,
        coherence_level: 50.0,
        peak_coherence: 60.0,
        active_agents: 2,
        resonance_patterns: Pairs::default(),
        crystals: vec![],
        source: "a|b",
        revision: 0,
    };
    let mut key = Vec::new();
    Event::from(event.clone()).key(&mut key);
    assert_eq!(key, format!("grove|eu|{NOW}|a|b").as_bytes());
    assert_eq!(verdict(event.clone().into()), "valid");
    assert!(verdict(FieldMeasured { region_id: "e|u", ..event }.into()).starts_with("region_id: "));
}
