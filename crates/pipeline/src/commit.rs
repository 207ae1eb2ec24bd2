//! The second half of the worker loop: from a closed batch to a committed one.

use crate::ahead::{Ahead, Folded};
use crate::batch::Batch;
use crate::error::StoreError;
use crate::folder::{Needed, Tally};
use crate::observer::{Committed, Observer, Paused, Step};
use crate::outcome::DeadReason;
use crate::ports::{Clock, Publisher, RowStore, Source};
use crate::position::{Advance, Flush, Mark};
use crate::worker::{Worker, WorkerError};
use domain::TopicPartition;
use domain::cell::Cell;
use domain::delta::Deltas;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How an attempt to commit a range of records ended, short of success.
enum Failed {
    /// The store refuses the rows.
    Refused(String),
    /// Another worker holds these partitions.
    Fenced(Vec<TopicPartition>),
    /// The worker is to stop; the range stays uncommitted and is read again.
    Cancelled,
    /// Waiting cannot help.
    Worker(WorkerError),
}

impl From<WorkerError> for Failed {
    fn from(error: WorkerError) -> Self {
        Failed::Worker(error)
    }
}

/// A range of the batch's records; `refused` names why a single one is dead.
struct Range {
    from: usize,
    to: usize,
    refused: Option<DeadReason>,
}

impl<S: Source, P: Publisher, R: RowStore, C: Clock, O: Observer> Worker<S, P, R, C, O> {
    /// Commits the batch; where the store refuses it, in halves down to the bad record (I7).
    pub(crate) async fn flush(&mut self) -> Result<(), WorkerError> {
        self.flush_batch(false).await
    }

    /// The same; while the store commits, the next batch is taken up and folded.
    pub(crate) async fn flush_ahead(&mut self) -> Result<(), WorkerError> {
        self.flush_batch(true).await
    }

    async fn flush_batch(&mut self, ahead: bool) -> Result<(), WorkerError> {
        let mut batch = std::mem::take(&mut self.batch);
        let mut todo = vec![Range { from: 0, to: batch.len(), refused: None }];
        while let Some(range) = todo.pop() {
            if range.from == range.to {
                continue;
            }
            // Only the end of the batch has nothing of it behind; and what already came to be done comes first.
            let ahead = ahead && todo.is_empty() && self.pending.is_none();
            match self.commit_range(&batch, &range, ahead).await {
                Ok(()) if self.flooded.is_on(self.options.flood_dead_letters) => {}
                Ok(()) => self.env.resumed(),
                Err(Failed::Refused(text)) => {
                    self.discard();
                    todo.extend(halve(&range, text));
                }
                Err(Failed::Fenced(lost)) => return self.reclaim(&lost).await,
                Err(Failed::Cancelled) => {
                    // What the drain may still commit; what was taken up behind it is read again by the next owner.
                    self.discard();
                    batch.drop_front(range.from);
                    self.batch = batch;
                    return Ok(());
                }
                Err(Failed::Worker(error)) => return Err(error),
            }
        }
        self.env.observer.in_flight(self.batch.bytes());
        Ok(())
    }

    /// Forgets what was folded and is not committed; its records are still in their batches.
    fn discard(&mut self) {
        self.folder.discard();
        self.folded = None;
    }

    async fn commit_range(&mut self, batch: &Batch, range: &Range, ahead: bool) -> Result<(), Failed> {
        let started_us = self.env.clock.monotonic_us();
        let mut tally = self.fold_range(batch, range).await?;
        self.env.observer.step(Step::Fold);
        self.load().await?;
        self.env.observer.step(Step::Load);
        self.publish(&mut tally).await?;
        self.env.observer.step(Step::Publish);
        let advances = self.advances(&tally);
        let marks = self.folder.admission().map(|admission| admission.staged_marks()).unwrap_or_default();
        self.env.observer.step(Step::Store);
        let store_us = self.env.clock.monotonic_us();
        let rows = self.folder.seal();
        self.commit(&rows, &advances, &marks, ahead.then_some(batch.bytes())).await?;
        self.env.observer.step(Step::AfterCommit);
        let took = (started_us, store_us);
        self.settle(rows, &tally, &advances, (batch.bytes(), took));
        Ok(())
    }

