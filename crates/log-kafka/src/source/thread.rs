//! The thread that polls.

mod assign;

use super::context::MemberContext;
use super::shared::{News, Shared};
use super::trouble::Troubles;
use super::watch::Watch;
use crate::config::KafkaConfig;
use crate::ffi::{self, End, FetchQueue, Fetched, Question, Waiting};
use crate::gather::Gather;
use crate::reading::{Handed, Readings};
use domain::TopicPartition;
use pipeline::{Clock as _, LogError};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// How long a poll blocks: what the worker asks for waits that long at most.
const POLL: Duration = Duration::from_millis(20);
/// How long a poll blocks just after the worker asked for something: it often asks for more, one by one.
const BUSY_POLL: Duration = Duration::from_millis(1);
/// How long the short polls go on.
const BUSY_US: i64 = 50_000;
/// How often positions are mirrored.
const MIRROR_US: i64 = 1_000_000;
/// How often it is looked whether markers were passed, or the end of a log has moved: what is behind it is lag until then.
const PASS_US: i64 = 500_000;
/// Any topic will do to see whether a broker answers, and how long it may take.
const PROBED: &str = "sporelog.deadletter";
const PROBE: Duration = Duration::from_millis(200);
/// Between two hand-overs: under load the worker is woken by few large pages, not by many small ones.
const HAND_OVER_US: i64 = 2_000;
/// How much is gathered before it is handed over.
const PAGE_RECORDS: usize = 16_384;
const PAGE_BYTES: usize = 1 << 20;

/// The ends of silent partitions, asked for.
struct Inquiry {
    question: Question,
    suspects: Vec<(TopicPartition, i64)>,
}

struct Poller {
    /// Gone before the client is: a question has a queue of the client's.
    inquiry: Option<Inquiry>,
    consumer: Arc<BaseConsumer<MemberContext>>,
    fetches: FetchQueue<MemberContext>,
    shared: Arc<Shared>,
    readings: Readings,
    limit: usize,
    request_timeout: Duration,
    busy_until_us: i64,
    handed_over_us: i64,
    mirrored_us: i64,
    passed_us: i64,
    watched_us: i64,
    /// When each partition was assigned, for as long as its queue may still be forgotten.
    assigned_us: BTreeMap<TopicPartition, i64>,
    trouble: Troubles,
    watch: Watch,
}

/// Tells that the thread has ended, whichever way.
struct Ending {
    shared: Arc<Shared>,
    _ended: mpsc::Sender<()>,
}

impl Drop for Ending {
    fn drop(&mut self) {
        self.shared.state().ended = true;
        self.shared.news.notify_one();
    }
}

/// Starts the thread; the receiver says when it has ended.
pub(super) fn start(
    consumer: Arc<BaseConsumer<MemberContext>>,
    shared: Arc<Shared>,
    config: &KafkaConfig,
) -> Result<mpsc::Receiver<()>, LogError> {
    let (sender, ended) = mpsc::channel();
    let ending = Ending { shared: shared.clone(), _ended: sender };
    let poller = Poller {
        inquiry: None,
        readings: Readings::new(Gather::new(consumer.context().names.clone())),
        fetches: FetchQueue::new(consumer.clone()),
        consumer,
        shared,
        limit: config.queue_bytes / 2,
        request_timeout: Duration::from_millis(config.request_timeout_ms),
        busy_until_us: 0,
        handed_over_us: 0,
        mirrored_us: 0,
        passed_us: 0,
        watched_us: 0,
        assigned_us: BTreeMap::new(),
        trouble: Troubles::default(),
        watch: Watch::new(i64::try_from(config.stall_timeout_ms).unwrap_or(i64::MAX).saturating_mul(1_000)),
    };
    let thread = std::thread::Builder::new().name("kafka-poll".to_owned());
    let spawned = thread.spawn(move || {
        let ending = ending;
        poller.run();
        drop(ending);
    });
    spawned.map_err(|error| LogError::Unavailable(format!("no thread to poll Kafka: {error}")))?;
    Ok(ended)
}

