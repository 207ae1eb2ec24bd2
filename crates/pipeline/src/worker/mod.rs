//! The one worker loop of projector and aggregator.
//!
//! poll -> decode -> deduplicate -> fold -> load rows with state -> write rows and position in a transaction -> publish
//! -> COMMIT. While the store commits, the next batch is polled and folded ([`prefetch`]).
//!
//! | what happens | what the loop does |
//! |---|---|
//! | partitions assigned | claim (epoch + 1, durable) before the first fetch; refill the window of duplicates from the log |
//! | partitions revoked | commit what is in flight, forget the partitions, release them |
//! | log or store down | wait with back-off, not ready; nothing is dropped (I7) |
//! | a record's schema is not known | ask the registry, wait while it is down; a dead letter where it has none (I7) |
//! | store refuses the batch | fold it again in halves down to the bad record, dead once it was refused alone, twice (I7) |
//! | trouble of one partition | park it: no reads, no commits, tried again later; the others go on (I7) |
//! | another worker claimed a partition | discard every uncommitted fold and cached row, claim what is left (I3) |
//! | reply to a commit lost | read the position back: it tells (I3) |
//! | shutdown | commit what is in flight under a deadline, release |

pub(crate) mod claim;
mod flush;
mod load;
mod outbox;
mod parked;
pub(crate) mod prefetch;

use crate::batch::Batch;
use crate::dedup::Dedup;
use crate::env::Env;
use crate::error::LogError;
use crate::flood::Flood;
use crate::folder::Folder;
use crate::observer::{Observer, Step};
use crate::options::WorkerOptions;
use crate::owned::Owned;
use crate::parking::Parking;
use crate::ports::{Clock, DedupSettings, Polled, Publisher, RowStore, Source};
use crate::record::{Page, Record};
use crate::row_cache::RowCache;
use crate::schemas::SchemaBook;
use domain::{Projection, TopicPartition};
use prefetch::Folded;
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// Why a worker stopped by itself: nothing that waiting mends, and no matter of one partition.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The rules of deduplication are not those with which the stored rows were made.
    #[error(
        "{projection}: its rows were made with dedup.window_ms = {} and dedup.max_records = {}, and the configuration says \
         {} and {}: set them back. Other rules make other rows, so they need data folded anew",
        .stored.window_ms, .stored.max_records, .wanted.window_ms, .wanted.max_records
    )]
    DedupChanged {
        /// The projection.
        projection: &'static str,
        /// What is stored with its version.
        stored: DedupSettings,
        /// What the options say.
        wanted: DedupSettings,
    },
    /// The log says that a retry cannot help.
    #[error("{0}")]
    Log(String),
    /// The store says that a retry cannot help.
    #[error("{0}")]
    Store(String),
}

/// A worker: one member of a projection's group.
#[derive(Debug)]
pub struct Worker<S, P, R, C, O> {
    source: S,
    publisher: P,
    store: R,
    env: Env<C, O>,
    options: WorkerOptions,
    folder: Folder,
    cache: RowCache,
    owned: BTreeMap<TopicPartition, Owned>,
    parking: Parking,
    batch: Batch,
    /// How far `batch` is folded.
    folded: Option<Folded>,
    /// What came while the loop was working ahead, and was not a page to go on with.
    pending: Option<Result<Polled, LogError>>,
    flooded: Flood,
    /// Whether the stored rules of deduplication were compared with the options.
    is_settled: bool,
    /// When silent producers are forgotten next, in monotonic us, and of which partition.
    forget_at_us: i64,
    forgotten: Option<TopicPartition>,
}

impl<S: Source, P: Publisher, R: RowStore, C: Clock, O: Observer> Worker<S, P, R, C, O> {
    /// A worker that runs until `cancel`.
    #[allow(clippy::too_many_arguments, reason = "five ports, and what to do with them")]
    pub fn new(
        projection: &'static Projection,
        schemas: impl Into<SchemaBook>,
        (source, publisher, store): (S, P, R),
        clock: C,
        observer: O,
        options: WorkerOptions,
        cancel: CancellationToken,
    ) -> Self {
        let dedup = Dedup::new(options.dedup());
        Self {
            folder: Folder::new(projection, schemas.into(), Some(dedup), &options),
            cache: RowCache::new(options.row_cache_bytes),
            owned: BTreeMap::new(),
            parking: Parking::new(options.park_retry_ms, options.park_retry_max_ms),
            batch: Batch::default(),
            folded: None,
            pending: None,
            env: Env::new(projection.name, clock, observer, &options, cancel),
            flooded: Flood::default(),
            is_settled: false,
            forget_at_us: 0,
            forgotten: None,
            source,
            publisher,
            store,
            options,
        }
    }

