//! What a batch needs of the store before it can be written: sequences of producers, rows with state.

use super::Worker;
use super::flush::Failed;
use crate::observer::Observer;
use crate::ports::{Clock, Publisher, RowStore, Source};
use domain::TopicPartition;
use domain::cell::Cell;

impl<S: Source, P: Publisher, R: RowStore, C: Clock, O: Observer> Worker<S, P, R, C, O> {
    /// Loads the sequences of these producers, sorted by partition.
    pub(super) async fn load_sequences(&mut self, needed: Vec<(TopicPartition, String, String)>) -> Result<(), Failed> {
        for group in needed.chunk_by(|a, b| a.0 == b.0) {
            let tp = group[0].0;
            let producers: Vec<(&str, &str)> =
                group.iter().map(|(_, tenant, producer)| (tenant.as_str(), producer.as_str())).collect();
            let stored = loop {
                match self.store.sequences(self.folder.projection(), tp, &producers).await {
                    Ok(stored) => break stored,
                    Err(error) => self.retry_or_fail(error).await?,
                }
            };
            if let Some(dedup) = self.folder.dedup() {
                for (producer, stored) in producers.iter().zip(stored) {
                    dedup.learn(tp, *producer, stored);
                }
            }
        }
        Ok(())
    }

    /// Makes the rows with state whole: from the cache, else from the store.
    pub(super) async fn load(&mut self) -> Result<(), Failed> {
        for table_ix in 0..self.folder.projection().tables.len() {
            let table = self.folder.projection().tables[table_ix];
            if !table.has_state() {
                continue;
            }
            let (mut cached, mut missing) = (Vec::new(), Vec::new());
            let delta = &self.folder.deltas.tables()[table_ix];
            for row in 0..delta.len() {
                match self.cache.take(table_ix, delta.key(row)) {
                    Some(cells) => cached.push((row, cells)),
                    None => missing.push(row),
                }
            }
            self.env.observer.row_cache(cached.len(), missing.len());
            let loaded = self.load_rows(table_ix, &missing).await?;
            let delta = &mut self.folder.deltas.tables_mut()[table_ix];
            cached.into_iter().for_each(|(row, cells)| delta.complete_row(row, Some(cells)));
            missing.into_iter().zip(loaded).for_each(|(row, cells)| delta.complete_row(row, cells));
        }
        Ok(())
    }

    async fn load_rows(&mut self, table_ix: usize, rows: &[usize]) -> Result<Vec<Option<Vec<Cell>>>, Failed> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let table = self.folder.projection().tables[table_ix];
        loop {
            let delta = &self.folder.deltas.tables()[table_ix];
            let keys: Vec<&[u8]> = rows.iter().map(|row| delta.key(*row)).collect();
            match self.store.load(self.folder.projection(), table, &keys).await {
                Ok(loaded) => return Ok(loaded),
                Err(error) => self.retry_or_fail(error).await?,
            }
        }
    }
}
