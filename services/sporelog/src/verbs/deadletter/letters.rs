//! Dead letters as read from their topic.

use crate::backend::{Look, each_record};
use anyhow::Result;
use domain::{Topic, TopicPartition};
use pipeline::Record;
use pipeline::deadletter::DeadLetter;
use std::collections::{BTreeMap, HashSet};

/// Bytes of the record that a list shows.
const BEGINNING: usize = 24;

/// A dead letter with the record's own key and bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Coordinates, projection and reason.
    pub head: DeadLetter,
    /// The record's key.
    pub key: Vec<u8>,
    /// The record's bytes.
    pub value: Vec<u8>,
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

/// The newest `limit` of the wanted letters, each once, in the order in which they were written.
pub async fn collect<L: Look>(look: &L, wanted: &Wanted, limit: usize) -> Result<Vec<Letter>> {
    let ranges = look.ranges(&look.partitions(&[Topic::DeadLetter]).await?).await?;
    let mut seen = HashSet::new();
    let mut newest = BTreeMap::new();
    let mut strangers = 0_u64;
    each_record(look, ranges, |record: &Record<'_>| {
        let Some(head) = DeadLetter::parse(record.headers) else {
            strangers += 1;
            return;
        };
        if !wanted.takes(&head) || !seen.insert((head.tp, head.offset, head.projection.clone())) {
            return;
        }
        let letter = Letter { head, key: record.key.to_vec(), value: record.value.to_vec() };
        newest.insert((record.append_time_us, record.tp.partition, record.offset), letter);
        if newest.len() > limit {
            newest.pop_first();
        }
    })
    .await?;
    if strangers > 0 {
        tracing::warn!(
            records = strangers,
            "records in the dead-letter topic without the headers of a dead letter are left out"
        );
    }
    Ok(newest.into_values().collect())
}
