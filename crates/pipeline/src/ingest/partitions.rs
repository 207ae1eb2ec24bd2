//! The partitions of an ingest worker: taken up at the group's offsets, parked, given back.

use super::Ingest;
use crate::error::LogError;
use crate::group::GroupPosition;
use crate::observer::{Observer, Step};
use crate::owned::{check_range, compare_logs, prove};
use crate::park::{ParkCause, Parked};
use crate::ports::{Clock, GroupOffset, Publisher, RecordStore, Source, Trouble, TroubleKind};
use crate::position::{LastRecord, LogIdentity, Position};
use crate::record::Page;
use crate::worker::WorkerError;
use crate::worker::claim::StartError;
use domain::TopicPartition;

/// How far a partition was read, and in which log.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) fetched: i64,
    pub(super) log_end: i64,
    pub(super) log: LogIdentity,
    pub(super) leader_epoch: i32,
    /// The record before the position, until the log has shown that it is the same one (I2).
    unproven: Option<LastRecord>,
}

impl<S: Source, P: Publisher, R: RecordStore + Clone + 'static, C: Clock, O: Observer> Ingest<S, P, R, C, O> {
    pub(super) async fn append_page(&mut self, page: Page) -> Result<(), WorkerError> {
        self.env.observer.step(Step::Fetch);
        let tp = page.tp();
        let Some(reading) = self.readings.get_mut(&tp) else { return Ok(()) };
        let mut from = 0;
        for record in page.records() {
            if let Some(passed) = reading.unproven {
                if let Err(cause) = prove(passed, &record, page.leader_epoch()) {
                    let offset = reading.fetched;
                    return self.park(tp, offset, cause, None).await;
                }
                reading.unproven = Some(passed).filter(|passed| record.offset < passed.offset);
            }
            if record.offset >= reading.fetched {
                break;
            }
            from += 1;
        }
        let now_us = self.env.clock.monotonic_us();
        let behind_records = page.len().checked_sub(1).map_or(i64::MIN, |last| page.record(last).offset + 1);
        if page.passed() > behind_records.max(reading.fetched) {
            self.batch.pass(tp, page.passed(), now_us);
        }
        reading.fetched = reading.fetched.max(page.passed());
        reading.log_end = reading.log_end.max(page.log_end());
        if page.leader_epoch() >= 0 {
            reading.leader_epoch = page.leader_epoch();
        }
        self.batch.push(page, from, now_us);
        self.env.observer.in_flight(self.batch.bytes());
        Ok(())
    }

    /// Takes partitions up at the group's offsets.
    pub(super) async fn own(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        let committed = loop {
            match self.source.committed(tps).await {
                Ok(committed) => break committed,
                Err(error) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        };
        // Those with positions first: a topic that was given more partitions is parked as a whole (I9).
        let mut tps = tps.to_vec();
        tps.sort_by_key(|tp| committed.iter().all(|offset| offset.tp != *tp));
        for tp in &tps {
            let held = committed.iter().find(|offset| offset.tp == *tp);
            self.start(*tp, held).await?;
        }
        self.env.observer.owned(&self.ledger.owned());
        // There is no claim in the store that would tell whether it is there.
        while let Err(error) = self.store.check(self.folder.projection()).await {
            self.env.wait_for_store(error).await?;
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        }
        self.env.resumed();
        Ok(())
    }

    async fn start(&mut self, tp: TopicPartition, held: Option<&GroupOffset>) -> Result<(), WorkerError> {
        let held = held.map(|offset| (offset.next_offset, GroupPosition::from_offset(offset)));
        // I7: a log that is away is waited for, whichever question it does not answer.
        loop {
            match self.seek(tp, held.as_ref()).await {
                Ok(()) => {
                    if self.parking.leave(tp) {
                        self.env.observer.unparked(tp);
                    }
                    return Ok(());
                }
                Err(StartError::Log(LogError::NotOwner(_))) => return Ok(()),
                Err(StartError::Worker(error)) => return Err(error),
                Err(StartError::Log(error)) => self.env.wait_for_log(error).await?,
                Err(StartError::Park(cause)) => {
                    let offset = held.as_ref().map_or(0, |(next, _)| *next);
                    return self.park(tp, offset, cause, held.and_then(|(_, held)| held)).await;
                }
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn seek(
        &mut self,
        tp: TopicPartition,
        held: Option<&(i64, Option<GroupPosition>)>,
    ) -> Result<(), StartError> {
        let log = self.source.identity(tp).await?;
        let range = self.source.range(tp).await?;
        let position = match held {
            None => {
                if let Some(stored) = self.parking.former_partitions(tp.topic) {
                    return Err(ParkCause::PartitionCount { stored, found: log.partitions }.into());
                }
                Position::start(tp, range.start)
            }
            Some((_, Some(held))) => {
                compare_logs(&held.log, &log)?;
                held.position
            }
            // An offset without our account was set by an operator's tool: a new account begins there.
            Some((next_offset, None)) => {
                tracing::warn!(%tp, next_offset, "the group's offset was set from outside: its account begins anew");
                Position::start(tp, *next_offset)
            }
        };
        check_range(&position, range)?;
        let (next, log_end) = (position.next_offset, range.end);
        let unproven = position.last.filter(|last| last.offset >= range.start);
        self.source.seek(tp, unproven.map_or(next, |last| next.min(last.offset))).await?;
        self.folder.set_partitions(tp.topic, log.partitions);
        self.ledger.own(position);
        self.readings.insert(tp, Reading { fetched: next, log_end, log, leader_epoch: -1, unproven });
        self.env.observer.lag(tp, log_end - next);
        Ok(())
    }

    /// Stops reading and committing one partition (I7). `held` is what the group holds of it, where it is not read yet.
    pub(super) async fn park(
        &mut self,
        tp: TopicPartition,
        offset: i64,
        cause: ParkCause,
        held: Option<GroupPosition>,
    ) -> Result<(), WorkerError> {
        let read = self.ledger.head(tp).zip(self.readings.get(&tp).map(|reading| reading.log.clone()));
        let held = held.or(read.map(|(position, log)| GroupPosition { position, log, parked: None }));
        self.forget(tp);
        self.source.halt(tp);
        let parked = Parked { projection: self.env.projection, tp, offset, cause, since_us: self.env.clock.now_us() };
        let parked = self.parking.park(parked, self.env.clock.monotonic_us());
        tracing::error!(%tp, offset, cause = parked.cause.label(), "{parked}");
        self.env.observer.owned(&self.ledger.owned());
        self.env.observer.parked(&parked);
        // For those who look from outside: the same offset, with a note beside it.
        if let Some(held) = held {
            let noted = GroupPosition { parked: Some(parked.note()), ..held };
            if let Err(error) = self.source.commit(&[noted.to_offset()]).await {
                tracing::debug!(%error, "a park note was not committed");
            }
        }
        Ok(())
    }

    /// The log cannot go on with a partition: what was read before is finished first.
    pub(super) async fn on_trouble(&mut self, trouble: Trouble) -> Result<(), WorkerError> {
        let Trouble { tp, offset, kind, text } = trouble;
        self.drain().await?;
        if !self.readings.contains_key(&tp) {
            return Ok(());
        }
        let cause = match kind {
            TroubleKind::Unreadable => ParkCause::Unreadable(text),
            TroubleKind::Stalled => ParkCause::Stalled(text),
            TroubleKind::OutOfRange => match self.source.range(tp).await {
                Ok(range) => ParkCause::OutOfRange { start: range.start, end: range.end },
                Err(_) => ParkCause::Unreadable(text),
            },
        };
        self.park(tp, offset, cause, None).await
    }

    pub(super) async fn on_revoked(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        self.drain().await?;
        for tp in tps {
            self.forget(*tp);
            if self.parking.leave(*tp) {
                self.env.observer.unparked(*tp);
            }
        }
        self.env.observer.owned(&self.ledger.owned());
        match self.source.release(tps).await {
            Ok(()) | Err(LogError::NotOwner(_)) => Ok(()),
            Err(error) => self.env.wait_for_log(error).await,
        }
    }

    pub(super) fn forget(&mut self, tp: TopicPartition) {
        self.ledger.forget(tp);
        self.readings.remove(&tp);
    }
}
