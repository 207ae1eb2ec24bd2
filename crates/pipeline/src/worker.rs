//! The one worker loop of projector and aggregator.
//!
//! poll -> decode -> admit -> fold -> load rows with state -> publish -> commit rows and position together. While the
//! store commits, the next batch is polled and folded ([`crate::ahead`]).
//!
//! | what happens | what the loop does |
//! |---|---|
//! | partitions assigned | claim (epoch + 1, durable) before the first fetch; refill the horizon from the log |
//! | partitions revoked | commit what is in flight, forget the partitions, release them |
//! | log or store down | wait with back-off, not ready; nothing is dropped (I7) |
//! | a record's schema is not known | ask the registry, wait while it is down; a dead letter where it has none (I7) |
//! | store refuses the batch | fold it again in halves down to the bad record, which becomes a dead letter (I7) |
//! | another worker claimed a partition | discard every uncommitted fold and cached row, claim what is left (I3) |
//! | reply to a commit lost | read the position back: it tells (I3) |
//! | shutdown | commit what is in flight under a deadline, release |

use crate::admission::Admission;
use crate::ahead::Folded;
use crate::batch::Batch;
use crate::env::Env;
use crate::error::LogError;
use crate::flood::Flood;
use crate::folder::Folder;
use crate::observer::{Observer, Step};
use crate::options::WorkerOptions;
use crate::ports::{Clock, Polled, Publisher, RowStore, Source};
use crate::position::Position;
use crate::record::Page;
use crate::row_cache::RowCache;
use crate::schemas::SchemaBook;
use domain::{Projection, TopicPartition};
use std::collections::BTreeMap;
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// Why a worker stopped by itself: nothing that waiting mends.
#[derive(Debug, Error)]
pub enum WorkerError {
    /// The position lies outside the log.
    #[error(
        "{projection}: the position of {tp} is offset {position}, but the log holds {start}..{end}; \
         records are missing. Restore the log from its archive, or rebuild the projection from what the log holds: \
         a worker never resets a position by itself"
    )]
    OutOfRange {
        /// The projection.
        projection: &'static str,
        /// The partition.
        tp: TopicPartition,
        /// The committed next offset.
        position: i64,
        /// The first offset in the log.
        start: i64,
        /// The log's end.
        end: i64,
    },
    /// The log says that a retry cannot help.
    #[error("{0}")]
    Log(String),
    /// The store says that a retry cannot help.
    #[error("{0}")]
    Store(String),
}

/// A partition that this worker has claimed.
#[derive(Debug)]
pub(crate) struct Owned {
    pub(crate) epoch: i64,
    /// The position as committed; `committed` is false where the store has no row of it yet.
    pub(crate) position: Position,
    pub(crate) committed: bool,
    /// Where the next fetch goes on: ahead of the position by what is in the batch.
    pub(crate) fetched: i64,
    pub(crate) log_end: i64,
}

