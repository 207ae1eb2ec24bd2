//! How fast the store takes rows, beside a bare loop over a hand-written upsert of the same rows: `cargo bench -p
//! embedded --bench store [-- ROWS]`. Both write into freshly migrated files, batch by batch, with the same settings
//! and one commit per batch. The store gets deltas in arrival order and writes them in key order; the bare loop
//! writes them as they arrive, and, in the second column, sorted beforehand.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::disallowed_methods, missing_docs)]

use domain::cell::{Cell, KeyWriter};
use domain::delta::Deltas;
use domain::stamp::Stamp;
use domain::tables::{series::AGENT_RATE, views::AGENT_VIEW, views::CONTACT, views::SPORE_VIEW};
use domain::{Projection, Topic, TopicPartition};
use embedded::store::{Store, StoreConfig};
use pipeline::{Advance, Claim, Flush, LogIdentity, Position, RowStore, nothing_before_commit};
use rusqlite::{Connection, params};
use std::path::Path;
use std::time::{Duration, Instant};
use uuid::Uuid;

const BATCH: usize = 5_000;

/// What one row is made of; the same for both sides.
#[derive(Clone)]
struct Input {
    agent: String,
    peer: String,
    id: Uuid,
    value: i64,
    text: String,
    stamp: Stamp,
}

/// Rows over `keys` agents, in the order of a stream: a splitmix sequence from a fixed seed.
fn inputs(rows: usize, keys: u64) -> Vec<Input> {
    let mut state = 7_u64;
    let mut next = move || {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    (0..rows)
        .map(|ix| {
            let id = Uuid::from_u128((1_u128 << 120) + ((ix as u128) << 64) + u128::from(next()));
            let value = ix as i64;
            let stamp = Stamp::new(None, 50, 1_700_000_000_000_000 + value, id);
            let agent = format!("agent-{:06}", next() % keys);
            let peer = format!("agent-{:06}", next() % keys);
            let text = format!("{:016x} the field remembers what the mycelium carries {:016x}", next(), next());
            Input { agent, peer, id, value, text, stamp }
        })
        .collect()
}

/// One case: how the rows become deltas, and the hand-written statement with its parameters.
struct Case {
    name: &'static str,
    projection: &'static str,
    keys: u64,
    delta: fn(&mut Deltas, &Input),
    sql: &'static str,
    bare: fn(&mut rusqlite::CachedStatement<'_>, &Input),
    order: fn(&Input, &mut Vec<u8>),
}

const WINDOW: i64 = 60_000_000;

fn window(input: &Input) -> i64 {
    input.value / 1_000 * WINDOW
}

fn rate_delta(deltas: &mut Deltas, input: &Input) {
    let mut row = deltas.row(&AGENT_RATE, |key| {
        key.text("default").text("north").int(window(input)).text(&input.agent);
    });
    row.add("interactions", 1).add("field_impact_sum", input.value);
}

fn contact_delta(deltas: &mut Deltas, input: &Input) {
    let mut row = deltas.row(&CONTACT, |key| {
        key.text("default").text(&input.agent).text(&input.peer);
    });
    row.add("interactions", 1).add("affection_sum", input.value).add("trust_sum", 1).add("field_impact_sum", 2);
    row.latest("relationship_type", Cell::Text("friend".into()), &input.stamp);
    row.merge("first_at", Cell::Int(input.value)).merge("last_at", Cell::Int(input.value));
}

/// What a state change touches, with energy and cognitive load: seven registers out of thirty-one.
const TOUCHED: [&str; 5] = ["tone", "mood", "location_h3", "emotional_state", "status"];

fn agent_delta(deltas: &mut Deltas, input: &Input) {
    let mut row = deltas.row(&AGENT_VIEW, |key| {
        key.text("default").text(&input.agent);
    });
    for name in TOUCHED {
        row.latest(name, Cell::Text("calm".into()), &input.stamp);
    }
    row.latest("energy", Cell::Double(0.5), &input.stamp).latest("cognitive_load", Cell::Double(0.25), &input.stamp);
    row.add("changes", 1).merge("first_at", Cell::Int(input.value)).merge("last_at", Cell::Int(input.value));
}

fn spore_delta(deltas: &mut Deltas, input: &Input) {
    let mut row = deltas.row(&SPORE_VIEW, |key| {
        key.text("default").uuid(input.id);
    });
    row.merge("origin_agent", Cell::Text(input.agent.clone())).merge("created_at", Cell::Int(input.value));
    row.merge("spore_type", Cell::Text("whisper".into())).merge("content", Cell::Text(input.text.clone()));
    row.merge("content_hash", Cell::Text(input.text[..16].into()));
    row.merge("signature", Cell::Text(input.text[..16].into())).merge("resonance_score", Cell::Double(0.5));
    row.merge("tags", Cell::Text("[\"a\"]".into())).merge("love_resonance", Cell::Int(50));
}

fn cases() -> [Case; 4] {
    [rate(), contact(), agent(), spore()]
}

fn rate() -> Case {
    Case {
        name: "rate_agent_1m (narrow)",
        projection: "series",
        keys: 2_000,
        delta: rate_delta,
        sql: "INSERT INTO series_v1_interaction_rate_agent_1m
            (tenant, region_id, window_start, agent_id, interactions, field_impact_sum) VALUES (?, ?, ?, ?, ?, ?)
            ON CONFLICT DO UPDATE SET interactions = interactions + excluded.interactions,
            field_impact_sum = field_impact_sum + excluded.field_impact_sum",
        bare: |statement, input| {
            statement.execute(params!["default", "north", window(input), input.agent, 1, input.value]).unwrap();
        },
        order: |input, key| {
            KeyWriter::new(key).int(window(input)).text(&input.agent);
        },
    }
}

fn contact() -> Case {
    Case {
        name: "contact",
        projection: "views",
        keys: 500,
        delta: contact_delta,
        sql: "INSERT INTO views_v1_contact AS t (tenant, agent_id, peer_id, interactions, affection_sum, trust_sum,
            field_impact_sum, relationship_type, relationship_type_stamp, first_at, last_at)
            VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)
            ON CONFLICT DO UPDATE SET interactions = interactions + excluded.interactions,
            affection_sum = affection_sum + excluded.affection_sum, trust_sum = trust_sum + excluded.trust_sum,
            field_impact_sum = field_impact_sum + excluded.field_impact_sum,
            relationship_type = iif(excluded.relationship_type_stamp > t.relationship_type_stamp,
                excluded.relationship_type, t.relationship_type),
            relationship_type_stamp = max(t.relationship_type_stamp, excluded.relationship_type_stamp),
            first_at = min(first_at, excluded.first_at), last_at = max(last_at, excluded.last_at)",
        bare: |statement, input| {
            let stamp = &input.stamp.as_bytes()[..];
            let (agent, peer, value) = (&input.agent, &input.peer, input.value);
            statement.execute(params!["default", agent, peer, 1, value, 1, 2, "friend", stamp, value]).unwrap();
        },
        order: |input, key| {
            KeyWriter::new(key).text(&input.agent).text(&input.peer);
        },
    }
}

