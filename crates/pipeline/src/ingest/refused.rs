//! A chunk that the store refuses: written in halves down to the bad records, which become dead letters (I7).

use super::write::opens_part;
use super::{Chunk, Ingest};
use crate::batch::Batch;
use crate::error::StoreError;
use crate::folder::{Needed, Tally};
use crate::observer::Observer;
use crate::outcome::{DeadKind, DeadReason};
use crate::ports::{Clock, Publisher, RecordStore, Source};
use crate::position::Position;
use crate::record::Record;
use crate::worker::WorkerError;
use codec::DecodeError;
use std::collections::BTreeMap;

impl<S: Source, P: Publisher, R: RecordStore + Clone + 'static, C: Clock, O: Observer> Ingest<S, P, R, C, O> {
    /// Writes a refused chunk in halves down to the bad records, each refused alone and twice, which become dead letters
    /// (I7). None where the worker is to stop.
    pub(super) async fn write_in_halves(&mut self, chunk: &Chunk, text: String) -> Result<Option<Tally>, WorkerError> {
        let mut bad = BTreeMap::new();
        let mut todo = vec![(0, chunk.batch.len(), text)];
        while let Some((from, to, text)) = todo.pop() {
            if to - from <= 1 {
                // A refusal may have a cause that passes.
                self.env.wait_for_store(StoreError::Unavailable(format!("it refuses a single record: {text}"))).await?;
                match self.write_range(&chunk.batch, from, to).await? {
                    None => return Ok(None),
                    Some(Ok(())) => {}
                    Some(Err(text)) => drop(bad.insert(from, text)),
                }
                continue;
            }
            let middle = from + (to - from) / 2;
            for (from, to) in [(from, middle), (middle, to)] {
                match self.write_range(&chunk.batch, from, to).await? {
                    None => return Ok(None),
                    Some(Ok(())) => {}
                    Some(Err(text)) => todo.push((from, to, text)),
                }
            }
        }
        let mut tally = self.account(chunk, &bad);
        Ok(self.publish(&mut tally).await?.then_some(tally))
    }

    async fn write_range(
        &mut self,
        batch: &Batch,
        from: usize,
        to: usize,
    ) -> Result<Option<Result<(), String>>, WorkerError> {
        let mut tally = Tally::default();
        for record in batch.records(from, to) {
            if opens_part(&self.ledger, record.tp, &mut tally) {
                self.fold_again(&record, None, &mut tally);
            }
        }
        loop {
            let result = self.store.write(&self.folder.deltas).await;
            match result {
                Ok(()) | Err(StoreError::Refused(_)) => {
                    self.folder.discard();
                    return Ok(Some(result.map_err(|error| error.to_string())));
                }
                Err(error) => self.env.wait_for_store(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                self.folder.discard();
                return Ok(None);
            }
        }
    }

    /// The account of a chunk some of whose records were refused, with the letters of all its dead records: none of them
    /// was published before.
    fn account(&mut self, chunk: &Chunk, bad: &BTreeMap<usize, String>) -> Tally {
        let mut tally = Tally::default();
        tally
            .positions
            .extend(chunk.tally.positions.iter().map(|(tp, part)| (*tp, Position::start(*tp, part.first_offset))));
        for (ix, record) in chunk.batch.records(0, chunk.batch.len()).enumerate() {
            self.fold_again(&record, bad.get(&ix).cloned().map(DeadReason::refused), &mut tally);
        }
        self.folder.discard();
        for (tp, part) in &mut tally.positions {
            let Some(first) = chunk.tally.positions.get(tp) else { continue };
            // What the chunk passed behind its last record, and under which leader that lies.
            part.counts.holes += first.next_offset - part.next_offset;
            part.next_offset = first.next_offset;
            part.last = first.last;
        }
        tally
    }

    /// Folds a record that was folded before. What had no answer then, or whose answer is too old by now, makes it dead.
    fn fold_again(&mut self, record: &Record<'_>, forced: Option<DeadReason>, tally: &mut Tally) {
        let Err(needed) = self.folder.fold(record, forced, tally) else { return };
        let text = match needed {
            Needed::Schema(id) => DecodeError::UnknownSchema { id }.to_string(),
            Needed::Confirmation(id) => format!("it does not fit schema id {id}"),
            Needed::Sequences | Needed::Registration(_) => return,
        };
        let _ = self.folder.fold(record, Some(DeadReason { kind: DeadKind::Undecodable, text }), tally);
    }
}
