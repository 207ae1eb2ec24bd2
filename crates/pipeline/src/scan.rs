//! Logical rows and digests of whatever can be scanned.

use crate::error::StoreError;
use crate::ports::{Scan, StoredRow};
use domain::Projection;
use domain::digest::{Digest, LogicalRow, Merger};
use domain::table::Table;

/// Visits the logical rows of a table, in key order, one at a time: parts are merged.
///
/// # Errors
/// Those of the store and of the visitor.
pub async fn rows<S: Scan>(
    scan: &mut S,
    projection: &Projection,
    table: &'static Table,
    mut visit: impl FnMut(LogicalRow) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut merger = Merger::new(table);
    let mut merge = |row: StoredRow| merger.push(&row.key, row.cells).map_or(Ok(()), &mut visit);
    scan.scan(projection, table, &mut merge).await?;
    merger.finish().map_or(Ok(()), visit)
}

/// The digest of a table (I10), streamed.
///
/// # Errors
/// Those of the store.
pub async fn digest<S: Scan>(
    scan: &mut S,
    projection: &Projection,
    table: &'static Table,
) -> Result<Digest, StoreError> {
    let (mut digest, mut scratch) = (Digest::default(), Vec::new());
    let add = |row: LogicalRow| {
        digest.add_row(table, &row, &mut scratch);
        Ok(())
    };
    rows(scan, projection, table, add).await?;
    Ok(digest)
}
