//! Reading a log again, up to given offsets, beside the process that writes it: a member of no
//! group.

use super::reader::{PageLimit, Read, offset_at, read_page, start_of};
use super::schema::{Layout, end_of, id_of, layout_of, open_reader, sql};
use domain::{Topic, TopicPartition};
use pipeline::ports::{Trouble, TroubleKind};
use pipeline::position::LogIdentity;
use pipeline::{GroupOffset, LogError, LogRange, Polled, Source};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// A log opened for reading only. Nothing is written, not even the wake-up of the process that
/// holds it.
#[derive(Debug)]
pub struct LogView {
    conn: Connection,
    layout: Layout,
    cluster_id: Uuid,
}

impl LogView {
    /// Opens the log of a data folder.
    ///
    /// # Errors
    /// Where there is none, or it cannot be read.
    pub fn open(dir: &Path) -> Result<Self, LogError> {
        if !dir.join(super::schema::FILE).is_file() {
            let hint = "start `sporelog up` or `sporelog import` first, or name another data folder";
            return Err(LogError::Fatal(format!("{} holds no log: {hint}", dir.display())));
        }
        let conn = open_reader(dir)?;
        let cluster_id = id_of(&conn)?;
        let layout = layout_of(&conn)?;
        Ok(Self { conn, layout, cluster_id })
    }

    /// Which log the partition belongs to.
    ///
    /// # Errors
    /// Where the log does not have it.
    pub fn identity(&self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        self.layout.identity(tp, self.cluster_id)
    }

    /// What a partition holds now.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn range(&self, tp: TopicPartition) -> Result<LogRange, LogError> {
        let end = self.end(tp)?;
        Ok(LogRange { start: start_of(&self.conn, self.layout.slot(tp)?, end)?, end })
    }

    /// The partitions of these topics.
    #[must_use]
    pub fn partitions(&self, topics: &[Topic]) -> Vec<TopicPartition> {
        let of = |topic: &Topic| {
            let topic = *topic;
            (0..self.layout.partitions(topic).unwrap_or(0)).map(move |ix| TopicPartition::new(topic, ix))
        };
        topics.iter().flat_map(of).collect()
    }

    /// The next offset to be appended to a partition.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn end(&self, tp: TopicPartition) -> Result<i64, LogError> {
        Ok(end_of(&self.conn, self.layout.slot(tp)?)?.0)
    }

    /// The offsets that a group has committed.
    ///
    /// # Errors
    /// Where the log cannot be read.
    pub fn committed(&self, group: &str, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        let select = "SELECT next_offset, metadata FROM group_offset WHERE grp = ?1 AND slot = ?2";
        let mut select = self.conn.prepare_cached(select).map_err(sql)?;
        let mut found = Vec::new();
        for tp in tps {
            let row = select.query_row(params![group, self.layout.slot(*tp)?], |row| Ok((row.get(0)?, row.get(1)?)));
            if let Some((next_offset, metadata)) = row.optional().map_err(sql)? {
                found.push(GroupOffset { tp: *tp, next_offset, metadata });
            }
        }
        Ok(found)
    }
}

/// A source that reads a log again from first offsets to ends, then cancels its token: the worker
/// commits what is in flight and stops.
///
/// It always ends. A partition that cannot be read on, for whatever reason, is told as trouble and
/// is then at its end, as is one that was halted or never sought.
#[derive(Debug)]
pub struct Replay {
    view: LogView,
    /// Where to start and end, by partition.
    bounds: BTreeMap<TopicPartition, LogRange>,
    /// Where reading stands, of partitions that are not at their end.
    cursors: BTreeMap<TopicPartition, i64>,
    announced: bool,
    done: CancellationToken,
    limit: PageLimit,
}

impl Replay {
    /// A replay of these bounds; `done` is cancelled when everything was handed out.
    #[must_use]
    pub fn new(view: LogView, bounds: BTreeMap<TopicPartition, LogRange>, done: CancellationToken) -> Self {
        let limit = PageLimit { bytes: 1 << 20, records: 8_192 };
        Self { view, bounds, cursors: BTreeMap::new(), announced: false, done, limit }
    }

    fn read(&self, tp: TopicPartition, from: i64, end: i64) -> Result<Read, LogError> {
        let slot = self.view.layout.slot(tp)?;
        read_page(&self.view.conn, (tp, slot), from, end, self.limit)
    }

    fn give_up(&mut self, trouble: Trouble) -> Polled {
        self.cursors.remove(&trouble.tp);
        Polled::Trouble(trouble)
    }
}

impl Source for Replay {
    async fn next(&mut self, _: Duration) -> Result<Polled, LogError> {
        if !self.announced {
            self.announced = true;
            return Ok(Polled::Assigned(self.bounds.keys().copied().collect()));
        }
        while let Some((&tp, &cursor)) = self.cursors.first_key_value() {
            let end = self.bounds.get(&tp).map_or(0, |bounds| bounds.end);
            if cursor >= end {
                self.cursors.remove(&tp);
                continue;
            }
            return Ok(match self.read(tp, cursor, end) {
                Ok(Read::Page(page)) => {
                    self.cursors.insert(tp, page.passed());
                    Polled::Page(page)
                }
                Ok(Read::Trouble(trouble)) => self.give_up(trouble),
                Err(error) => {
                    let text = format!("{tp} cannot be read at offset {cursor}: {error}");
                    self.give_up(Trouble { tp, offset: cursor, kind: TroubleKind::Unreadable, text })
                }
            });
        }
        self.done.cancel();
        Ok(Polled::Idle)
    }

    async fn identity(&mut self, tp: TopicPartition) -> Result<LogIdentity, LogError> {
        self.view.identity(tp)
    }

    async fn range(&mut self, tp: TopicPartition) -> Result<LogRange, LogError> {
        self.bounds.get(&tp).copied().ok_or(LogError::NotOwner(tp))
    }

    /// Never before the start of the bounds, nor behind their end.
    async fn offset_at(&mut self, tp: TopicPartition, append_time_us: i64) -> Result<i64, LogError> {
        let range = self.range(tp).await?;
        // Reading from the start is right, too, and names what is wrong.
        let found = self.view.layout.slot(tp).and_then(|slot| offset_at(&self.view.conn, slot, range, append_time_us));
        Ok(found.unwrap_or(range.start))
    }

    async fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        self.cursors.insert(tp, offset);
        Ok(())
    }

    fn halt(&mut self, tp: TopicPartition) {
        self.cursors.remove(&tp);
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
