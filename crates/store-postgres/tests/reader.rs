//! What a reader shows, the months that rows lie in, the SQL views, and search.

#![allow(clippy::unwrap_used)]

mod common;

use common::Scratch;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::digest::LogicalRow;
use domain::fold::views::VIEWS;
use domain::tables::views::{AGENT_HISTORY, SPORE_VIEW};
use domain::window::DAY_US;
use domain::{Projection, Topic, TopicPartition};
use pipeline::{
    Advance, Claim, DeadRow, DedupSettings, Flush, ParkNote, Position, RowStore as _, Scan as _, StoredRow,
    nothing_before_commit, scan,
};
use store_postgres::{Database, PostgresStore, Reader, migrate};
use testkit::contract_suite::{self, Asked};
use testkit::store_suite::{
    self, logical,
    tables::{PARTS, SETS, SUITE},
};
use uuid::Uuid;

/// The first moments of 2004-05 and of the month behind it.
const MAY_2004: i64 = 1_083_369_600_000_000;
const JUNE_2004: i64 = MAY_2004 + 31 * DAY_US;

fn rows_of(
    scratch: &Scratch,
    reader: &mut Reader,
    projection: &Projection,
    table: &'static domain::table::Table,
) -> Vec<LogicalRow> {
    let mut rows = Vec::new();
    let keep = |row| {
        rows.push(row);
        Ok(())
    };
    scratch.runtime.block_on(scan::rows(reader, projection, table, keep)).unwrap();
    rows
}

fn parts() -> Deltas {
    let mut deltas = Deltas::new(SUITE.tables);
    for part in 0..3 {
        deltas.set_scope(TopicPartition::new(Topic::SacredMessages, part));
        for (tenant, at) in [("b", MAY_2004), ("a", JUNE_2004), ("a", MAY_2004), ("é", -1), ("a", 0)] {
            for table in [&PARTS, &SETS] {
                let mut row = deltas.row(table, |key| {
                    key.text(tenant).int(at);
                });
                row.add("total", i64::from(part) + 1);
            }
        }
    }
    deltas
}

#[test]
fn a_reader_shows_one_moment_in_key_order_with_parts_together() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(migrate::create_tables(&scratch.config, &SUITE)).unwrap();
    let (mut store, deltas) = (scratch.store(), parts());
    scratch.put(&mut store, &SUITE, &deltas).unwrap();
    let mut reader = scratch.runtime.block_on(Reader::open(&scratch.config)).unwrap();
    scratch.runtime.block_on(async { reader.positions(&SUITE).await.unwrap() });
    scratch.put(&mut store, &SUITE, &deltas).unwrap();
    for table in [&PARTS, &SETS] {
        assert_eq!(rows_of(&scratch, &mut reader, &SUITE, table), logical(&deltas, table));
    }
    let positions = scratch.runtime.block_on(reader.positions(&SUITE)).unwrap();
    assert_eq!((positions.len(), positions[0].position.next_offset), (1, 1));
    let mut stored: Vec<StoredRow> = Vec::new();
    let mut keep = |row| {
        stored.push(row);
        Ok(())
    };
    scratch.runtime.block_on(reader.scan(&SUITE, &PARTS, &mut keep)).unwrap();
    let parts: Vec<u32> = stored.iter().map(|row| row.part.unwrap().partition).collect();
    assert_eq!((stored.len(), &parts[..4]), (15, &[0, 1, 2, 0][..]));
    let digest = |reader: &mut Reader| scratch.runtime.block_on(scan::digest(reader, &SUITE, &PARTS)).unwrap();
    let (old, mut now) = (digest(&mut reader), scratch.runtime.block_on(Reader::open(&scratch.config)).unwrap());
    assert_eq!(old.rows, 5);
    assert_ne!(digest(&mut now), old);
}