impl Poller {
    fn run(mut self) {
        while !self.shared.state().closing {
            self.seeks();
            self.end_revocation();
            self.halts();
            self.mirror();
            self.repeat_trouble();
            self.pass();
            self.watch();
            if self.has_room() {
                self.poll();
            }
        }
        // Dropping the consumer leaves the group; its callbacks find the state closing.
    }

    fn now_us(&self) -> i64 {
        self.consumer.context().clock.monotonic_us()
    }

    /// Whether there is room for more records. Where there is none, the events of the group are served all the same.
    fn has_room(&mut self) -> bool {
        if self.shared.state().bytes < self.limit {
            return true;
        }
        self.events();
        self.watch.excuse(self.now_us());
        self.shared.wait(POLL);
        false
    }

    /// Blocks once, then takes what is there, and hands it over; where the last hand-over was just now, a little later.
    fn poll(&mut self) {
        let mut wait = if self.now_us() < self.busy_until_us { BUSY_POLL } else { POLL };
        while self.gather(wait) {
            let early_us = HAND_OVER_US - (self.now_us() - self.handed_over_us);
            let Some(early_us) = u64::try_from(early_us).ok().filter(|us| *us > 0) else { break };
            wait = Duration::from_micros(early_us);
        }
        self.hand_over();
    }

    /// Blocks once, then takes what is there. Whether there was something, and may be more.
    fn gather(&mut self, mut wait: Duration) -> bool {
        let mut found = false;
        self.events();
        loop {
            let (readings, mut failures) = (&mut self.readings, Vec::new());
            let taken = self.fetches.take(wait, |fetched| match fetched {
                Ok(message) => readings.record(message),
                Err(said) => failures.extend(readings.said(said)),
            });
            for remark in failures {
                if let Some(tp) = remark.tp {
                    self.seek_again(tp);
                }
                self.failed(&KafkaError::MessageConsumption(remark.code), &remark.text);
            }
            if self.readings.is_full(PAGE_BYTES.min(self.limit), PAGE_RECORDS) {
                return false;
            }
            if taken == 0 {
                return found;
            }
            (found, wait) = (true, Duration::ZERO);
        }
    }

    /// Serves the events of the group, and what the client reports as failed.
    fn events(&mut self) {
        let consumer = self.consumer.clone();
        while let Some(polled) = consumer.poll(Duration::ZERO) {
            match polled {
                Ok(message) => self.readings.record(Fetched::from(&message)),
                Err(error) => self.failed(&error, &consumer.context().last_error()),
            }
        }
    }

    fn hand_over(&mut self) {
        let handed = self.readings.take(known_end(&self.consumer));
        if !handed.is_empty() {
            self.handed_over_us = self.now_us();
            self.push(handed);
        }
    }

    fn push(&mut self, handed: Vec<Handed>) {
        let mut state = self.shared.state();
        for handed in handed {
            match handed {
                Handed::Page(page, reading) => state.push(News::Page(page), reading),
                Handed::Trouble(trouble, reading) => {
                    state.halts.insert(trouble.tp);
                    state.push(News::Trouble(trouble), reading);
                }
            }
        }
        drop(state);
        self.shared.news.notify_one();
    }

    /// Commits positions for those who watch the group's lag; never while the group is rebalanced, which a commit would
    /// start again.
    fn mirror(&mut self) {
        let now_us = self.now_us();
        let mut state = self.shared.state();
        if now_us - self.mirrored_us < MIRROR_US || state.mirror.is_empty() || state.revocation.is_some() {
            return;
        }
        let held = std::mem::take(&mut state.mirror);
        let owned = state.members.owned();
        drop(state);
        self.mirrored_us = now_us;
        let names = &self.consumer.context().names;
        let mut list = TopicPartitionList::new();
        for (tp, next) in held.iter().filter(|(tp, _)| owned.contains(tp)) {
            // An offset that the list does not take is mirrored with the next ones.
            let _ = list.add_partition_offset(&names.topic(tp.topic), tp.partition as i32, Offset::Offset(*next));
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(%error, "offsets were not mirrored");
        }
    }

    fn failed(&mut self, error: &KafkaError, words: &str) {
        if let Some(failure) = self.trouble.failed(error, words, self.now_us()) {
            self.say(failure);
        }
    }

