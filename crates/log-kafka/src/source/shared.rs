//! What the polling thread and the worker share: the assignment, pages handed over, and what each asks of the other.

use super::members::{Members, Notice};
use domain::TopicPartition;
use pipeline::ports::Trouble;
use pipeline::{LogError, Page, Polled};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// What was read of a partition, or why it cannot be read on.
#[derive(Debug)]
pub(super) enum News {
    Page(Page),
    Trouble(Trouble),
}

impl News {
    fn tp(&self) -> TopicPartition {
        match self {
            News::Page(page) => page.tp(),
            News::Trouble(trouble) => trouble.tp,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            News::Page(page) => page.bytes(),
            News::Trouble(_) => 0,
        }
    }
}

/// News of a partition, and which reading of it they belong to.
#[derive(Debug)]
pub(super) struct Read {
    pub(super) news: News,
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
    /// In the order of reading: a partition's trouble stands behind all its pages.
    pub(super) read: VecDeque<Read>,
    /// The bytes of `read`.
    pub(super) bytes: usize,
    /// Why nothing comes, to be told once.
    pub(super) failure: Option<LogError>,
    pub(super) seeks: Vec<Seek>,
    /// Partitions that the worker reads no further.
    pub(super) halts: BTreeSet<TopicPartition>,
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
        while let Some(Read { news, reading }) = state.read.pop_front() {
            state.bytes -= news.bytes();
            if state.members.reads(news.tp(), reading) {
                self.wake_thread();
                return Some(Ok(match news {
                    News::Page(page) => Polled::Page(page),
                    News::Trouble(trouble) => Polled::Trouble(trouble),
                }));
            }
        }
        state.ended.then(|| Err(LogError::Fatal("the thread that polls Kafka has stopped: restart the process".into())))
    }
}

impl State {
    /// Hands over what was read, unless the worker has ended that reading.
    pub(super) fn push(&mut self, news: News, reading: u64) {
        if self.members.reads(news.tp(), reading) {
            self.bytes += news.bytes();
            self.read.push_back(Read { news, reading });
        }
    }

    /// Lets go of what must not be delivered any more.
    pub(super) fn drop_stale(&mut self) {
        let members = &self.members;
        self.read.retain(|read| members.reads(read.news.tp(), read.reading));
        self.bytes = self.read.iter().map(|read| read.news.bytes()).sum();
    }
}
