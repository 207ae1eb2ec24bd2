//! From a closed batch to a committed one: fold, load, statements, publish, COMMIT.

use super::outbox::Outbox;
use super::prefetch::{Folded, Prefetch};
use super::{Worker, WorkerError};
use crate::batch::Batch;
use crate::dedup::SequenceChange;
use crate::error::{LogError, StoreError};
use crate::folder::{Needed, Tally};
use crate::observer::{Committed, Observer, Paused, Step};
use crate::outcome::DeadReason;
use crate::park::ParkCause;
use crate::ports::{Abort, Clock, Publisher, RowStore, Source};
use crate::position::{Advance, Flush, Position};
use domain::TopicPartition;
use domain::delta::Deltas;
use futures_util::future::LocalBoxFuture;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How an attempt to commit a range of records ended, short of success.
pub(super) enum Failed {
    /// The store refuses the rows.
    Refused(String),
    /// The log refuses what a record gives rise to: its partition is parked there.
    Unpublishable { tp: TopicPartition, offset: i64, text: String },
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

/// A range of the batch's records.
struct Range {
    from: usize,
    to: usize,
    /// Whether the store has refused it alone before.
    is_refused: bool,
    /// Why a single record is dead: the store has refused it alone, twice.
    dead: Option<DeadReason>,
}

impl Range {
    fn of(from: usize, to: usize) -> Self {
        Self { from, to, is_refused: false, dead: None }
    }

    /// What is to be done about a range that the store refuses, the next part last; a single record is tried alone once
    /// more before it is dead (I7).
    fn refused(self, text: String) -> Vec<Self> {
        let Range { from, to, is_refused, .. } = self;
        match to - from {
            0 | 1 if is_refused => vec![Range { dead: Some(DeadReason::refused(text)), ..self }],
            0 | 1 => vec![Range { is_refused: true, ..self }],
            records => {
                let middle = from + records / 2;
                vec![Range::of(middle, to), Range::of(from, middle)]
            }
        }
    }
}

impl<S: Source, P: Publisher, R: RowStore, C: Clock, O: Observer> Worker<S, P, R, C, O> {
    /// Commits the batch; where the store refuses it, in halves down to the bad record (I7).
    pub(super) async fn flush(&mut self) -> Result<(), WorkerError> {
        self.flush_batch(false).await
    }

    /// The same; while the store commits, the next batch is taken up and folded.
    pub(super) async fn flush_ahead(&mut self) -> Result<(), WorkerError> {
        self.flush_batch(true).await
    }

