//! Reading the log again, up to given offsets, as a member of no group.
//!
//! One topic after the other, all its partitions at once: the client says that the end of partition 3 was reached, but
//! not of which topic. A partition is done when a record at or above its bound comes, or its end: the last offsets below
//! the bound may hold no record (compaction, transaction markers), and the log may have gone on behind it.

use crate::ask::blocking;
use crate::error::sort;
use crate::ffi::Fetched;
use crate::gather::Gather;
use crate::view::KafkaView;
use domain::{Topic, TopicPartition};
use pipeline::{GroupOffset, LogError, LogRange, Page, Polled, Source};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How much is gathered before it is handed out.
const PAGE_BYTES: usize = 1 << 20;
const PAGE_RECORDS: usize = 8_192;
/// How long one poll may block: cancelling waits that long.
const POLL: Duration = Duration::from_millis(100);

/// A source that reads a log again from first offsets to ends, then cancels its token: the worker commits what is
/// in flight and stops.
pub struct KafkaReplay {
    /// Where to start and end, by partition.
    bounds: BTreeMap<TopicPartition, LogRange>,
    announced: bool,
    done: CancellationToken,
    pages: VecDeque<Page>,
    /// None only while a thread polls.
    reader: Option<Reader>,
}

/// What the polling thread works on.
struct Reader {
    view: KafkaView,
    consumer: Arc<BaseConsumer>,
    gather: Gather,
    /// By partition that was sought: the next offset and the bound.
    cursors: BTreeMap<TopicPartition, (i64, i64)>,
    /// The topic that is assigned.
    topic: Option<Topic>,
}

impl fmt::Debug for KafkaReplay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaReplay").field("bounds", &self.bounds).finish_non_exhaustive()
    }
}

impl KafkaReplay {
    /// A replay of these bounds; `done` is cancelled when everything was handed out.
    ///
    /// # Errors
    /// Where the client cannot be made.
    pub fn new(
        view: KafkaView,
        bounds: BTreeMap<TopicPartition, LogRange>,
        done: CancellationToken,
    ) -> Result<Self, LogError> {
        let (consumer, gather) = (view.reader()?, Gather::new(view.names().clone()));
        let reader = Some(Reader { view, consumer, gather, cursors: BTreeMap::new(), topic: None });
        Ok(Self { bounds, announced: false, done, pages: VecDeque::new(), reader })
    }

    /// The reader, unless a poll was broken off with it.
    fn reader(&mut self) -> Result<&mut Reader, LogError> {
        self.reader.as_mut().ok_or_else(broken_off)
    }
}

fn broken_off() -> LogError {
    LogError::Fatal("reading the log again was broken off: start it again".to_owned())
}

impl Source for KafkaReplay {
    async fn next(&mut self, _: Duration) -> Result<Polled, LogError> {
        if !self.announced {
            self.announced = true;
            return Ok(Polled::Assigned(self.bounds.keys().copied().collect()));
        }
        if let Some(page) = self.pages.pop_front() {
            return Ok(Polled::Page(page));
        }
        if self.reader()?.is_done() {
            self.done.cancel();
            return Ok(Polled::Idle);
        }
        let mut reader = self.reader.take().ok_or_else(broken_off)?;
        let polled = blocking(move || {
            let pages = reader.poll();
            Ok((reader, pages))
        });
        let (reader, pages) = polled.await?;
        self.reader = Some(reader);
        self.pages.extend(pages?);
        Ok(self.pages.pop_front().map_or(Polled::Idle, Polled::Page))
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.bounds.get(&tp).copied().ok_or(LogError::NotOwner(tp))
    }

    async fn offset_at(&mut self, tp: TopicPartition, _: i64) -> Result<i64, LogError> {
        Ok(self.bounds.get(&tp).map_or(0, |bounds| bounds.start))
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        let end = self.range(tp).await?.end;
        self.pages.retain(|page| page.tp() != tp);
        let reader = self.reader()?;
        reader.cursors.insert(tp, (offset, end));
        reader.topic = None;
        Ok(())
    }

