//! What a skip would do, and why it may not.

use crate::backend::{Look, positions};
use crate::standing::trouble;
use anyhow::{Result, bail};
use domain::{Projection, TopicPartition};
use pipeline::{Counts, GroupPosition, LogIdentity, LogRange, ParkNote, Parked, Position, compare_logs};
use serde_json::json;
use std::fmt;

/// A skip that may be done.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The projection.
    pub projection: &'static Projection,
    /// Where it stands; the beginning of the log where it has no position there.
    pub position: Position,
    /// Whether it has one.
    pub has_position: bool,
    /// Where it goes on.
    pub to: i64,
    /// The log, as it is.
    pub log: LogIdentity,
    range: LogRange,
    parked: Option<ParkNote>,
}

impl Plan {
    /// Looks at log and position, and refuses what would lose more than is meant.
    pub async fn new<L: Look>(look: &L, projection: &'static Projection, tp: TopicPartition, to: i64) -> Result<Self> {
        if !projection.topics.contains(&tp.topic) {
            let names: Vec<_> = projection.topics.iter().map(|topic| topic.name()).collect();
            bail!("{} does not read {}: it reads {}", projection.name, tp.topic, names.join(", "));
        }
        let tps = look.partitions(&[tp.topic]).await?;
        if !tps.contains(&tp) {
            bail!("{} has {} partitions: there is no {tp}", tp.topic, tps.len());
        }
        let Some(range) = look.ranges(&[tp]).await?.remove(&tp) else { bail!("{tp} is gone from the log") };
        let Some(log) = look.identities(&[tp]).await?.remove(&tp) else { bail!("{tp} is gone from the log") };
        let held = positions(look, projection, &[tp]).await?.into_iter().find(|held| held.position.tp == tp);
        Self::check(projection, (tp, held), log, range, to)
    }

    pub(super) fn check(
        projection: &'static Projection,
        (tp, held): (TopicPartition, Option<GroupPosition>),
        log: Result<LogIdentity, String>,
        range: LogRange,
        to: i64,
    ) -> Result<Self> {
        let parked = held.as_ref().and_then(|held| trouble(projection.name, held, Some(&log), range));
        let log = match log {
            Ok(log) => log,
            // Passing over offsets does not mend a setting.
            Err(text) => bail!("{text}"),
        };
        // A partition may be parked before it was ever read: the stores give its note without a
        // position.
        let held = held.filter(|held| held.log != LogIdentity::default() || held.position.next_offset > 0);
        if let Some(held) = held.as_ref().filter(|held| held.log != LogIdentity::default())
            && let Err(cause) = compare_logs(&held.log, &log)
        {
            let (projection, offset) = (projection.name, held.position.next_offset);
            let parked = Parked { projection, tp, offset, cause, since_us: 0 };
            bail!("a position is never carried over to another log. {parked}");
        }
        let has_position = held.is_some();
        let position = held.map_or(Position::start(tp, range.start), |held| held.position);
        let from = position.next_offset;
        if to <= from {
            bail!("{} stands at offset {from} of {tp}: a skip goes ahead, never back to {to}", projection.name);
        }
        if to > range.end {
            bail!("{tp} ends at offset {}: a skip to {to} would pass over records that are not written yet", range.end);
        }
        Ok(Self { projection, position, has_position, to, log, range, parked })
    }

    /// The partition.
    pub fn tp(&self) -> TopicPartition {
        self.position.tp
    }

    /// Where it stands.
    pub fn from(&self) -> i64 {
        self.position.next_offset
    }

    /// The offsets passed over.
    pub fn lost(&self) -> i64 {
        self.to - self.from()
    }

    /// Those of them that the log still holds.
    pub fn still_held(&self) -> i64 {
        (self.to - self.from().max(self.range.start)).max(0)
    }

    /// The position behind the skip, on top of one that may have been claimed since.
    pub fn advance(&self, position: Position) -> Position {
        let counts = Counts { lost: position.counts.lost + self.lost(), ..position.counts };
        // Neither the record before the position was passed, nor can the window be refilled over
        // what cannot be read: both begin anew here.
        Position { next_offset: self.to, counts, last: None, window_from: Some(self.to), ..position }
    }

    /// What comes next.
    pub fn next_step(&self) -> String {
        let (name, tp, to) = (self.projection.name, self.tp(), self.to);
        if name == ingest::PROJECTION.name {
            format!("{name} goes on at offset {to} of {tp} when ingest is started again; then: sporelog lag")
        } else {
            format!(
                "{name} goes on at offset {to} of {tp} when its worker tries the partition again \
                 (worker.park_retry_max_ms at most); then: sporelog lag"
            )
        }
    }

    /// The plan for programs.
    pub fn json(&self, is_done: bool) -> serde_json::Value {
        json!({
            "projection": self.projection.name,
            "topic": self.tp().topic.name(),
            "partition": self.tp().partition,
            "from": self.from(),
            "to": self.to,
            "lost": self.lost(),
            "still_in_log": self.still_held(),
            "log": {
                "cluster_id": self.log.cluster_id, "topic_id": self.log.topic_id, "partitions": self.log.partitions
            },
            "parked": self.parked.as_ref().map(|note| json!({"cause": note.cause, "offset": note.offset})),
            "done": is_done,
            "next": is_done.then(|| self.next_step()),
        })
    }
}

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, tp) = (self.projection.name, self.tp());
        let LogIdentity { cluster_id, topic_id, partitions } = &self.log;
        match &self.parked {
            Some(note) => writeln!(f, "{}", note.text)?,
            None => writeln!(f, "{name} is not parked at {tp}: what is passed over could be applied")?,
        }
        if let Some(note) = self.parked.as_ref().filter(|note| note.offset > self.from() && note.offset < self.to) {
            writeln!(f, "the offsets before {} could still be applied: let a worker run first", note.offset)?;
        }
        let topic_id = if topic_id.is_empty() { String::new() } else { format!(", topic id {topic_id}") };
        writeln!(f, "log: cluster {cluster_id}{topic_id}, {partitions} partitions")?;
        write!(
            f,
            "plan: {name} passes over the offsets {} to {} of {tp}: {} are counted as lost, {} of them are still in the log",
            self.from(),
            self.to - 1,
            self.lost(),
            self.still_held()
        )
    }
}
