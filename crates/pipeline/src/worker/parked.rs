//! How a worker parks a partition, and tries it again (I7).

use super::Worker;
use crate::error::StoreError;
use crate::observer::Observer;
use crate::park::{ParkCause, Parked};
use crate::ports::{Clock, Publisher, RowStore, Silent, Source, Trouble, TroubleKind};
use crate::worker::WorkerError;
use domain::TopicPartition;

/// Between two partitions whose silent producers are forgotten.
const FORGET_EVERY_US: i64 = 60_000_000;

impl<S: Source, P: Publisher, R: RowStore, C: Clock, O: Observer> Worker<S, P, R, C, O> {
    /// Stops reading and committing one partition. What was folded and not committed is folded again without it.
    pub(super) async fn park(&mut self, tp: TopicPartition, offset: i64, cause: ParkCause) -> Result<(), WorkerError> {
        self.discard();
        self.forget(tp);
        self.source.halt(tp);
        let projection = self.folder.projection().name;
        let parked = Parked { projection, tp, offset, cause, since_us: self.env.clock.now_us() };
        let parked = self.parking.park(parked, self.env.clock.monotonic_us());
        tracing::error!(%tp, offset, cause = parked.cause.label(), "{parked}");
        self.report_owned();
        self.env.observer.parked(&parked);
        // For those who look from outside. Where the store is down, the next try notes it.
        let noted = self.store.note_parked(self.folder.projection(), tp, &parked.note()).await;
        if let Err(error) = noted {
            tracing::debug!(%error, "a park note was not stored");
        }
        Ok(())
    }

    /// The log cannot go on with a partition: what was read before is committed first.
    pub(super) async fn on_trouble(&mut self, trouble: Trouble) -> Result<(), WorkerError> {
        let Trouble { tp, offset, kind, text } = trouble;
        self.flush().await?;
        if !self.owned.contains_key(&tp) {
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
        self.park(tp, offset, cause).await
    }

    /// Tries the parked partitions that are due: leaving is a claim.
    pub(super) async fn retry_parked(&mut self) -> Result<(), WorkerError> {
        let due = self.parking.due(self.env.clock.monotonic_us());
        if due.is_empty() { Ok(()) } else { self.claim(&due).await }
    }

    /// A partition is read again.
    pub(super) fn on_read_again(&mut self, tp: TopicPartition) {
        if self.parking.leave(tp) {
            tracing::info!(%tp, "no longer parked");
            self.env.observer.unparked(tp);
        }
    }

    /// Lets the store forget what is left of producers that are silent, a partition at a time (I8).
    pub(super) async fn forget_silent_producers(&mut self) {
        let now_us = self.env.clock.monotonic_us();
        if now_us < self.forget_at_us || self.owned.is_empty() {
            return;
        }
        self.forget_at_us = now_us + FORGET_EVERY_US;
        let after = self.forgotten.and_then(|last| self.owned.range(last..).nth(1));
        let Some((tp, owned)) = after.or_else(|| self.owned.iter().next()) else { return };
        let (tp, append_us) = (*tp, owned.position.max_append_us);
        self.forgotten = Some(tp);
        let options = self.options.dedup();
        let before = |age_us: i64| append_us.saturating_sub(age_us);
        let retention_us = options.retention_us[tp.topic as usize];
        let silent = Silent {
            sets_before_us: before(options.forget_after_us),
            floors_before_us: (retention_us != i64::MAX).then(|| before(retention_us)),
        };
        if silent.sets_before_us <= 0 && silent.floors_before_us.is_none() {
            return;
        }
        let forgotten: Result<(), StoreError> = self.store.forget_producers(self.folder.projection(), tp, silent).await;
        if let Err(error) = forgotten {
            tracing::debug!(%error, "silent producers were not forgotten yet");
        }
    }
}
