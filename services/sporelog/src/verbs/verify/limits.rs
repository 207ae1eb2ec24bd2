//! What of a projection can be compared with the log: the log may not hold any more, or not in a
//! readable form, what a partition was folded from.

use crate::backend::{Look, Ranges, each_record};
use anyhow::Result;
use domain::table::{Merge, Table};
use domain::{Projection, Topic, TopicPartition};
use pipeline::{GroupPosition, LogIdentity, LogRange, Parked, Position, check_range, compare_logs};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;

/// Why a partition cannot be folded again as it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Limit {
    /// Its first records have expired.
    Expired {
        /// Where the projection began to read.
        first: i64,
        /// Where the log begins by now.
        start: i64,
    },
    /// Records that a later one of their key replaced are gone.
    Compacted {
        /// How many, of those that were read.
        gone: i64,
    },
    /// An operator passed over records.
    Lost(i64),
    /// It cannot be read to the position, or is another log: in the words of who found it.
    Parked(String),
    /// Its account begins where an operator's tool has set the group's offset.
    Unaccounted(i64),
}

impl Limit {
    /// What the limit is, for partitions that share it.
    fn kind(&self) -> &'static str {
        match self {
            Limit::Expired { .. } => "first records have expired",
            Limit::Compacted { .. } => "records are compacted away",
            Limit::Lost(_) => "records were passed over by an operator",
            Limit::Parked(_) => "the log cannot be read up to the position",
            Limit::Unaccounted(_) => "the group's offset was set from outside",
        }
    }

    /// Whether what is left of the log is still what the projection read there.
    fn leaves_rest(&self) -> bool {
        matches!(self, Limit::Expired { .. } | Limit::Compacted { .. })
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Limit::Expired { first, start } => write!(f, "read from offset {first} on, the log begins at {start}"),
            Limit::Compacted { gone } => write!(f, "{gone} of the records read"),
            Limit::Lost(records) => write!(f, "{records} offsets"),
            Limit::Parked(text) => f.write_str(text),
            Limit::Unaccounted(offset) => write!(f, "to {offset}"),
        }
    }
}

/// Which partitions can be folded again, and how far.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Those that the log still holds as they were read.
    pub whole: Ranges,
    /// What is left of those that have lost their beginning.
    pub cut: Ranges,
    /// Why a partition is not whole.
    pub limits: BTreeMap<TopicPartition, Limit>,
}

impl Plan {
    /// Looks at the log for each of these positions.
    pub async fn new<L: Look>(look: &L, projection: &Projection, held: &[GroupPosition]) -> Result<Self> {
        let there = look.partitions(projection.topics).await?;
        let tps = held.iter().map(|held| held.position.tp).filter(|tp| there.contains(tp));
        let tps: Vec<TopicPartition> = tps.collect();
        let (ranges, logs) = (look.ranges(&tps).await?, look.identities(&tps).await?);
        let mut plan = Plan::default();
        for held in held {
            let position = held.position;
            let Some(range) = ranges.get(&position.tp).copied() else {
                plan.limits.insert(position.tp, Limit::Parked(format!("{} is gone from the log", position.tp)));
                continue;
            };
            let log = logs.get(&position.tp).and_then(|log| log.as_ref().ok());
            match limit(held, log, range) {
                None if position.next_offset == position.first_offset => {}
                None => plan.add(position, range),
                Some(limit) => plan.limit(position.tp, limit, Some((position, range))),
            }
        }
        plan.look_for_compaction(look, held).await?;
        Ok(plan)
    }

    fn add(&mut self, position: Position, range: LogRange) {
        let start = position.first_offset.max(range.start);
        self.whole.insert(position.tp, LogRange { start, end: position.next_offset });
    }

    /// Takes a partition out of those that are whole.
    pub fn limit(&mut self, tp: TopicPartition, limit: Limit, rest: Option<(Position, LogRange)>) {
        let whole = self.whole.remove(&tp);
        self.cut.remove(&tp);
        let rest = rest.map(|(position, range)| LogRange { start: range.start, end: position.next_offset }).or(whole);
        if let Some(rest) = rest.filter(|rest| limit.leaves_rest() && rest.start < rest.end) {
            self.cut.insert(tp, rest);
        }
        self.limits.insert(tp, limit);
    }

    /// A compacted topic begins where it began: only counting tells that records are gone.
    async fn look_for_compaction<L: Look>(&mut self, look: &L, held: &[GroupPosition]) -> Result<()> {
        let compacted: Ranges =
            self.whole.iter().filter(|(tp, _)| tp.topic.is_compacted()).map(|(tp, range)| (*tp, *range)).collect();
        if compacted.is_empty() {
            return Ok(());
        }
        let mut counted: BTreeMap<TopicPartition, i64> = BTreeMap::new();
        // A tombstone is a hole in every account.
        let count =
            |record: &pipeline::Record<'_>| *counted.entry(record.tp).or_default() += i64::from(!record.is_null());
        let troubles = each_record(look, compacted.clone(), count).await?;
        for trouble in troubles {
            self.limit(trouble.tp, Limit::Parked(trouble.text), None);
        }
        for Position { tp, counts, .. } in held.iter().map(|held| held.position) {
            let gone = counts.total() - counts.holes - counted.get(&tp).copied().unwrap_or_default();
            if gone != 0 && self.whole.contains_key(&tp) && compacted.contains_key(&tp) {
                self.limit(tp, Limit::Compacted { gone }, None);
            }
        }
        Ok(())
    }