/// I2, I5, I7: who looks from outside sees the log of every position, what is parked, what is dead, and the rules.
#[test]
fn a_reader_shows_logs_parked_partitions_dead_records_and_rules() {
    let scratch = Scratch::migrated();
    let tp = |partition| TopicPartition::new(Topic::SacredMessages, partition);
    let note = |offset| ParkNote { cause: "stalled".into(), offset, text: "it\0stands".into(), since_us: 9 };
    let mut store = scratch.store();
    scratch.put(&mut store, &VIEWS, &Deltas::new(VIEWS.tables)).unwrap();
    scratch.runtime.block_on(async {
        let wanted = DedupSettings { window_ms: 120_000, max_records: 9 };
        assert_eq!(store.settings(&VIEWS, wanted).await.unwrap(), wanted);
        store.note_parked(&VIEWS, tp(0), &note(1)).await.unwrap();
        store.note_parked(&VIEWS, tp(7), &note(40)).await.unwrap();
        let claimed = store.claim(&VIEWS, &[Claim { tp: tp(3), log: store_suite::log() }]).await.unwrap().remove(0);
        let to = Position { epoch: claimed.epoch, next_offset: 2, ..Position::start(tp(3), 0) };
        let dead = [0, 1].map(|offset| DeadRow {
            tp: tp(3),
            offset,
            append_us: 5,
            reason: "invalid: a\0b".into(),
            value_hash: -1,
            id_hash: (offset == 1).then_some(i64::MIN),
        });
        let flush = Flush {
            projection: &VIEWS,
            advances: &[Advance { from: None, to }],
            sequences: &[],
            dead: &dead,
            rows: &Deltas::new(VIEWS.tables),
            before_commit: &nothing_before_commit,
        };
        store.commit(&flush).await.unwrap();
        let reader = Reader::open(&scratch.config).await.unwrap();
        assert_eq!(reader.settings(&VIEWS).await.unwrap(), Some(wanted));
        assert_eq!(reader.settings(&SUITE).await.unwrap(), None);
        let positions = reader.positions(&VIEWS).await.unwrap();
        let seen: Vec<_> = positions
            .iter()
            .map(|held| (held.position.tp.partition, held.position.next_offset, held.parked.is_some()))
            .collect();
        assert_eq!(seen, [(0, 1, true), (3, 2, false), (7, 40, true)]);
        assert_eq!((&positions[0].log, &positions[1].log), (&store_suite::log(), &store_suite::log()));
        assert_eq!(positions[2].parked.as_ref().unwrap().text, "it\u{fffd}stands");
        let mut found = Vec::new();
        let mut keep = |row| {
            found.push(row);
            Ok(())
        };
        reader.dead(&VIEWS, &mut keep).await.unwrap();
        let expected = dead.map(|row| DeadRow { reason: "invalid: a\u{fffd}b".into(), ..row });
        assert_eq!(found, expected);
    });
    let parked =
        "SELECT partition, parked_cause, parked_offset FROM freshness WHERE parked_cause IS NOT NULL ORDER BY 1";
    assert_eq!(scratch.ask(parked), ["0 stalled 1", "7 stalled 40"]);
    let claim = Claim { tp: tp(7), log: store_suite::log() };
    let claimed = scratch.runtime.block_on(store.claim(&VIEWS, &[claim])).unwrap().remove(0);
    assert_eq!((claimed.position, claimed.log), (None, store_suite::log()), "a first claim names the log");
    assert_eq!(scratch.ask(parked), ["0 stalled 1"], "a claim takes the note away");
}

fn history(times: &[i64]) -> Deltas {
    let mut deltas = Deltas::new(VIEWS.tables);
    for (ix, at) in times.iter().enumerate() {
        let mut row = deltas.row(&AGENT_HISTORY, |key| {
            key.text("t").text("a").int(*at).uuid(Uuid::from_u128(ix as u128));
        });
        row.merge("mood", Cell::Text("calm".into()));
    }
    deltas
}

const LIES_IN: &str = "SELECT tableoid::regclass, count(*) FROM views_v1_agent_history GROUP BY 1 ORDER BY 1";

#[test]
fn rows_lie_in_the_partition_of_their_month() {
    let scratch = Scratch::migrated();
    let mut store = scratch.store();
    scratch.put(&mut store, &VIEWS, &history(&[0, MAY_2004 - 1, MAY_2004, JUNE_2004 - 1, JUNE_2004])).unwrap();
    let months = [("1970m01", 1), ("2004m04", 1), ("2004m05", 2), ("2004m06", 1)];
    let expected: Vec<String> =
        months.iter().map(|(month, rows)| format!("views_v1_agent_history_y{month} {rows}")).collect();
    assert_eq!(scratch.ask(LIES_IN), expected);
    let indexes = "SELECT count(*) FROM pg_indexes WHERE tablename = 'views_v1_agent_history_y2004m05'";
    assert_eq!(scratch.ask(indexes), ["1"]);
}

