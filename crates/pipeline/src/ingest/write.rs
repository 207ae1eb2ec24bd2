//! From a batch to acknowledged rows, published letters and a committed offset.

use super::{Chunk, Ingest};
use crate::batch::Batch;
use crate::error::{LogError, StoreError};
use crate::folder::{Outgoing, Tally};
use crate::ledger::Ledger;
use crate::observer::{Committed, Observer, Step};
use crate::park::ParkCause;
use crate::ports::{Clock, GroupOffset, Publisher, RecordStore, Source};
use crate::position::{LastRecord, Position};
use crate::worker::WorkerError;
use crate::{GroupPosition, outcome::DeadReason};
use domain::TopicPartition;
use domain::delta::Deltas;

impl<S: Source, P: Publisher, R: RecordStore + Clone + 'static, C: Clock, O: Observer> Ingest<S, P, R, C, O> {
    /// Folds the batch and starts writing its rows.
    pub(super) async fn dispatch(&mut self) -> Result<(), WorkerError> {
        let batch = std::mem::take(&mut self.batch);
        let started_us = self.env.clock.monotonic_us();
        self.folder.set_now_us(started_us);
        let Some(tally) = self.fold(&batch).await else { return Ok(()) };
        self.env.observer.step(Step::Fold);
        // Records are written blind: there is nothing to load, and the step passes at once.
        self.env.observer.step(Step::Load);
        let parts: Vec<_> = tally.positions.values().copied().collect();
        let id = self.ledger.dispatch(&parts);
        self.env.observer.step(Step::Store);
        let rows = self.folder.seal();
        self.write(Chunk { id, batch, tally, started_us }, rows);
        Ok(())
    }

    fn write(&mut self, chunk: Chunk, rows: Deltas) {
        let mut store = self.store.clone();
        self.writes.push(Box::pin(async move {
            let result = store.write(&rows).await;
            (chunk, rows, result)
        }));
    }

    /// Folds a batch; the tally's positions are the parts of the partitions it covers. None where the worker is to stop.
    async fn fold(&mut self, batch: &Batch) -> Option<Tally> {
        let mut tally = Tally::default();
        let (mut next, mut forced): (usize, Option<DeadReason>) = (0, None);
        while next < batch.len() {
            let opens = |tp, tally: &mut Tally| opens_part(&self.ledger, tp, tally);
            let done = self.folder.fold_batch(batch, next..batch.len(), forced.take(), &mut tally, opens);
            next += done.records;
            if let Some(needed) = done.needed {
                forced = self.env.supply(self.folder.book(), needed).await?;
            }
        }
        self.pass(batch, &mut tally);
        for (tp, part) in &mut tally.positions {
            let leader_epoch = self.readings.get(tp).map_or(-1, |reading| reading.leader_epoch);
            part.last = part.last.map(|last| LastRecord { leader_epoch, ..last });
        }
        Some(tally)
    }

    /// Passes the offsets behind the batch's last records that hold none (I5).
    pub(super) fn pass(&self, batch: &Batch, tally: &mut Tally) {
        for (tp, passed) in batch.passed() {
            if !opens_part(&self.ledger, *tp, tally) {
                continue;
            }
            let Some(part) = tally.positions.get_mut(tp) else { continue };
            let holes = passed - part.next_offset;
            if holes > 0 {
                part.next_offset = *passed;
                part.counts.holes += holes;
                tally.counts.holes += holes;
            }
        }
    }

    /// Publishes dead letters before the offset can pass them (I6); false where the worker is to stop. A partition whose
    /// letter the log refuses is parked: the others' letters are published without it.
    pub(super) async fn publish(&mut self, tally: &mut Tally) -> Result<bool, WorkerError> {
        let mut outgoing: Vec<Outgoing> = std::mem::take(&mut tally.publish);
        while !outgoing.is_empty() {
            let records = outgoing.iter().map(|outgoing| outgoing.record.clone()).collect();
            let Err(unpublished) = self.publisher.publish(records).await else { break };
            let cause = outgoing.get(unpublished.refused.unwrap_or(0)).map(|cause| (cause.tp, cause.offset));
            match (unpublished.error, cause) {
                (LogError::Refused(text), Some((tp, offset))) => {
                    let text = format!("{}: {text}", domain::Topic::DeadLetter);
                    self.park(tp, offset, ParkCause::LetterRefused(text), None).await?;
                    outgoing.retain(|outgoing| outgoing.tp != tp);
                }
                (error, _) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(false);
            }
        }
        tally.dead.iter().for_each(|kind| self.env.observer.dead(*kind));
        Ok(true)
    }

    pub(super) async fn written(
        &mut self,
        (mut chunk, rows, result): (Chunk, Deltas, Result<(), StoreError>),
    ) -> Result<(), WorkerError> {
        match result {
            Ok(()) => {
                let count = rows.rows();
                self.folder.recycle(rows);
                if self.publish(&mut chunk.tally).await? {
                    self.env.observer.step(Step::Publish);
                    self.env.observer.step(Step::BeforeCommit);
                    self.finish(chunk, count).await?;
                }
                Ok(())
            }
            Err(StoreError::Refused(text)) => {
                let Some(tally) = self.write_in_halves(&chunk, text).await? else { return Ok(()) };
                self.finish(Chunk { tally, ..chunk }, rows.rows()).await
            }
            Err(error) => {
                self.env.wait_for_store(error).await?;
                if !self.env.cancel.is_cancelled() {
                    self.write(chunk, rows);
                }
                Ok(())
            }
        }
    }

    /// Commits the offsets behind the contiguous acknowledged prefix; none where the worker is to stop.
    async fn commit(&mut self) -> Result<Option<Vec<Position>>, WorkerError> {
        loop {
            let positions = self.ledger.committable();
            let offsets: Vec<GroupOffset> = positions.iter().map(|position| self.group_offset(position)).collect();
            match self.source.commit(&offsets).await {
                Ok(()) => {
                    self.ledger.committed(&positions);
                    return Ok(Some(positions));
                }
                // The others are still this member's: they are committed without it.
                Err(LogError::NotOwner(tp)) => {
                    self.env.observer.fenced();
                    self.forget(tp);
                }
                Err(error) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(None);
            }
        }
    }

    fn group_offset(&self, position: &Position) -> GroupOffset {
        let log = self.readings.get(&position.tp).map(|reading| reading.log.clone()).unwrap_or_default();
        GroupPosition { position: *position, log, parked: None }.to_offset()
    }

    async fn finish(&mut self, chunk: Chunk, rows: usize) -> Result<(), WorkerError> {
        let parts: Vec<_> = chunk.tally.positions.values().copied().collect();
        self.ledger.done(chunk.id, &parts);
        let store_us = self.env.clock.monotonic_us();
        let Some(positions) = self.commit().await? else { return Ok(()) };
        self.env.resumed();
        self.env.observer.step(Step::AfterCommit);
        let now_us = self.env.clock.monotonic_us();
        self.env.observer.committed(&Committed {
            counts: chunk.tally.counts,
            records: chunk.tally.records,
            bytes: chunk.batch.bytes(),
            rows,
            took_us: now_us - chunk.started_us,
            commit_us: now_us - store_us,
            now_us: self.env.clock.now_us(),
            positions: &positions,
            append_us: chunk.tally.append_us.unwrap_or_default(),
        });
        for position in &positions {
            let end = self.readings.get(&position.tp).map_or(position.next_offset, |reading| reading.log_end);
            self.env.observer.lag(position.tp, end - position.next_offset);
        }
        self.env.observer.in_flight(self.batch.bytes());
        Ok(())
    }
}

/// Gives the tally a part for the partition; false where it is not this member's any more.
pub(super) fn opens_part(ledger: &Ledger, tp: TopicPartition, tally: &mut Tally) -> bool {
    let Some(next) = ledger.dispatched(tp) else { return false };
    tally.positions.entry(tp).or_insert_with(|| Position::start(tp, next));
    true
}
