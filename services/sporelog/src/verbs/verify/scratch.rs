//! Copies of stored rows beside rows folded again, to find the first that differs.

use anyhow::Result;
use domain::delta::Deltas;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use embedded::store::{Snapshot, Store, StoreConfig};
use pipeline::{Scan, StoreError, StoredRow};
use std::cell::Cell;
use std::path::Path;
use tempfile::TempDir;

/// Rows of a copy that are written at a time.
const ROWS: usize = 5_000;

/// A folder for stores that are thrown away.
#[derive(Debug)]
pub struct Scratch {
    dir: TempDir,
    stores: Cell<u32>,
}

impl Scratch {
    /// In the data folder, where there is one: it is on the larger disk.
    pub fn new(dir: &Path) -> Result<Self> {
        let mut named = tempfile::Builder::new();
        let named = named.prefix("verify-");
        let dir = if dir.is_dir() { named.tempdir_in(dir)? } else { named.tempdir()? };
        Ok(Self { dir, stores: Cell::new(0) })
    }

    /// An empty store, in a file of its own.
    pub fn fresh(&self) -> Result<Store> {
        let number = self.stores.replace(self.stores.get() + 1);
        Ok(Store::open_with(StoreConfig::scratch(self.dir.path().join(format!("{number}.db"))))?)
    }
}

/// Copies those parts of a table into a scratch store that `takes` wants; rows of a table without
/// parts are all wanted.
pub async fn copy(
    scan: &mut impl Scan,
    projection: &Projection,
    table: &'static Table,
    store: &Store,
    takes: impl Fn(TopicPartition) -> bool,
) -> Result<Snapshot> {
    let mut store = store.clone().with_records(projection);
    let mut deltas = Deltas::new(projection.tables);
    // I8: written as they come, so that a table of any size is copied in the memory of one chunk.
    let mut take = |row: StoredRow| -> Result<(), StoreError> {
        if row.part.is_some_and(|part| !takes(part)) {
            return Ok(());
        }
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