    /// Whether every partition of these topics is whole.
    pub fn is_whole(&self, topics: &[Topic]) -> bool {
        !self.limits.keys().any(|tp| topics.contains(&tp.topic))
    }

    /// Whether some of these ranges are of these topics.
    pub fn any(ranges: &Ranges, topics: &[Topic]) -> bool {
        ranges.keys().any(|tp| topics.contains(&tp.topic))
    }

    /// Says what could not be compared and why, a line for each topic and reason.
    pub fn tell(&self, projection: &Projection, out: &mut impl Write) -> Result<()> {
        let mut groups: BTreeMap<(Topic, &str), Vec<(u32, &Limit)>> = BTreeMap::new();
        for (tp, limit) in &self.limits {
            groups.entry((tp.topic, limit.kind())).or_default().push((tp.partition, limit));
        }
        for ((topic, kind), partitions) in groups {
            let Some((partition, limit)) = partitions.first() else { continue };
            let more = match partitions.len() - 1 {
                0 => String::new(),
                more => format!(", and {more} more partitions"),
            };
            writeln!(out, "{}: {topic}: {kind}: partition {partition} ({limit}){more}", projection.name)?;
        }
        Ok(())
    }
}

fn limit(held: &GroupPosition, log: Option<&LogIdentity>, range: LogRange) -> Option<Limit> {
    let position = held.position;
    let is_accounted = held.log != LogIdentity::default();
    if let Some(log) = log.filter(|_| is_accounted)
        && let Err(cause) = compare_logs(&held.log, log)
    {
        let (projection, tp, offset) = ("verify", position.tp, position.next_offset);
        return Some(Limit::Parked(Parked { projection, tp, offset, cause, since_us: 0 }.to_string()));
    }
    if position.counts.lost > 0 {
        return Some(Limit::Lost(position.counts.lost));
    }
    if position.first_offset < range.start {
        return Some(Limit::Expired { first: position.first_offset, start: range.start });
    }
    // Only the end matters by now: the log begins where the projection did, or before.
    if check_range(&position, LogRange { start: i64::MIN, ..range }).is_err() {
        let text = format!("the position {} lies behind the log's end {}", position.next_offset, range.end);
        return Some(Limit::Parked(text));
    }
    let is_set = !is_accounted && position.next_offset > range.start && position.first_offset == position.next_offset;
    is_set.then_some(Limit::Unaccounted(position.next_offset))
}

/// Whether every row is made by one event: then what is left of the log gives some of the rows,
/// each as it was.
pub fn is_by_event(table: &Table) -> bool {
    !table.partial && table.columns.iter().all(|column| matches!(column.merge, Merge::Once))
}

#[cfg(test)]
mod tests {
    use super::*;
    use pipeline::Counts;

    fn log(cluster_id: &str) -> LogIdentity {
        LogIdentity { cluster_id: cluster_id.to_owned(), topic_id: String::new(), partitions: 4 }
    }

    fn held(counts: Counts) -> GroupPosition {
        let start = Position::start(TopicPartition::new(Topic::AgentState, 3), 10);
        let position = Position { next_offset: 10 + counts.total(), counts, ..start };
        GroupPosition { position, log: log("a"), parked: None }
    }

    #[test]
    fn what_the_log_does_not_hold_any_more_is_a_limit() {
        let whole = held(Counts { applied: 5, ..Counts::default() });
        let range = LogRange { start: 10, end: 20 };
        assert_eq!(limit(&whole, Some(&log("a")), range), None);
        assert_eq!(limit(&whole, None, LogRange { start: 0, end: 15 }), None);
        let cut = LogRange { start: 12, end: 20 };
        assert_eq!(limit(&whole, Some(&log("a")), cut), Some(Limit::Expired { first: 10, start: 12 }));
        let lost = held(Counts { applied: 3, lost: 2, ..Counts::default() });
        assert_eq!(limit(&lost, Some(&log("a")), cut), Some(Limit::Lost(2)), "it hides what else is gone");
        let said = |limit: Option<Limit>| limit.unwrap().to_string();
        assert!(said(limit(&whole, Some(&log("b")), range)).contains("another log"));
        assert!(said(limit(&whole, Some(&log("a")), LogRange { start: 0, end: 14 })).contains("end 14"));
        let fresh = held(Counts::default());
        let set = GroupPosition { log: LogIdentity::default(), ..fresh };
        assert_eq!(limit(&set, Some(&log("a")), LogRange { start: 0, end: 20 }), Some(Limit::Unaccounted(10)));
    }

    #[test]
    fn what_is_left_is_kept_only_where_it_is_what_was_read() {
        let whole = held(Counts { applied: 5, ..Counts::default() }).position;
        let range = LogRange { start: 12, end: 20 };
        for (limit, is_left) in [
            (Limit::Expired { first: 10, start: 12 }, true),
            (Limit::Compacted { gone: 1 }, true),
            (Limit::Lost(2), false),
            (Limit::Parked("damaged".to_owned()), false),
        ] {
            let mut plan = Plan::default();
            plan.add(whole, range);
            plan.limit(whole.tp, limit, Some((whole, range)));
            assert!(plan.whole.is_empty() && !plan.is_whole(&[Topic::AgentState]));
            assert_eq!(plan.cut.get(&whole.tp).map(|range| (range.start, range.end)), is_left.then_some((12, 15)));
        }
    }
}
