//! What changes the fetching: done by the polling thread between two polls, so that a page belongs to exactly one reading
//! of its partition.

use super::{BUSY_US, Poller};
use crate::error::sort;
use crate::source::shared::Seek;
use domain::TopicPartition;
use pipeline::LogError;
use rdkafka::consumer::Consumer as _;
use rdkafka::error::KafkaResult;
use rdkafka::{Offset, TopicPartitionList};
use std::time::Duration;

/// How long a seek of a partition that is already fetched may take.
const SEEK: Duration = Duration::from_secs(5);
/// How long after an assignment the client may forget where a partition's records go: see
/// [`crate::ffi::FetchQueue::receive`].
const FORGET_US: i64 = 2_000_000;

impl Poller {
    pub(super) fn seeks(&mut self) {
        let seeks = std::mem::take(&mut self.shared.state().seeks);
        if !seeks.is_empty() {
            self.busy_until_us = self.now_us() + BUSY_US;
        }
        for Seek { tp, offset, reply } in seeks {
            let done = self.seek(tp, offset);
            // Who does not wait for the answer any more asks again.
            let _ = reply.send(done);
        }
        let now_us = self.now_us();
        self.assigned_us.retain(|_, assigned_us| now_us - *assigned_us < FORGET_US);
        for tp in self.assigned_us.keys() {
            self.receive(*tp);
        }
    }

    /// Begins a new reading. The first one adds the partition to what is fetched, at the offset.
    fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        let mut state = self.shared.state();
        let reading = state.members.read(tp).ok_or(LogError::NotOwner(tp))?;
        state.halts.remove(&tp);
        state.drop_stale();
        let is_revoking = state.revocation.is_some();
        drop(state);
        let context = self.consumer.context().clone();
        let name = context.names.topic(tp.topic);
        let fetched = context.fetching().contains(&tp);
        let sought = fetched.then(|| self.consumer.seek(&name, tp.partition as i32, Offset::Offset(offset), SEEK));
        let done = match sought {
            Some(Ok(())) => Ok(()),
            // The client cannot seek where it has given up, as behind an offset out of range: it begins again. While the
            // group waits for a revocation, it would take this for the answer.
            Some(Err(error)) if is_revoking => Err(error),
            Some(Err(_)) => {
                context.unassign(&self.consumer, &[tp]);
                self.assign(tp, offset)
            }
            None => self.assign(tp, offset),
        };
        if let Err(error) = done {
            self.readings.end(tp);
            return Err(sort(&error, format_args!("seeking {tp}")));
        }
        context.fetching().insert(tp);
        self.readings.begin(tp, reading, offset, None);
        self.watch.begin(tp, offset, self.now_us());
        Ok(())
    }

    fn assign(&mut self, tp: TopicPartition, offset: i64) -> KafkaResult<()> {
        self.receive(tp);
        let name = self.consumer.context().names.topic(tp.topic);
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&name, tp.partition as i32, Offset::Offset(offset))?;
        self.consumer.incremental_assign(&list)?;
        self.assigned_us.insert(tp, self.now_us());
        Ok(())
    }

    /// Goes on where a partition is read. Trap: librdkafka takes an error of a partition for a record, if messages are taken
    /// many at a time, and would go on behind the next one after a rebalance.
    pub(super) fn seek_again(&self, tp: TopicPartition) {
        let Some((_, next)) = self.readings.open().find(|(open, _)| *open == tp) else { return };
        let name = self.consumer.context().names.topic(tp.topic);
        if let Err(error) = self.consumer.seek(&name, tp.partition as i32, Offset::Offset(next), Duration::ZERO) {
            tracing::debug!(%error, %tp, "not sought again");
        }
    }

    fn receive(&self, tp: TopicPartition) {
        self.fetches.receive(&self.consumer.context().names.topic(tp.topic), tp.partition as i32);
    }

    /// Lets the records of every partition come to our queue, also where the client forgot it later than expected.
    pub(super) fn forward_again(&self) {
        self.readings.open().for_each(|(tp, _)| self.receive(tp));
    }

    /// Stops the fetching of partitions that are not read any further. While the group waits for a revocation it would
    /// take this for the answer: then it is done afterwards, and what comes of them is dropped.
    pub(super) fn halts(&mut self) {
        if self.shared.state().halts.is_empty() {
            return;
        }
        // A revocation that the client waits for already must be known here.
        self.events();
        let mut state = self.shared.state();
        let is_revoking = state.revocation.is_some();
        let halted: Vec<_> = if is_revoking {
            state.halts.iter().copied().collect()
        } else {
            std::mem::take(&mut state.halts).into_iter().collect()
        };
        drop(state);
        halted.iter().for_each(|tp| self.readings.end(*tp));
        if !is_revoking {
            self.consumer.context().unassign(&self.consumer, &halted);
        }
    }

    /// Lets the group go on when the worker has released what was revoked, or has had its time.
    pub(super) fn end_revocation(&mut self) {
        let now_us = self.now_us();
        let mut state = self.shared.state();
        let Some(revocation) = &state.revocation else { return };
        if state.members.is_revoking() && now_us < revocation.until_us {
            drop(state);
            self.busy_until_us = now_us + BUSY_US;
            return;
        }
        let Some(revocation) = state.revocation.take() else { return };
        if state.members.is_revoking() {
            tracing::warn!("revoked partitions were not flushed in time: they go on without it");
        }
        state.members.lose(&revocation.tps);
        state.halts.retain(|tp| !revocation.tps.contains(tp));
        state.drop_stale();
        drop(state);
        self.consumer.context().unassign(&self.consumer, &revocation.tps);
        revocation.tps.iter().for_each(|tp| self.readings.end(*tp));
        self.shared.news.notify_one();
    }
}