#[test]
fn readers_that_hold_the_default_partition_delay_a_new_month_and_no_row() {
    let scratch = Scratch::migrated();
    let holder = scratch.client();
    let hold = "BEGIN; SELECT * FROM views_v1_agent_history";
    scratch.runtime.block_on(holder.batch_execute(hold)).unwrap();
    scratch.put(&mut scratch.store(), &VIEWS, &history(&[MAY_2004])).unwrap();
    assert_eq!(scratch.ask(LIES_IN), ["views_v1_agent_history_default 1"]);
    scratch.runtime.block_on(holder.batch_execute("ROLLBACK")).unwrap();
    scratch.put(&mut scratch.store(), &VIEWS, &history(&[MAY_2004, MAY_2004 + 1])).unwrap();
    assert_eq!(scratch.ask(LIES_IN), ["views_v1_agent_history_y2004m05 2"]);
}

#[test]
fn workers_that_meet_a_new_month_together_make_it_once() {
    let scratch = Scratch::migrated();
    scratch.runtime.block_on(async {
        let database = Database::new(scratch.config.clone()).unwrap();
        let local = tokio::task::LocalSet::new();
        for partition in 0..4 {
            let mut store = PostgresStore::new(database.clone());
            local.spawn_local(async move {
                let tp = TopicPartition::new(Topic::AgentState, partition);
                common::put_at(&mut store, &VIEWS, tp, &history(&[i64::from(partition), MAY_2004])).await.unwrap();
            });
        }
        local.await;
    });
    assert_eq!(scratch.ask(LIES_IN), ["views_v1_agent_history_y1970m01 4", "views_v1_agent_history_y2004m05 1"]);
}

struct Analyst {
    store: PostgresStore,
    scratch: Scratch,
}

impl Analyst {
    fn new() -> Self {
        let scratch = Scratch::migrated();
        Self { store: scratch.store(), scratch }
    }
}

impl Asked for Analyst {
    fn put(&mut self, projection: &'static Projection, rows: &Deltas) {
        self.scratch.put(&mut self.store, projection, rows).unwrap();
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        self.scratch.ask(sql)
    }
}

#[test]
fn a_tie_is_contact_seen_from_both_ends() {
    let mut analyst = Analyst::new();
    contract_suite::a_tie_is_contact_seen_from_both_ends(&mut analyst);
    let plan = "SET enable_seqscan = off; EXPLAIN SELECT * FROM tie WHERE tenant = 't' AND agent_id = 'a'";
    let plan = analyst.ask(plan).join("\n");
    assert!(!plan.contains("Seq Scan"), "a tie of one agent is found by index: {plan}");
    assert_eq!(analyst.ask("SELECT time_text(max(last_at)) FROM contact"), ["1970-01-01T00:00:00.000007Z"]);
}

#[test]
fn parts_are_summed_and_freshness_closes_the_account() {
    contract_suite::parts_are_summed_and_freshness_closes_the_account(&mut Analyst::new());
}

#[test]
fn hours_and_days_of_agents_are_what_their_minutes_add_up_to() {
    let mut analyst = Analyst::new();
    contract_suite::hours_and_days_of_agents_are_what_their_minutes_add_up_to(&mut analyst);
    assert_eq!(analyst.ask(contract_suite::AGENT_HOURS), ["1", "2"]);
    let plan = format!("SET enable_seqscan = off; EXPLAIN {}", contract_suite::AGENT_HOURS);
    let plan = analyst.ask(&plan).join("\n");
    assert!(!plan.contains("Seq Scan"), "hours of one agent are found by index: {plan}");
    assert!(plan.contains("(window_start < (series_v1_interaction_rate_region_1h"), "by their windows: {plan}");
    // They were stored once, and are again where a migration is taken back.
    let config = &analyst.scratch.config;
    analyst.scratch.runtime.block_on(migrate::down(config, 6)).unwrap();
    contract_suite::check_hours_and_days(&analyst);
    analyst.scratch.runtime.block_on(migrate::up(config)).unwrap();
    contract_suite::check_hours_and_days(&analyst);
}

