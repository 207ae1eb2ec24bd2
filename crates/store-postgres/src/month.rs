//! The partitions of the months that a flush writes, made before its transaction begins.
//!
//! Event time decides the month, and old events come at any time, so partitions are not made ahead but when the first
//! row of a month comes. A row without a partition of its own is taken by the default partition: nothing fails where
//! one could not be made yet.

use crate::database::Session;
use crate::request::TableSql;
use crate::rows::Keys;
use domain::window::{DAY_US, month_start};
use pipeline::StoreError;
use std::collections::{BTreeSet, HashMap};

/// Flushes before another attempt, where readers kept a partition from being made.
const LATER: u32 = 100;

const ENSURE: &str = "SELECT ensure_month($1::text, $2::text, $3::bigint, $4::bigint)";

/// What is known of the months of all tables.
#[derive(Clone, Debug, Default)]
pub(crate) struct Months(HashMap<(String, i64), State>);

#[derive(Clone, Copy, Debug)]
enum State {
    Made,
    After { flushes: u32 },
}

impl Months {
    /// Makes what is missing for these rows.
    pub(crate) async fn ensure(
        &mut self,
        session: &Session,
        sql: &TableSql,
        keys: &Keys<'_>,
    ) -> Result<(), StoreError> {
        let Some(column) = sql.month else { return Ok(()) };
        for month in months(keys, column) {
            let known = self.0.entry((sql.name.clone(), month)).or_insert(State::After { flushes: 0 });
            match known {
                State::Made => {}
                State::After { flushes: 0 } => {
                    let made = make(session, sql, column, month).await?;
                    *known = if made { State::Made } else { State::After { flushes: LATER } };
                }
                State::After { flushes } => *flushes -= 1,
            }
        }
        Ok(())
    }
}

/// The months of some rows. Neighbours mostly share theirs.
fn months(keys: &Keys<'_>, column: usize) -> BTreeSet<i64> {
    let (mut months, mut last) = (BTreeSet::new(), 0..0);
    for row in 0..keys.len() {
        let Some(time_us) = keys.int(row, column) else { continue };
        if !last.contains(&time_us) {
            let start = month_start(time_us);
            months.insert(start);
            last = start..next_month(start);
        }
    }
    months
}

/// The month behind the one that starts then.
fn next_month(start: i64) -> i64 {
    month_start(start.saturating_add(32 * DAY_US))
}

async fn make(session: &Session, sql: &TableSql, column: usize, month: i64) -> Result<bool, StoreError> {
    let statement = session.prepared(ENSURE).await?;
    let next = next_month(month);
    let row = session
        .replied(session.client()?.query_one(&statement, &[&sql.name, &sql.key[column].name, &month, &next]))
        .await?;
    Ok(row.get(0))
}
