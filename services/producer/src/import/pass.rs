//! One pass over the rows of an import.

use super::build::{BadRow, Builder, Built, Stamp};
use super::error::ImportError;
use super::input::{Head, Rows};
use super::mapping::Mapping;
use super::options::{Options, Progress, Stop};
use super::state::{Reject, State};
use pipeline::{Clock, Publisher, Unpublished};
use tokio_util::sync::CancellationToken;

/// The longest raw row kept with a reject, bytes.
const RAW_MAX: usize = 16 << 10;

/// What is published at once.
#[derive(Default)]
pub(super) struct Batch {
    built: Vec<Built>,
    bytes: usize,
    /// The rows that are behind us once it is acknowledged, ascending.
    rows: Vec<u64>,
}

/// One pass over the rows.
pub(super) struct Pass<'a> {
    pub(super) options: &'a Options,
    pub(super) mapping: &'a Mapping,
    pub(super) state: &'a mut State,
    pub(super) batch: Batch,
    pub(super) progress: Progress,
    /// Events published and acknowledged, by `[[event]]`.
    pub(super) events: Vec<u64>,
}

impl Pass<'_> {
    pub(super) async fn rows<P: Publisher, C: Clock>(
        &mut self,
        rows: &mut Rows<'_>,
        builder: &mut Builder<'_>,
        publisher: &mut P,
        clock: &C,
        cancel: &CancellationToken,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<Stop, ImportError> {
        let mut stop = Stop::End;
        while let Some(head) = rows.advance()? {
            self.progress.rows += 1;
            self.progress.bytes = rows.bytes();
            self.row(head, rows, builder, clock.now_us());
            if self.progress.rejected > self.options.max_rejects {
                stop = Stop::Rejects;
                break;
            }
            let full =
                self.batch.built.len() >= self.options.batch_records || self.batch.bytes >= self.options.batch_bytes;
            // Rows that give nothing still move on, and must be seen to.
            if full || self.progress.rows.is_multiple_of(10_000) {
                self.flush(publisher).await?;
                observe(&self.progress);
                if cancel.is_cancelled() {
                    return Ok(Stop::Cancelled);
                }
            }
        }
        self.flush(publisher).await?;
        observe(&self.progress);
        Ok(stop)
    }

    fn row(&mut self, head: Head, rows: &Rows<'_>, builder: &mut Builder<'_>, now_us: i64) {
        let row = head.row + 1;
        let attempts = self.state.attempts(row);
        let outputs = 0..self.mapping.outputs.len();
        let wanted: Vec<bool> = outputs.map(|ix| self.is_wanted(ix, row, attempts)).collect();
        if !wanted.contains(&true) {
            if head.bad.is_none() {
                builder.remember(rows);
            }
            self.progress.skipped += 1;
            return;
        }
        let before = self.batch.built.len();
        let stamp = Stamp { row, line: head.line, wanted: &wanted, now_us };
        let built = match head.bad {
            Some(bad) => Err(bad),
            None => builder.build(rows, stamp, &mut self.batch.built),
        };
        match built {
            Ok(()) => {
                let size = |built: &Built| built.record.key.len() + built.record.value.len();
                self.batch.bytes += self.batch.built[before..].iter().map(size).sum::<usize>();
                self.batch.rows.push(row);
            }
            Err(bad) => {
                self.progress.rejected += 1;
                self.state.reject(reject(self.mapping, row, head.line, attempts, bad, rows.raw()));
            }
        }
    }

    /// Whether the row's events of an `[[event]]` are to be published. A rejected row is tried
    /// again as a whole, since it gives all of its events or none.
    fn is_wanted(&self, output: usize, row: u64, attempts: u32) -> bool {
        match self.options.from_row {
            _ if attempts > 0 => true,
            Some(first) => row >= first,
            None => self.options.again || !self.state.is_done(output, row),
        }
    }

    /// Rejects first, then the log, then how far we are: a crash between any two costs nothing.
    async fn flush<P: Publisher>(&mut self, publisher: &mut P) -> Result<(), ImportError> {
        self.state.keep_rejects()?;
        let mut batch = std::mem::take(&mut self.batch);
        self.publish(&mut batch, publisher).await?;
        self.progress.events += batch.built.len() as u64;
        self.state.saved.events += batch.built.len() as u64;
        batch.built.iter().for_each(|built| self.events[built.output] += 1);
        batch.rows.iter().for_each(|row| self.state.mend(*row));
        if batch.rows.is_empty() {
            return Ok(());
        }
        self.state.finish_rows(&batch.rows.into_iter().collect());
        self.state.save()
    }

    /// Publishes the batch. A record that the log refuses leaves it, and its row is rejected: it is no reason to stop
    /// before all rows behind it. What was taken before is published again: it has the same numbers.
    async fn publish<P: Publisher>(&mut self, batch: &mut Batch, publisher: &mut P) -> Result<(), ImportError> {
        while !batch.built.is_empty() {
            let records = batch.built.iter().map(|built| built.record.clone()).collect();
            let Err(Unpublished { error, refused, .. }) = publisher.publish(records).await else { break };
            let Some(at) = refused.filter(|at| *at < batch.built.len()) else {
                let first = batch.rows.first().copied().unwrap_or_default();
                let last = batch.rows.last().copied().unwrap_or_default();
                return Err(ImportError::Unacknowledged { first, last, error });
            };
            let Built { row, line, .. } = batch.built.remove(at);
            // Another record of the row may have been refused before.
            if let Ok(place) = batch.rows.binary_search(&row) {
                batch.rows.remove(place);
                self.progress.rejected += 1;
                let attempts = self.state.attempts(row);
                let bad = BadRow::whole(error.to_string());
                self.state.reject(reject(self.mapping, row, line, attempts, bad, String::new()));
                self.state.keep_rejects()?;
            }
        }
        Ok(())
    }
}

fn reject(mapping: &Mapping, row: u64, line: u64, attempts: u32, bad: BadRow, mut raw: String) -> Reject {
    if let Some((at, _)) = raw.char_indices().find(|(at, _)| *at >= RAW_MAX) {
        raw.truncate(at);
    }
    let column = bad.column.and_then(|ix| mapping.columns.get(ix));
    let column = column.map(|column| column.name.clone());
    Reject { row, line, column, field: bad.field, reason: bad.reason, raw, attempts: attempts + 1 }
}
