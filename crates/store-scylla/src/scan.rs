//! Every row of a table, by ranges of tokens.
//!
//! The ring of tokens is cut into equal ranges; some of them are read at a time, each page by page. A partition has one
//! token, so each row lies in one range and is visited once. There is no snapshot: rows that are written meanwhile may
//! or may not be seen.

use crate::error::request_error;
use crate::rows::read_row;
use crate::store::Prepared;
use futures_util::stream::{FuturesUnordered, StreamExt};
use pipeline::{StoreError, StoredRow};
use scylla::client::session::Session;
use scylla::deserialize::row::ColumnIterator;
use scylla::response::query_result::QueryRowsResult;
use scylla::response::{PagingState, PagingStateResponse};
use std::ops::ControlFlow;
use std::time::Duration;

/// The most rows of a page.
pub(crate) const PAGE_ROWS: i32 = 500;
/// How many ranges the ring is cut into.
const RANGES: i128 = 128;
/// How many ranges are read at a time: so many pages are in memory at most.
const RANGES_AT_A_TIME: usize = 8;
/// How often a page is asked for before the scan is given up.
const ATTEMPTS: u32 = 5;
/// The wait before a page is asked for again; it doubles each time.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// A range of tokens, the start left out, the end in it.
type Range = (i64, i64);

/// A page of a range, and how the range goes on behind it.
type Page = (Range, QueryRowsResult, PagingStateResponse);

/// Visits every row.
pub(crate) async fn scan(
    session: &Session,
    table: &Prepared,
    visit: &mut dyn FnMut(StoredRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut waiting = ranges();
    let mut reading = FuturesUnordered::new();
    for range in waiting.by_ref().take(RANGES_AT_A_TIME) {
        reading.push(page(session, table, range, PagingState::start()));
    }
    while let Some(read) = reading.next().await {
        let (range, rows, next) = read?;
        match next.into_paging_control_flow() {
            ControlFlow::Continue(state) => reading.push(page(session, table, range, state)),
            ControlFlow::Break(()) => {
                if let Some(range) = waiting.next() {
                    reading.push(page(session, table, range, PagingState::start()));
                }
            }
        }
        let unread = |error: &dyn std::fmt::Display| StoreError::Unavailable(format!("a page cannot be read: {error}"));
        for row in rows.rows::<ColumnIterator<'_, '_>>().map_err(|error| unread(&error))? {
            visit(read_row(&table.shape, row.map_err(|error| unread(&error))?)?)?;
        }
    }
    Ok(())
}

/// The ring in equal parts. No partition has the smallest token, so leaving out the first start leaves out nothing.
fn ranges() -> impl Iterator<Item = Range> {
    let cut = |ix: i128| (i128::from(i64::MIN) + ix * i128::from(u64::MAX) / RANGES) as i64;
    (0..RANGES).map(move |ix| (cut(ix), cut(ix + 1)))
}

/// Reads a page; a failure is waited out a few times, so that a passing one does not cost the whole scan.
async fn page(session: &Session, table: &Prepared, range: Range, state: PagingState) -> Result<Page, StoreError> {
    let mut attempt = 1;
    loop {
        match session.execute_single_page(&table.scan, range, state.clone()).await {
            Ok((result, next)) => {
                let rows = result.into_rows_result().map_err(|error| StoreError::Unavailable(error.to_string()))?;
                return Ok((range, rows, next));
            }
            Err(error) if attempt == ATTEMPTS => return Err(request_error(&error)),
            Err(error) => {
                tracing::warn!(table = table.shape.table, attempt, %error, "a page could not be read: asking again");
                tokio::time::sleep(FIRST_WAIT * 2_u32.pow(attempt - 1)).await;
                attempt += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_are_the_whole_ring() {
        let ranges: Vec<Range> = ranges().collect();
        assert_eq!(ranges.first().map(|range| range.0), Some(i64::MIN));
        assert_eq!(ranges.last().map(|range| range.1), Some(i64::MAX));
        assert!(ranges.iter().all(|range| range.0 < range.1));
        assert!(ranges.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }
}
