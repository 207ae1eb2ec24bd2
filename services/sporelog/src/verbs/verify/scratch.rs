//! Copies of stored rows beside rows folded again, to find the first that differs.

use anyhow::Result;
use domain::Projection;
use domain::delta::Deltas;
use domain::table::Table;
use embedded::store::{Snapshot, Store, StoreConfig};
use pipeline::{Scan, StoreError, StoredRow};
use std::path::Path;
use tempfile::TempDir;

/// Rows of a copy that are written at a time.
const ROWS: usize = 5_000;

/// A folder for stores that are thrown away.
#[derive(Debug)]
pub struct Scratch(TempDir);

impl Scratch {
    /// In the data folder, where there is one: it is on the larger disk.
    pub fn new(dir: &Path) -> Result<Self> {
        let mut named = tempfile::Builder::new();
        let named = named.prefix("verify-");
        Ok(Self(if dir.is_dir() { named.tempdir_in(dir)? } else { named.tempdir()? }))
    }

    /// An empty store.
    pub fn store(&self, name: &str) -> Result<Store> {
        Ok(Store::open_with(StoreConfig::scratch(self.0.path().join(name)))?)
    }
}

/// Copies a table into a scratch store.
pub async fn copy(
    scan: &mut impl Scan,
    projection: &Projection,
    table: &'static Table,
    store: &Store,
) -> Result<Snapshot> {
    let mut store = store.clone().with_records(projection);
    let mut deltas = Deltas::new(projection.tables);
    // I8: written as they come, so that a table of any size is copied in the memory of one chunk.
    let mut take = |row: StoredRow| -> Result<(), StoreError> {
        deltas.put(table, &row.key, row.part, row.cells);
        if deltas.rows() >= ROWS {
            store.write_now(&std::mem::replace(&mut deltas, Deltas::new(projection.tables)))?;
        }
        Ok(())
    };
    scan.scan(projection, table, &mut take).await?;
    store.write_now(&deltas)?;
    Ok(store.reader()?)
}
