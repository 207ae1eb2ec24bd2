//! The one writer of `log.db`: a thread that commits the requests of many callers in one transaction.
//!
//! Per round it takes what is queued (up to [`ROUND_BYTES`]), writes it, commits (one fsync), publishes the new log
//! ends, wakes the consumers, and only then acknowledges. Where a round of several requests fails, each is tried
//! alone, so that one caller's trouble is not another's. Checkpoints run after the acknowledgements.
//!
//! Group offsets go through the same thread: that a member owns a partition is checked in the round that commits
//! its offset, and reading committed offsets is a request too. So once a partition has passed to another member, what
//! that member reads is final, and commits of the former one are refused.

use super::Shared;
use super::append_time::AppendTime;
use super::schema::{end_of, record_id, sql};
use domain::TopicPartition;
use pipeline::ports::Placed;
use pipeline::{GroupOffset, LogError, OutRecord};
use rusqlite::{Connection, OptionalExtension as _, params};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Receiver;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use uuid::Uuid;

/// A round takes no more requests once it holds this much.
const ROUND_BYTES: usize = 8 << 20;
/// Memory of a record beside its bytes, for the bound of the queue.
const RECORD_OVERHEAD: usize = 128;

type Reply<T> = oneshot::Sender<Result<T, LogError>>;

/// A request to the writer.
pub(super) enum Request {
    Append { records: Vec<OutRecord>, reply: Reply<Vec<Placed>>, room: OwnedSemaphorePermit },
    Commit { group: String, member: u64, offsets: Vec<GroupOffset>, reply: Reply<()> },
    Committed { group: String, tps: Vec<TopicPartition>, reply: Reply<Vec<GroupOffset>> },
    Bind { group: String, target: Uuid, reply: Reply<bool> },
}

/// What a request gave, to be told after the commit.
enum Outcome {
    Placed(Vec<Placed>),
    Stored,
    Read(Vec<GroupOffset>),
    Bound(bool),
}

/// The bytes that a record takes of the queue.
pub(super) fn weight(record: &OutRecord) -> usize {
    record.key.len() + record.value.len() + record.headers.as_bytes().len() + RECORD_OVERHEAD
}

impl Request {
    fn weight(&self) -> usize {
        match self {
            Self::Append { room, .. } => room.num_permits(),
            Self::Commit { .. } | Self::Committed { .. } | Self::Bind { .. } => RECORD_OVERHEAD,
        }
    }

