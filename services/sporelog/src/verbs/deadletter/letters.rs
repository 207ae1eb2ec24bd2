//! Dead letters as read from their topic.

use crate::backend::{Look, each_record};
use anyhow::Result;
use domain::{Topic, TopicPartition};
use pipeline::deadletter::DeadLetter;
use pipeline::{KnownDead, Record, Trouble};
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Bytes of the record that a list shows.
pub const BEGINNING: usize = 24;

/// Bytes of a key that are kept: more of it helps nobody, and a record may be all key.
const KEY_BYTES: usize = 1_024;

/// A dead letter with the beginnings of the record's own key and value. Letters may be as large as
/// the log takes records, and a list holds many: what is not shown is not kept (I8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Coordinates, projection and reason.
    pub head: DeadLetter,
    /// The beginning of the record's key.
    pub key: Vec<u8>,
    /// The beginning of the record's value.
    pub value: Vec<u8>,
    /// The bytes of key and value that the letter holds.
    pub held: [usize; 2],
}

impl Letter {
    /// `TOPIC/PARTITION/OFFSET`, as `show` takes it.
    pub fn coordinates(&self) -> String {
        format!("{}/{}", self.head.tp, self.head.offset)
    }

    /// The first bytes as text, with a dot for each that is not printable.
    pub fn beginning(&self) -> String {
        printable(&self.value[..self.value.len().min(BEGINNING)])
    }

    /// The bytes of the record's own key and value, also where the letter does not hold all of
    /// them.
    pub fn sizes(&self) -> [usize; 2] {
        self.head.cut.map_or(self.held, |[key, value, _]| [key, value])
    }
}

/// Bytes as text, with a dot for each that is not printable ASCII.
pub fn printable(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' }).collect()
}

/// Which dead letters are wanted.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Records of this topic.
    pub topic: Option<Topic>,
    /// Those of this projection.
    pub projection: Option<String>,
    /// This one record.
    pub record: Option<(TopicPartition, i64)>,
}

impl Wanted {
    fn takes(&self, head: &DeadLetter) -> bool {
        self.topic.is_none_or(|topic| head.tp.topic == topic)
            && self.projection.as_ref().is_none_or(|projection| head.projection == *projection)
            && self.record.is_none_or(|record| record == (head.tp, head.offset))
    }
}

/// How much of the wanted letters is kept.
#[derive(Clone, Copy, Debug)]
pub struct Keep {
    /// At most so many letters, the newest.
    pub letters: usize,
    /// At most so many bytes of each one's value.
    pub value_bytes: usize,
}

/// The wanted letters, each once, in the order in which they were written; and where their topic
/// could not be read.
pub async fn collect<L: Look>(look: &L, wanted: &Wanted, keep: Keep) -> Result<(Vec<Letter>, Vec<Trouble>)> {
    let mut newest = BTreeMap::new();
    let troubles = each_letter(look, |record, head| {
        if !wanted.takes(&head) {
            return;
        }
        let beginning = |bytes: &[u8], most: usize| bytes[..bytes.len().min(most)].to_vec();
        let (key, value) = (beginning(record.key, KEY_BYTES), beginning(record.value, keep.value_bytes));
        let letter = Letter { head, key, value, held: [record.key.len(), record.value.len()] };
        newest.insert((record.append_time_us, record.tp.partition, record.offset), letter);
        if newest.len() > keep.letters {
            newest.pop_first();
        }
    })
    .await?;
    Ok((newest.into_values().collect(), troubles))
}

/// The records that a projection holds for dead, as its letters say: for ingest, whose store keeps
/// no such rows. Letters that have expired are not among them.
pub async fn known_dead<L: Look>(look: &L, projection: &str) -> Result<(KnownDead, Vec<Trouble>)> {
    let mut known = KnownDead::new();
    let troubles = each_letter(look, |_, head| {
        if head.projection == projection {
            known.entry(head.tp).or_default().insert(head.offset, head.reason);
        }
    })
    .await?;
    Ok((known, troubles))
}

/// Calls `visit` with each letter once, however often it was written.
async fn each_letter<L: Look>(look: &L, mut visit: impl FnMut(&Record<'_>, DeadLetter)) -> Result<Vec<Trouble>> {
    let ranges = look.ranges(&look.partitions(&[Topic::DeadLetter]).await?).await?;
    let mut seen = HashSet::new();
    let mut strangers = 0_u64;
    let troubles = each_record(look, ranges, |record: &Record<'_>| {
        let Some(head) = DeadLetter::parse(record.headers) else {
            strangers += 1;
            return;
        };
        let mut hasher = DefaultHasher::new();
        (head.tp, head.offset, &head.projection).hash(&mut hasher);
        if seen.insert(hasher.finish()) {
            visit(record, head);
        }
    })
    .await?;
    if strangers > 0 {
        tracing::warn!(
            records = strangers,
            "records in the dead-letter topic without the headers of a dead letter are left out"
        );
    }
    Ok(troubles)
}
