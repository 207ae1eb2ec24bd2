//! The embedded log: topics, partitions and consumer groups in one SQLite file, for one process.
//!
//! It keeps what the worker loop needs of Kafka: dense offsets from 0, append times that never go back, records
//! placed by murmur2 of the key (I9), members of a group that own partitions, and acknowledgement only after the
//! record is on disk. It does not apply retention or compaction: `topics.yaml` describes a cluster in that, and here
//! every record stays.
//!
//! - **Time.** An append time never goes back, so a clock that jumps by more than an hour is not followed: see
//!   `append_time`.
//! - **Append.** Callers queue requests, bounded in bytes (I8); one thread commits many of them at once, in WAL mode with
//!   `synchronous=FULL`: one fsync per round, and the acknowledgement after it. See `writer`.
//! - **Read.** Each member has a read-only connection. Log ends are kept in memory and published after the commit; a member
//!   waits on a wake-up, it does not poll. See `source` and `reader`.
//! - **Groups.** Cooperative, sticky, in memory; only the committed offsets are stored. See `assigner`.
//!
//! Two processes must not write one log: see [`DataFolder`] and [`Log::open_held`].

mod append_time;
mod assigner;
mod balance;
mod reader;
mod replay;
mod schema;
mod shared;
mod source;
#[cfg(test)]
mod tests;
mod writer;

pub use pipeline::ports::Placed;
pub use reader::{LogReader, PageLimit};
pub use replay::{LogView, Replay};
pub use source::EmbeddedSource;

use crate::folder::DataFolder;
use append_time::AppendTime;
use domain::topics::TopicSpec;
use domain::{Topic, TopicPartition};
use pipeline::error::Unpublished;
use pipeline::{Clock, LogError, OutRecord, Publisher};
use shared::{Now, Shared};
use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Semaphore, oneshot};
use uuid::Uuid;
use writer::{Request, Writer, weight};

/// Room of a dead letter beside the record in it.
const DEAD_LETTER_BYTES: usize = 1 << 20;

/// How a log behaves.
#[derive(Clone, Debug)]
pub struct LogOptions {
    /// How long an owner may take to release a revoked partition.
    pub grace: Duration,
    /// Bytes of records that may be queued or in flight; appends wait above that.
    pub queue_bytes: usize,
    /// The largest record, in bytes of key, value and headers.
    pub max_record_bytes: usize,
    /// How much a page holds.
    pub page: PageLimit,
    /// Bytes of the write-ahead log after which it is moved into the file.
    pub checkpoint_bytes: usize,
    /// The largest size of the file, in bytes, if it is bounded: above that, appends are unavailable.
    pub max_log_bytes: Option<u64>,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            grace: Duration::from_secs(2),
            queue_bytes: 64 << 20,
            max_record_bytes: domain::MAX_RECORD_BYTES,
            page: PageLimit { bytes: 1 << 20, records: 16_384 },
            checkpoint_bytes: 16 << 20,
            max_log_bytes: None,
        }
    }
}

/// A handle of the log; clones are cheap. The log closes when the last handle and the last member are dropped.
#[derive(Clone, Debug)]
pub struct Log(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    options: LogOptions,
    cluster_id: Uuid,
    shared: Arc<Shared>,
    room: Arc<Semaphore>,
    requests: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
    /// Let go of last, when the writer has ended.
    _folder: Option<Arc<DataFolder>>,
}

/// Records handed to the log but not yet acknowledged.
#[derive(Debug)]
pub struct Pending(oneshot::Receiver<Result<Vec<Placed>, LogError>>);

impl Pending {
    /// Waits until every record is on disk; gives where each went, in the order handed over.
    pub async fn placed(self) -> Result<Vec<Placed>, LogError> {
        self.0.await.unwrap_or_else(|_| Err(stopped()))
    }
}

fn stopped() -> LogError {
    LogError::Fatal("the log's writer has stopped: restart the process".to_owned())
}