    /// Folds the range; where its batch is folded in part already, the rest.
    async fn fold_range(&mut self, batch: &Batch, range: &Range) -> Result<Tally, Failed> {
        let Folded { mut tally, records } = self.folded.take().unwrap_or_else(|| self.unfolded(&[]));
        let (mut next, mut forced) = (range.from + records, range.refused.clone());
        while next < range.to {
            let owns = |tp, _: &mut Tally| self.owned.contains_key(&tp);
            let done = self.folder.fold_batch(batch, next..range.to, forced.take(), &mut tally, owns);
            next += done.records;
            match done.needed {
                None => {}
                Some(Needed::Marks) => {
                    let producers = self.folder.unknown_producers(batch.records(next, range.to));
                    self.load_marks(producers).await?;
                }
                Some(needed) => {
                    forced = self.env.supply(self.folder.book(), needed).await.ok_or(Failed::Cancelled)?;
                }
            }
        }
        self.folder.deltas.roll_up();
        tally.positions.retain(|tp, position| {
            self.owned.get(tp).is_some_and(|owned| owned.position.next_offset < position.next_offset)
        });
        Ok(tally)
    }

    /// Nothing folded yet, from the positions that these advances lead to.
    fn unfolded(&self, advances: &[Advance]) -> Folded {
        let mut tally = Tally::default();
        tally.positions.extend(self.owned.iter().map(|(tp, owned)| (*tp, owned.position)));
        tally.positions.extend(advances.iter().map(|advance| (advance.to.tp, advance.to)));
        Folded { tally, records: 0 }
    }

    async fn load_marks(&mut self, needed: Vec<(TopicPartition, String)>) -> Result<(), Failed> {
        for group in needed.chunk_by(|a, b| a.0 == b.0) {
            let tp = group[0].0;
            let producers: Vec<&str> = group.iter().map(|(_, producer)| producer.as_str()).collect();
            let marks = loop {
                match self.store.marks(self.folder.projection(), tp, &producers).await {
                    Ok(marks) => break marks,
                    Err(error) => self.try_again(error).await?,
                }
            };
            if let Some(admission) = self.folder.admission() {
                for (producer, mark) in producers.iter().zip(marks) {
                    admission.learn_mark(tp, producer, mark);
                }
            }
        }
        Ok(())
    }