    async fn flush_batch(&mut self, prefetch: bool) -> Result<(), WorkerError> {
        let mut batch = std::mem::take(&mut self.batch);
        let mut todo = if batch.is_empty() { Vec::new() } else { vec![Range::of(0, batch.len())] };
        while let Some(range) = todo.pop() {
            // Prefetch only while the batch's last range commits: an earlier range still folds into the same deltas. A
            // poll result that waits already must be handled first.
            let may_prefetch = prefetch && todo.is_empty() && self.pending.is_none();
            match self.commit_range(&batch, &range, may_prefetch).await {
                Ok(()) if self.flooded.is_on(self.options.flood_dead_letters) => {}
                Ok(()) => self.env.resumed(),
                Err(Failed::Refused(text)) => {
                    self.discard();
                    let from = range.from;
                    if !self.on_refused(range, text, &mut todo).await? {
                        batch.drop_front(from);
                        self.batch = batch;
                        return Ok(());
                    }
                }
                Err(Failed::Unpublishable { tp, offset, text }) => {
                    // The other partitions' records of the range are folded again without it.
                    todo.push(range);
                    self.park(tp, offset, ParkCause::LetterRefused(text)).await?;
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

    /// Says what is to be done about a range that the store refuses; false where the worker is to stop, and the range is
    /// the next owner's.
    async fn on_refused(&mut self, range: Range, text: String, todo: &mut Vec<Range>) -> Result<bool, WorkerError> {
        if range.to - range.from <= 1 {
            // A refusal may have a cause that passes. And a store that refuses the commit of a dead record, which has no
            // rows, has a trouble of its own: an outage.
            let outage = StoreError::Unavailable(format!("it refuses a single record: {text}"));
            self.env.wait_for_store(outage).await?;
            if self.env.cancel.is_cancelled() {
                return Ok(false);
            }
        }
        if range.dead.is_some() {
            todo.push(range);
        } else {
            todo.extend(range.refused(text));
        }
        Ok(true)
    }

    /// Forgets what was folded and is not committed; its records are still in their batches.
    pub(super) fn discard(&mut self) {
        self.folder.discard();
        self.folded = None;
    }

    async fn commit_range(&mut self, batch: &Batch, range: &Range, prefetch: bool) -> Result<(), Failed> {
        let started_us = self.env.clock.monotonic_us();
        self.folder.set_now_us(started_us);
        let tally = self.fold_range(batch, range).await?;
        self.env.observer.step(Step::Fold);
        self.load().await?;
        self.env.observer.step(Step::Load);
        self.pause_in_flood(&tally).await?;
        let advances = self.advances(&tally);
        let sequences = self.folder.dedup().map(|dedup| dedup.staged_changes()).unwrap_or_default();
        self.env.observer.step(Step::Store);
        let store_us = self.env.clock.monotonic_us();
        let rows = self.folder.seal();
        let prefetch = prefetch.then_some(batch.bytes());
        self.commit(&rows, &tally, (&advances, &sequences), prefetch).await?;
        self.env.observer.step(Step::AfterCommit);
        let took = (started_us, store_us);
        self.apply_committed(rows, &tally, &advances, (batch.bytes(), took));
        Ok(())
    }

    /// Folds the range; where its batch is folded in part already, the rest.
    async fn fold_range(&mut self, batch: &Batch, range: &Range) -> Result<Tally, Failed> {
        let Folded { mut tally, records } = self.folded.take().unwrap_or_else(|| self.unfolded(&[]));
        let (mut next, mut forced) = (range.from + records, range.dead.clone());
        while next < range.to {
            let owns = |tp, _: &mut Tally| self.owned.contains_key(&tp);
            let done = self.folder.fold_batch(batch, next..range.to, forced.take(), &mut tally, owns);
            next += done.records;
            match done.needed {
                None => {}
                Some(Needed::Sequences) => {
                    let producers = self.folder.unknown_producers(batch.records(next, range.to));
                    self.load_sequences(producers).await?;
                }
                Some(needed) => {
                    forced = self.env.supply(self.folder.book(), needed).await.ok_or(Failed::Cancelled)?;
                }
            }
        }
        if range.to == batch.len() {
            self.pass(batch, &mut tally);
        }
        self.folder.deltas.roll_up();
        tally.positions.retain(|tp, position| {
            self.owned.get(tp).is_some_and(|owned| owned.position.next_offset < position.next_offset)
        });
        for (tp, position) in &mut tally.positions {
            let epoch = self.owned.get(tp).map_or(-1, |owned| owned.leader_epoch);
            position.last = position.last.map(|last| crate::position::LastRecord { leader_epoch: epoch, ..last });
        }
        Ok(tally)
    }

    /// Passes the offsets behind the batch's last records that hold none: markers, and what was compacted away (I5).
    fn pass(&self, batch: &Batch, tally: &mut Tally) {
        for (tp, passed) in batch.passed().iter().filter(|(tp, _)| self.owned.contains_key(tp)) {
            let Some(position) = tally.positions.get_mut(tp) else { continue };
            let holes = passed - position.next_offset;
            if holes > 0 {
                position.next_offset = *passed;
                position.counts.holes += holes;
                tally.counts.holes += holes;
            }
        }
    }

    /// Nothing folded yet, from the positions that these advances lead to.
    fn unfolded(&self, advances: &[Advance]) -> Folded {
        let mut tally = Tally::default();
        tally.positions.extend(self.owned.iter().map(|(tp, owned)| (*tp, owned.position)));
        tally.positions.extend(advances.iter().map(|advance| (advance.to.tp, advance.to)));
        Folded { tally, records: 0 }
    }

    /// Slows down in a flood of dead letters, so that somebody looks (I6).
    async fn pause_in_flood(&mut self, tally: &Tally) -> Result<(), Failed> {
        self.flooded.count(tally.records, tally.dead.len());
        if tally.dead.is_empty() || !self.flooded.is_on(self.options.flood_dead_letters) {
            return Ok(());
        }
        let reason = "a flood of dead letters: look at `sporelog deadletter list`";
        self.env.observer.paused(Paused::DeadLetterFlood, reason);
        tracing::error!(dead = tally.dead.len(), "a flood of dead letters: slowing down");
        let cancel = self.env.cancel.clone();
        tokio::select! {
            () = cancel.cancelled() => Err(Failed::Cancelled),
            () = self.env.clock.sleep(Duration::from_millis(self.options.flood_pause_ms)) => Ok(()),
        }
    }

    fn advances(&self, tally: &Tally) -> Vec<Advance> {
        let advance = |(tp, to): (&TopicPartition, &Position)| {
            let owned = self.owned.get(tp)?;
            let from = owned.committed.then_some(owned.position.next_offset);
            Some(Advance { from, to: Position { epoch: owned.epoch, ..*to } })
        };
        tally.positions.iter().filter_map(advance).collect()
    }

    /// Commits; `prefetch` are the bytes of the batch where the next one is to be worked on meanwhile.
    async fn commit(
        &mut self,
        rows: &Deltas,
        tally: &Tally,
        (advances, sequences): (&[Advance], &[SequenceChange]),
        mut prefetch: Option<usize>,
    ) -> Result<(), Failed> {
        let mut is_published = tally.publish.is_empty();
        loop {
            let unfolded = prefetch.is_some().then(|| self.unfolded(advances));
            let projection = self.folder.projection();
            let observer = &self.env.observer;
            let outbox = Outbox::new(&mut self.publisher, &tally.publish, is_published);
            let before_commit = || -> LocalBoxFuture<'_, Result<(), Abort>> {
                Box::pin(async {
                    outbox.publish().await?;
                    observer.step(Step::Publish);
                    observer.step(Step::BeforeCommit);
                    Ok(())
                })
            };
            let dead = &tally.dead_rows;
            let flush = Flush { projection, advances, sequences, dead, rows, before_commit: &before_commit };
            let done = match prefetch.take().zip(unfolded) {
                None => self.store.commit(&flush).await,
                Some((committing_bytes, mut folded)) => {
                    let committed = CancellationToken::new();
                    let mut next = Prefetch {
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
            let (published, unpublished) = outbox.end();
            is_published = published;
            match done {
                Ok(()) => break,
                Err(StoreError::Aborted) => self.on_unpublished(unpublished, tally).await?,
                Err(StoreError::Unknown(text)) => {
                    if self.is_committed(advances, text).await? {
                        break;
                    }
                }
                Err(error) => self.retry_or_fail(error).await?,
            }
        }
        tally.dead.iter().for_each(|kind| self.env.observer.dead(*kind));
        Ok(())
    }

    /// The transaction was rolled back, since the log did not take what had to be there before it.
    async fn on_unpublished(
        &mut self,
        unpublished: Option<crate::error::Unpublished>,
        tally: &Tally,
    ) -> Result<(), Failed> {
        let Some(unpublished) = unpublished else { return self.check_cancelled() };
        if let LogError::Refused(text) = &unpublished.error {
            let at = unpublished.refused.unwrap_or(0);
            if let Some(cause) = tally.publish.get(at) {
                let text = format!("{}: {text}", cause.record.topic);
                return Err(Failed::Unpublishable { tp: cause.tp, offset: cause.offset, text });
            }
        }
        self.env.wait_for_log(unpublished.error).await?;
        self.check_cancelled()
    }

    /// Settles a commit whose reply was lost: the positions tell whether it happened.
    async fn is_committed(&mut self, advances: &[Advance], text: String) -> Result<bool, Failed> {
        tracing::warn!(text, "the reply to a commit was lost: reading the position");
        let tps: Vec<_> = advances.iter().map(|advance| advance.to.tp).collect();
        loop {
            match self.store.positions(self.folder.projection(), &tps).await {
                Ok(held) => return Ok(advances.iter().all(|advance| held.contains(&advance.to))),
                Err(error) => self.retry_or_fail(error).await?,
            }
        }
    }

    pub(super) async fn retry_or_fail(&mut self, error: StoreError) -> Result<(), Failed> {
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
    fn apply_committed(
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