    /// Runs until cancelled, then commits what is in flight under the drain deadline and leaves.
    ///
    /// # Errors
    /// Where waiting cannot help; the message says what to do.
    pub async fn run(mut self) -> Result<(), WorkerError> {
        let result = self.work().await;
        let tps: Vec<_> = self.owned.keys().copied().chain(self.parking.partitions()).collect();
        let deadline = Duration::from_millis(self.options.drain_deadline_ms);
        if result.is_ok() {
            let drained = async {
                let _ = self.flush().await;
                let _ = self.source.release(&tps).await;
            };
            let _ = tokio::time::timeout(deadline, drained).await;
        }
        result
    }

    async fn work(&mut self) -> Result<(), WorkerError> {
        let cancel = self.env.cancel.clone();
        while !cancel.is_cancelled() {
            self.retry_parked().await?;
            self.forget_silent_producers().await;
            let wait = self.until_next();
            let polled = match self.pending.take() {
                Some(polled) => polled,
                None => tokio::select! {
                    biased;
                    () = cancel.cancelled() => break,
                    polled = self.source.next(wait) => polled,
                },
            };
            if polled.is_ok() {
                self.env.log_answered(!self.owned.is_empty());
            }
            match polled {
                Ok(Polled::Assigned(tps)) => self.claim(&tps).await?,
                Ok(Polled::Revoked(tps)) => self.on_revoked(&tps).await?,
                Ok(Polled::Page(page)) => self.append_page(page).await?,
                Ok(Polled::Trouble(trouble)) => self.on_trouble(trouble).await?,
                Ok(Polled::Idle) => {}
                Err(error) => self.env.wait_for_log(error).await?,
            }
            while self.may_flush() {
                self.flush_ahead().await?;
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

    /// Whether the batch is due, and nothing stands before it. A batch that could not be committed before the worker was
    /// told to stop is the drain's.
    fn may_flush(&self) -> bool {
        let is_free = self.pending.is_none() && !self.env.cancel.is_cancelled();
        is_free && self.batch.is_due(&self.options, self.env.clock.monotonic_us())
    }

    /// Takes a page up: records before the position only refill the window of duplicates, once the log has shown that it
    /// is the position's own (I2).
    async fn append_page(&mut self, page: Page) -> Result<(), WorkerError> {
        self.env.observer.step(Step::Fetch);
        let tp = page.tp();
        let mut from = 0;
        for record in page.records() {
            let Some(owned) = self.owned.get_mut(&tp) else { return Ok(()) };
            if let Err(cause) = owned.prove(&record, page.leader_epoch()) {
                let offset = owned.position.next_offset;
                return self.park(tp, offset, cause).await;
            }
            if record.offset >= owned.fetched {
                break;
            }
            if record.offset < owned.position.next_offset && !self.refill(&record).await {
                return Ok(());
            }
            from += 1;
        }
        if let Some(owned) = self.owned.get_mut(&tp) {
            owned.append(page, from, &mut self.batch, &self.env);
            self.env.observer.in_flight(self.batch.bytes());
        }
        Ok(())
    }

    /// Takes a record from before the position into the window of duplicates; false where the worker is to stop.
    async fn refill(&mut self, record: &Record<'_>) -> bool {
        let Some(owned) = self.owned.get_mut(&record.tp) else { return true };
        let refill = &mut owned.refill;
        if record.offset < refill.from {
            return true;
        }
        refill.append_us = refill.append_us.max(record.append_time_us);
        if refill.dead.binary_search(&record.offset).is_ok() {
            return true;
        }
        let append_us = refill.append_us;
        // A schema that the registry does not have was unknown to the former owner too: the record was dead.
        while let Err(needed) = self.folder.refill(record, append_us) {
            match self.env.supply(self.folder.book(), needed).await {
                Some(None) => {}
                Some(Some(_)) => break,
                None => return false,
            }
        }
        true
    }

    async fn on_revoked(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        self.flush().await?;
        for tp in tps {
            self.forget(*tp);
            if self.parking.leave(*tp) {
                self.env.observer.unparked(*tp);
            }
        }
        self.report_owned();
        match self.source.release(tps).await {
            Ok(()) | Err(LogError::NotOwner(_)) => Ok(()),
            Err(error) => self.env.wait_for_log(error).await,
        }
    }

    fn forget(&mut self, tp: TopicPartition) {
        self.owned.remove(&tp);
        self.cache.clear();
        if let Some(dedup) = self.folder.dedup() {
            dedup.forget(tp);
        }
    }

    fn report_owned(&self) {
        self.env.observer.owned(&self.owned.keys().copied().collect::<Vec<_>>());
    }

    fn report_lag(&self) {
        for (tp, owned) in &self.owned {
            self.env.observer.lag(*tp, owned.log_end - owned.position.next_offset);
        }
    }
}
