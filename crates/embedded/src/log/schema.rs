//! The file `log.db`: its tables, how it is opened, and where each partition lies in it.
//!
//! A record's id is `slot << 40 | offset`; slots number the partitions of all topics in the order in which the
//! topics came. So the records of a partition lie side by side, and a fetch is one range scan of the primary key.

use super::LogOptions;
use crate::folder::private_file;
use domain::topics::TopicSpec;
use domain::{Topic, TopicPartition};
use pipeline::LogError;
use pipeline::position::LogIdentity;
use rusqlite::{Connection, ErrorCode, OpenFlags, OptionalExtension as _, params};
use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

pub(super) const FILE: &str = "log.db";
/// The version of the physical form.
const FORMAT: i64 = 1;
const OFFSET_BITS: u32 = 40;
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

const DDL: &str = "
CREATE TABLE IF NOT EXISTS meta (one INTEGER PRIMARY KEY CHECK (one = 1), format INTEGER NOT NULL, cluster_id BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS topic (name TEXT PRIMARY KEY, partitions INTEGER NOT NULL, first_slot INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS record (id INTEGER PRIMARY KEY, append_us INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL, headers BLOB NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS group_offset (grp TEXT NOT NULL, slot INTEGER NOT NULL, next_offset INTEGER NOT NULL, metadata TEXT NOT NULL, PRIMARY KEY (grp, slot)) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS group_target (grp TEXT PRIMARY KEY, target BLOB NOT NULL) STRICT, WITHOUT ROWID;
";

/// The id of the record at this offset of the partition in this slot.
pub(super) const fn record_id(slot: u32, offset: i64) -> i64 {
    (slot as i64) << OFFSET_BITS | offset
}

/// The offset within its partition of the record with this id.
pub(super) const fn offset_of(id: i64) -> i64 {
    id & ((1 << OFFSET_BITS) - 1)
}

/// Which topics there are, and in which slots their partitions lie.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// First slot and number of partitions, by topic.
    topics: BTreeMap<Topic, (u32, u32)>,
    slots: u32,
}

impl Layout {
    /// The slot of a partition.
    pub(super) fn slot(&self, tp: TopicPartition) -> Result<u32, LogError> {
        match self.topics.get(&tp.topic) {
            Some((first, count)) if tp.partition < *count => Ok(first + tp.partition),
            _ => Err(LogError::Fatal(format!("{tp} is not in this log: open the log with a topics.yaml that has it"))),
        }
    }

    /// The number of partitions of a topic.
    pub(super) fn partitions(&self, topic: Topic) -> Option<u32> {
        self.topics.get(&topic).map(|(_, count)| *count)
    }

    /// Which log a partition belongs to.
    pub(super) fn identity(&self, tp: TopicPartition, cluster_id: Uuid) -> Result<LogIdentity, LogError> {
        self.slot(tp)?;
        let partitions = self.partitions(tp.topic).unwrap_or(0);
        Ok(LogIdentity { cluster_id: cluster_id.to_string(), topic_id: String::new(), partitions })
    }

    /// The topics with their partition counts.
    pub(super) fn counts(&self) -> BTreeMap<Topic, u32> {
        self.topics.iter().map(|(topic, (_, count))| (*topic, *count)).collect()
    }

    /// The number of slots, those of topics unknown to this version too.
    pub(super) fn slots(&self) -> u32 {
        self.slots
    }
}

/// The file of a log in this folder.
pub(super) fn file(dir: &Path) -> PathBuf {
    dir.join(FILE)
}

/// Opens the log for its one writer, making it where it is missing.
pub(super) fn open_writer(dir: &Path, options: &LogOptions) -> Result<Connection, LogError> {
    let path = file(dir);
    let io = |error: std::io::Error| {
        let remedy = "see that its folder is on a local disk and that this user may write there";
        LogError::Fatal(format!("{} cannot be opened: {error}; {remedy}", path.display()))
    };
    private_file(&path).map_err(io)?;
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(io)?;
    let conn = Connection::open_with_flags(&path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
        .map_err(sql)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    conn.pragma_update(None, "journal_mode", "WAL").map_err(sql)?;
    conn.pragma_update(None, "synchronous", "FULL").map_err(sql)?;
    // The writer checkpoints by itself, after it has acknowledged.
    conn.pragma_update(None, "wal_autocheckpoint", 0).map_err(sql)?;
    conn.pragma_update(None, "journal_size_limit", options.checkpoint_bytes as i64).map_err(sql)?;
    if let Some(limit) = options.max_log_bytes {
        let page_size: i64 = conn.pragma_query_value(None, "page_size", |row| row.get(0)).map_err(sql)?;
        conn.pragma_update(None, "max_page_count", (limit as i64 / page_size).max(1)).map_err(sql)?;
    }
    Ok(conn)
}

/// Opens the log for reading.
pub(super) fn open_reader(dir: &Path) -> Result<Connection, LogError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let conn = Connection::open_with_flags(file(dir), flags).map_err(sql)?;
    conn.busy_timeout(BUSY_TIMEOUT).map_err(sql)?;
    Ok(conn)
}

/// Makes tables and topics that are missing; gives back the layout and the cluster id.
pub(super) fn prepare(conn: &mut Connection, specs: &[TopicSpec]) -> Result<(Layout, Uuid), LogError> {
    let tx = conn.transaction().map_err(sql)?;
    tx.execute_batch(DDL).map_err(sql)?;
    let minted = Uuid::now_v7();
    tx.execute("INSERT OR IGNORE INTO meta VALUES (1, ?1, ?2)", params![FORMAT, minted.as_bytes()]).map_err(sql)?;
    let cluster_id = id_of(&tx)?;
    for spec in specs {
        place(&tx, spec)?;
    }
    let layout = layout_of(&tx)?;
    tx.commit().map_err(sql)?;
    Ok((layout, cluster_id))
}

/// The id that the log was given when it was made.
///
/// # Errors
/// [`LogError::Fatal`] where it was written in another format, or is damaged: a log without its id is no log that a
/// position can belong to (I2).
pub(super) fn id_of(conn: &Connection) -> Result<Uuid, LogError> {
    let read = conn.query_row("SELECT format, cluster_id FROM meta", [], |row| Ok((row.get(0)?, row.get(1)?)));
    let (format, id): (i64, Vec<u8>) = read.map_err(sql)?;
    if format != FORMAT {
        return Err(LogError::Fatal(format!(
            "log.db has format {format}, this version reads format {FORMAT}: use the version of sporelog that wrote it"
        )));
    }
    Uuid::from_slice(&id).map_err(|error| {
        LogError::Fatal(format!("log.db is damaged, its id cannot be read ({error}): restore it from a backup"))
    })
}

fn place(conn: &Connection, spec: &TopicSpec) -> Result<(), LogError> {
    let (name, wanted) = (spec.topic.name(), spec.partitions);
    let held: Option<u32> = conn
        .query_row("SELECT partitions FROM topic WHERE name = ?1", [name], |row| row.get(0))
        .optional()
        .map_err(sql)?;
    match held {
        Some(held) if held == wanted => Ok(()),
        Some(held) => Err(LogError::Fatal(format!(
            "{name} has {held} partitions in log.db, topics.yaml wants {wanted}: partition counts never change in place (I9); \
             set it back to {held}, or start with a new data folder and import the old log"
        ))),
        None => {
            let insert = "INSERT INTO topic SELECT ?1, ?2, coalesce(max(first_slot + partitions), 0) FROM topic";
            conn.execute(insert, params![name, wanted]).map(|_| ()).map_err(sql)
        }
    }
}

pub(super) fn layout_of(conn: &Connection) -> Result<Layout, LogError> {
    let mut layout = Layout::default();
    let mut query = conn.prepare("SELECT name, first_slot, partitions FROM topic").map_err(sql)?;
    let rows = query.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, u32>(1)?, row.get::<_, u32>(2)?)));
    for row in rows.map_err(sql)? {
        let (name, first, count) = row.map_err(sql)?;
        layout.slots = layout.slots.max(first + count);
        if let Some(topic) = Topic::from_name(&name) {
            layout.topics.insert(topic, (first, count));
        }
    }
    Ok(layout)
}

