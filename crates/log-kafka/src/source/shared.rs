//! What the polling thread and the worker share: the assignment, pages handed over, and what each asks of the other.

use super::members::{Members, Notice};
use domain::TopicPartition;
use pipeline::{LogError, Page, Polled};
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// A page, and which reading of its partition it belongs to.
#[derive(Debug)]
pub(super) struct ReadPage {
    pub(super) page: Page,
    pub(super) reading: u64,
}

/// A seek that the worker waits for.
#[derive(Debug)]
pub(super) struct Seek {
    pub(super) tp: TopicPartition,
    pub(super) offset: i64,
    pub(super) reply: oneshot::Sender<Result<(), LogError>>,
}

/// A revocation that the group waits for.
#[derive(Debug)]
pub(super) struct Revocation {
    pub(super) tps: Vec<TopicPartition>,
    pub(super) until_us: i64,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) members: Members,
    pub(super) revocation: Option<Revocation>,
    pub(super) pages: VecDeque<ReadPage>,
    /// The bytes of `pages`.
    pub(super) bytes: usize,
    /// Why nothing comes, to be told once.
    pub(super) failure: Option<LogError>,
    pub(super) seeks: Vec<Seek>,
    /// Positions to be mirrored to the broker.
    pub(super) mirror: BTreeMap<TopicPartition, i64>,
    pub(super) closing: bool,
    pub(super) ended: bool,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// The worker has something to take.
    pub(super) news: Notify,
    /// The polling thread has room, or something to do.
    work: Condvar,
}

impl Shared {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // The state is whole between any two statements: a panic of the other side leaves it usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes the polling thread where it waits for room.
    pub(super) fn wake_thread(&self) {
        self.work.notify_all();
    }

    /// Waits until something is to be done, or the time is over.
    pub(super) fn wait(&self, time: Duration) {
        drop(self.work.wait_timeout(self.state(), time));
    }

    /// The next thing to tell the worker: revocations overtake everything.
    pub(super) fn take(&self) -> Option<Result<Polled, LogError>> {
        let mut state = self.state();
        match state.members.notice() {
            Some(Notice::Revoked(tps)) => {
                state.drop_stale();
                self.wake_thread();
                return Some(Ok(Polled::Revoked(tps)));
            }
            Some(Notice::Assigned(tps)) => return Some(Ok(Polled::Assigned(tps))),
            None => {}
        }
        if let Some(failure) = state.failure.take() {
            return Some(Err(failure));
        }
        while let Some(fetched) = state.pages.pop_front() {
            state.bytes -= fetched.page.bytes();
            if state.members.reads(fetched.page.tp(), fetched.reading) {
                self.wake_thread();
                return Some(Ok(Polled::Page(fetched.page)));
            }
        }
        state.ended.then(|| Err(LogError::Fatal("the thread that polls Kafka has stopped: restart the process".into())))
    }
}

impl State {
    /// Lets go of pages that must not be delivered any more.
    pub(super) fn drop_stale(&mut self) {
        let members = &self.members;
        self.pages.retain(|fetched| members.reads(fetched.page.tp(), fetched.reading));
        self.bytes = self.pages.iter().map(|fetched| fetched.page.bytes()).sum();
    }
}