fn spore(deltas: &mut Deltas, id: u128, text: &str, place: &str, embedding: &[f32]) {
    let mut row = deltas.row(&SPORE_VIEW, |key| {
        key.text("t").uuid(Uuid::from_u128(id));
    });
    row.merge("content", Cell::Text(text.into())).merge("tags", Cell::Text(format!("[\"{place}\"]")));
    row.merge("metadata", Cell::Text(format!("{{ \"place\" : \"{place}\" }}")));
    row.merge("embedding", Cell::Bytes(embedding.iter().flat_map(|value| value.to_le_bytes()).collect()));
}

#[test]
fn spores_are_found_by_words_tags_and_metadata() {
    let scratch = Scratch::migrated();
    let mut deltas = Deltas::new(VIEWS.tables);
    let long = "a river ".repeat(150_000) + "at the very end";
    spore(&mut deltas, 1, "The rivers whispered of the moon", "park", &[]);
    spore(&mut deltas, 2, &long, "hall", &[]);
    scratch.put(&mut scratch.store(), &VIEWS, &deltas).unwrap();
    let ids = |sql: &str| scratch.ask(&format!("SET enable_seqscan = off; {sql}"));
    let first = ["00000000-0000-0000-0000-000000000001"];
    assert_eq!(ids("SELECT spore_id FROM search_spores('river whisper')"), first);
    assert_eq!(ids("SELECT count(*) FROM search_spores('river')"), ["2"]);
    for found in ["tags @> '[\"park\"]'", "metadata @> '{\"place\": \"park\"}'"] {
        assert_eq!(ids(&format!("SELECT spore_id FROM spore WHERE {found}")), first);
        let plan = ids(&format!("EXPLAIN SELECT spore_id FROM spore WHERE {found}")).join("\n");
        assert!(plan.contains("Bitmap Index Scan on views_v1_spore_"), "{plan}");
    }
    let stored = scratch.ask("SELECT metadata FROM views_v1_spore WHERE metadata::jsonb @> '{\"place\": \"park\"}'");
    assert_eq!(stored, ["{ \"place\" : \"park\" }"], "as it came");
}

#[test]
fn embeddings_become_vectors_where_the_server_has_them() {
    let scratch = Scratch::migrated();
    let available = scratch.ask("SELECT count(*) FROM pg_available_extensions WHERE name = 'vector'");
    let installed = scratch.ask("SELECT count(*) FROM pg_extension WHERE extname = 'vector'");
    assert_eq!(installed, available);
    if available == ["0"] {
        assert_eq!(scratch.ask("SELECT to_regclass('spore_embedding')"), ["null"]);
        return;
    }
    let mut deltas = Deltas::new(VIEWS.tables);
    let values = [1.0, -2.0, 0.1, 0.0, -1.175_494_4e-38, 1e-45, f32::MAX, f32::MIN];
    spore(&mut deltas, 1, "numbers", "a", &values);
    spore(&mut deltas, 2, "no numbers", "a", &[f32::NAN, 1.0]);
    for id in 3..6_u16 {
        let mut embedding = vec![0.5; 1_536];
        embedding[0] = f32::from(id);
        spore(&mut deltas, id.into(), "long", "a", &embedding);
    }
    scratch.put(&mut scratch.store(), &VIEWS, &deltas).unwrap();
    let vectors = scratch.ask("SELECT vector FROM spore_embedding WHERE dimensions < 9 ORDER BY spore_id");
    let parsed: Vec<f32> = vectors[0].trim_matches(['[', ']']).split(',').map(|text| text.parse().unwrap()).collect();
    assert_eq!((parsed.as_slice(), vectors[1].as_str()), (&values[..], "null"));
    let nearest = "SET enable_seqscan = off; SET enable_sort = off; %s SELECT spore_id FROM spore_embedding
        WHERE dimensions = 1536 ORDER BY vector::vector(1536) <=>
            (SELECT vector FROM spore_embedding WHERE spore_id = '00000000-0000-0000-0000-000000000004')::vector(1536) LIMIT 1";
    assert_eq!(scratch.ask(&nearest.replace("%s", "")), ["00000000-0000-0000-0000-000000000004"]);
    let plan = scratch.ask(&nearest.replace("%s", "EXPLAIN")).join("\n");
    assert!(plan.contains("views_v1_spore_embedding_1536"), "{plan}");
}
