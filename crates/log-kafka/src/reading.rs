//! Where each partition is read, and what comes of it: records, ends, and trouble, which ends its reading.
//!
//! librdkafka reports a batch that it cannot read, and may go on behind it. From the report on nothing more of that
//! partition is taken, neither a record nor an end, until the worker seeks it again (I7): what lies between would become
//! holes.
//!
//! | what comes | what is done |
//! |---|---|
//! | a record | gathered, where it is the next one or behind it |
//! | the partition's end, or a marker | what lies before it is passed: markers, aborted records, compacted ones |
//! | a batch that cannot be read, an offset out of range | trouble |
//! | an offset at or behind the log's end | trouble: a batch's checksum does not cover its offset |
//! | anything else | remembered, in case that nothing comes any more |

use crate::error::trouble_of;
use crate::ffi::{Fetched, Said};
use crate::gather::Gather;
use domain::TopicPartition;
use pipeline::Page;
use pipeline::ports::{Trouble, TroubleKind};
use rdkafka::error::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;

/// Where a partition is read.
#[derive(Debug)]
struct Cursor {
    /// Which reading of the partition it is: a seek begins a new one.
    reading: u64,
    /// The next offset: what comes below it was taken before.
    next: i64,
    /// The first offset that is not read.
    bound: i64,
    /// Nothing below the bound is left that can be read.
    is_done: bool,
    /// The offset behind everything that was handed over.
    handed: i64,
    /// The end of the log, as handed over last.
    told_end: i64,
    /// The offset at which the end was ahead when that was last looked at.
    ahead_at: i64,
    /// What the client said last that was no trouble by itself.
    words: Option<String>,
    broken: Option<Broken>,
    /// What was gathered behind some record is no better than that record.
    is_cut: bool,
}

#[derive(Debug)]
struct Broken {
    kind: TroubleKind,
    text: String,
}

/// What the client says that concerns more than a partition, or passes.
#[derive(Debug)]
pub(crate) struct Remark {
    pub(crate) tp: Option<TopicPartition>,
    pub(crate) code: Code,
    pub(crate) text: String,
}

/// What is handed over.
#[derive(Debug)]
pub(crate) enum Handed {
    Page(Page, u64),
    Trouble(Trouble, u64),
}

/// The partitions that are read.
pub(crate) struct Readings {
    gather: Gather,
    cursors: BTreeMap<TopicPartition, Cursor>,
}

impl Readings {
    pub(crate) fn new(gather: Gather) -> Self {
        Self { gather, cursors: BTreeMap::new() }
    }

    /// Begins a reading of what lies below a bound. One with a bound is done where the partition ends before it.
    pub(crate) fn begin(&mut self, tp: TopicPartition, reading: u64, next: i64, bound: Option<i64>) {
        let cursor = Cursor {
            reading,
            next,
            bound: bound.unwrap_or(i64::MAX),
            is_done: bound.is_some_and(|bound| next >= bound),
            handed: next,
            told_end: 0,
            ahead_at: -1,
            words: None,
            broken: None,
            is_cut: false,
        };
        self.cursors.insert(tp, cursor);
    }

    /// Ends the reading of a partition.
    pub(crate) fn end(&mut self, tp: TopicPartition) {
        self.cursors.remove(&tp);
    }

    /// The partitions that are read, and their next offsets.
    pub(crate) fn open(&self) -> impl Iterator<Item = (TopicPartition, i64)> {
        let open = self.cursors.iter().filter(|(_, cursor)| cursor.broken.is_none() && !cursor.is_done);
        open.map(|(tp, cursor)| (*tp, cursor.next))
    }

    pub(crate) fn is_full(&self, bytes: usize, records: usize) -> bool {
        self.gather.is_full(bytes, records)
    }

    /// Takes a record.
    pub(crate) fn record(&mut self, message: Fetched<'_>) {
        let Some(tp) = self.gather.place(message) else { return };
        let Some(cursor) = self.cursors.get_mut(&tp) else { return };
        let offset = message.offset();
        // Fetched before a partition was given up, or behind what is wanted or what cannot be read.
        if offset < cursor.next || cursor.is_done || cursor.broken.is_some() {
            return;
        }
        // One at or behind the bound is gathered as well: whether its offset can be is seen when the page is complete.
        cursor.next = cursor.bound.min(offset + 1);
        cursor.is_done = cursor.next == cursor.bound;
        self.gather.push(tp, message);
    }

    /// Nothing is left of a partition below this offset: markers were taken behind its last record.
    pub(crate) fn passed(&mut self, tp: TopicPartition, offset: i64) {
        if self.cursors.get(&tp).is_some_and(|cursor| cursor.broken.is_none()) {
            self.pass(tp, offset);
        }
    }

    fn pass(&mut self, tp: TopicPartition, offset: i64) {
        let Some(cursor) = self.cursors.get_mut(&tp) else { return };
        let passed = offset.min(cursor.bound);
        cursor.is_done = cursor.bound < i64::MAX;
        if passed > cursor.next {
            cursor.next = passed;
            self.gather.pass(tp, passed);
        }
    }

