//! One member of a consumer group.

use super::assigner::Notice;
use super::balance::MemberId;
use super::reader::{LogReader, Read};
use super::writer::Request;
use super::{Log, PageLimit};
use domain::TopicPartition;
use pipeline::position::LogIdentity;
use pipeline::{GroupOffset, LogError, LogRange, Polled, Source};
use std::time::Duration;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout};

/// A partition that is read.
#[derive(Debug)]
struct Cursor {
    tp: TopicPartition,
    slot: u32,
    /// None until [`Source::seek`], after trouble, and while the partition is halted.
    next: Option<i64>,
}

/// A member of a consumer group of the embedded log. Dropping it leaves the group.
///
/// Reads block the calling thread, for at most a page: every worker has a thread of its own.
#[derive(Debug)]
pub struct EmbeddedSource {
    log: Log,
    reader: LogReader,
    group: String,
    name: String,
    member: MemberId,
    woken: watch::Receiver<u64>,
    /// The assignment that has been told in full, and when the next grace ends: no need to ask before.
    told: Option<(u64, i64)>,
    cursors: Vec<Cursor>,
    turn: usize,
    limit: PageLimit,
}

impl EmbeddedSource {
    pub(super) fn new(log: Log, reader: LogReader, group: &str, member: MemberId, name: &str) -> Self {
        let woken = log.shared().woken.subscribe();
        let limit = log.options().page;
        let (group, name) = (group.to_owned(), name.to_owned());
        Self { log, reader, group, name, member, woken, told: None, cursors: Vec::new(), turn: 0, limit }
    }

    /// The name given on joining.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Leaves the group: what it had passes on at once.
    pub fn leave(self) {}

    /// Assignment changes, in the order in which they must be handled.
    fn notice(&mut self) -> Result<Option<Polled>, LogError> {
        let shared = self.log.shared();
        let (generation, now_us) = (shared.generation(), shared.clock.monotonic_us());
        if self.told.is_some_and(|(told, deadline_us)| told == generation && now_us < deadline_us) {
            return Ok(None);
        }
        let (notice, deadline_us) = {
            let mut assigner = shared.assigner();
            let notice = assigner.notice(&self.group, self.member, now_us);
            (notice, assigner.next_deadline_us(&self.group).unwrap_or(i64::MAX))
        };
        Ok(Some(match notice {
            None => {
                self.told = Some((generation, deadline_us));
                return Ok(None);
            }
            Some(Notice::Revoked(tps)) => {
                self.cursors.retain(|cursor| !tps.contains(&cursor.tp));
                Polled::Revoked(tps)
            }
            Some(Notice::Assigned(tps)) => {
                for tp in &tps {
                    let slot = shared.layout.slot(*tp)?;
                    self.cursors.push(Cursor { tp: *tp, slot, next: None });
                }
                Polled::Assigned(tps)
            }
        }))
    }

    /// The next page of the next partition, in turn, that has one, or that cannot be read on.
    fn read(&mut self) -> Result<Option<Polled>, LogError> {
        for step in 0..self.cursors.len() {
            let at = (self.turn + step) % self.cursors.len();
            let cursor = &mut self.cursors[at];
            let Some(next) = cursor.next.filter(|next| *next != self.log.shared().end(cursor.slot)) else { continue };
            // Before the read, so that a partition whose reads fail does not keep the others waiting.
            self.turn = at + 1;
            match self.reader.read(cursor.tp, next, self.limit)? {
                Read::Page(page) if page.is_empty() => {}
                Read::Page(page) => {
                    cursor.next = Some(page.passed());
                    return Ok(Some(Polled::Page(page)));
                }
                Read::Trouble(trouble) => {
                    cursor.next = None;
                    return Ok(Some(Polled::Trouble(trouble)));
                }
            }
        }
        Ok(None)
    }

    fn grace_left(&self) -> Duration {
        let now_us = self.log.shared().clock.monotonic_us();
        let left_us = self.told.map_or(0, |(_, deadline_us)| deadline_us.saturating_sub(now_us));
        Duration::from_micros(u64::try_from(left_us).unwrap_or(0))
    }

    async fn ask<T>(
        &self,
        request: impl FnOnce(oneshot::Sender<Result<T, LogError>>) -> Request,
    ) -> Result<T, LogError> {
        let (reply, answer) = oneshot::channel();
        self.log.request(request(reply))?;
        answer.await.unwrap_or_else(|_| Err(super::stopped()))
    }
}

impl Source for EmbeddedSource {
    /// Cancel safe: nothing is taken before a wait.
    async fn next(&mut self, wait: Duration) -> Result<Polled, LogError> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            self.woken.mark_unchanged();
            if let Some(polled) = self.notice()? {
                return Ok(polled);
            }
            if let Some(polled) = self.read()? {
                return Ok(polled);
            }
            let left = deadline.map_or(wait, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                return Ok(Polled::Idle);
            }
            // Any outcome means the same: look again. The sender lives as long as the log held here. A grace that the
            // clock passed in has not ended yet is looked at again after a millisecond at the earliest.
            let _ = timeout(left.min(self.grace_left().max(Duration::from_millis(1))), self.woken.changed()).await;
        }
    }

    /// The log has an id from the day it was made; its topics have none of their own, since none is ever made again.
    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        self.log.shared().layout.identity(tp, self.log.cluster_id())
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.reader.range(tp)
    }

    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        self.reader.offset_at(tp, append_time_us)
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        let cursor = self.cursors.iter_mut().find(|cursor| cursor.tp == tp).ok_or(LogError::NotOwner(tp))?;
        cursor.next = Some(offset);
        Ok(())
    }

    fn halt(&mut self, tp: TopicPartition) {
        self.cursors.iter_mut().filter(|cursor| cursor.tp == tp).for_each(|cursor| cursor.next = None);
    }

    async fn assignment(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        let shared = self.log.shared();
        let (now_us, mut assigner) = (shared.clock.monotonic_us(), shared.assigner());
        let told = self.cursors.iter().map(|cursor| cursor.tp);
        Ok(told.filter(|tp| assigner.owns(&self.group, self.member, *tp, now_us)).collect())
    }

    async fn release(&mut self, tps: &[TopicPartition]) -> Result<(), LogError> {
        let shared = self.log.shared();
        shared.assigner().release(&self.group, self.member, tps, shared.clock.monotonic_us());
        shared.reassigned();
        Ok(())
    }

    async fn committed(&mut self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        let (group, tps) = (self.group.clone(), tps.to_vec());
        self.ask(|reply| Request::Committed { group, tps, reply }).await
    }

    async fn commit(&mut self, offsets: &[GroupOffset]) -> Result<(), LogError> {
        let (group, member, offsets) = (self.group.clone(), self.member, offsets.to_vec());
        self.ask(|reply| Request::Commit { group, member, offsets, reply }).await
    }
}

impl Drop for EmbeddedSource {
    fn drop(&mut self) {
        let shared = self.log.shared();
        shared.assigner().leave(&self.group, self.member, shared.clock.monotonic_us());
        shared.reassigned();
    }
}
