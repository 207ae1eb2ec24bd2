//! How fast batches are committed: `cargo bench -p store-postgres --bench store [-- ROUNDS]`.
//!
//! The server is the one of the tests (`SPORELOG_TEST_POSTGRES`). Keys are drawn from a space that a batch meets anew
//! to a part only, as in production: rows are inserted and merged.

#![allow(clippy::unwrap_used, missing_docs)]

#[expect(dead_code, reason = "the tests use the rest of it")]
#[path = "../tests/common/mod.rs"]
mod common;

use common::Scratch;
use domain::cell::Cell;
use domain::delta::Deltas;
use domain::fold::views::VIEWS;
use domain::stamp::Stamp;
use domain::tables::views::{AGENT_PRESENCE, AGENT_VIEW, CONTACT, SPORE_VIEW};
use pipeline::{Clock as _, SystemClock};
use uuid::Uuid;

const DAY_US: i64 = 86_400_000_000;
const NOW_US: i64 = 1_767_225_600_000_000;

/// A generator of numbers, the same in every run.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn stamp(draw: &mut Draw) -> Stamp {
    let at = NOW_US + draw.below(1_000_000) as i64;
    Stamp::new(None, 50, at, Uuid::from_u128(draw.below(u64::MAX >> 33).into()))
}

fn contact(rows: &mut Deltas, draw: &mut Draw) {
    let (from, to) = (format!("agent-{:06}", draw.below(10_000)), format!("agent-{:06}", draw.below(47)));
    let stamp = stamp(draw);
    let mut row = rows.row(&CONTACT, |key| {
        key.text("tenant").text(&from).text(&to);
    });
    row.add("interactions", 1).add("affection_sum", 5).add("trust_sum", 7).add("field_impact_sum", 9);
    if draw.below(4) == 0 {
        row.latest("relationship_type", Cell::Text("friend".into()), &stamp);
    }
    row.merge("first_at", Cell::Int(NOW_US)).merge("last_at", Cell::Int(NOW_US + 1));
}

fn spore(rows: &mut Deltas, draw: &mut Draw) {
    let id = Uuid::from_u64_pair(draw.below(1 << 30), draw.below(1 << 30));
    let mut row = rows.row(&SPORE_VIEW, |key| {
        key.text("tenant").uuid(id);
    });
    row.merge("origin_agent", Cell::Text(format!("agent-{:06}", draw.below(10_000))));
    row.merge("created_at", Cell::Int(NOW_US)).merge("spore_type", Cell::Text("whisper".into()));
    row.merge("content", Cell::Text("what was whispered by the river, and what the river said to it ".repeat(3)));
    row.merge("content_hash", Cell::Text("0".repeat(64))).merge("signature", Cell::Text("0".repeat(64)));
    row.merge("resonance_score", Cell::Double(0.5)).merge("tags", Cell::Text("[\"a\",\"b\"]".into()));
    row.merge("love_resonance", Cell::Int(50));
}

fn presence(rows: &mut Deltas, draw: &mut Draw) {
    let (agent, stamp) = (format!("agent-{:06}", draw.below(200_000)), stamp(draw));
    let mut map = vec![0; 180];
    map[draw.below(180) as usize] = 0x10;
    let mut row = rows.row(&AGENT_PRESENCE, |key| {
        key.text("tenant").text(&agent).int(NOW_US / DAY_US * DAY_US);
    });
    row.merge("minutes", Cell::Bytes(map)).add("heartbeats", 1).merge("last_seen", Cell::Int(NOW_US));
    row.latest("region_id", Cell::Text("north".into()), &stamp);
}

fn agent(rows: &mut Deltas, draw: &mut Draw) {
    let (agent, stamp) = (format!("agent-{:06}", draw.below(200_000)), stamp(draw));
    let mut row = rows.row(&AGENT_VIEW, |key| {
        key.text("tenant").text(&agent);
    });
    row.latest("mood", Cell::Text("calm".into()), &stamp).latest("energy", Cell::Double(50.0), &stamp);
    row.add("changes", 1).merge("first_at", Cell::Int(NOW_US)).merge("last_at", Cell::Int(NOW_US));
}

type Make = fn(&mut Deltas, &mut Draw);

fn main() {
    let rounds: usize = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(5);
    let clock = SystemClock::new();
    let kinds: [(&str, Make); 4] =
        [("contact", contact), ("spore", spore), ("agent_presence", presence), ("agent", agent)];
    for (name, make) in kinds {
        for size in [10_000_usize, 100_000] {
            let scratch = Scratch::migrated();
            let mut store = scratch.store();
            let (mut draw, mut rows) = (Draw(7), Deltas::new(VIEWS.tables));
            let (mut times, mut written) = (Vec::new(), 0);
            for _ in 0..rounds {
                rows.clear();
                (0..size).for_each(|_| make(&mut rows, &mut draw));
                written += rows.rows();
                let since = clock.monotonic_us();
                scratch.put(&mut store, &VIEWS, &rows).unwrap();
                times.push((clock.monotonic_us() - since) as f64 / 1e6);
            }
            let rate = written as f64 / times.iter().sum::<f64>();
            times.sort_by(f64::total_cmp);
            let median = times[times.len() / 2];
            println!("{name:16} {size:>8} events a batch: {rate:>8.0} rows/s, a commit takes {median:.2} s (median)");
        }
    }
}