    fn tell(self, result: Result<Outcome, LogError>) {
        // A caller who no longer listens has given up waiting, not the record.
        match (self, result) {
            (Self::Append { reply, .. }, Ok(Outcome::Placed(placed))) => drop(reply.send(Ok(placed))),
            (Self::Commit { reply, .. }, Ok(Outcome::Stored)) => drop(reply.send(Ok(()))),
            (Self::Committed { reply, .. }, Ok(Outcome::Read(offsets))) => drop(reply.send(Ok(offsets))),
            (Self::Bind { reply, .. }, Ok(Outcome::Bound(kept))) => drop(reply.send(Ok(kept))),
            (Self::Bind { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
            (Self::Append { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
            (Self::Commit { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
            (Self::Committed { reply, .. }, Err(error)) => drop(reply.send(Err(error))),
            (_, Ok(_)) => {}
        }
    }
}

pub(super) struct Writer {
    pub(super) conn: Connection,
    pub(super) shared: Arc<Shared>,
    pub(super) append_time: AppendTime,
    pub(super) checkpoint_bytes: usize,
    /// Bytes written since the last full checkpoint.
    pub(super) since_checkpoint: usize,
}

impl Writer {
    /// Serves requests until every handle of the log is gone.
    pub(super) fn run(mut self, requests: &Receiver<Request>) {
        while let Ok(first) = requests.recv() {
            let mut bytes = first.weight();
            let mut round = vec![first];
            while bytes < ROUND_BYTES {
                let Ok(next) = requests.try_recv() else { break };
                bytes += next.weight();
                round.push(next);
            }
            self.since_checkpoint += bytes;
            self.serve(round);
            self.checkpoint();
        }
    }

    fn serve(&mut self, round: Vec<Request>) {
        match self.commit(&round) {
            Ok(outcomes) => round.into_iter().zip(outcomes).for_each(|(request, outcome)| request.tell(outcome)),
            Err(_) if round.len() > 1 => round.into_iter().for_each(|request| self.serve(vec![request])),
            Err(error) => round.into_iter().for_each(|request| request.tell(Err(again(&error)))),
        }
    }

    fn commit(&mut self, round: &[Request]) -> Result<Vec<Result<Outcome, LogError>>, LogError> {
        let mut ends = BTreeMap::new();
        // Only appends need the time: groups go on, whatever the clock does.
        let now_us = self.append_time.next(&*self.shared.clock);
        let outcomes = self.write(round, now_us.as_ref(), &mut ends);
        if outcomes.is_err() {
            // What SQLite has not rolled back by itself; a failed COMMIT leaves the transaction open.
            if !self.conn.is_autocommit() {
                let _ = self.conn.execute_batch("ROLLBACK");
            }
            return outcomes;
        }
        for (slot, end) in &ends {
            self.shared.ends[*slot as usize].store(*end, Ordering::Release);
        }
        if let (Ok(now_us), false) = (now_us, ends.is_empty()) {
            self.append_time.given(now_us);
            self.shared.wake();
        }
        outcomes
    }

    fn write(
        &self,
        round: &[Request],
        now_us: Result<&i64, &LogError>,
        ends: &mut BTreeMap<u32, i64>,
    ) -> Result<Vec<Result<Outcome, LogError>>, LogError> {
        self.conn.execute_batch("BEGIN IMMEDIATE").map_err(sql)?;
        let mut outcomes = Vec::with_capacity(round.len());
        for request in round {
            outcomes.push(match request {
                Request::Append { records, .. } => match now_us {
                    Ok(now_us) => self.append(records, *now_us, ends).map(|placed| Ok(Outcome::Placed(placed))),
                    Err(error) => Ok(Err(again(error))),
                },
                Request::Commit { group, member, offsets, .. } => self.store(group, *member, offsets),
                Request::Committed { group, tps, .. } => self.read(group, tps).map(|read| Ok(Outcome::Read(read))),
                Request::Bind { group, target, .. } => self.bind(group, *target).map(|kept| Ok(Outcome::Bound(kept))),
            }?);
        }
        self.conn.execute_batch("COMMIT").map_err(sql)?;
        Ok(outcomes)
    }

    fn append(
        &self,
        records: &[OutRecord],
        now_us: i64,
        ends: &mut BTreeMap<u32, i64>,
    ) -> Result<Vec<Placed>, LogError> {
        let insert = "INSERT INTO record (id, append_us, key, value, headers) VALUES (?1, ?2, ?3, ?4, ?5)";
        let mut insert = self.conn.prepare_cached(insert).map_err(sql)?;
        let mut placed = Vec::with_capacity(records.len());
        for record in records {
            let tp = self.shared.place(record.topic, &record.key)?;
            let slot = self.shared.layout.slot(tp)?;
            let end = ends.entry(slot).or_insert_with(|| self.shared.ends[slot as usize].load(Ordering::Acquire));
            let row = params![record_id(slot, *end), now_us, record.key, record.value, record.headers.as_bytes()];
            insert.execute(row).map_err(sql)?;
            placed.push(Placed { tp, offset: *end });
            *end += 1;
        }
        Ok(placed)
    }

    /// Stores a member's offsets; the inner result is refusal of this request, the outer one failure of the round.
    fn store(&self, group: &str, member: u64, offsets: &[GroupOffset]) -> Result<Result<Outcome, LogError>, LogError> {
        let now_us = self.shared.clock.monotonic_us();
        {
            let mut assigner = self.shared.assigner();
            if let Some(lost) = offsets.iter().find(|offset| !assigner.owns(group, member, offset.tp, now_us)) {
                return Ok(Err(LogError::NotOwner(lost.tp)));
            }
        }
        let upsert = "INSERT OR REPLACE INTO group_offset (grp, slot, next_offset, metadata) VALUES (?1, ?2, ?3, ?4)";
        let mut upsert = self.conn.prepare_cached(upsert).map_err(sql)?;
        for offset in offsets {
            let slot = self.shared.layout.slot(offset.tp)?;
            upsert.execute(params![group, slot, offset.next_offset, offset.metadata]).map_err(sql)?;
        }
        Ok(Ok(Outcome::Stored))
    }

    fn read(&self, group: &str, tps: &[TopicPartition]) -> Result<Vec<GroupOffset>, LogError> {
        let select = "SELECT next_offset, metadata FROM group_offset WHERE grp = ?1 AND slot = ?2";
        let mut select = self.conn.prepare_cached(select).map_err(sql)?;
        let mut read = Vec::new();
        for tp in tps {
            let slot = self.shared.layout.slot(*tp)?;
            let found = select.query_row(params![group, slot], |row| {
                Ok(GroupOffset { tp: *tp, next_offset: row.get(0)?, metadata: row.get(1)? })
            });
            read.extend(found.optional().map_err(sql)?);
        }
        Ok(read)
    }

    /// Notes what a group writes to; where that is something else than before, its offsets are forgotten.
    fn bind(&self, group: &str, target: Uuid) -> Result<bool, LogError> {
        let select = "SELECT target = ?2 FROM group_target WHERE grp = ?1";
        let held = self.conn.query_row(select, params![group, target.as_bytes()], |row| row.get(0)).optional();
        let kept = held.map_err(sql)?.unwrap_or(false);
        if !kept {
            self.conn.execute("DELETE FROM group_offset WHERE grp = ?1", [group]).map_err(sql)?;
            let upsert = "INSERT OR REPLACE INTO group_target (grp, target) VALUES (?1, ?2)";
            self.conn.execute(upsert, params![group, target.as_bytes()]).map_err(sql)?;
        }
        Ok(kept)
    }

    /// Moves the write-ahead log into the file once it is large. Readers may hold a passive checkpoint back; at
    /// four times the size the next one waits for them, so that the log stays bounded (I8).
    fn checkpoint(&mut self) {
        if self.since_checkpoint < self.checkpoint_bytes {
            return;
        }
        let mode = if self.since_checkpoint < 4 * self.checkpoint_bytes { "PASSIVE" } else { "RESTART" };
        let complete = self.conn.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |row| {
            let (busy, frames, moved): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok(busy == 0 && frames == moved)
        });
        if matches!(complete, Ok(true)) {
            self.since_checkpoint = 0;
        }
    }

    /// Reads the end of every partition, and the last append time, from the file.
    pub(super) fn recover(conn: &Connection, slots: u32) -> Result<(Vec<i64>, i64), LogError> {
        let mut last_us = i64::MIN;
        let mut ends = Vec::with_capacity(slots as usize);
        for slot in 0..slots {
            let (end, append_us) = end_of(conn, slot)?;
            last_us = last_us.max(append_us);
            ends.push(end);
        }
        Ok((ends, last_us))
    }
}

/// The same error once more, for another caller.
fn again(error: &LogError) -> LogError {
    match error {
        LogError::Unavailable(text) => LogError::Unavailable(text.clone()),
        LogError::NotOwner(tp) => LogError::NotOwner(*tp),
        LogError::Refused(text) => LogError::Refused(text.clone()),
        LogError::Setting(text) => LogError::Setting(text.clone()),
        LogError::Fatal(text) => LogError::Fatal(text.clone()),
    }
}
