//! What surrounds a loop: clock, observer, cancellation, and the waiting when something is down (I7).

use crate::backoff::Backoff;
use crate::error::{LogError, StoreError};
use crate::folder::Needed;
use crate::observer::{Observer, Paused};
use crate::options::WorkerOptions;
use crate::outcome::DeadReason;
use crate::ports::Clock;
use crate::schemas::{ResolveError, SchemaBook};
use crate::worker::WorkerError;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// The surroundings of one loop.
#[derive(Debug)]
pub(crate) struct Env<C, O> {
    pub(crate) projection: &'static str,
    pub(crate) clock: C,
    pub(crate) observer: O,
    pub(crate) cancel: CancellationToken,
    backoff: Backoff,
    /// Whether the last thing waited for was the log.
    waits_for_log: bool,
}

impl<C: Clock, O: Observer> Env<C, O> {
    pub(crate) fn new(
        projection: &'static str,
        clock: C,
        observer: O,
        options: &WorkerOptions,
        cancel: CancellationToken,
    ) -> Self {
        let seed = clock.monotonic_us() as u64;
        let backoff = Backoff::new(options.backoff_initial_ms, options.backoff_max_ms, seed);
        Self { projection, clock, observer, cancel, backoff, waits_for_log: false }
    }

    pub(crate) async fn wait_for_log(&mut self, error: LogError) -> Result<(), WorkerError> {
        match error {
            LogError::Fatal(text) => Err(WorkerError::Log(text)),
            error => {
                self.waits_for_log = true;
                self.back_off(Paused::Log, &error.to_string()).await;
                Ok(())
            }
        }
    }

    pub(crate) async fn wait_for_store(&mut self, error: StoreError) -> Result<(), WorkerError> {
        match error {
            StoreError::Fatal(text) => Err(WorkerError::Store(text)),
            error => {
                self.back_off(Paused::Store, &error.to_string()).await;
                Ok(())
            }
        }
    }

    /// Gets from the registry what folding needs, however long that takes; `None` where the worker is to stop. Gives
    /// the reason why the record is dead, where it is. Sequences come from the store.
    pub(crate) async fn supply(&mut self, book: &SchemaBook, needed: Needed) -> Option<Option<DeadReason>> {
        match needed {
            Needed::Sequences => Some(None),
            Needed::Schema(id) => self.ask(async || book.resolve(id).await).await,
            Needed::Confirmation(id) => {
                let now_us = self.clock.monotonic_us();
                self.ask(async || book.confirm(id, now_us).await).await.map(|()| None)
            }
            Needed::Registration(kind) => self.ask(async || book.register(kind).await).await.map(|()| None),
        }
    }

    async fn ask<T>(&mut self, question: impl AsyncFn() -> Result<T, ResolveError>) -> Option<T> {
        let cancel = self.cancel.clone();
        // What is in flight when the worker is told to stop is still asked for, once: the drain deadline bounds it.
        let drains = cancel.is_cancelled();
        let mut waited = false;
        loop {
            let answer = tokio::select! {
                biased;
                () = cancel.cancelled(), if !drains => return None,
                answer = question() => answer,
            };
            match answer {
                Ok(answer) => {
                    if waited {
                        self.resumed();
                    }
                    return Some(answer);
                }
                Err(_) if drains => return None,
                Err(error) => self.back_off(Paused::Registry, &error.to_string()).await,
            }
            waited = true;
        }
    }

    /// Waits before the next try: not ready, but alive.
    async fn back_off(&mut self, cause: Paused, reason: &str) {
        let wait = self.backoff.wait();
        tracing::warn!(projection = self.projection, wait_ms = wait.as_millis() as u64, reason, "paused");
        self.observer.paused(cause, reason);
        self.sleep(wait).await;
    }

    /// Sleeps unless cancelled.
    pub(crate) async fn sleep(&self, wait: Duration) {
        tokio::select! {
            () = self.cancel.cancelled() => {}
            () = self.clock.sleep(wait) => {}
        }
    }

    /// The log has answered again; a worker that holds partitions is ready then, though nothing new may come.
    pub(crate) fn log_answered(&mut self, holds_partitions: bool) {
        if self.waits_for_log && holds_partitions {
            self.resumed();
        }
    }

    pub(crate) fn resumed(&mut self) {
        self.waits_for_log = false;
        self.backoff.reset();
        self.observer.ready();
    }
}
