//! Setting a group's offsets from outside the group: an operator's order.

use crate::error::sort;
use crate::view::KafkaView;
use pipeline::{GroupOffset, LogError};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};

impl KafkaView {
    /// Commits offsets for a group, as no member of it. Blocks for a round trip to the brokers, which refuse it while the
    /// group has members: a member would commit its own offsets over these.
    ///
    /// # Errors
    /// Where the group has members, the brokers do not answer, or this user may not commit for the group.
    pub fn set_committed(&self, group: &str, offsets: &[GroupOffset]) -> Result<(), LogError> {
        let group = self.names().group(group);
        let doing = format!("setting offsets of the group {group}");
        let failed = |error| sort(&error, &doing);
        let consumer: BaseConsumer = self.config.reader(&group)?.create().map_err(failed)?;
        let mut list = TopicPartitionList::new();
        for GroupOffset { tp, next_offset, metadata } in offsets {
            let mut elem = list.add_partition(&self.names().topic(tp.topic), tp.partition as i32);
            elem.set_offset(Offset::Offset(*next_offset)).map_err(failed)?;
            elem.set_metadata(metadata);
        }
        consumer.commit(&list, CommitMode::Sync).map_err(failed)
    }
}
