//! The thread that polls.

use super::context::MemberContext;
use super::shared::{ReadPage, Seek, Shared};
use super::trouble::Troubles;
use crate::config::KafkaConfig;
use crate::error::sort;
use crate::ffi::{self, FetchQueue, Fetched};
use crate::gather::Gather;
use domain::TopicPartition;
use pipeline::{Clock as _, LogError, Page};
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
/// Any topic will do to see whether a broker answers, and how long it may take.
const PROBED: &str = "sporelog.deadletter";
const PROBE: Duration = Duration::from_millis(200);
/// Between two hand-overs: under load the worker is woken by few large pages, not by many small ones.
const HAND_OVER_US: i64 = 2_000;
/// How much is gathered before it is handed over.
const PAGE_RECORDS: usize = 16_384;
const PAGE_BYTES: usize = 1 << 20;
/// How long a seek of a partition that is already fetched may take.
const SEEK: Duration = Duration::from_secs(5);

/// Where a partition is read.
struct Cursor {
    reading: u64,
    /// The next offset: what comes below it was taken before.
    next: i64,
}

struct Poller {
    consumer: Arc<BaseConsumer<MemberContext>>,
    fetches: FetchQueue<MemberContext>,
    shared: Arc<Shared>,
    gather: Gather,
    cursors: BTreeMap<TopicPartition, Cursor>,
    limit: usize,
    busy_until_us: i64,
    handed_over_us: i64,
    mirrored_us: i64,
    trouble: Troubles,
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
        gather: Gather::new(consumer.context().names.clone()),
        fetches: FetchQueue::new(consumer.clone()),
        consumer,
        shared,
        cursors: BTreeMap::new(),
        limit: config.queue_bytes / 2,
        busy_until_us: 0,
        handed_over_us: 0,
        mirrored_us: 0,
        trouble: Troubles::default(),
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
            self.mirror();
            self.repeat_trouble();
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
        let failures = self.events();
        failures.iter().for_each(|error| self.failed(error));
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
        let (mut found, mut failures) = (false, self.events());
        loop {
            let (gather, cursors) = (&mut self.gather, &mut self.cursors);
            let taken = self.fetches.take(wait, |fetched| match fetched {
                Ok(message) => take(message, gather, cursors),
                Err(error) => failures.push(error),
            });
            failures.drain(..).for_each(|error| self.failed(&error));
            if self.gather.is_full(PAGE_BYTES.min(self.limit), PAGE_RECORDS) {
                return false;
            }
            if taken == 0 {
                return found;
            }
            (found, wait) = (true, Duration::ZERO);
        }
    }

    /// Serves the events of the group, and gives back what the client reports as failed.
    fn events(&mut self) -> Vec<KafkaError> {
        let (consumer, mut failures) = (self.consumer.clone(), Vec::new());
        while let Some(polled) = consumer.poll(Duration::ZERO) {
            match polled {
                Ok(message) => take(Fetched::from(&message), &mut self.gather, &mut self.cursors),
                Err(error) => failures.push(error),
            }
        }
        failures
    }

    fn hand_over(&mut self) {
        let pages = self.gather.take();
        if pages.is_empty() {
            return;
        }
        self.handed_over_us = self.now_us();
        let read: Vec<ReadPage> = pages.into_iter().filter_map(|page| self.complete(page)).collect();
        let mut state = self.shared.state();
        for read in read {
            if state.members.reads(read.page.tp(), read.reading) {
                state.bytes += read.page.bytes();
                state.pages.push_back(read);
            }
        }
        drop(state);
        self.shared.news.notify_one();
    }

    fn complete(&self, mut page: Page) -> Option<ReadPage> {
        let tp = page.tp();
        let Cursor { reading, next } = self.cursors.get(&tp)?;
        let name = self.consumer.context().names.topic(tp.topic);
        let known = ffi::known_end(self.consumer.client(), &name, tp.partition as i32);
        page.set_log_end(known.unwrap_or(*next).max(*next));
        Some(ReadPage { page, reading: *reading })
    }

    fn seeks(&mut self) {
        let seeks = std::mem::take(&mut self.shared.state().seeks);
        if !seeks.is_empty() {
            self.busy_until_us = self.now_us() + BUSY_US;
        }
        for Seek { tp, offset, reply } in seeks {
            let done = self.seek(tp, offset);
            // Who does not wait for the answer any more asks again.
            let _ = reply.send(done);
        }
    }

    /// Begins a new reading. The first one adds the partition to what is fetched, at the offset.
    fn seek(&mut self, tp: TopicPartition, offset: i64) -> Result<(), LogError> {
        let mut state = self.shared.state();
        let reading = state.members.read(tp).ok_or(LogError::NotOwner(tp))?;
        state.drop_stale();
        drop(state);
        let context = self.consumer.context().clone();
        let (name, partition, doing) = (context.names.topic(tp.topic), tp.partition as i32, format!("seeking {tp}"));
        let offset_of = Offset::Offset(offset);
        let done = if context.fetching().contains(&tp) {
            self.consumer.seek(&name, partition, offset_of, SEEK)
        } else {
            self.fetches.receive(&name, partition);
            let mut list = TopicPartitionList::new();
            let added = list.add_partition_offset(&name, partition, offset_of);
            added.and_then(|()| self.consumer.incremental_assign(&list))
        };
        done.map_err(|error| sort(&error, doing))?;
        context.fetching().insert(tp);
        self.cursors.insert(tp, Cursor { reading, next: offset });
        Ok(())
    }

    /// Lets the group go on when the worker has released what was revoked, or has had its time.
    fn end_revocation(&mut self) {
        let now_us = self.now_us();
        let mut state = self.shared.state();
        let Some(revocation) = &state.revocation else { return };
        if state.members.is_revoking() && now_us < revocation.until_us {
            drop(state);
            self.busy_until_us = now_us + BUSY_US;
            return;
        }
        let Some(revocation) = state.revocation.take() else { return };
        if state.members.is_revoking() {
            tracing::warn!("revoked partitions were not flushed in time: they go on without it");
        }
        state.members.lose(&revocation.tps);
        state.drop_stale();
        drop(state);
        self.consumer.context().unassign(&self.consumer, &revocation.tps);
        self.cursors.retain(|tp, _| !revocation.tps.contains(tp));
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

    fn failed(&mut self, error: &KafkaError) {
        let (reason, now_us) = (self.consumer.context().last_error(), self.now_us());
        if let Some(failure) = self.trouble.failed(error, &reason, now_us) {
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
}

fn take(message: Fetched<'_>, gather: &mut Gather, cursors: &mut BTreeMap<TopicPartition, Cursor>) {
    let Some(tp) = gather.place(message) else { return };
    // Fetched before a partition was given up.
    let Some(cursor) = cursors.get_mut(&tp).filter(|cursor| message.offset() >= cursor.next) else { return };
    cursor.next = message.offset() + 1;
    gather.push(tp, message);
}
