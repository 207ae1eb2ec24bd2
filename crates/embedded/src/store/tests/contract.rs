//! The SQL views: parts summed, fixed point divided, ties and freshness.

use super::*;
use rusqlite::types::Value;
use testkit::contract_suite::{self, Asked};

struct Analyst {
    held: Scratch,
    store: Store,
}

impl Analyst {
    fn new() -> Self {
        let (held, store) = scratch();
        Self { held, store }
    }
}

impl Asked for Analyst {
    fn put(&mut self, projection: &'static Projection, rows: &Deltas) {
        put(&mut self.store, projection, rows);
    }

    fn ask(&self, sql: &str) -> Vec<String> {
        let connection = super::super::open_read_only(&self.held.path).unwrap();
        let mut statement = connection.prepare(sql).unwrap();
        let width = statement.column_count();
        let text = |value| match value {
            Value::Integer(value) => value.to_string(),
            Value::Real(value) => value.to_string(),
            Value::Text(text) => text,
            other => format!("{other:?}"),
        };
        let rows = statement.query_map([], |row| {
            let cells = (0..width).map(|ix| row.get(ix).map(text)).collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(cells.join(" "))
        });
        rows.unwrap().map(Result::unwrap).collect()
    }
}

#[test]
fn a_tie_is_contact_seen_from_both_ends() {
    let mut analyst = Analyst::new();
    contract_suite::a_tie_is_contact_seen_from_both_ends(&mut analyst);
    assert_eq!(analyst.ask("SELECT DISTINCT typeof(affection) FROM tie"), ["real"]);
    let plan = analyst.ask("EXPLAIN QUERY PLAN SELECT * FROM tie WHERE tenant = 't' AND agent_id = 'a'");
    let scans = plan.join("\n").matches("SCAN c").count();
    assert_eq!(scans, 0, "a tie of one agent is found by index: {plan:?}");
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
    let plan = analyst.ask(&format!("EXPLAIN QUERY PLAN {}", contract_suite::AGENT_HOURS)).join("\n");
    assert!(plan.contains("SEARCH m USING PRIMARY KEY"), "{plan}");
    assert!(plan.contains("(tenant=? AND region_id=? AND window_start>? AND window_start<?)"), "{plan}");
    assert!(!plan.contains("SCAN series"), "the windows asked for are found by index: {plan}");
    // They were stored once, and are again where a migration is taken back.
    let mut connection = Connection::open(&analyst.held.path).unwrap();
    migrate::down(&mut connection, 7).unwrap();
    contract_suite::check_hours_and_days(&analyst);
    migrate::up(&mut connection).unwrap();
    contract_suite::check_hours_and_days(&analyst);
}
