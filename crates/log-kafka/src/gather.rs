//! Messages as they come, gathered into a page for each partition.

use crate::ffi::Fetched;
use crate::headers;
use crate::names::Names;
use domain::{Topic, TopicPartition};
use pipeline::Page;
use std::collections::HashMap;

/// A page takes no further record when it holds this much: one record may be as large as a batch may be, and a page counts
/// its bytes in 32 bits.
const PAGE_BYTES: usize = 4 << 20;

/// Open pages.
#[derive(Debug)]
pub(crate) struct Gather {
    names: Names,
    /// The topic of the last message: messages come in runs.
    topic: Option<(String, Topic)>,
    pages: Vec<Page>,
    /// The bytes of each page's keys, values and headers.
    held: Vec<usize>,
    /// The last page of each partition.
    at: HashMap<TopicPartition, usize>,
    bytes: usize,
    records: usize,
    /// Records and bytes of a page of the last hand-over: the next ones get that much room at once.
    usual: (usize, usize),
}

impl Gather {
    pub(crate) fn new(names: Names) -> Self {
        let (pages, held, at) = (Vec::new(), Vec::new(), HashMap::new());
        Self { names, topic: None, pages, held, at, bytes: 0, records: 0, usual: (0, 0) }
    }

    /// Where a message lies, or what is said of, if in a topic of ours.
    pub(crate) fn place(&mut self, message: Fetched<'_>) -> Option<TopicPartition> {
        let name = message.topic();
        let topic = match &self.topic {
            Some((held, topic)) if held.as_bytes() == name => *topic,
            _ => {
                let name = std::str::from_utf8(name).ok()?;
                let topic = self.names.parse(name)?;
                self.topic = Some((name.to_owned(), topic));
                topic
            }
        };
        Some(TopicPartition::new(topic, u32::try_from(message.partition()).ok()?))
    }

    /// Adds a message to its partition's page.
    pub(crate) fn push(&mut self, tp: TopicPartition, message: Fetched<'_>) {
        let append_us = message.append_time_ms().saturating_mul(1_000);
        let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
        let headers = headers::read(message);
        let bytes = key.len() + value.len() + headers.as_bytes().len();
        let page = self.page(tp, bytes);
        page.push(message.offset(), append_us, key, value, headers.as_bytes());
        page.set_leader_epoch(message.leader_epoch());
        self.bytes += bytes;
        self.records += 1;
    }

    /// Notes that nothing of a partition is left below this offset.
    pub(crate) fn pass(&mut self, tp: TopicPartition, next_offset: i64) {
        self.page(tp, 0).set_passed(next_offset);
    }

    /// The page of a partition that takes this many bytes more. Messages come in runs: it is mostly the last page.
    fn page(&mut self, tp: TopicPartition, bytes: usize) -> &mut Page {
        let last = self.pages.last().is_some_and(|page| page.tp() == tp).then(|| self.pages.len() - 1);
        let open = last.or_else(|| self.at.get(&tp).copied());
        let at = match open.filter(|at| self.held[*at] == 0 || self.held[*at] + bytes <= PAGE_BYTES) {
            Some(at) => at,
            None => {
                self.pages.push(Page::with_capacity(tp, self.usual.0, self.usual.1));
                self.held.push(0);
                self.at.insert(tp, self.pages.len() - 1);
                self.pages.len() - 1
            }
        };
        self.held[at] += bytes;
        &mut self.pages[at]
    }

    /// Whether the pages hold this much.
    pub(crate) fn is_full(&self, bytes: usize, records: usize) -> bool {
        self.bytes >= bytes || self.records >= records
    }

    /// The pages gathered so far.
    pub(crate) fn take(&mut self) -> Vec<Page> {
        self.at.clear();
        self.held.clear();
        if let Some(pages) = std::num::NonZero::new(self.pages.len()).filter(|_| self.records > 0) {
            self.usual = (self.records / pages, self.bytes / pages);
        }
        (self.bytes, self.records) = (0, 0);
        std::mem::take(&mut self.pages)
    }
}
