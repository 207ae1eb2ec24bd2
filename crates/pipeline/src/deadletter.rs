//! A dead letter: the record's own bytes under its own key, with coordinates and reason in the headers (I6).

use crate::outcome::DeadReason;
use crate::record::{Headers, OutRecord, Record};
use domain::{Topic, TopicPartition};

/// The headers of a dead letter. (topic, partition, offset, projection) identify it: a repeat is the same one.
pub mod header {
    /// The topic that the record came from.
    pub const TOPIC: &str = "dl-topic";
    /// Its partition, decimal.
    pub const PARTITION: &str = "dl-partition";
    /// Its offset, decimal.
    pub const OFFSET: &str = "dl-offset";
    /// Its append time in us, decimal.
    pub const APPEND_US: &str = "dl-append-us";
    /// The projection that could not apply it.
    pub const PROJECTION: &str = "dl-projection";
    /// Why.
    pub const REASON: &str = "dl-reason";
    /// Its own headers, as stored.
    pub const HEADERS: &str = "dl-headers";
}

/// The dead letter of a record.
#[must_use]
pub fn dead_letter(record: &Record<'_>, projection: &str, reason: &DeadReason) -> OutRecord {
    let mut headers = Headers::default();
    headers.push(header::TOPIC, record.tp.topic.name().as_bytes());
    headers.push(header::PARTITION, record.tp.partition.to_string().as_bytes());
    headers.push(header::OFFSET, record.offset.to_string().as_bytes());
    headers.push(header::APPEND_US, record.append_time_us.to_string().as_bytes());
    headers.push(header::PROJECTION, projection.as_bytes());
    headers.push(header::REASON, reason.to_string().as_bytes());
    if !record.headers.is_empty() {
        headers.push(header::HEADERS, record.headers);
    }
    OutRecord { topic: Topic::DeadLetter, key: record.key.to_vec(), value: record.value.to_vec(), headers }
}

/// A dead letter as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeadLetter {
    /// Where the record came from.
    pub tp: TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// Its append time there, in us.
    pub append_us: i64,
    /// The projection that could not apply it.
    pub projection: String,
    /// Why.
    pub reason: String,
}

impl DeadLetter {
    /// Reads the coordinates from a dead letter's headers; `None` where one is missing or malformed.
    #[must_use]
    pub fn parse(headers: &[u8]) -> Option<DeadLetter> {
        let text = |name| std::str::from_utf8(Headers::get(headers, name)?).ok();
        Some(DeadLetter {
            tp: TopicPartition::new(Topic::from_name(text(header::TOPIC)?)?, text(header::PARTITION)?.parse().ok()?),
            offset: text(header::OFFSET)?.parse().ok()?,
            append_us: text(header::APPEND_US)?.parse().ok()?,
            projection: text(header::PROJECTION)?.to_owned(),
            reason: text(header::REASON)?.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::DeadKind;

    #[test]
    fn coordinates_and_reason_come_back() {
        let tp = TopicPartition::new(Topic::SporeCreated, 3);
        let record = Record { tp, offset: 7, append_time_us: 9, key: b"t|k", value: b"junk", headers: b"" };
        let reason = DeadReason { kind: DeadKind::Undecodable, text: "the first byte is 0x6a".to_owned() };
        let letter = dead_letter(&record, "views", &reason);
        assert_eq!((letter.key.as_slice(), letter.value.as_slice()), (&b"t|k"[..], &b"junk"[..]));
        let read = DeadLetter::parse(letter.headers.as_bytes());
        assert_eq!(
            read,
            Some(DeadLetter {
                tp,
                offset: 7,
                append_us: 9,
                projection: "views".to_owned(),
                reason: "undecodable: the first byte is 0x6a".to_owned()
            })
        );
    }
}
