//! Messages as they come, gathered into a page for each partition.

use crate::ffi::Fetched;
use crate::headers;
use crate::names::Names;
use domain::{Topic, TopicPartition};
use pipeline::Page;
use std::collections::HashMap;

/// Open pages.
#[derive(Debug)]
pub(crate) struct Gather {
    names: Names,
    /// The topic of the last message: messages come in runs.
    topic: Option<(String, Topic)>,
    pages: Vec<Page>,
    at: HashMap<TopicPartition, usize>,
    bytes: usize,
    records: usize,
    /// Records and bytes of a page of the last hand-over: the next ones get that much room at once.
    usual: (usize, usize),
}

impl Gather {
    pub(crate) fn new(names: Names) -> Self {
        Self { names, topic: None, pages: Vec::new(), at: HashMap::new(), bytes: 0, records: 0, usual: (0, 0) }
    }

    /// Where a message lies, if in a topic of ours.
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
        let at = match self.pages.last() {
            Some(page) if page.tp() == tp => self.pages.len() - 1,
            _ => *self.at.entry(tp).or_insert_with(|| {
                self.pages.push(Page::with_capacity(tp, self.usual.0, self.usual.1));
                self.pages.len() - 1
            }),
        };
        let append_us = message.append_time_ms().saturating_mul(1_000);
        let (key, value) = (message.key().unwrap_or_default(), message.payload().unwrap_or_default());
        let headers = headers::read(message);
        self.pages[at].push(message.offset(), append_us, key, value, headers.as_bytes());
        self.bytes += key.len() + value.len() + headers.as_bytes().len();
        self.records += 1;
    }

    /// Whether the pages hold this much.
    pub(crate) fn is_full(&self, bytes: usize, records: usize) -> bool {
        self.bytes >= bytes || self.records >= records
    }

    /// The pages gathered so far.
    pub(crate) fn take(&mut self) -> Vec<Page> {
        self.at.clear();
        if let Some(pages) = std::num::NonZero::new(self.pages.len()) {
            self.usual = (self.records / pages, self.bytes / pages);
        }
        (self.bytes, self.records) = (0, 0);
        std::mem::take(&mut self.pages)
    }
}
