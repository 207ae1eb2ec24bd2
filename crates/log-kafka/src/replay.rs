//! Reading the log again, up to given offsets, as a member of no group.
//!
//! One topic after the other, all its partitions at once, each topic with a client of its own: what a client still says of
//! an earlier assignment cannot be taken for the next one. A partition is done when a record at or above its bound comes,
//! or its end: the last offsets below the bound may hold no record (compaction, transaction markers), or none that may be
//! read yet (an open transaction), and the log may have gone on behind it.
//!
//! **It always ends.** A partition of which something cannot be read, or of which nothing comes, is told as trouble and is
//! done with it, unless it is sought again.

use crate::ask::{Ask, blocking};
use crate::error::sort;
use crate::ffi::{self, FetchQueue, Fetched};
use crate::gather::Gather;
use crate::identity::Identities;
use crate::reading::{Handed, Readings, Remark};
use crate::view::KafkaView;
use domain::{Topic, TopicPartition};
use pipeline::position::LogIdentity;
use pipeline::{Clock as _, GroupOffset, LogError, LogRange, Polled, Source, SystemClock};
use rdkafka::consumer::{BaseConsumer, Consumer as _, DefaultConsumerContext};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How much is gathered before it is handed out.
const PAGE_BYTES: usize = 1 << 20;
const PAGE_RECORDS: usize = 8_192;
/// How long one poll may block: cancelling waits that long.
const POLL: Duration = Duration::from_millis(100);
/// How long it may take to see whether a broker answers.
const PROBE: Duration = Duration::from_secs(2);

/// A source that reads a log again from first offsets to ends, then cancels its token: the worker commits what is
/// in flight and stops.
pub struct KafkaReplay {
    /// Where to start and end, by partition.
    bounds: BTreeMap<TopicPartition, LogRange>,
    announced: bool,
    done: CancellationToken,
    polled: VecDeque<Polled>,
    ask: Ask<DefaultConsumerContext>,
    identities: Option<Identities>,
    /// None only while a thread polls.
    reader: Option<Reader>,
}

