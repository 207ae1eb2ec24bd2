//! One member of a consumer group.
//!
//! **Threads.** A thread of its own polls librdkafka: it serves the events of the group, blocks once for records, for 20 ms
//! at most, then takes what is there without waiting, and hands pages over. The worker takes them on its own thread. What
//! changes the fetching (a seek, a halt, the end of a revocation) is done by the polling thread, between two polls, so that
//! a page belongs to exactly one reading of its partition. What only asks a broker, and a commit, blocks a thread of the
//! runtime's blocking pool.
//!
//! **Memory.** Half of `queue_bytes` is librdkafka's own queue, half the hand-over. While the hand-over is full the
//! thread takes no records, so that what was fetched stays fetched. Revocations and the group's liveness come through a
//! queue of their own and are served meanwhile.
//!
//! **Rebalances**, classic and cooperative.
//!
//! | what happens | what is done |
//! |---|---|
//! | assigned | answered at once with nothing to fetch; told to the worker, and fetched from its seek on |
//! | revoked | told to the worker before anything else; the group waits until it has released, or half a session timeout |
//! | revoked before the worker knew of it | answered at once, never told |
//! | lost (the session timed out) | answered at once; told, so that the worker forgets it; its commits are refused |
//! | closing | answered at once |
//!
//! See `members` for who may commit and read when. Pages of a partition that is revoked, lost or sought anew are dropped
//! at the hand-over: the next reading, here or elsewhere, begins at the position.
//!
//! **Errors.** A broker that is gone, a missing topic or permission is `Unavailable`, said again every four seconds while
//! nothing is assigned.
//!
//! **Trouble of one partition** (I7): an offset that is not in the log, a batch that cannot be read, an end that is ahead
//! while nothing comes. It is told behind the partition's last page, and the partition is not fetched any more until it is
//! sought again: see [`crate::reading`] and `watch`.
//!
//! **Markers** of transactions are passed: twice a second the client is asked how far it was read, which counts them. The
//! ends of partitions, which it can tell, it takes for records (see `config`).

mod context;
mod members;
mod shared;
mod thread;
mod trouble;
mod watch;

use crate::ask::{Ask, blocking};
use crate::config::KafkaConfig;
use crate::error::{code_of, sort};
use crate::identity::Identities;
use crate::names::Names;
use context::MemberContext;
use domain::{Topic, TopicPartition};
use pipeline::position::LogIdentity;
use pipeline::{GroupOffset, LogError, LogRange, Polled, Source, SystemClock};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::RDKafkaErrorCode as Code;
use rdkafka::{Offset, TopicPartitionList};
use shared::{Seek, Shared};
use std::fmt;
use std::sync::{Arc, mpsc};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::{Instant, timeout};

/// How long an answer about the topics is good: claims of all partitions come one after another, and need one question.
const IDENTITY: Duration = Duration::from_secs(1);

/// How long closing may take: the group is left within that time, or by the session timeout.
const CLOSE: Duration = Duration::from_secs(3);

/// A member of a consumer group on Kafka. Dropping it leaves the group.
pub struct KafkaSource {
    shared: Arc<Shared>,
    /// None only while it is dropped.
    ask: Option<Ask<MemberContext>>,
    topics: Vec<Topic>,
    /// What the topics were last, and when that was asked.
    identities: Option<(Instant, Identities)>,
    /// Says when the polling thread has ended.
    ended: mpsc::Receiver<()>,
}

impl fmt::Debug for KafkaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KafkaSource").field("owned", &self.shared.state().members.owned()).finish_non_exhaustive()
    }
}

impl KafkaSource {
    /// Joins a consumer group that reads these topics. It returns at once: what stands in the way of joining, such as a
    /// missing topic, is told by [`Source::next`].
    ///
    /// # Errors
    /// [`LogError::Fatal`] where the configuration cannot be used.
    pub fn join(config: &KafkaConfig, group: &str, topics: &[Topic]) -> Result<Self, LogError> {
        let names = Names::new(&config.topic_prefix);
        let doing = format!("joining group {}", names.group(group));
        let shared = Arc::new(Shared::default());
        let context = MemberContext {
            shared: shared.clone(),
            names: names.clone(),
            clock: SystemClock::new(),
            release_us: config.release_timeout_ms() as i64 * 1_000,
            fetching: Default::default(),
            last_error: Default::default(),
        };
        let client = config.member(&names.group(group))?;
        let consumer: BaseConsumer<MemberContext> =
            client.create_with_context(context).map_err(|error| sort(&error, &doing))?;
        let subscribed: Vec<String> = topics.iter().map(|topic| names.topic(*topic)).collect();
        let subscribed: Vec<&str> = subscribed.iter().map(String::as_str).collect();
        consumer.subscribe(&subscribed).map_err(|error| sort(&error, &doing))?;
        let consumer = Arc::new(consumer);
        let ended = thread::start(consumer.clone(), shared.clone(), config)?;
        let timeout = Duration::from_millis(config.request_timeout_ms);
        let ask = Some(Ask { consumer, names, timeout });
        Ok(Self { shared, ask, topics: topics.to_vec(), identities: None, ended })
    }