/// The next offset of the partition in this slot, and the append time of its last record in us.
pub(super) fn end_of(conn: &Connection, slot: u32) -> Result<(i64, i64), LogError> {
    let last = "SELECT id, append_us FROM record WHERE id BETWEEN ?1 AND ?2 ORDER BY id DESC LIMIT 1";
    let bounds = params![record_id(slot, 0), record_id(slot + 1, 0) - 1];
    let mut query = conn.prepare_cached(last).map_err(sql)?;
    let found = query.query_row(bounds, |row| Ok((offset_of(row.get(0)?) + 1, row.get(1)?)));
    Ok(found.optional().map_err(sql)?.unwrap_or((0, i64::MIN)))
}

/// Sorts an error of SQLite by what the caller must do about it: what an operator can mend is an outage (I7).
pub(super) fn sql(error: rusqlite::Error) -> LogError {
    use ErrorCode as Code;
    let unavailable = |remedy: &str| LogError::Unavailable(format!("log.db: {error}: {remedy}"));
    match error.sqlite_error_code() {
        Some(Code::DiskFull) => LogError::Unavailable(format!("no room for log.db: free disk space ({error})")),
        Some(Code::DatabaseBusy | Code::DatabaseLocked | Code::OutOfMemory | Code::FileLockingProtocolFailed) => {
            LogError::Unavailable(format!("log.db: {error}"))
        }
        Some(Code::SystemIoFailure) => unavailable("look at the disk and at the system's log"),
        Some(Code::CannotOpen) => {
            unavailable("see that the data folder exists and that this user may read and write it")
        }
        Some(Code::ReadOnly | Code::PermissionDenied | Code::AuthorizationForStatementDenied) => unavailable(
            "give this user write access to the file and its folder, on a file system that is mounted for writing",
        ),
        Some(Code::TooBig) => LogError::Refused(error.to_string()),
        Some(Code::DatabaseCorrupt | Code::NotADatabase) => {
            LogError::Fatal(format!("log.db is damaged ({error}): restore the data folder from a backup"))
        }
        _ => LogError::Fatal(format!("log.db: {error}")),
    }
}