    async fn assignment(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        Ok(self.bounds.keys().copied().collect())
    }

    async fn release(&mut self, _: &[TopicPartition]) -> Result<(), LogError> {
        Ok(())
    }

    async fn committed(&mut self, _: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        Ok(Vec::new())
    }

    async fn commit(&mut self, _: &[GroupOffset]) -> Result<(), LogError> {
        Ok(())
    }
}

impl Reader {
    fn open(&self) -> impl Iterator<Item = (TopicPartition, i64)> {
        self.cursors.iter().filter(|(_, (next, end))| next < end).map(|(tp, (next, _))| (*tp, *next))
    }

    fn is_done(&self) -> bool {
        self.open().next().is_none()
    }

    /// Goes on to the next topic that has something left, where the one assigned has not.
    fn assign(&mut self) -> Result<(), LogError> {
        if self.open().any(|(tp, _)| Some(tp.topic) == self.topic) {
            return Ok(());
        }
        let Some((first, _)) = self.open().next() else { return Ok(()) };
        // A client of its own for each topic: an end is told by the number of its partition alone, and one that was
        // told late would be taken for that of the next topic.
        self.consumer = self.view.reader()?;
        let failed = |error| sort(&error, format_args!("reading {} again", first.topic));
        let name = self.view.names().topic(first.topic);
        let mut list = TopicPartitionList::new();
        for (tp, next) in self.open().filter(|(tp, _)| tp.topic == first.topic) {
            list.add_partition_offset(&name, tp.partition as i32, Offset::Offset(next)).map_err(failed)?;
        }
        self.consumer.assign(&list).map_err(failed)?;
        self.topic = Some(first.topic);
        Ok(())
    }

    /// The next pages; none where nothing came within a poll, or the last thing to come was an end.
    fn poll(&mut self) -> Result<Vec<Page>, LogError> {
        self.assign()?;
        let consumer = self.consumer.clone();
        let mut wait = POLL;
        while let Some(polled) = consumer.poll(wait) {
            match polled {
                Ok(message) => {
                    let message = Fetched::from(&message);
                    let Some(tp) = self.gather.place(message) else { continue };
                    let Some((next, end)) = self.cursors.get_mut(&tp) else { continue };
                    if message.offset() >= *end {
                        self.finish(tp);
                    } else if message.offset() >= *next {
                        *next = message.offset() + 1;
                        self.gather.push(tp, message);
                    }
                }
                Err(KafkaError::PartitionEOF(partition)) => {
                    let (topic, partition) = (self.topic, u32::try_from(partition));
                    if let (Some(topic), Ok(partition)) = (topic, partition) {
                        self.finish(TopicPartition::new(topic, partition));
                    }
                }
                Err(error) => {
                    let sorted = sort(&error, "reading the log again");
                    if matches!(sorted, LogError::Fatal(_)) {
                        return Err(sorted);
                    }
                    tracing::warn!(%sorted, "retried by the client");
                }
            }
            if self.gather.is_full(PAGE_BYTES, PAGE_RECORDS) || self.is_done() {
                break;
            }
            wait = Duration::ZERO;
        }
        let mut pages = self.gather.take();
        for page in &mut pages {
            let end = self.cursors.get(&page.tp()).map_or(0, |(_, end)| *end);
            page.set_log_end(end);
        }
        Ok(pages)
    }

    /// Nothing below the bound is left of a partition; what lies behind it is not fetched any more.
    fn finish(&mut self, tp: TopicPartition) {
        let Some((next, end)) = self.cursors.get_mut(&tp) else { return };
        *next = *end;
        let mut list = TopicPartitionList::new();
        list.add_partition(&self.view.names().topic(tp.topic), tp.partition as i32);
        // Where it is not paused, what comes of it is passed over.
        let _ = self.consumer.pause(&list);
    }
}
