//! The ingest loop: the log into a store without transactions (I4).
//!
//! Chunks of records are folded in log order and written concurrently; the group's offset moves only behind the
//! contiguous acknowledged prefix, with the account in its metadata. A crash writes some rows again, with the
//! same effect. Dead letters are published when a chunk's rows are written, before its offsets are committed (I6).

mod partitions;
mod refused;
mod write;

use crate::batch::Batch;
use crate::env::Env;
use crate::error::{LogError, StoreError};
use crate::folder::{Folder, Tally};
use crate::ledger::Ledger;
use crate::observer::Observer;
use crate::options::WorkerOptions;
use crate::parking::Parking;
use crate::ports::{Clock, Polled, Publisher, RecordStore, Source};
use crate::schemas::SchemaBook;
use crate::worker::WorkerError;
use domain::delta::Deltas;
use domain::{Projection, TopicPartition};
use futures_util::stream::{FuturesUnordered, StreamExt};
use partitions::Reading;
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
    parking: Parking,
    batch: Batch,
    writes: FuturesUnordered<Write>,
    readings: BTreeMap<TopicPartition, Reading>,
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
            folder: Folder::new(projection, schemas.into(), None, &options),
            env: Env::new(projection.name, clock, observer, &options, cancel),
            ledger: Ledger::default(),
            parking: Parking::new(options.park_retry_ms, options.park_retry_max_ms),
            batch: Batch::default(),
            writes: FuturesUnordered::new(),
            readings: BTreeMap::new(),
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
        let tps: Vec<_> = self.ledger.owned().into_iter().chain(self.parking.partitions()).collect();
        let drained = async {
            let _ = self.drain().await;
            let _ = self.source.release(&tps).await;
        };
        let _ = tokio::time::timeout(deadline, drained).await;
        Ok(())
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        let cancel = self.env.cancel.clone();
        while !cancel.is_cancelled() {
            let now_us = self.env.clock.monotonic_us();
            let due = self.parking.due(now_us);
            if !due.is_empty() {
                self.own(&due).await?;
            }
            let wait = self.until_next();
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

    /// How long the loop may wait for something new.
    fn until_next(&self) -> Duration {
        let now_us = self.env.clock.monotonic_us();
        let due = self.batch.until_due(&self.options, now_us);
        let retry = self.parking.next_wait_us(now_us);
        retry.map_or(due, |wait_us| due.min(Duration::from_micros(wait_us.unsigned_abs())))
    }

    async fn polled(&mut self, polled: Result<Polled, LogError>) -> Result<(), WorkerError> {
        if polled.is_ok() {
            self.env.log_answered(!self.readings.is_empty());
        }
        match polled {
            Ok(Polled::Assigned(tps)) => self.own(&tps).await,
            Ok(Polled::Revoked(tps)) => self.on_revoked(&tps).await,
            Ok(Polled::Page(page)) => self.append_page(page).await,
            Ok(Polled::Trouble(trouble)) => self.on_trouble(trouble).await,
            Ok(Polled::Idle) => Ok(()),
            Err(error) => self.env.wait_for_log(error).await,
        }
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
}
