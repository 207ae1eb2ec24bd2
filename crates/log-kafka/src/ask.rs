//! Questions to the brokers that block a thread for a round trip: asked beside the worker, under a timeout.

use crate::error::{code_of, sort};
use crate::ffi::{self, End, Waiting};
use crate::names::Names;
use domain::TopicPartition;
use pipeline::{Clock as _, GroupOffset, LogError, LogRange, SystemClock};
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode as Code};
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
    /// What the partition's log holds: to the end that was appended, although a transaction that is open may end what can
    /// be read before it.
    pub(crate) fn range(&self, tp: TopicPartition) -> Result<LogRange, LogError> {
        let (topic, partition) = (self.names.topic(tp.topic), tp.partition as i32);
        let found = self.patiently(|| {
            let (start, readable) = self.consumer.fetch_watermarks(&topic, partition, self.timeout)?;
            Ok(LogRange { start, end: self.end(&topic, partition)?.max(readable) })
        });
        found.map_err(|error| sort(&error, format_args!("asking for the range of {tp}")))
    }

    /// The next offset to be appended. The client's own question is answered with the end that can be read.
    fn end(&self, topic: &str, partition: i32) -> KafkaResult<i64> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::End)?;
        let question = ffi::list_ends(self.consumer.client(), &list, End::Appended, self.timeout);
        match question.ends(self.timeout) {
            Waiting::Answered(Ok(ends)) => match ends.into_iter().next() {
                Some((_, _, Ok(end))) => Ok(end),
                Some((_, _, Err(code))) => Err(KafkaError::AdminOp(code)),
                None => Err(KafkaError::AdminOp(Code::UnknownPartition)),
            },
            Waiting::Answered(Err((code, _))) => Err(KafkaError::AdminOp(code)),
            Waiting::Still(_) => Err(KafkaError::AdminOp(Code::OperationTimedOut)),
        }
    }

    /// The first offset appended at or after a time; the end where there is none.
    pub(crate) fn offset_at(&self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        let (topic, partition) = (self.names.topic(tp.topic), tp.partition as i32);
        let found = self.patiently(|| {
            let mut times = TopicPartitionList::new();
            times.add_partition_offset(&topic, partition, Offset::Offset(ceil_ms(append_time_us)))?;
            let found = self.consumer.offsets_for_times(times, self.timeout)?;
            let Some(elem) = found.find_partition(&topic, partition) else { return Ok(Offset::End) };
            elem.error()?;
            Ok(elem.offset())
        });
        match found.map_err(|error| sort(&error, format_args!("asking {tp} for the offset of a time")))? {
            Offset::Offset(offset) => Ok(offset),
            _ => Ok(self.range(tp)?.end),
        }
    }

    /// The offsets that the consumer's group has committed.
    pub(crate) fn committed(&self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        if tps.is_empty() {
            return Ok(Vec::new());
        }
        let found = self.patiently(|| {
            let mut list = TopicPartitionList::new();
            for tp in tps {
                list.add_partition(&self.names.topic(tp.topic), tp.partition as i32);
            }
            let list = self.consumer.committed_offsets(list, self.timeout)?;
            let mut found = Vec::new();
            for tp in tps {
                let elem = list.find_partition(&self.names.topic(tp.topic), tp.partition as i32);
                let Some(elem) = elem else { continue };
                elem.error()?;
                if let Offset::Offset(next_offset) = elem.offset() {
                    found.push(GroupOffset { tp: *tp, next_offset, metadata: elem.metadata().to_owned() });
                }
            }
            Ok(found)
        });
        found.map_err(|error| sort(&error, "asking for the group's offsets"))
    }

    /// Asks again while a leader or coordinator is being chosen, for as long as a request may take.
    pub(crate) fn patiently<T>(&self, ask: impl Fn() -> KafkaResult<T>) -> KafkaResult<T> {
        let (clock, limit_us) = (SystemClock::new(), self.timeout.as_micros() as i64);
        loop {
            match ask() {
                Err(error) if is_passing(&error) && clock.monotonic_us() < limit_us => {
                    // This thread may block, and nothing is there to wait for; an early return only asks sooner.
                    std::thread::park_timeout(ASK_AGAIN);
                }
                answer => return answer,
            }
        }
    }
}

/// How long to wait before asking again.
const ASK_AGAIN: Duration = Duration::from_millis(50);

/// Whether it passes by itself: a choice of a leader or coordinator is under way.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        code_of(error),
        Some(
            Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::OffsetNotAvailable
                | Code::NotCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::WaitingForCoordinator
        )
    )
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
