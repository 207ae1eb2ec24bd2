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
    /// Where the letter does not hold the whole record: the bytes of its key, value and headers, decimal, separated by a
    /// space. The record still lies where the coordinates say.
    pub const CUT: &str = "dl-cut";
}

/// The most of a reason that a letter carries, in bytes.
const REASON_BYTES: usize = 4_096;

/// The dead letter of a record, of at most `max_bytes` of key, value and headers: it always fits (I6). What is too much is
/// cut: first the value, then the record's own headers, then its key; a header says so.
#[must_use]
pub fn dead_letter(record: &Record<'_>, projection: &str, reason: &DeadReason, max_bytes: usize) -> OutRecord {
    let whole = letter(record, projection, reason, (record.key, record.value, record.headers));
    if bytes(&whole) <= max_bytes {
        return whole;
    }
    // Room for the coordinates, the reason and the header that tells of the cut.
    let room = max_bytes.saturating_sub(bytes(&letter(record, projection, reason, (b"", b"", b""))) + 96);
    let key = &record.key[..record.key.len().min(room)];
    let own = if record.headers.len() + header::HEADERS.len() + 6 <= room - key.len() { record.headers } else { b"" };
    let left = room - key.len() - own.len();
    let value = &record.value[..record.value.len().min(left.saturating_sub(header::HEADERS.len() + 6))];
    let mut cut = letter(record, projection, reason, (key, value, own));
    let sizes = format!("{} {} {}", record.key.len(), record.value.len(), record.headers.len());
    cut.headers.push(header::CUT, sizes.as_bytes());
    cut
}

fn bytes(record: &OutRecord) -> usize {
    record.key.len() + record.value.len() + record.headers.as_bytes().len()
}

fn letter(
    record: &Record<'_>,
    projection: &str,
    reason: &DeadReason,
    (key, value, own): (&[u8], &[u8], &[u8]),
) -> OutRecord {
    let mut headers = Headers::default();
    headers.push(header::TOPIC, record.tp.topic.name().as_bytes());
    headers.push(header::PARTITION, record.tp.partition.to_string().as_bytes());
    headers.push(header::OFFSET, record.offset.to_string().as_bytes());
    headers.push(header::APPEND_US, record.append_time_us.to_string().as_bytes());
    headers.push(header::PROJECTION, projection.as_bytes());
    let reason = reason.to_string();
    headers.push(header::REASON, &reason.as_bytes()[..reason.floor_char_boundary(REASON_BYTES)]);
    if !own.is_empty() {
        headers.push(header::HEADERS, own);
    }
    OutRecord { topic: Topic::DeadLetter, key: key.to_vec(), value: value.to_vec(), headers }
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
    /// The bytes of the record's key, value and headers, where the letter does not hold all of them.
    pub cut: Option<[usize; 3]>,
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
            cut: text(header::CUT).and_then(sizes),
        })
    }
}

fn sizes(text: &str) -> Option<[usize; 3]> {
    let sizes: Vec<usize> = text.split(' ').map(|size| size.parse().ok()).collect::<Option<_>>()?;
    sizes.try_into().ok()
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
        let letter = dead_letter(&record, "views", &reason, 8 << 20);
        assert_eq!((letter.key.as_slice(), letter.value.as_slice()), (&b"t|k"[..], &b"junk"[..]));
        let read = DeadLetter::parse(letter.headers.as_bytes());
        assert_eq!(
            read,
            Some(DeadLetter {
                tp,
                offset: 7,
                append_us: 9,
                projection: "views".to_owned(),
                reason: "undecodable: the first byte is 0x6a".to_owned(),
                cut: None,
            })
        );
    }

    /// I6: a letter fits whatever is large: value, headers, key or reason.
    #[test]
    fn a_letter_always_fits() {
        let tp = TopicPartition::new(Topic::SporeCreated, 3);
        let (small, large) = (vec![b'k'; 10], vec![b'x'; 9_000]);
        let reason = DeadReason { kind: DeadKind::Undecodable, text: "ä".repeat(9_000) };
        for sizes in 0..8 {
            let part = |bit: usize| if sizes & bit == 0 { &small } else { &large };
            let mut headers = Headers::default();
            headers.push("h", part(4));
            let (key, value, headers) = (part(1), part(2), headers.as_bytes());
            let record = Record { tp, offset: 7, append_time_us: 9, key, value, headers };
            let letter = dead_letter(&record, "views", &reason, 8_192);
            assert!(bytes(&letter) <= 8_192, "{sizes}: {}", bytes(&letter));
            let read = DeadLetter::parse(letter.headers.as_bytes()).unwrap();
            assert_eq!((read.offset, read.tp), (7, tp));
            let cut = (sizes != 0).then_some([key.len(), value.len(), headers.len()]);
            assert_eq!(read.cut, cut, "{sizes}");
            let own = Headers::get(letter.headers.as_bytes(), header::HEADERS);
            let is_whole = letter.value == *value && letter.key == *key && own == Some(headers);
            assert_eq!(is_whole, sizes == 0, "{sizes}");
        }
    }
}