fn agent() -> Case {
    Case {
        name: "agent (wide)",
        projection: "views",
        keys: 20_000,
        delta: agent_delta,
        sql: "",
        bare: |statement, input| {
            let stamp = &input.stamp.as_bytes()[..];
            statement.execute(params!["default", input.agent, "calm", 0.5, 0.25, stamp, 1, input.value]).unwrap();
        },
        order: |input, key| {
            KeyWriter::new(key).text(&input.agent);
        },
    }
}

fn spore() -> Case {
    Case {
        name: "spore (wide)",
        projection: "views",
        keys: 20_000,
        delta: spore_delta,
        sql: "INSERT INTO views_v1_spore (tenant, spore_id, origin_agent, created_at, spore_type, content,
            content_hash, signature, resonance_score, tags, love_resonance) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT DO NOTHING",
        bare: |statement, input| {
            let (id, agent, text) = (&input.id.as_bytes()[..], &input.agent, &input.text);
            let hash = &text[..16];
            let row = params!["default", id, agent, input.value, "whisper", text, hash, hash, 0.5, "[\"a\"]", 50];
            statement.execute(row).unwrap();
        },
        order: |input, key| {
            KeyWriter::new(key).uuid(input.id);
        },
    }
}

/// The agent's statement by hand: the touched registers alone. It is long, so it is put together here.
fn agent_sql() -> String {
    let registers: Vec<&str> = TOUCHED.into_iter().chain(["energy", "cognitive_load"]).collect();
    let columns: Vec<String> = registers.iter().map(|name| format!("{name}, {name}_stamp")).collect();
    let values = ["?3, ?6"; TOUCHED.len()].join(", ");
    let set: Vec<String> = registers
        .iter()
        .map(|name| {
            format!(
                "{name} = iif(excluded.{name}_stamp > t.{name}_stamp, excluded.{name}, t.{name}), \
                 {name}_stamp = max(t.{name}_stamp, excluded.{name}_stamp)"
            )
        })
        .collect();
    format!(
        "INSERT INTO views_v1_agent AS t (tenant, agent_id, {}, changes, first_at, last_at) \
         VALUES (?1, ?2, {values}, ?4, ?6, ?5, ?6, ?7, ?8, ?8) ON CONFLICT DO UPDATE SET {}, \
         changes = changes + excluded.changes, first_at = min(first_at, excluded.first_at), \
         last_at = max(last_at, excluded.last_at)",
        columns.join(", "),
        set.join(", ")
    )
}

