//! The embedded log as a file: for verbs that look into it, also beside the process that writes it.
//!
//! A record's id is its partition's slot in the upper bits and its offset in the lower 40; a topic's partitions
//! have consecutive slots (see `embedded::log`).

use anyhow::{Context as _, Result, bail};
use domain::{Topic, TopicPartition};
use pipeline::Record;
use rusqlite::{Connection, OpenFlags, OptionalExtension as _, params};
use std::path::Path;
use std::time::Duration;

const OFFSET_BITS: u32 = 40;
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// A log opened for reading.
#[derive(Debug)]
pub struct LogFile(Connection);

impl LogFile {
    /// The log of a data folder; none where there is none yet.
    pub fn find(dir: &Path) -> Result<Option<Self>> {
        let path = dir.join("log.db");
        if !path.is_file() {
            return Ok(None);
        }
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection =
            Connection::open_with_flags(&path, flags).with_context(|| format!("cannot read {}", path.display()))?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        Ok(Some(Self(connection)))
    }

    /// The log of a data folder, which must be there.
    pub fn open(dir: &Path) -> Result<Self> {
        let Some(log) = Self::find(dir)? else {
            bail!(
                "there is no log in the data folder {} yet: start `sporelog up` first, or name another folder with --data-dir",
                dir.display()
            );
        };
        Ok(log)
    }

    /// Calls `visit` with every record of a topic, partition by partition, in offset order.
    pub fn records(&self, topic: Topic, mut visit: impl FnMut(&Record<'_>)) -> Result<()> {
        let select = "SELECT partitions, first_slot FROM topic WHERE name = ?1";
        let slots = self.0.query_row(select, [topic.name()], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, i64>(1)?)));
        let Some((partitions, first)) = slots.optional()? else {
            return Ok(());
        };
        let mut statement = self
            .0
            .prepare("SELECT id, append_us, key, value, headers FROM record WHERE id >= ?1 AND id < ?2 ORDER BY id")?;
        for partition in 0..partitions {
            let slot = first + i64::from(partition);
            let mut rows = statement.query(params![slot << OFFSET_BITS, (slot + 1) << OFFSET_BITS])?;
            while let Some(row) = rows.next()? {
                visit(&Record {
                    tp: TopicPartition::new(topic, partition),
                    offset: row.get::<_, i64>(0)? & ((1 << OFFSET_BITS) - 1),
                    append_time_us: row.get(1)?,
                    key: row.get_ref(2)?.as_blob()?,
                    value: row.get_ref(3)?.as_blob()?,
                    headers: row.get_ref(4)?.as_blob()?,
                });
            }
        }
        Ok(())
    }
}
