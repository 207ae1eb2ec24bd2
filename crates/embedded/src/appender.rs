//! Appending to the log of a data folder, whoever holds it.

use crate::folder::{DataFolder, FolderError};
use crate::log::{Log, LogOptions, Pending, Placed};
use crate::socket::{Answer, AppendServer, Connection, lost};
use domain::topics::TopicSpec;
use pipeline::error::Unpublished;
use pipeline::{LogError, OutRecord, Publisher, SystemClock};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Mutex, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout_at};

/// How long a process that holds the folder may take until its socket answers.
const PATIENCE: Duration = Duration::from_secs(5);
const RETRY: Duration = Duration::from_millis(20);

/// Appends to the log of a data folder: over the socket where another process holds the folder, else by opening the log
/// itself (and serving the socket meanwhile). Where the other process goes away, the next append decides anew.
#[derive(Debug)]
pub struct Appender {
    dir: PathBuf,
    topics: Vec<TopicSpec>,
    options: LogOptions,
    way: Mutex<Arc<Way>>,
}

#[derive(Debug)]
enum Way {
    Local { log: Log, server: JoinHandle<()> },
    Remote(Connection),
}

impl Drop for Way {
    fn drop(&mut self) {
        if let Self::Local { server, .. } = self {
            server.abort();
        }
    }
}

/// Records handed over but not yet acknowledged.
#[derive(Debug)]
pub struct InFlight(Flight);

#[derive(Debug)]
enum Flight {
    Local(Pending, Arc<Way>),
    Remote(Vec<oneshot::Receiver<Answer>>, Arc<Way>),
}

impl InFlight {
    /// Waits until every record is on disk; gives where each went, in the order handed over.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] where the other process went away: then the records may or may not be appended.
    pub async fn placed(self) -> Result<Vec<Placed>, LogError> {
        self.published().await.map_err(|unpublished| unpublished.error)
    }

    async fn published(self) -> Answer {
        match self.0 {
            Flight::Local(pending, _way) => Ok(pending.placed().await?),
            Flight::Remote(answers, _way) => {
                let mut placed = Vec::new();
                for answer in answers {
                    placed.extend(answer.await.unwrap_or_else(|_| Err(lost().into()))?);
                }
                Ok(placed)
            }
        }
    }
}

impl Appender {
    /// Finds the way to the log of this folder. `topics` and `options` serve where this process has to open it itself.
    ///
    /// # Errors
    /// [`LogError::Unavailable`] where a process holds the folder but does not answer.
    pub async fn connect(dir: impl AsRef<Path>, topics: &[TopicSpec], options: LogOptions) -> Result<Self, LogError> {
        let dir = dir.as_ref().to_owned();
        let way = Arc::new(find(&dir, topics, &options).await?);
        Ok(Self { dir, topics: topics.to_vec(), options, way: Mutex::new(way) })
    }

    /// Whether this process has opened the log itself.
    pub async fn is_local(&self) -> bool {
        matches!(**self.way.lock().await, Way::Local { .. })
    }

    /// Queues records; waits only for room. All of them are appended or none, over the socket too.
    ///
    /// # Errors
    /// [`LogError::Refused`] for a record that is too large, or for more than the socket takes at once.
    pub async fn submit(&self, records: Vec<OutRecord>) -> Result<InFlight, LogError> {
        self.send(records).await.map_err(|unpublished| unpublished.error)
    }

    async fn send(&self, records: Vec<OutRecord>) -> Result<InFlight, Unpublished> {
        let way = self.way().await?;
        Ok(InFlight(match &*way {
            Way::Local { log, .. } => {
                log.check(&records)?;
                Flight::Local(log.enqueue(records).await?, way)
            }
            Way::Remote(connection) => Flight::Remote(connection.submit(records).await?, way),
        }))
    }

    /// Appends records; returns when every one of them is on disk, with where each went.
    pub async fn append(&self, records: Vec<OutRecord>) -> Result<Vec<Placed>, LogError> {
        self.submit(records).await?.placed().await
    }

    async fn way(&self) -> Result<Arc<Way>, LogError> {
        let mut way = self.way.lock().await;
        if matches!(&**way, Way::Remote(connection) if connection.is_closed()) {
            *way = Arc::new(find(&self.dir, &self.topics, &self.options).await?);
        }
        Ok(way.clone())
    }
}

impl Publisher for Appender {
    /// All of them or none. Where the other process goes away meanwhile it is not known which; what it appends is whole.
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        self.send(records).await?.published().await
    }
}

/// Takes the folder, or connects to who holds it: a process may hold it without a socket while it starts or stops.
async fn find(dir: &Path, topics: &[TopicSpec], options: &LogOptions) -> Result<Way, LogError> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let held = match DataFolder::open(dir) {
            Ok(folder) => return open(folder, topics, options),
            Err(error @ FolderError::Io { .. }) => return Err(LogError::Fatal(error.to_string())),
            Err(error @ FolderError::Held { .. }) => error,
        };
        let connected = timeout_at(deadline, Connection::open(dir)).await;
        match connected.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into())) {
            Ok(connection) => return Ok(Way::Remote(connection)),
            Err(error) if Instant::now() >= deadline => {
                return Err(LogError::Unavailable(format!("{held}; it does not take appends either ({error})")));
            }
            Err(_) => sleep(RETRY).await,
        }
    }
}

fn open(folder: DataFolder, topics: &[TopicSpec], options: &LogOptions) -> Result<Way, LogError> {
    let folder = Arc::new(folder);
    let log = Log::open_held(folder.clone(), topics, options.clone(), SystemClock::new())?;
    let server = tokio::spawn(AppendServer::bind(folder.path())?.serve(log.clone()));
    Ok(Way::Local { log, server })
}