/// A worker: one member of a projection's group.
#[derive(Debug)]
pub struct Worker<S, P, R, C, O> {
    pub(crate) source: S,
    pub(crate) publisher: P,
    pub(crate) store: R,
    pub(crate) env: Env<C, O>,
    pub(crate) options: WorkerOptions,
    pub(crate) folder: Folder,
    pub(crate) cache: RowCache,
    pub(crate) owned: BTreeMap<TopicPartition, Owned>,
    pub(crate) batch: Batch,
    /// How far `batch` is folded.
    pub(crate) folded: Option<Folded>,
    /// What came while the loop was working ahead, and was not a page to go on with.
    pub(crate) pending: Option<Result<Polled, LogError>>,
    pub(crate) flooded: Flood,
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
        let admission = Admission::new(options.horizon_us(), options.horizon_max_entries, options.max_marks);
        Self {
            folder: Folder::new(projection, schemas.into(), Some(admission), options.derives),
            cache: RowCache::new(options.row_cache_bytes),
            owned: BTreeMap::new(),
            batch: Batch::default(),
            folded: None,
            pending: None,
            env: Env::new(projection.name, clock, observer, &options, cancel),
            flooded: Flood::default(),
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
        let tps: Vec<_> = self.owned.keys().copied().collect();
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
            let wait = self.batch.until_due(&self.options, self.env.clock.monotonic_us());
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
                Ok(Polled::Revoked(tps)) => self.give_up(&tps).await?,
                Ok(Polled::Page(page)) => self.accept(page).await,
                Ok(Polled::Idle) => {}
                Err(error) => self.env.wait_for_log(error).await?,
            }
            while self.may_flush() {
                self.flush_ahead().await?;
            }
        }
        Ok(())
    }

    /// Whether the batch is due, and nothing stands before it. A batch that could not be committed before the worker was
    /// told to stop is the drain's.
    fn may_flush(&self) -> bool {
        let is_free = self.pending.is_none() && !self.env.cancel.is_cancelled();
        is_free && self.batch.is_due(&self.options, self.env.clock.monotonic_us())
    }

    /// Takes a page up: records before the position only refill the horizon.
    async fn accept(&mut self, page: Page) {
        self.env.observer.step(Step::Fetch);
        let Some(owned) = self.owned.get_mut(&page.tp()) else { return };
        let mut from = 0;
        for record in page.records() {
            if record.offset >= owned.fetched {
                break;
            }
            // A schema that the registry does not have was unknown to the former owner too: the record was dead.
            while record.offset < owned.position.next_offset
                && let Err(needed) = self.folder.refill(&record)
            {
                match self.env.supply(self.folder.book(), needed).await {
                    Some(None) => {}
                    Some(Some(_)) => break,
                    None => return,
                }
            }
            from += 1;
        }
        owned.take_up(page, from, &mut self.batch, &self.env);
        self.env.observer.in_flight(self.batch.bytes());
    }

    async fn give_up(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        self.flush().await?;
        for tp in tps {
            self.forget(*tp);
        }
        self.env.observer.owned(&self.owned.keys().copied().collect::<Vec<_>>());
        match self.source.release(tps).await {
            Ok(()) | Err(LogError::NotOwner(_)) => Ok(()),
            Err(error) => self.env.wait_for_log(error).await,
        }
    }

    fn forget(&mut self, tp: TopicPartition) {
        self.owned.remove(&tp);
        self.cache.clear();
        if let Some(admission) = self.folder.admission() {
            admission.forget(tp);
        }
    }

    /// Claims partitions and starts reading them (I3): the epoch is durable before the first fetch.
    pub(crate) async fn claim(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        self.flush().await?;
        self.cache.clear();
        let claimed = loop {
            match self.store.claim(self.folder.projection(), tps).await {
                Ok(claimed) => break claimed,
                Err(error) => self.env.wait_for_store(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        };
        for claim in claimed {
            self.start(claim).await?;
        }
        self.env.observer.owned(&self.owned.keys().copied().collect::<Vec<_>>());
        self.env.observer.ready();
        Ok(())
    }

    async fn start(&mut self, claim: crate::position::Claimed) -> Result<(), WorkerError> {
        loop {
            match self.seek(claim).await {
                Ok(()) => return Ok(()),
                Err(StartError::Worker(error)) => return Err(error),
                Err(StartError::Log(LogError::NotOwner(_))) => return Ok(()),
                Err(StartError::Log(error)) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn seek(&mut self, claim: crate::position::Claimed) -> Result<(), StartError> {
        let range = self.source.range(claim.tp).await?;
        let mut position = claim.position.unwrap_or(Position::start(claim.tp, range.start));
        position.epoch = claim.epoch;
        let next = position.next_offset;
        if next < range.start || next > range.end {
            let projection = self.folder.projection().name;
            let (tp, start, end) = (claim.tp, range.start, range.end);
            return Err(StartError::Worker(WorkerError::OutOfRange { projection, tp, position: next, start, end }));
        }
        let mut from = next;
        if next > position.first_offset {
            let since = position.last_append_us.saturating_sub(self.options.horizon_us());
            from = self.source.offset_at(claim.tp, since).await?.clamp(range.start, next);
        }
        self.source.seek(claim.tp, from).await?;
        let committed = claim.position.is_some();
        let owned = Owned { epoch: claim.epoch, position, committed, fetched: next, log_end: range.end };
        self.owned.insert(claim.tp, owned);
        self.env.observer.lag(claim.tp, range.end - next);
        Ok(())
    }

    /// After a fence: everything uncommitted is discarded, and what the source still assigns is claimed again.
    pub(crate) async fn reclaim(&mut self, lost: &[TopicPartition]) -> Result<(), WorkerError> {
        self.env.observer.fenced();
        self.batch.clear();
        self.folded = None;
        self.folder.discard();
        // A page that waits lies behind what was discarded: it is read again.
        self.pending.take_if(|polled| matches!(polled, Ok(Polled::Page(_))));
        let held: Vec<_> = std::mem::take(&mut self.owned).into_keys().collect();
        for tp in &held {
            self.forget(*tp);
        }
        // The assignment rules: what it still gives is claimed again, even where a zombie took it meanwhile.
        let assigned = loop {
            match self.source.assignment().await {
                Ok(assigned) => break assigned,
                Err(error) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        };
        let kept: Vec<_> = held.into_iter().filter(|tp| assigned.contains(tp)).collect();
        tracing::warn!(lost = lost.len(), kept = kept.len(), "fenced: discarded what was not committed");
        Box::pin(self.claim(&kept)).await
    }

    pub(crate) fn report_lag(&self) {
        for (tp, owned) in &self.owned {
            self.env.observer.lag(*tp, owned.log_end - owned.position.next_offset);
        }
    }
}

/// Why a partition was not taken up.
pub(crate) enum StartError {
    Log(LogError),
    Worker(WorkerError),
}

impl From<LogError> for StartError {
    fn from(error: LogError) -> Self {
        StartError::Log(error)
    }
}
