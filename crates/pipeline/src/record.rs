//! Records as the log gives and takes them.
//!
//! A page is the unit of transfer: many records of one partition in one buffer, so that nothing is allocated
//! per record and events can be decoded while they are borrowed from it.

use domain::{Topic, TopicPartition};
use std::ops::Range;

/// One record, borrowed from its page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record<'a> {
    /// Where it lies.
    pub tp: TopicPartition,
    /// Its offset in the partition.
    pub offset: i64,
    /// When the log took it, in microseconds since 1970 (recorded time).
    pub append_time_us: i64,
    /// Its key.
    pub key: &'a [u8],
    /// Its value.
    pub value: &'a [u8],
    /// Its headers, see [`Headers`].
    pub headers: &'a [u8],
}

#[derive(Clone, Debug)]
struct Entry {
    offset: i64,
    append_time_us: i64,
    key: Range<u32>,
    value: Range<u32>,
    headers: Range<u32>,
}

/// Records of one partition, in offset order.
#[derive(Clone, Debug)]
pub struct Page {
    tp: TopicPartition,
    entries: Vec<Entry>,
    bytes: Vec<u8>,
    log_end: i64,
    passed: i64,
    leader_epoch: i32,
}

impl Page {
    /// An empty page.
    #[must_use]
    pub fn new(tp: TopicPartition) -> Self {
        Self::with_capacity(tp, 0, 0)
    }

    /// An empty page with room for that many records, whose keys, values and headers have that many bytes.
    #[must_use]
    pub fn with_capacity(tp: TopicPartition, records: usize, bytes: usize) -> Self {
        Self {
            tp,
            entries: Vec::with_capacity(records),
            bytes: Vec::with_capacity(bytes),
            log_end: 0,
            passed: i64::MIN,
            leader_epoch: -1,
        }
    }

    /// Appends a record.
    pub fn push(&mut self, offset: i64, append_time_us: i64, key: &[u8], value: &[u8], headers: &[u8]) {
        let mut put = |part: &[u8]| {
            let start = self.bytes.len() as u32;
            self.bytes.extend_from_slice(part);
            start..self.bytes.len() as u32
        };
        let (key, value, headers) = (put(key), put(value), put(headers));
        self.entries.push(Entry { offset, append_time_us, key, value, headers });
    }

    /// States the partition's end (the next offset to be appended) as known when the page was read.
    pub fn set_log_end(&mut self, log_end: i64) {
        self.log_end = log_end;
    }

    /// The partition's end when the page was read.
    #[must_use]
    pub fn log_end(&self) -> i64 {
        self.log_end
    }

    /// States that the log holds no further record below this offset: what lies between the last record and it are markers,
    /// or was compacted away. Never said of what could not be read.
    pub fn set_passed(&mut self, next_offset: i64) {
        self.passed = next_offset;
    }

    /// The offset behind everything that this page covers; `i64::MIN` where it covers nothing.
    #[must_use]
    pub fn passed(&self) -> i64 {
        self.entries.last().map_or(self.passed, |last| self.passed.max(last.offset + 1))
    }

    /// States the leader epoch under which the last record was appended; -1 where the log does not say.
    pub fn set_leader_epoch(&mut self, leader_epoch: i32) {
        self.leader_epoch = leader_epoch;
    }

    /// The leader epoch of the last record; -1 where it is not known.
    #[must_use]
    pub fn leader_epoch(&self) -> i32 {
        self.leader_epoch
    }

    /// The partition.
    #[must_use]
    pub fn tp(&self) -> TopicPartition {
        self.tp
    }

    /// The number of records.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// The memory held, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.capacity() + self.entries.capacity() * size_of::<Entry>()
    }

    /// Record number `ix`.
    #[must_use]
    pub fn record(&self, ix: usize) -> Record<'_> {
        let entry = &self.entries[ix];
        let part = |range: &Range<u32>| &self.bytes[range.start as usize..range.end as usize];
        Record {
            tp: self.tp,
            offset: entry.offset,
            append_time_us: entry.append_time_us,
            key: part(&entry.key),
            value: part(&entry.value),
            headers: part(&entry.headers),
        }
    }

    /// The records, in offset order.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        (0..self.len()).map(|ix| self.record(ix))
    }
}

/// Marks a record whose value is null in the log, which is not the same as an empty one: see [`Record::is_null`].
pub const NULL_VALUE: &str = "sporelog-null-value";

impl Record<'_> {
    /// Whether the value is null: on a compacted topic a tombstone.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.value.is_empty() && !self.headers.is_empty() && Headers::get(self.headers, NULL_VALUE).is_some()
    }
}

/// A record to be appended. The log picks the partition by murmur2 of the key (I9).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutRecord {
    /// The topic.
    pub topic: Topic,
    /// The key, `tenant|key`.
    pub key: Vec<u8>,
    /// The framed event, or raw bytes for a dead letter.
    pub value: Vec<u8>,
    /// The headers.
    pub headers: Headers,
}

/// The headers of a record: pairs of a name and bytes, stored as one string of bytes.
///
/// Form: per pair, name length (u16 big-endian), name, value length (u32 big-endian), value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers(Vec<u8>);

impl Headers {
    /// Appends a pair. Names above 65,535 bytes are cut.
    pub fn push(&mut self, name: &str, value: &[u8]) {
        let name = &name.as_bytes()[..name.len().min(usize::from(u16::MAX))];
        self.0.extend_from_slice(&(name.len() as u16).to_be_bytes());
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(&(value.len() as u32).to_be_bytes());
        self.0.extend_from_slice(value);
    }

    /// The bytes, as stored.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The pairs in stored bytes; stops at the first that is malformed.
    pub fn pairs(mut bytes: &[u8]) -> impl Iterator<Item = (&str, &[u8])> {
        std::iter::from_fn(move || {
            let (length, rest) = bytes.split_first_chunk::<2>()?;
            let (name, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            let (length, rest) = rest.split_first_chunk::<4>()?;
            let (value, rest) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
            bytes = rest;
            Some((std::str::from_utf8(name).ok()?, value))
        })
    }

    /// The first value under that name.
    #[must_use]
    pub fn get<'a>(bytes: &'a [u8], name: &str) -> Option<&'a [u8]> {
        Self::pairs(bytes).find_map(|(held, value)| (held == name).then_some(value))
    }
}