    /// Takes what the client says of a partition; gives back what concerns more than that.
    pub(crate) fn said(&mut self, said: Said<'_>) -> Option<Remark> {
        let code = said.code();
        let Some(place) = said.place() else { return Some(Remark { tp: None, code, text: said.text() }) };
        let tp = self.gather.place(place)?;
        let cursor = self.cursors.get_mut(&tp).filter(|cursor| cursor.broken.is_none())?;
        let offset = place.offset();
        if code == Code::PartitionEOF {
            self.pass(tp, offset);
            return None;
        }
        let Some(kind) = trouble_of(code) else {
            cursor.words = Some(said.text());
            return Some(Remark { tp: Some(tp), code, text: format!("{tp}: {}", said.text()) });
        };
        // Said of an earlier reading.
        let is_stale = kind == TroubleKind::OutOfRange && (0..cursor.next).contains(&offset);
        if !is_stale {
            let text = format!("{code} at offset {offset}: {}", said.text());
            cursor.broken = Some(Broken { kind, text });
        }
        None
    }

    /// A partition of whose records nothing comes.
    pub(crate) fn stalled(&mut self, tp: TopicPartition, text: &str) {
        let Some(cursor) = self.cursors.get_mut(&tp).filter(|cursor| cursor.broken.is_none()) else { return };
        let words = cursor.words.as_ref().map_or(String::new(), |words| format!("; the client said: {words}"));
        let text = format!("{text}{words}");
        cursor.broken = Some(Broken { kind: TroubleKind::Stalled, text });
    }

    /// Hands over what was gathered; `known_end` tells the end of a partition's log. A partition with trouble is not read
    /// any more.
    pub(crate) fn take(&mut self, known_end: impl Fn(TopicPartition) -> Option<i64>) -> Vec<Handed> {
        let mut handed = Vec::new();
        for page in self.gather.take() {
            let tp = page.tp();
            let Some(cursor) = self.cursors.get_mut(&tp) else { continue };
            if cursor.is_cut {
                continue;
            }
            let end = known_end(tp);
            let page = cursor.check(page, end);
            let page = cursor.trim(page);
            if page.passed() > cursor.handed {
                handed.push(Handed::Page(cursor.complete(page, end), cursor.reading));
            }
        }
        let broken = |tp: &TopicPartition, cursor: &mut Cursor| Some((cursor.trouble(*tp)?, cursor.reading));
        let troubles = self.cursors.iter_mut().filter_map(|(tp, cursor)| broken(tp, cursor));
        handed.extend(troubles.map(|(trouble, reading)| Handed::Trouble(trouble, reading)));
        self.cursors.retain(|_, cursor| cursor.broken.is_none());
        handed
    }

    /// Pages without records where the log's end has moved and nothing could be read since this was asked last: behind an
    /// open transaction.
    pub(crate) fn ends(&mut self, known_end: impl Fn(TopicPartition) -> Option<i64>) -> Vec<Handed> {
        let mut handed = Vec::new();
        for (tp, cursor) in &mut self.cursors {
            let Some(end) = known_end(*tp).filter(|end| *end > cursor.told_end.max(cursor.next)) else { continue };
            let before = std::mem::replace(&mut cursor.ahead_at, cursor.next);
            if before == cursor.next && cursor.handed == cursor.next && cursor.broken.is_none() {
                let mut page = Page::new(*tp);
                page.set_passed(cursor.next);
                handed.push(Handed::Page(cursor.complete(page, Some(end)), cursor.reading));
            }
        }
        handed
    }
}

impl Cursor {
    /// The records of a page that can be: an offset is not covered by a batch's checksum, and one at or behind the log's
    /// end is a damaged one.
    fn check(&mut self, page: Page, end: Option<i64>) -> Page {
        let Some(end) = end.filter(|end| page.passed() > *end) else { return page };
        let mut good = Page::new(page.tp());
        for record in page.records() {
            if record.offset >= end {
                let offset = record.offset;
                let text = format!("a record with offset {offset}, where the log ends at {end}: the offset is damaged");
                self.is_cut = true;
                self.broken = Some(Broken { kind: TroubleKind::Unreadable, text });
                break;
            }
            good.push(record.offset, record.append_time_us, record.key, record.value, record.headers);
        }
        // The batches before it may be of another epoch.
        good
    }

    /// The records of a page below the bound; what lies between the last one and the bound is passed.
    fn trim(&self, page: Page) -> Page {
        if page.passed() <= self.bound {
            return page;
        }
        let mut below = Page::new(page.tp());
        for record in page.records().filter(|record| record.offset < self.bound) {
            below.push(record.offset, record.append_time_us, record.key, record.value, record.headers);
        }
        below.set_passed(self.bound);
        below
    }

    fn complete(&mut self, mut page: Page, end: Option<i64>) -> Page {
        self.handed = self.handed.max(page.passed());
        self.told_end = end.unwrap_or(self.handed).max(self.handed);
        page.set_log_end(self.told_end);
        page
    }

    fn trouble(&mut self, tp: TopicPartition) -> Option<Trouble> {
        let Broken { kind, text } = self.broken.as_ref()?;
        Some(Trouble { tp, offset: self.handed, kind: *kind, text: text.clone() })
    }
}