fn through_the_store(case: &Case, path: &Path, rows: &[Input]) -> (Duration, usize) {
    let projection = Projection::named(case.projection).unwrap();
    let mut store = Store::open_with(StoreConfig::new(path)).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let tp = TopicPartition::new(Topic::SacredMessages, 0);
    let claim = Claim { tp, log: LogIdentity::default() };
    let claimed = runtime.block_on(store.claim(projection, &[claim])).unwrap().remove(0);
    let (mut from, mut to) = (None, Position { epoch: claimed.epoch, ..Position::start(tp, 0) });
    let mut deltas = Deltas::new(projection.tables);
    let (mut spent, mut written) = (Duration::ZERO, 0);
    for batch in rows.chunks(BATCH) {
        deltas.clear();
        batch.iter().for_each(|input| (case.delta)(&mut deltas, input));
        to.next_offset += batch.len() as i64;
        let advances = &[Advance { from, to }];
        let start = Instant::now();
        let before_commit = &nothing_before_commit;
        let flush = Flush { projection, advances, sequences: &[], dead: &[], rows: &deltas, before_commit };
        runtime.block_on(store.commit(&flush)).unwrap();
        spent += start.elapsed();
        written += deltas.rows();
        from = Some(to.next_offset);
    }
    (spent, written)
}

/// The bare loop writes one row per key and batch, as the store does: later rows of a key are left out of both counts.
fn bare(case: &Case, path: &Path, rows: &[Input], sorted: bool) -> (Duration, usize) {
    drop(Store::open_with(StoreConfig::new(path)).unwrap());
    let mut connection = Connection::open(path).unwrap();
    connection.pragma_update(None, "journal_mode", "WAL").unwrap();
    connection.pragma_update(None, "synchronous", "FULL").unwrap();
    connection.pragma_update(None, "cache_size", -65_536).unwrap();
    connection.pragma_update(None, "wal_autocheckpoint", 8_192).unwrap();
    let sql = if case.sql.is_empty() { agent_sql() } else { case.sql.to_owned() };
    let (mut spent, mut written) = (Duration::ZERO, 0);
    for batch in rows.chunks(BATCH) {
        let mut seen = std::collections::HashSet::new();
        let key = |input: &Input| {
            let mut key = Vec::new();
            (case.order)(input, &mut key);
            key
        };
        let mut batch: Vec<&Input> = batch.iter().filter(|input| seen.insert(key(input))).collect();
        if sorted {
            batch.sort_by_cached_key(|input| key(input));
        }
        let start = Instant::now();
        let transaction = connection.transaction().unwrap();
        {
            let mut statement = transaction.prepare_cached(&sql).unwrap();
            batch.iter().for_each(|input| (case.bare)(&mut statement, input));
        }
        transaction.commit().unwrap();
        spent += start.elapsed();
        written += batch.len();
    }
    (spent, written)
}

fn main() {
    let rows = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(200_000);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    println!("{rows} events in batches of {BATCH}; rows/s (best of 3), and the store's ratio to the bare loop");
    println!("{:<24} {:>10} {:>10} {:>7} {:>12} {:>7}", "table", "store", "bare", "ratio", "bare sorted", "ratio");
    for case in cases() {
        let inputs = inputs(rows, case.keys);
        let mut best = [0.0_f64; 3];
        for round in 0..3 {
            let path = |kind: usize| folder.path().join(format!("{}-{kind}-{round}.db", &case.name[..4]));
            let runs = [
                through_the_store(&case, &path(0), &inputs),
                bare(&case, &path(1), &inputs, false),
                bare(&case, &path(2), &inputs, true),
            ];
            for (best, (spent, written)) in best.iter_mut().zip(runs) {
                *best = best.max(written as f64 / spent.as_secs_f64());
            }
        }
        let [store, plain, sorted] = best;
        let (over_plain, over_sorted) = (store / plain, store / sorted);
        println!("{:<24} {store:>10.0} {plain:>10.0} {over_plain:>7.2} {sorted:>12.0} {over_sorted:>7.2}", case.name);
    }
}
