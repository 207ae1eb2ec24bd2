//! What librdkafka calls back, always on the thread that polls.

use super::shared::{Revocation, Shared};
use crate::names::Names;
use domain::TopicPartition;
use pipeline::{Clock as _, SystemClock};
use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// The callbacks of one member.
pub(super) struct MemberContext {
    pub(super) shared: Arc<Shared>,
    pub(super) names: Names,
    pub(super) clock: SystemClock,
    pub(super) release_us: i64,
    /// The partitions that are fetched: librdkafka's own assignment, which is a part of what the group assigns.
    pub(super) fetching: Mutex<BTreeSet<TopicPartition>>,
    /// The words of the last error.
    pub(super) last_error: Mutex<String>,
}

impl ClientContext for MemberContext {
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "kafka");
        reason.clone_into(&mut self.last_error.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl ConsumerContext for MemberContext {
    /// An assignment is answered at once and with nothing, so that the group goes on; a partition is added when the
    /// worker seeks it. A revocation is answered by the polling thread, when the worker has released or the deadline
    /// has passed; at once where the partitions are lost anyway.
    fn rebalance(&self, consumer: &BaseConsumer<Self>, kind: RDKafkaRespErr, tpl: &mut TopicPartitionList) {
        let tps = self.partitions(tpl);
        let assigned = kind == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        let lost = !assigned && consumer.assignment_lost();
        tracing::info!(assigned, lost, partitions = tps.len(), "the group was rebalanced");
        let mut state = self.shared.state();
        if assigned {
            state.members.offer(&tps);
            drop(state);
            report("taking up an assignment", consumer.incremental_assign(&TopicPartitionList::new()));
        } else if lost || state.closing {
            state.members.lose(&tps);
            state.revocation = None;
            state.drop_stale();
            drop(state);
            self.unassign(consumer, &tps);
        } else if state.members.revoke(&tps) {
            let until_us = self.clock.monotonic_us() + self.release_us;
            state.revocation = Some(Revocation { tps, until_us });
        } else {
            drop(state);
            self.unassign(consumer, &tps);
        }
        self.shared.news.notify_one();
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        // Only mirrored offsets are committed without waiting; the next ones make up for any that were refused.
        if let Err(error) = result {
            tracing::debug!(%error, "offsets were not mirrored");
        }
    }
}

impl MemberContext {
    pub(super) fn fetching(&self) -> std::sync::MutexGuard<'_, BTreeSet<TopicPartition>> {
        self.fetching.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn last_error(&self) -> String {
        self.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Ends a revocation: what was fetched of it is not any more, and the group goes on.
    pub(super) fn unassign(&self, consumer: &BaseConsumer<Self>, tps: &[TopicPartition]) {
        let mut list = TopicPartitionList::new();
        let mut fetching = self.fetching();
        for tp in tps.iter().filter(|tp| fetching.remove(tp)) {
            list.add_partition(&self.names.topic(tp.topic), tp.partition as i32);
        }
        drop(fetching);
        report("giving up partitions", consumer.incremental_unassign(&list));
    }

    fn partitions(&self, tpl: &TopicPartitionList) -> Vec<TopicPartition> {
        let parse = |topic: &str, partition| {
            Some(TopicPartition::new(self.names.parse(topic)?, u32::try_from(partition).ok()?))
        };
        tpl.elements().iter().filter_map(|elem| parse(elem.topic(), elem.partition())).collect()
    }
}

fn report(doing: &str, result: KafkaResult<()>) {
    if let Err(error) = result {
        tracing::warn!(%error, doing, "the client refused");
    }
}