    /// Makes the rows with state whole: from the cache, else from the store.
    async fn load(&mut self) -> Result<(), Failed> {
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
                Err(error) => self.try_again(error).await?,
            }
        }
    }

    /// Publishes dead letters and derived events before the position passes their causes (I6).
    async fn publish(&mut self, tally: &mut Tally) -> Result<(), Failed> {
        self.flooded.count(tally.records, tally.dead.len());
        if !tally.dead.is_empty() && self.flooded.is_on(self.options.flood_dead_letters) {
            let reason = "a flood of dead letters: look at `sporelog deadletter list`";
            self.env.observer.paused(Paused::DeadLetterFlood, reason);
            tracing::error!(dead = tally.dead.len(), "a flood of dead letters: slowing down");
            let cancel = self.env.cancel.clone();
            tokio::select! {
                () = cancel.cancelled() => return Err(Failed::Cancelled),
                () = self.env.clock.sleep(Duration::from_millis(self.options.flood_pause_ms)) => {}
            }
        }
        if tally.publish.is_empty() {
            return Ok(());
        }
        let records = std::mem::take(&mut tally.publish);
        while let Err(error) = self.publisher.publish(records.clone()).await {
            self.env.wait_for_log(error).await?;
            self.check_cancelled()?;
        }
        tally.dead.iter().for_each(|kind| self.env.observer.dead(*kind));
        Ok(())
    }

    fn advances(&self, tally: &Tally) -> Vec<Advance> {
        let advance = |(tp, to): (&TopicPartition, &crate::position::Position)| {
            let owned = self.owned.get(tp)?;
            let from = owned.committed.then_some(owned.position.next_offset);
            Some(Advance { from, to: crate::position::Position { epoch: owned.epoch, ..*to } })
        };
        tally.positions.iter().filter_map(advance).collect()
    }

    /// Commits; `ahead` are the bytes of the batch where the next one is to be worked on meanwhile.
    async fn commit(
        &mut self,
        rows: &Deltas,
        advances: &[Advance],
        marks: &[Mark],
        mut ahead: Option<usize>,
    ) -> Result<(), Failed> {
        loop {
            let projection = self.folder.projection();
            let observer = &self.env.observer;
            let before_commit = || observer.step(Step::BeforeCommit);
            let flush = Flush { projection, advances, marks, rows, before_commit: &before_commit };
            let done = match ahead.take() {
                None => self.store.commit(&flush).await,
                Some(committing_bytes) => {
                    let mut folded = self.unfolded(advances);
                    let committed = CancellationToken::new();
                    let mut next = Ahead {
                        source: &mut self.source,
                        folder: &mut self.folder,
                        owned: &mut self.owned,
                        batch: &mut self.batch,
                        env: &self.env,
                        options: &self.options,
                        committing_bytes,
                    };
                    let commit = async {
                        let done = self.store.commit(&flush).await;
                        committed.cancel();
                        done
                    };
                    let (done, pending) = tokio::join!(commit, next.run(&mut folded, &committed));
                    // Positions are those of now: without records they would be stale behind the next assignment.
                    self.folded = (folded.records > 0).then_some(folded);
                    self.pending = pending;
                    done
                }
            };
            match done {
                Ok(()) => return Ok(()),
                Err(StoreError::Unknown(text)) => {
                    if self.is_committed(advances, text).await? {
                        return Ok(());
                    }
                }
                Err(error) => self.try_again(error).await?,
            }
        }
    }

    /// Settles a commit whose reply was lost: the positions tell whether it happened.
    async fn is_committed(&mut self, advances: &[Advance], text: String) -> Result<bool, Failed> {
        tracing::warn!(text, "the reply to a commit was lost: reading the position");
        let tps: Vec<_> = advances.iter().map(|advance| advance.to.tp).collect();
        loop {
            match self.store.positions(self.folder.projection(), &tps).await {
                Ok(held) => return Ok(advances.iter().all(|advance| held.contains(&advance.to))),
                Err(error) => self.try_again(error).await?,
            }
        }
    }

    async fn try_again(&mut self, error: StoreError) -> Result<(), Failed> {
        match error {
            StoreError::Refused(text) => Err(Failed::Refused(text)),
            StoreError::Fenced(lost) => Err(Failed::Fenced(lost)),
            error => {
                self.env.wait_for_store(error).await?;
                self.check_cancelled()
            }
        }
    }

    fn check_cancelled(&self) -> Result<(), Failed> {
        if self.env.cancel.is_cancelled() { Err(Failed::Cancelled) } else { Ok(()) }
    }

    /// What was committed becomes the state from which the next batch starts.
    fn settle(
        &mut self,
        mut rows: Deltas,
        tally: &Tally,
        advances: &[Advance],
        (bytes, (started_us, store_us)): (usize, (i64, i64)),
    ) {
        let count = rows.rows();
        for delta in rows.tables_mut() {
            if delta.table().has_state() {
                for row in 0..delta.len() {
                    let cells = delta.take_row(row);
                    self.cache.put(delta.table().ix, delta.key(row), cells);
                }
            }
        }
        self.folder.commit(rows);
        for advance in advances {
            if let Some(owned) = self.owned.get_mut(&advance.to.tp) {
                owned.position = advance.to;
                owned.committed = true;
            }
        }
        let mirrored: Vec<_> = advances.iter().map(|advance| (advance.to.tp, advance.to.next_offset)).collect();
        self.source.mirror(&mirrored);
        tally.shortened.iter().for_each(|tp| self.env.observer.horizon_shortened(*tp));
        let now_us = self.env.clock.monotonic_us();
        let positions: Vec<_> = advances.iter().map(|advance| advance.to).collect();
        self.env.observer.committed(&Committed {
            counts: tally.counts,
            records: tally.records,
            bytes,
            rows: count,
            took_us: now_us - started_us,
            commit_us: now_us - store_us,
            now_us: self.env.clock.now_us(),
            positions: &positions,
            append_us: tally.append_us.unwrap_or_default(),
        });
        self.report_lag();
    }
}

/// The two halves of a refused range, the first one on top; a single record is dead.
fn halve(range: &Range, text: String) -> Vec<Range> {
    let Range { from, to, .. } = *range;
    if to - from == 1 {
        return vec![Range { from, to, refused: Some(DeadReason::refused(text)) }];
    }
    let middle = from + (to - from) / 2;
    vec![Range { from: middle, to, refused: None }, Range { from, to: middle, refused: None }]
}