impl Log {
    /// Opens the log of a data folder, on the system's clock, making topics that are missing.
    ///
    /// # Errors
    /// [`LogError::Fatal`] where a topic has another number of partitions than wanted, or the file cannot be used.
    pub fn open(dir: impl AsRef<Path>, topics: &[TopicSpec]) -> Result<Self, LogError> {
        Self::open_with(dir, topics, LogOptions::default(), pipeline::clock::SystemClock::new())
    }

    /// Opens the log of a folder that this process holds, and keeps holding it until the log has closed.
    pub fn open_held<C>(
        folder: Arc<DataFolder>,
        topics: &[TopicSpec],
        options: LogOptions,
        clock: C,
    ) -> Result<Self, LogError>
    where
        C: Clock + Send + Sync + 'static,
    {
        let dir = folder.path().to_owned();
        Self::build(dir, Some(folder), topics, options, Box::new(clock))
    }

    /// Opens the log with these options and this clock. The caller sees to it that no other process does.
    pub fn open_with<C>(
        dir: impl AsRef<Path>,
        topics: &[TopicSpec],
        options: LogOptions,
        clock: C,
    ) -> Result<Self, LogError>
    where
        C: Clock + Send + Sync + 'static,
    {
        Self::build(dir.as_ref().to_owned(), None, topics, options, Box::new(clock))
    }

    fn build(
        dir: PathBuf,
        folder: Option<Arc<DataFolder>>,
        topics: &[TopicSpec],
        options: LogOptions,
        clock: Box<dyn Now>,
    ) -> Result<Self, LogError> {
        let mut conn = schema::open_writer(&dir, &options)?;
        let (layout, cluster_id) = schema::prepare(&mut conn, topics)?;
        let (ends, last_us) = Writer::recover(&conn, layout.slots())?;
        let shared = Arc::new(Shared::new(layout, ends, &options, clock));
        let append_time = AppendTime::new(last_us, &*shared.clock);
        let checkpoint_bytes = options.checkpoint_bytes;
        let writer =
            Writer { conn, shared: shared.clone(), append_time, checkpoint_bytes, since_checkpoint: checkpoint_bytes };
        let (requests, queue) = mpsc::channel();
        let thread = std::thread::Builder::new().name("log-writer".to_owned());
        let thread =
            thread.spawn(move || writer.run(&queue)).map_err(|error| LogError::Unavailable(error.to_string()))?;
        let room = Arc::new(Semaphore::new(options.queue_bytes.clamp(1, Semaphore::MAX_PERMITS)));
        let (requests, writer) = (Some(requests), Some(thread));
        Ok(Self(Arc::new(Inner { dir, options, cluster_id, shared, room, requests, writer, _folder: folder })))
    }

    /// Queues records; waits only for room in the queue. Requests are appended in the order in which they were queued,
    /// and the records of a request side by side in time: all of them or none.
    ///
    /// # Errors
    /// [`LogError::Refused`] for a record that is too large; nothing of the request is appended then.
    pub async fn submit(&self, records: Vec<OutRecord>) -> Result<Pending, LogError> {
        self.check(&records).map_err(|unpublished| unpublished.error)?;
        self.enqueue(records).await
    }

    /// Whether every record may be appended: names the place of the first that may not.
    pub(crate) fn check(&self, records: &[OutRecord]) -> Result<(), Unpublished> {
        for (ix, record) in records.iter().enumerate() {
            // A dead letter holds a record of the largest size, and its coordinates and reason beside it (I6).
            let room = if record.topic == Topic::DeadLetter { DEAD_LETTER_BYTES } else { 0 };
            let limit = self.0.options.max_record_bytes + room;
            let bytes = record.key.len() + record.value.len() + record.headers.as_bytes().len();
            if bytes > limit {
                let text = format!(
                    "{bytes} bytes for {}, log.max_record_bytes allows {limit} for key, value and headers",
                    record.topic
                );
                return Err(Unpublished { refused: Some(ix), ..LogError::Refused(text).into() });
            }
            self.shared().place(record.topic, &record.key)?;
        }
        Ok(())
    }