    /// The bytes that were read and that the worker has not taken up yet.
    #[must_use]
    pub fn queued_bytes(&self) -> usize {
        self.shared.state().bytes
    }

    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Ask<MemberContext>) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let ask = self.ask.clone().ok_or_else(|| LogError::Unavailable("the member has left".to_owned()))?;
        blocking(move || question(&ask)).await
    }

    fn check_owned(&self, offsets: &[GroupOffset]) -> Result<(), LogError> {
        let state = self.shared.state();
        match offsets.iter().find(|offset| !state.members.may_commit(offset.tp)) {
            Some(offset) => Err(LogError::NotOwner(offset.tp)),
            None => Ok(()),
        }
    }
}

impl Source for KafkaSource {
    /// Cancel safe: nothing is taken before a wait.
    async fn next(&mut self, wait: Duration) -> Result<Polled, LogError> {
        let deadline = Instant::now().checked_add(wait);
        loop {
            if let Some(taken) = self.shared.take() {
                return taken;
            }
            let left = deadline.map_or(wait, |deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_zero() || timeout(left, self.shared.news.notified()).await.is_err() {
                return Ok(Polled::Idle);
            }
        }
    }

    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        let (at, identities) = match self.identities.take().filter(|(at, _)| at.elapsed() < IDENTITY) {
            Some(known) => known,
            None => {
                let topics = self.topics.clone();
                (Instant::now(), self.ask(move |ask| ask.identities(&topics)).await?)
            }
        };
        let found = identities.of(tp.topic);
        self.identities = Some((at, identities));
        found
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.ask(move |ask| ask.range(tp)).await
    }

    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        self.ask(move |ask| ask.offset_at(tp, append_time_us)).await
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        let (reply, answer) = oneshot::channel();
        self.shared.state().seeks.push(Seek { tp, offset, reply });
        self.shared.wake_thread();
        answer.await.unwrap_or_else(|_| Err(LogError::Unavailable(format!("the seek of {tp} was not answered"))))
    }

    fn halt(&mut self, tp: TopicPartition) {
        let mut state = self.shared.state();
        state.members.halt(tp);
        state.halts.insert(tp);
        state.drop_stale();
        drop(state);
        self.shared.wake_thread();
    }

    async fn assignment(&mut self) -> Result<Vec<TopicPartition>, LogError> {
        Ok(self.shared.state().members.owned())
    }

    async fn release(&mut self, tps: &[TopicPartition]) -> Result<(), LogError> {
        self.shared.state().members.release(tps);
        self.shared.wake_thread();
        Ok(())
    }

    async fn committed(&mut self, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        let tps = tps.to_vec();
        self.ask(move |ask| ask.committed(&tps)).await
    }

    async fn commit(&mut self, offsets: &[GroupOffset]) -> Result<(), LogError> {
        if offsets.is_empty() {
            return Ok(());
        }
        self.check_owned(offsets)?;
        let held = offsets.to_vec();
        let result = self.ask(move |ask| commit(ask, &held)).await;
        // Who has lost a partition meanwhile is told so, whatever the coordinator answered. Otherwise the answer stands:
        // while a rebalance is under way the coordinator refuses members that own what they commit, and a retry mends it.
        match result {
            Ok(()) => Ok(()),
            Err(error) => self.check_owned(offsets).and(Err(error)),
        }
    }

    fn mirror(&mut self, positions: &[(TopicPartition, i64)]) {
        self.shared.state().mirror.extend(positions.iter().copied());
    }
}

fn commit(ask: &Ask<MemberContext>, offsets: &[GroupOffset]) -> Result<(), LogError> {
    const DOING: &str = "committing the group's offsets";
    let mut list = TopicPartitionList::new();
    for offset in offsets {
        let mut elem = list.add_partition(&ask.names.topic(offset.tp.topic), offset.tp.partition as i32);
        elem.set_offset(Offset::Offset(offset.next_offset)).map_err(|error| sort(&error, DOING))?;
        if !offset.metadata.is_empty() {
            elem.set_metadata(&offset.metadata);
        }
    }
    let Err(error) = ask.consumer.commit(&list, CommitMode::Sync) else { return Ok(()) };
    Err(match code_of(&error) {
        Some(Code::RebalanceInProgress | Code::IllegalGeneration | Code::UnknownMemberId) => {
            LogError::Unavailable(format!("{DOING}: the group is being rebalanced"))
        }
        _ => sort(&error, DOING),
    })
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        self.ask = None;
        self.shared.state().closing = true;
        self.shared.wake_thread();
        // Where the brokers are gone the thread goes on closing alone, and the session times out.
        let _ = self.ended.recv_timeout(CLOSE);
    }
}
