//! A position as the metadata of a group's offset: ingest keeps its account there, since its store has no transactions
//! (I2, I4). The other roles mirror their offsets without it.

use crate::ports::GroupOffset;
use crate::position::{Counts, LastRecord, LogIdentity, ParkNote, Position};
use domain::TopicPartition;
use serde::{Deserialize, Serialize};

/// What the metadata of a group's offset says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupPosition {
    /// The position.
    pub position: Position,
    /// The log that it belongs to.
    pub log: LogIdentity,
    /// Why the partition is parked, if it is.
    pub parked: Option<ParkNote>,
}

/// The version of the metadata's form.
const FORM: u32 = 2;

/// Brokers take 4,096 bytes of metadata by default: the text of a note is cut.
const NOTE_BYTES: usize = 1_024;

/// The form, with short names: brokers bound it.
#[derive(Deserialize, Serialize)]
struct Form {
    v: u32,
    first: i64,
    watermark: i64,
    max_append: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    last: Option<(i64, i64, i32)>,
    counts: [i64; 8],
    cluster: String,
    topic: String,
    partitions: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    parked: Option<(String, i64, String, i64)>,
}

impl GroupPosition {
    /// The offset to be committed.
    #[must_use]
    pub fn to_offset(&self) -> GroupOffset {
        let Position { tp, first_offset, next_offset, watermark_us, max_append_us, last, counts, .. } = self.position;
        let Counts { applied, duplicate, behind, ignored, unknown, dead, holes, lost } = counts;
        let cut = |text: &str| text.chars().take(NOTE_BYTES / 4).collect::<String>();
        let form = Form {
            v: FORM,
            first: first_offset,
            watermark: watermark_us,
            max_append: max_append_us,
            last: last.map(|last| (last.offset, last.append_us, last.leader_epoch)),
            counts: [applied, duplicate, behind, ignored, unknown, dead, holes, lost],
            cluster: self.log.cluster_id.clone(),
            topic: self.log.topic_id.clone(),
            partitions: self.log.partitions,
            parked: self.parked.as_ref().map(|note| (note.cause.clone(), note.offset, cut(&note.text), note.since_us)),
        };
        // Numbers and texts only: there is nothing in the form that cannot be written.
        let metadata = serde_json::to_string(&form).unwrap_or_default();
        GroupOffset { tp, next_offset, metadata }
    }

    /// Reads a position back; `None` where the metadata is not ours, or its account does not close.
    #[must_use]
    pub fn from_offset(offset: &GroupOffset) -> Option<GroupPosition> {
        Self::parse(offset.tp, offset.next_offset, &offset.metadata)
    }

    fn parse(tp: TopicPartition, next_offset: i64, metadata: &str) -> Option<GroupPosition> {
        let form: Form = serde_json::from_str(metadata).ok().filter(|form: &Form| form.v == FORM)?;
        let [applied, duplicate, behind, ignored, unknown, dead, holes, lost] = form.counts;
        let last = form.last.map(|(offset, append_us, leader_epoch)| LastRecord { offset, append_us, leader_epoch });
        let position = Position {
            next_offset,
            watermark_us: form.watermark,
            max_append_us: form.max_append,
            last,
            counts: Counts { applied, duplicate, behind, ignored, unknown, dead, holes, lost },
            ..Position::start(tp, form.first)
        };
        let log = LogIdentity { cluster_id: form.cluster, topic_id: form.topic, partitions: form.partitions };
        let parked = form.parked.map(|(cause, offset, text, since_us)| ParkNote { cause, offset, text, since_us });
        (position.gap() == 0).then_some(GroupPosition { position, log, parked })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::Topic;

    #[test]
    fn metadata_comes_back_only_with_a_closed_account() {
        let tp = TopicPartition::new(Topic::SporeCreated, 1);
        let counts = Counts { applied: 3, duplicate: 1, dead: 1, holes: 1, lost: 1, ..Counts::default() };
        let last = Some(LastRecord { offset: 15, append_us: 6, leader_epoch: 4 });
        let start = Position::start(tp, 10);
        let position = Position { next_offset: 17, watermark_us: 5, max_append_us: 7, last, counts, ..start };
        assert_eq!(position.gap(), 0);
        let log = LogIdentity { cluster_id: "c".into(), topic_id: "t".into(), partitions: 3 };
        let note = ParkNote { cause: "stalled".into(), offset: 17, text: "x\"y".repeat(900), since_us: 9 };
        for parked in [None, Some(note)] {
            let held = GroupPosition { position, log: log.clone(), parked: parked.clone() };
            let offset = held.to_offset();
            assert!(offset.metadata.len() < 2_048, "{}", offset.metadata.len());
            let back = GroupPosition::from_offset(&offset).unwrap();
            assert_eq!((back.position, &back.log), (position, &log));
            assert_eq!(back.parked.map(|note| note.offset), parked.map(|note| note.offset));
            assert_eq!(GroupPosition::from_offset(&GroupOffset { next_offset: 18, ..offset }), None);
        }
        assert_eq!(GroupPosition::parse(tp, 17, ""), None);
    }
}
