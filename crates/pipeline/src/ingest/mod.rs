//! The ingest loop: the log into a store without transactions (I4).
//!
//! Chunks of records are folded in log order and written concurrently; the group's offset moves only behind the
//! contiguous acknowledged prefix, with the account in its metadata. A crash writes some rows again, with the
//! same effect.

mod refused;

use crate::batch::Batch;
use crate::env::Env;
use crate::error::{LogError, StoreError};
use crate::folder::{Folder, Tally};
use crate::ledger::Ledger;
use crate::observer::{Committed, Observer, Step};
use crate::options::WorkerOptions;
use crate::ports::{Clock, GroupOffset, Polled, Publisher, RecordStore, Source};
use crate::position::Position;
use crate::record::Page;
use crate::schemas::SchemaBook;
use crate::worker::{StartError, WorkerError};
use domain::delta::Deltas;
use domain::{Projection, TopicPartition};
use futures_util::stream::{FuturesUnordered, StreamExt};
use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// A chunk of records whose rows are being written.
struct Chunk {
    id: u64,
    batch: Batch,
    tally: Tally,
    started_us: i64,
}

type Write = Pin<Box<dyn Future<Output = (Chunk, Deltas, Result<(), StoreError>)>>>;

/// An ingest worker: one member of the records' group.
pub struct Ingest<S, P, R, C, O> {
    source: S,
    publisher: P,
    store: R,
    env: Env<C, O>,
    options: WorkerOptions,
    folder: Folder,
    ledger: Ledger,
    batch: Batch,
    writes: FuturesUnordered<Write>,
    log_ends: BTreeMap<TopicPartition, i64>,
    fetched: BTreeMap<TopicPartition, i64>,
}

/// How many chunks are written at the same time: one fills the requests that a call has under way, the second those that
/// the first one's last rows leave free. Each costs the memory of its records, its rows and its requests (I8).
const CHUNKS_IN_FLIGHT: usize = 2;

