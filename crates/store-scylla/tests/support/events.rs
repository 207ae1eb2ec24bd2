//! Events that look random and are the same in every run, folded as ingest folds them.

use domain::Projection;
use domain::delta::Deltas;
use domain::event::{Embedding, Event, InteractionRecorded, Meta, Pairs, Sealed, SporeCreated, SporePropagated, Text};
use domain::fold::records::RECORDS;
use oorandom::Rand64;
use uuid::Uuid;

/// 2026-01-01T00:00:00Z in microseconds.
const START_US: i64 = 1_767_225_600_000_000;
const NAMES: [&str; 6] = ["ada", "bo", "cleo", "dev", "ého", "fay"];

/// Deltas of these events, in this order.
pub fn deltas(numbers: impl IntoIterator<Item = u64>) -> Deltas {
    let mut deltas = Deltas::new(RECORDS.tables);
    numbers.into_iter().for_each(|number| fold(&RECORDS, number, &mut deltas));
    deltas
}

/// Folds event `number`: everything of it follows from its number.
pub fn fold(projection: &Projection, number: u64, deltas: &mut Deltas) {
    let mut random = Rand64::new(u128::from(number));
    let mut pick = |limit: u64| random.rand_range(0..limit);
    let names: Vec<&str> = (0..3).map(|_| NAMES[pick(6) as usize]).collect();
    let long = "quite a long text, ".repeat(pick(12) as usize);
    let meta = meta(number, &mut pick);
    let id = meta.event_id;
    let content = match pick(4) {
        0 => Text::Plain(""),
        1 => Text::Sealed(Sealed { key_ref: "k", nonce: &[7; 12], ciphertext: b"\0\x01\x02 sealed, surely" }),
        _ => Text::Plain(&long),
    };
    let region = (pick(2) == 0).then_some("north");
    let event = match number % 3 {
        0 => spore(meta, id, &names, content, region, &mut pick),
        1 => Event::SporePropagated(SporePropagated {
            meta,
            spore_id: Uuid::from_u128(u128::from(pick(40)) + 1),
            from_agent: names[0],
            to_agent: names[1],
            region_id: region,
            hop: pick(5) as i32,
            resonance: pick(1_000) as f64 / 1_000.0,
            channel: (pick(2) == 0).then_some(""),
        }),
        _ => Event::InteractionRecorded(InteractionRecorded {
            meta,
            interaction_id: id,
            agent_id: names[0],
            // Now and then somebody talks to itself: both ends are one row then.
            peer_id: names[1],
            interaction_type: "message",
            spore_id: (pick(3) == 0).then_some(id),
            loop_id: None,
            message: Some(content),
            response: None,
            context: Pairs(vec![("place", "garden")]),
            emotional_tone: (pick(2) == 0).then_some("calm"),
            field_impact: -0.0,
            affection_delta: pick(200) as f64 - 100.0,
            trust_delta: 0.1 + 0.2,
            relationship_type: None,
            region_id: region,
            duration_ms: (pick(2) == 0).then_some(i64::MAX),
        }),
    };
    (projection.fold)(&event, deltas);
}

fn meta(number: u64, pick: &mut impl FnMut(u64) -> u64) -> Meta<'static> {
    Meta {
        event_id: Uuid::from_u128(u128::from(number) << 64 | u128::from(pick(u64::MAX))),
        // Four months, so that rows of an agent lie in several partitions.
        occurred_at: START_US + pick(120 * 86_400_000_000) as i64,
        tenant_id: if pick(10) == 0 { "other" } else { "t" },
        producer_id: "test",
        producer_seq: None,
        love_resonance: 50,
        base_version: None,
        trace_id: None,
        causation_id: None,
    }
}

fn spore<'a>(
    meta: Meta<'a>,
    spore_id: Uuid,
    names: &[&'a str],
    content: Text<'a>,
    region_id: Option<&'a str>,
    pick: &mut impl FnMut(u64) -> u64,
) -> Event<'a> {
    Event::SporeCreated(SporeCreated {
        meta,
        spore_id,
        origin_agent: names[0],
        region_id,
        spore_type: "whisper",
        content,
        content_hash: "c0ffee",
        signature: "5eed",
        resonance_score: f64::from_bits(0x3FB9_9999_9999_999A + pick(9)),
        importance: (pick(2) == 0).then_some(-0.0),
        emotional_relevance: (pick(2) == 0).then_some(f64::MIN_POSITIVE),
        emotional_context: (pick(2) == 0).then_some(""),
        tier: "working",
        tags: names.to_vec(),
        related_agents: Vec::new(),
        derived_from: vec![spore_id],
        loop_id: None,
        location_h3: None,
        retention_until: (pick(2) == 0).then_some(-1),
        embedding: (pick(3) == 0).then(|| Embedding { model: "m", dim: 2, vector: vec![0.5, -0.0] }),
        metadata: Pairs(vec![("ключ", "значение")]),
    })
}