/// What the polling thread works on.
struct Reader {
    /// Gone before the client of the view is.
    fetches: Option<FetchQueue<DefaultConsumerContext>>,
    consumer: Option<Arc<BaseConsumer>>,
    view: KafkaView,
    readings: Readings,
    /// The topic that is assigned.
    topic: Option<Topic>,
    /// Those of its partitions that are fetched.
    fetched: BTreeSet<TopicPartition>,
    clock: SystemClock,
    /// When something came last.
    heard_us: i64,
    stall_us: i64,
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
        let (ask, readings) = (view.ask.clone(), Readings::new(Gather::new(view.names().clone())));
        let stall_us = i64::try_from(view.config.stall_timeout_ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        let reader = Reader {
            fetches: None,
            consumer: None,
            view,
            readings,
            topic: None,
            fetched: BTreeSet::new(),
            clock: SystemClock::new(),
            heard_us: 0,
            stall_us,
        };
        let (polled, reader) = (VecDeque::new(), Some(reader));
        Ok(Self { bounds, announced: false, done, polled, ask, identities: None, reader })
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
        if let Some(polled) = self.polled.pop_front() {
            return Ok(polled);
        }
        if self.reader()?.is_done() {
            self.done.cancel();
            return Ok(Polled::Idle);
        }
        let mut reader = self.reader.take().ok_or_else(broken_off)?;
        let polled = blocking(move || {
            let handed = reader.poll();
            Ok((reader, handed))
        });
        let (reader, handed) = polled.await?;
        self.reader = Some(reader);
        self.polled.extend(handed?.into_iter().map(|handed| match handed {
            Handed::Page(page, _) => Polled::Page(page),
            Handed::Trouble(trouble, _) => Polled::Trouble(trouble),
        }));
        Ok(self.polled.pop_front().unwrap_or(Polled::Idle))
    }

    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        let identities = match self.identities.take() {
            Some(known) => known,
            None => {
                let topics: BTreeSet<Topic> = self.bounds.keys().map(|tp| tp.topic).collect();
                let (ask, topics) = (self.ask.clone(), topics.into_iter().collect::<Vec<_>>());
                blocking(move || ask.identities(&topics)).await?
            }
        };
        let found = identities.of(tp.topic);
        self.identities = Some(identities);
        found
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.bounds.get(&tp).copied().ok_or(LogError::NotOwner(tp))
    }

    async fn offset_at(&mut self, tp: TopicPartition, _: i64) -> Result<i64, LogError> {
        Ok(self.bounds.get(&tp).map_or(0, |bounds| bounds.start))
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        let end = self.range(tp).await?.end;
        self.forget(tp);
        let reader = self.reader()?;
        reader.readings.begin(tp, 0, offset, Some(end));
        reader.topic = None;
        Ok(())
    }

    fn halt(&mut self, tp: TopicPartition) {
        self.forget(tp);
        if let Some(reader) = &mut self.reader {
            reader.readings.end(tp);
        }
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

impl KafkaReplay {
    /// Lets go of what was read of a partition and not handed out.
    fn forget(&mut self, tp: TopicPartition) {
        self.polled.retain(|polled| match polled {
            Polled::Page(page) => page.tp() != tp,
            Polled::Trouble(trouble) => trouble.tp != tp,
            _ => true,
        });
    }
}

impl Reader {
    fn is_done(&self) -> bool {
        self.readings.open().next().is_none()
    }

    /// Goes on to the next topic that has something left, where the one assigned has not.
    fn assign(&mut self) -> Result<(), LogError> {
        if self.readings.open().any(|(tp, _)| Some(tp.topic) == self.topic) {
            return Ok(());
        }
        let Some((first, _)) = self.readings.open().next() else { return Ok(()) };
        let failed = |error| sort(&error, format_args!("reading {} again", first.topic));
        let (consumer, name) = (self.view.reader()?, self.view.names().topic(first.topic));
        let fetches = FetchQueue::new(consumer.clone());
        let mut list = TopicPartitionList::new();
        self.fetched.clear();
        for (tp, next) in self.readings.open().filter(|(tp, _)| tp.topic == first.topic) {
            fetches.receive(&name, tp.partition as i32);
            list.add_partition_offset(&name, tp.partition as i32, Offset::Offset(next)).map_err(failed)?;
            self.fetched.insert(tp);
        }
        consumer.assign(&list).map_err(failed)?;
        (self.fetches, self.consumer, self.topic) = (Some(fetches), Some(consumer), Some(first.topic));
        self.heard_us = self.clock.monotonic_us();
        Ok(())
    }

    /// What comes next; nothing where nothing came within a poll.
    fn poll(&mut self) -> Result<Vec<Handed>, LogError> {
        self.assign()?;
        let (Some(fetches), Some(consumer)) = (&self.fetches, self.consumer.clone()) else { return Ok(Vec::new()) };
        let (readings, mut remarks, mut wait) = (&mut self.readings, Vec::new(), POLL);
        loop {
            // What comes beside records must be taken as well: it says that brokers are gone, for example.
            while let Some(polled) = consumer.poll(Duration::ZERO) {
                match polled {
                    Ok(message) => readings.record(Fetched::from(&message)),
                    Err(error) => tracing::debug!(%error, "reading the log again: retried by the client"),
                }
            }
            let taken = fetches.take(wait, |fetched| match fetched {
                Ok(message) => readings.record(message),
                Err(said) => remarks.extend(readings.said(said)),
            });
            let is_done = readings.open().next().is_none();
            if taken == 0 || is_done || readings.is_full(PAGE_BYTES, PAGE_RECORDS) {
                break;
            }
            wait = Duration::ZERO;
        }
        self.note(remarks);
        self.give_up();
        let names = self.view.names().clone();
        let handed =
            self.readings.take(|tp| ffi::known_end(consumer.client(), &names.topic(tp.topic), tp.partition as i32));
        if !handed.is_empty() {
            self.heard_us = self.clock.monotonic_us();
        }
        self.pause();
        Ok(handed)
    }

    /// A topic that is gone, or may not be read, will not come back for a reader that is to end.
    fn note(&mut self, remarks: Vec<Remark>) {
        for Remark { tp, code, text } in remarks {
            let is_gone = matches!(
                code,
                Code::UnknownTopic
                    | Code::UnknownPartition
                    | Code::UnknownTopicOrPartition
                    | Code::UnknownTopicId
                    | Code::TopicAuthorizationFailed
            );
            match tp {
                Some(tp) if is_gone => self.readings.stalled(tp, &format!("{text}: {code}")),
                _ => tracing::warn!(%code, text, "reading the log again: retried by the client"),
            }
        }
    }

    /// What lies behind a partition's bound, or behind trouble, is not fetched any more.
    fn pause(&mut self) {
        let open: BTreeSet<TopicPartition> = self.readings.open().map(|(tp, _)| tp).collect();
        let mut list = TopicPartitionList::new();
        for tp in self.fetched.extract_if(.., |tp| !open.contains(tp)) {
            list.add_partition(&self.view.names().topic(tp.topic), tp.partition as i32);
        }
        if let (Some(consumer), true) = (&self.consumer, list.count() > 0) {
            // Where it is not paused, what comes of it is passed over.
            let _ = consumer.pause(&list);
        }
    }

    /// Where nothing came for too long, what is left of the topic is told as trouble; where no broker answers, of all.
    fn give_up(&mut self) {
        let now_us = self.clock.monotonic_us();
        if now_us - self.heard_us < self.stall_us || self.is_done() {
            return;
        }
        self.heard_us = now_us;
        let answers = self.consumer.as_ref().is_some_and(|consumer| consumer.fetch_metadata(None, PROBE).is_ok());
        let open: Vec<_> = self.readings.open().filter(|(tp, _)| !answers || Some(tp.topic) == self.topic).collect();
        let seconds = self.stall_us / 1_000_000;
        for (tp, next) in open {
            let text = format!("nothing came of {tp} from offset {next} on for {seconds} s");
            let text = if answers { text } else { format!("{text}, and no broker answers") };
            self.readings.stalled(tp, &text);
        }
    }
}
