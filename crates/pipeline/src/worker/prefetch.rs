//! Prefetch: while the store commits a batch, the loop takes up the next one and folds it.
//!
//! Only what waits for nobody is done here. What needs the store, the registry or the group (an unknown producer, an
//! unknown schema, an assignment, records that refill a window) is left to the loop, behind the commit. Nothing that is
//! done here is final: a batch that the store refuses takes the one behind it along, and both are folded again (I7).

use crate::batch::Batch;
use crate::env::Env;
use crate::error::LogError;
use crate::folder::{Folder, Tally};
use crate::observer::{Observer, Step};
use crate::options::WorkerOptions;
use crate::owned::Owned;
use crate::ports::{Clock, Polled, Source};
use crate::record::Page;
use domain::TopicPartition;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Records that are folded before the commit gets its turn again.
const TURN: usize = 512;

/// How far a batch is folded ahead of its commit.
#[derive(Debug)]
pub(crate) struct Folded {
    pub(crate) tally: Tally,
    pub(crate) records: usize,
}

/// All of a worker that its commit does not need.
pub(crate) struct Prefetch<'w, S, C, O> {
    pub(crate) source: &'w mut S,
    pub(crate) folder: &'w mut Folder,
    pub(crate) owned: &'w mut BTreeMap<TopicPartition, Owned>,
    pub(crate) batch: &'w mut Batch,
    pub(crate) env: &'w Env<C, O>,
    pub(crate) options: &'w WorkerOptions,
    /// The memory of the batch that is being committed.
    pub(crate) committing_bytes: usize,
}

impl<S: Source, C: Clock, O: Observer> Prefetch<'_, S, C, O> {
    /// Works until the commit is done, the batch is full, or something else comes than records that can just be taken
    /// up: that is given back.
    pub(crate) async fn run(
        &mut self,
        folded: &mut Folded,
        committed: &CancellationToken,
    ) -> Option<Result<Polled, LogError>> {
        let mut is_stuck = false;
        loop {
            is_stuck = is_stuck || !self.fold(folded, committed).await;
            if self.batch.is_full(self.options) {
                return None;
            }
            let polled = tokio::select! {
                biased;
                () = committed.cancelled() => return None,
                () = self.env.cancel.cancelled() => return None,
                polled = self.source.next(Duration::from_millis(self.options.idle_wait_ms)) => polled,
            };
            match polled {
                Ok(Polled::Page(page)) if self.follows(&page) => self.append_page(page),
                Ok(Polled::Idle) => {}
                other => return Some(other),
            }
        }
    }

    /// Whether the page goes on where its partition was read to, in a log that has proved to be the position's own.
    fn follows(&self, page: &Page) -> bool {
        let reaches =
            |owned: &Owned| owned.unproven.is_none() && (page.is_empty() || page.record(0).offset >= owned.fetched);
        self.owned.get(&page.tp()).is_some_and(reaches)
    }

    fn append_page(&mut self, page: Page) {
        self.env.observer.step(Step::Fetch);
        if let Some(owned) = self.owned.get_mut(&page.tp()) {
            owned.append(page, 0, self.batch, self.env);
            self.env.observer.in_flight(self.committing_bytes + self.batch.bytes());
        }
    }

    /// Folds what was taken up; false where a record needs something first.
    async fn fold(&mut self, folded: &mut Folded, committed: &CancellationToken) -> bool {
        let mut turn = 0;
        for (page, records) in self.batch.runs(folded.records, self.batch.len()) {
            let owned = self.owned.contains_key(&page.tp());
            for from in records.clone().step_by(TURN) {
                let part = from..records.end.min(from + TURN);
                turn += part.len();
                if owned {
                    let done = self.folder.fold_run(page, part, None, &mut folded.tally);
                    folded.records += done.records;
                    if done.needed.is_some() {
                        return false;
                    }
                } else {
                    folded.records += part.len();
                }
                if turn >= TURN {
                    turn = 0;
                    tokio::task::yield_now().await;
                    if committed.is_cancelled() {
                        return true;
                    }
                }
            }
        }
        true
    }
}