    /// Queues records that were checked.
    pub(crate) async fn enqueue(&self, records: Vec<OutRecord>) -> Result<Pending, LogError> {
        // A request larger than the queue takes all of it.
        let bytes = records.iter().map(weight).sum::<usize>().min(self.0.options.queue_bytes);
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let room = self.0.room.clone().acquire_many_owned(permits).await.map_err(|_| stopped())?;
        let (reply, answer) = oneshot::channel();
        self.request(Request::Append { records, reply, room })?;
        Ok(Pending(answer))
    }

    /// Appends records; returns when every one of them is on disk, with where each went.
    ///
    /// # Errors
    /// As [`Log::submit`]; [`LogError::Unavailable`] where the disk is full or fails, and nothing was appended.
    pub async fn append(&self, records: Vec<OutRecord>) -> Result<Vec<Placed>, LogError> {
        self.submit(records).await?.placed().await
    }

    /// Joins a consumer group that reads these topics; `member` names it in diagnostics.
    pub fn join(&self, group: &str, topics: &[Topic], member: &str) -> Result<EmbeddedSource, LogError> {
        for topic in topics {
            self.shared().layout.slot(TopicPartition::new(*topic, 0))?;
        }
        let reader = self.reader()?;
        let shared = self.shared();
        let id = shared.assigner().join(group, topics, shared.clock.monotonic_us());
        shared.reassigned();
        Ok(EmbeddedSource::new(self.clone(), reader, group, id, member))
    }

    /// States what a group writes to. Where that is another store than before, such as a new one in the place of one that
    /// was deleted, the group's offsets are forgotten and it reads from the start: its offsets are not kept in that
    /// store. To be called before members join; gives back whether the offsets were kept.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] where the disk is full or fails; nothing is changed then.
    pub async fn bind(&self, group: &str, target: Uuid) -> Result<bool, LogError> {
        let (reply, answer) = oneshot::channel();
        self.request(Request::Bind { group: group.to_owned(), target, reply })?;
        answer.await.unwrap_or_else(|_| Err(stopped()))
    }

    /// Moves every partition of a group to another member, as a rebalance may: for tests of hand-overs. A lone member has
    /// its partitions revoked and gets them back.
    pub fn shuffle(&self, group: &str) {
        let shared = self.shared();
        shared.assigner().shuffle(group, shared.clock.monotonic_us());
        shared.reassigned();
    }

    /// A reader outside of any group.
    pub fn reader(&self) -> Result<LogReader, LogError> {
        Ok(LogReader::new(schema::open_reader(&self.0.dir)?, self.0.shared.clone()))
    }

    /// The next offset to be appended to a partition.
    pub fn end(&self, tp: TopicPartition) -> Result<i64, LogError> {
        Ok(self.shared().end(self.shared().layout.slot(tp)?))
    }

    /// The number of partitions of a topic, where the log has it.
    #[must_use]
    pub fn partitions(&self, topic: Topic) -> Option<u32> {
        self.shared().layout.partitions(topic)
    }

    /// The id that the log was given when it was made.
    #[must_use]
    pub fn cluster_id(&self) -> Uuid {
        self.0.cluster_id
    }

    fn shared(&self) -> &Shared {
        &self.0.shared
    }

    fn options(&self) -> &LogOptions {
        &self.0.options
    }

    fn request(&self, request: Request) -> Result<(), LogError> {
        let requests = self.0.requests.as_ref().ok_or_else(stopped)?;
        requests.send(request).map_err(|_| stopped())
    }
}

impl Publisher for Log {
    /// All of them or none, so that a failed publish leaves nothing of any partition.
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        self.check(&records)?;
        Ok(self.enqueue(records).await?.placed().await?)
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            // A writer that panicked has nothing more to say here: its callers were told.
            let _ = writer.join();
        }
    }
}