    fn repeat_trouble(&mut self) {
        let assigned = || !self.shared.state().members.is_empty();
        let answers = || self.consumer.client().fetch_metadata(Some(PROBED), PROBE).is_ok();
        if let Some(failure) = self.trouble.again(self.now_us(), assigned, answers) {
            self.say(failure);
        }
    }

    fn say(&self, failure: LogError) {
        self.shared.state().failure = Some(failure);
        self.shared.news.notify_one();
    }

    /// Looks for markers that were passed, and for ends that moved while nothing could be read. The client hands markers to
    /// nobody; they show in the offset up to which it was read.
    fn pass(&mut self) {
        let now_us = self.now_us();
        if now_us - self.passed_us < PASS_US {
            return;
        }
        self.passed_us = now_us;
        let is_behind =
            |(tp, next): &(TopicPartition, i64)| known_end(&self.consumer)(*tp).is_some_and(|end| end > *next);
        let behind: Vec<TopicPartition> = self.readings.open().filter(is_behind).map(|(tp, _)| tp).collect();
        if behind.is_empty() {
            return;
        }
        let (names, mut list) = (self.consumer.context().names.clone(), TopicPartitionList::new());
        for tp in &behind {
            list.add_partition(&names.topic(tp.topic), tp.partition as i32);
        }
        for (tp, taken) in behind.into_iter().zip(ffi::taken(self.consumer.client(), &list)) {
            if let Some(taken) = taken {
                self.readings.passed(tp, taken);
            }
        }
        self.hand_over();
        let moved = self.readings.ends(known_end(&self.consumer));
        if !moved.is_empty() {
            self.push(moved);
        }
    }

    /// Looks for partitions that stand still.
    fn watch(&mut self) {
        let now_us = self.now_us();
        if now_us - self.watched_us < self.watch.interval_us() {
            return;
        }
        self.watched_us = now_us;
        self.forward_again();
        if self.trouble.is_down() {
            self.watch.excuse(now_us);
        }
        match self.inquiry.take() {
            Some(inquiry) => self.hear(inquiry, now_us),
            None => {
                let suspects = self.watch.suspects(self.readings.open(), now_us);
                self.inquiry = (!suspects.is_empty()).then(|| self.inquire(suspects));
            }
        }
    }

    fn inquire(&self, suspects: Vec<(TopicPartition, i64)>) -> Inquiry {
        let mut list = TopicPartitionList::new();
        for (tp, _) in &suspects {
            let name = self.consumer.context().names.topic(tp.topic);
            // What the list does not take is not answered.
            let _ = list.add_partition_offset(&name, tp.partition as i32, Offset::End);
        }
        let question = ffi::list_ends(self.consumer.client(), &list, End::Readable, self.request_timeout);
        Inquiry { question, suspects }
    }

    fn hear(&mut self, inquiry: Inquiry, now_us: i64) {
        let Inquiry { question, suspects } = inquiry;
        let ends = match question.ends(Duration::ZERO) {
            Waiting::Still(question) => return self.inquiry = Some(Inquiry { question, suspects }),
            Waiting::Answered(Ok(ends)) => ends,
            // Brokers that do not answer are an outage: nothing can come.
            Waiting::Answered(Err((code, words))) => {
                tracing::debug!(%code, words, "the ends of silent partitions are not known");
                return self.watch.excuse(now_us);
            }
        };
        let names = self.consumer.context().names.clone();
        for (tp, next) in suspects {
            let name = names.topic(tp.topic);
            let end = ends.iter().find(|(topic, partition, _)| *topic == name && *partition == tp.partition as i32);
            let end = end.and_then(|(_, _, end)| end.ok()).unwrap_or(i64::MIN);
            if self.watch.is_stalled(tp, next, end, now_us) {
                let text = format!("the log can be read up to offset {end}, and nothing comes from offset {next} on");
                self.readings.stalled(tp, &text);
            }
        }
        self.hand_over();
    }
}

/// The end of a partition's log as of the last fetch.
fn known_end(consumer: &BaseConsumer<MemberContext>) -> impl Fn(TopicPartition) -> Option<i64> + '_ {
    |tp| ffi::known_end(consumer.client(), &consumer.context().names.topic(tp.topic), tp.partition as i32)
}
