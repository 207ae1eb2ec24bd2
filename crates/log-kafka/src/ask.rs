//! Questions to the brokers that block a thread for a round trip: asked beside the worker, under a timeout.

use crate::error::sort;
use crate::names::Names;
use domain::TopicPartition;
use pipeline::{GroupOffset, LogError, LogRange};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::{Offset, TopicPartitionList};
use std::sync::Arc;
use std::time::Duration;

/// Asks in the name of a consumer.
pub(crate) struct Ask<C: ConsumerContext> {
    pub(crate) consumer: Arc<BaseConsumer<C>>,
    pub(crate) names: Names,
    pub(crate) timeout: Duration,
}

impl<C: ConsumerContext> Clone for Ask<C> {
    fn clone(&self) -> Self {
        Self { consumer: self.consumer.clone(), names: self.names.clone(), timeout: self.timeout }
    }
}

/// Runs what blocks on a thread that may be blocked.
pub(crate) async fn blocking<T: Send + 'static>(
    ask: impl FnOnce() -> Result<T, LogError> + Send + 'static,
) -> Result<T, LogError> {
    let done = tokio::task::spawn_blocking(ask).await;
    done.unwrap_or_else(|error| Err(LogError::Unavailable(format!("a request to Kafka was broken off: {error}"))))
}

impl<C: ConsumerContext + 'static> Ask<C> {
    /// What the partition's log holds.
    pub(crate) fn range(&self, tp: TopicPartition) -> Result<LogRange, LogError> {
        let found = self.consumer.fetch_watermarks(&self.names.topic(tp.topic), tp.partition as i32, self.timeout);
        let (start, end) = found.map_err(|error| sort(&error, format_args!("asking for the range of {tp}")))?;
        Ok(LogRange { start, end })
    }

    /// The first offset appended at or after a time; the end where there is none.
    pub(crate) fn offset_at(&self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        let doing = format_args!("asking {tp} for the offset of a time").to_string();
        let failed = |error| sort(&error, &doing);
        let (topic, partition) = (self.names.topic(tp.topic), tp.partition as i32);
        let mut times = TopicPartitionList::new();
        times.add_partition_offset(&topic, partition, Offset::Offset(ceil_ms(append_time_us))).map_err(failed)?;
        let found = self.consumer.offsets_for_times(times, self.timeout).map_err(failed)?;
        let elem = found.find_partition(&topic, partition);
        let elem = elem.ok_or_else(|| LogError::Unavailable(format!("{doing}: no answer")))?;
        elem.error().map_err(failed)?;
        match elem.offset() {
            Offset::Offset(offset) => Ok(offset),
            _ => Ok(self.range(tp)?.end),
        }
    }

    /// The offsets that the consumer's group has committed.
    pub(crate) fn committed(&self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        const DOING: &str = "asking for the group's offsets";
        let mut list = TopicPartitionList::new();
        for tp in tps {
            list.add_partition(&self.names.topic(tp.topic), tp.partition as i32);
        }
        if tps.is_empty() {
            return Ok(Vec::new());
        }
        let list = self.consumer.committed_offsets(list, self.timeout).map_err(|error| sort(&error, DOING))?;
        let mut found = Vec::new();
        for tp in tps {
            let Some(elem) = list.find_partition(&self.names.topic(tp.topic), tp.partition as i32) else { continue };
            elem.error().map_err(|error| sort(&error, DOING))?;
            if let Offset::Offset(next_offset) = elem.offset() {
                found.push(GroupOffset { tp: *tp, next_offset, metadata: elem.metadata().to_owned() });
            }
        }
        Ok(found)
    }
}

/// Kafka knows append times in ms: a record of `ms` was appended at or after a time in us iff `ms` is at or above the
/// time in ms, rounded up. Below 0, Kafka has other meanings.
fn ceil_ms(us: i64) -> i64 {
    let whole = us.div_euclid(1_000);
    let whole = if us.rem_euclid(1_000) > 0 { whole + 1 } else { whole };
    whole.max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_up() {
        let cases = [(0, 0), (1, 1), (999, 1), (1_000, 1), (1_001, 2), (-1, 0), (i64::MIN, 0)];
        for (us, ms) in cases {
            assert_eq!(ceil_ms(us), ms, "{us}");
        }
        assert!(ceil_ms(i64::MAX) > 0);
    }
}