impl<S: Source, P: Publisher, R: RecordStore + Clone + 'static, C: Clock, O: Observer> Ingest<S, P, R, C, O> {
    /// A worker that runs until `cancel`.
    pub fn new(
        projection: &'static Projection,
        schemas: impl Into<SchemaBook>,
        (source, publisher, store): (S, P, R),
        clock: C,
        observer: O,
        options: WorkerOptions,
        cancel: CancellationToken,
    ) -> Self {
        Self {
            folder: Folder::new(projection, schemas.into(), None, false),
            env: Env::new(projection.name, clock, observer, &options, cancel),
            ledger: Ledger::default(),
            batch: Batch::default(),
            writes: FuturesUnordered::new(),
            log_ends: BTreeMap::new(),
            fetched: BTreeMap::new(),
            source,
            publisher,
            store,
            options,
        }
    }

    /// Runs until cancelled, then finishes what is in flight under the drain deadline and leaves.
    ///
    /// # Errors
    /// Where waiting cannot help; the message says what to do.
    pub async fn run(mut self) -> Result<(), WorkerError> {
        self.work().await?;
        let deadline = Duration::from_millis(self.options.drain_deadline_ms);
        let drained = async {
            let _ = self.drain().await;
            let _ = self.source.release(&self.ledger.owned()).await;
        };
        let _ = tokio::time::timeout(deadline, drained).await;
        Ok(())
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        let cancel = self.env.cancel.clone();
        while !cancel.is_cancelled() {
            let wait = self.batch.until_due(&self.options, self.env.clock.monotonic_us());
            let busy = self.writes.len() >= CHUNKS_IN_FLIGHT;
            tokio::select! {
                biased;
                () = cancel.cancelled() => break,
                Some(written) = self.writes.next() => self.written(written).await?,
                polled = self.source.next(wait), if !busy => self.polled(polled).await?,
            }
            if self.batch.is_due(&self.options, self.env.clock.monotonic_us()) && self.writes.len() < CHUNKS_IN_FLIGHT {
                self.dispatch().await?;
            }
        }
        Ok(())
    }

    async fn polled(&mut self, polled: Result<Polled, LogError>) -> Result<(), WorkerError> {
        if polled.is_ok() {
            self.env.log_answered(!self.fetched.is_empty());
        }
        match polled {
            Ok(Polled::Assigned(tps)) => self.own(&tps).await,
            Ok(Polled::Revoked(tps)) => self.give_up(&tps).await,
            Ok(Polled::Page(page)) => {
                self.accept(page);
                Ok(())
            }
            Ok(Polled::Idle) => Ok(()),
            Err(error) => self.env.wait_for_log(error).await,
        }
    }

    fn accept(&mut self, page: Page) {
        self.env.observer.step(Step::Fetch);
        let Some(fetched) = self.fetched.get_mut(&page.tp()) else { return };
        self.log_ends.insert(page.tp(), page.log_end());
        let from = page.records().take_while(|record| record.offset < *fetched).count();
        if let Some(last) = page.len().checked_sub(1) {
            *fetched = (*fetched).max(page.record(last).offset + 1);
        }
        self.batch.push(page, from, self.env.clock.monotonic_us());
        self.env.observer.in_flight(self.batch.bytes());
    }

    /// Takes partitions up at the group's offsets.
    async fn own(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        let committed = loop {
            match self.source.committed(tps).await {
                Ok(committed) => break committed,
                Err(error) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        };
        for tp in tps {
            let held = committed.iter().find(|offset| offset.tp == *tp);
            self.start(*tp, held).await?;
        }
        self.env.observer.owned(&self.ledger.owned());
        // There is no claim in the store that would tell whether it is there.
        while let Err(error) = self.store.check(self.folder.projection()).await {
            self.env.wait_for_store(error).await?;
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        }
        self.env.resumed();
        Ok(())
    }

    async fn start(&mut self, tp: TopicPartition, held: Option<&GroupOffset>) -> Result<(), WorkerError> {
        // I7: a log that is away is waited for, whichever question it does not answer.
        loop {
            match self.seek(tp, held).await {
                Ok(()) | Err(StartError::Log(LogError::NotOwner(_))) => return Ok(()),
                Err(StartError::Worker(error)) => return Err(error),
                Err(StartError::Log(error)) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn seek(&mut self, tp: TopicPartition, held: Option<&GroupOffset>) -> Result<(), StartError> {
        let range = self.source.range(tp).await?;
        let position = match held {
            None => Position::start(tp, range.start),
            Some(offset) => Position::from_metadata(tp, offset.next_offset, &offset.metadata)
                .unwrap_or(Position::start(tp, offset.next_offset)),
        };
        let (start, end) = (range.start, range.end);
        if position.next_offset < start || position.next_offset > end {
            let projection = self.env.projection;
            let position = position.next_offset;
            return Err(StartError::Worker(WorkerError::OutOfRange { projection, tp, position, start, end }));
        }
        self.source.seek(tp, position.next_offset).await?;
        self.ledger.own(position);
        self.fetched.insert(tp, position.next_offset);
        self.log_ends.insert(tp, end);
        self.env.observer.lag(tp, end - position.next_offset);
        Ok(())
    }

    async fn give_up(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        self.drain().await?;
        tps.iter().for_each(|tp| self.forget(*tp));
        self.env.observer.owned(&self.ledger.owned());
        match self.source.release(tps).await {
            Ok(()) | Err(LogError::NotOwner(_)) => Ok(()),
            Err(error) => self.env.wait_for_log(error).await,
        }
    }

    fn forget(&mut self, tp: TopicPartition) {
        self.ledger.forget(tp);
        self.fetched.remove(&tp);
        self.log_ends.remove(&tp);
    }

    async fn drain(&mut self) -> Result<(), WorkerError> {
        if !self.batch.is_empty() {
            self.dispatch().await?;
        }
        while let Some(written) = self.writes.next().await {
            self.written(written).await?;
        }
        Ok(())
    }

    /// Folds the batch and starts writing its rows.
    async fn dispatch(&mut self) -> Result<(), WorkerError> {
        let batch = std::mem::take(&mut self.batch);
        let started_us = self.env.clock.monotonic_us();
        let Some(mut tally) = self.fold(&batch).await else { return Ok(()) };
        self.env.observer.step(Step::Fold);
        // Records are written blind: there is nothing to load, and the step passes at once.
        self.env.observer.step(Step::Load);
        if !self.publish(&mut tally).await? {
            return Ok(());
        }
        self.env.observer.step(Step::Publish);
        let parts: Vec<_> = tally.positions.values().copied().collect();
        let id = self.ledger.dispatch(&parts);
        self.env.observer.step(Step::Store);
        self.write(Chunk { id, batch, tally, started_us });
        Ok(())
    }

    fn write(&mut self, chunk: Chunk) {
        let mut store = self.store.clone();
        let rows = self.folder.seal();
        self.writes.push(Box::pin(async move {
            let result = store.write(&rows).await;
            (chunk, rows, result)
        }));
    }

    /// Folds a batch; the tally's positions are the parts of the partitions it covers. None where the worker is to stop.
    async fn fold(&mut self, batch: &Batch) -> Option<Tally> {
        let mut tally = Tally::default();
        let (mut next, mut forced) = (0, None);
        while next < batch.len() {
            let opens = |tp, tally: &mut Tally| opens_part(&self.ledger, tp, tally);
            let done = self.folder.fold_batch(batch, next..batch.len(), forced.take(), &mut tally, opens);
            next += done.records;
            if let Some(needed) = done.needed {
                forced = self.env.supply(self.folder.book(), needed).await?;
            }
        }
        Some(tally)
    }

    /// Publishes dead letters before the offset can pass them (I6); false where the worker is to stop.
    async fn publish(&mut self, tally: &mut Tally) -> Result<bool, WorkerError> {
        if tally.publish.is_empty() {
            return Ok(true);
        }
        let records = std::mem::take(&mut tally.publish);
        while let Err(error) = self.publisher.publish(records.clone()).await {
            self.env.wait_for_log(error).await?;
            if self.env.cancel.is_cancelled() {
                return Ok(false);
            }
        }
        tally.dead.iter().for_each(|kind| self.env.observer.dead(*kind));
        Ok(true)
    }

    async fn written(
        &mut self,
        (chunk, rows, result): (Chunk, Deltas, Result<(), StoreError>),
    ) -> Result<(), WorkerError> {
        match result {
            Ok(()) => {
                self.env.observer.step(Step::BeforeCommit);
                let count = rows.rows();
                self.folder.recycle(rows);
                self.finish(chunk, count).await
            }
            Err(StoreError::Refused(text)) => {
                let tally = self.write_in_halves(&chunk, text).await?;
                let Some(tally) = tally else { return Ok(()) };
                self.finish(Chunk { tally, ..chunk }, rows.rows()).await
            }
            Err(error) => {
                self.env.wait_for_store(error).await?;
                if !self.env.cancel.is_cancelled() {
                    let mut store = self.store.clone();
                    self.writes.push(Box::pin(async move {
                        let result = store.write(&rows).await;
                        (chunk, rows, result)
                    }));
                }
                Ok(())
            }
        }
    }

    /// Commits the offsets behind the contiguous acknowledged prefix; none where the worker is to stop.
    async fn commit(&mut self) -> Result<Option<Vec<Position>>, WorkerError> {
        loop {
            let positions = self.ledger.committable();
            let offsets: Vec<GroupOffset> = positions.iter().map(group_offset).collect();
            match self.source.commit(&offsets).await {
                Ok(()) => {
                    self.ledger.committed(&positions);
                    return Ok(Some(positions));
                }
                // The others are still this member's: they are committed without it.
                Err(LogError::NotOwner(tp)) => {
                    self.env.observer.fenced();
                    self.forget(tp);
                }
                Err(error) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(None);
            }
        }
    }

    async fn finish(&mut self, chunk: Chunk, rows: usize) -> Result<(), WorkerError> {
        let parts: Vec<_> = chunk.tally.positions.values().copied().collect();
        self.ledger.done(chunk.id, &parts);
        let store_us = self.env.clock.monotonic_us();
        let Some(positions) = self.commit().await? else { return Ok(()) };
        self.env.resumed();
        self.env.observer.step(Step::AfterCommit);
        let now_us = self.env.clock.monotonic_us();
        self.env.observer.committed(&Committed {
            counts: chunk.tally.counts,
            records: chunk.tally.records,
            bytes: chunk.batch.bytes(),
            rows,
            took_us: now_us - chunk.started_us,
            commit_us: now_us - store_us,
            now_us: self.env.clock.now_us(),
            positions: &positions,
            append_us: chunk.tally.append_us.unwrap_or_default(),
        });
        for position in &positions {
            let end = self.log_ends.get(&position.tp).copied().unwrap_or(position.next_offset);
            self.env.observer.lag(position.tp, end - position.next_offset);
        }
        self.env.observer.in_flight(self.batch.bytes());
        Ok(())
    }
}

/// Gives the tally a part for the partition; false where it is not this member's any more.
fn opens_part(ledger: &Ledger, tp: TopicPartition, tally: &mut Tally) -> bool {
    let Some(next) = ledger.dispatched(tp) else { return false };
    tally.positions.entry(tp).or_insert_with(|| Position::start(tp, next));
    true
}

fn group_offset(position: &Position) -> GroupOffset {
    GroupOffset { tp: position.tp, next_offset: position.next_offset, metadata: position.to_metadata() }
}
