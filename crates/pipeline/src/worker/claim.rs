//! How a worker takes partitions up: which log, which position, from where (I2, I3).

use super::Worker;
use crate::error::LogError;
use crate::observer::Observer;
use crate::owned::{Owned, Refill, check_range, compare_logs};
use crate::park::ParkCause;
use crate::ports::{Clock, Polled, Publisher, RowStore, Source};
use crate::position::{Claim, Claimed, LogIdentity, Position};
use crate::worker::WorkerError;
use domain::{Topic, TopicPartition};
use std::collections::BTreeMap;

/// Why a partition was not taken up.
pub(crate) enum StartError {
    Log(LogError),
    Park(ParkCause),
    Worker(WorkerError),
}

impl From<LogError> for StartError {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Setting(text) => StartError::Park(ParkCause::Setting(text)),
            error => StartError::Log(error),
        }
    }
}

impl From<ParkCause> for StartError {
    fn from(cause: ParkCause) -> Self {
        StartError::Park(cause)
    }
}

/// The topics with another number of partitions than some of these positions were made with, and that number (I9).
fn grown_topics(claims: &[Claim], claimed: &[Claimed]) -> BTreeMap<Topic, u32> {
    let pairs = claims.iter().zip(claimed).filter(|(_, claimed)| claimed.position.is_some());
    let grown = pairs.filter(|(claim, claimed)| claim.log.partitions != claimed.log.partitions);
    grown.map(|(claim, claimed)| (claim.tp.topic, claimed.log.partitions)).collect()
}

impl<S: Source, P: Publisher, R: RowStore, C: Clock, O: Observer> Worker<S, P, R, C, O> {
    /// Claims partitions and starts reading them (I3): the epoch is durable before the first fetch.
    pub(super) async fn claim(&mut self, tps: &[TopicPartition]) -> Result<(), WorkerError> {
        self.flush().await?;
        self.cache.clear();
        if !self.settle().await? {
            return Ok(());
        }
        let Some(claims) = self.identify(tps).await? else { return Ok(()) };
        let claimed = loop {
            match self.store.claim(self.folder.projection(), &claims).await {
                Ok(claimed) => break claimed,
                Err(error) => self.env.wait_for_store(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        };
        let grown = grown_topics(&claims, &claimed);
        for (claim, mut claimed) in claims.into_iter().zip(claimed) {
            // I9: a partition that a topic was given later is no better than its others: the whole topic is parked.
            let topic = claim.tp.topic;
            let former = grown.get(&topic).copied().or_else(|| self.parking.former_partitions(topic));
            if let Some(partitions) = former.filter(|_| claimed.position.is_none()) {
                claimed.log.partitions = partitions;
            }
            self.start(claimed, claim.log).await?;
        }
        self.report_owned();
        self.env.observer.ready();
        Ok(())
    }

    /// Asks the store whether it can be written, and whether its rows were made by today's rules; false where the worker is
    /// to stop.
    async fn settle(&mut self) -> Result<bool, WorkerError> {
        let projection = self.folder.projection();
        let wanted = self.options.dedup_settings();
        while !self.is_settled {
            let answered = match self.store.check(projection).await {
                Ok(()) => self.store.settings(projection, wanted).await,
                Err(error) => Err(error),
            };
            match answered {
                Ok(stored) if stored == wanted => self.is_settled = true,
                Ok(stored) => {
                    let projection = projection.name;
                    return Err(WorkerError::DedupChanged { projection, stored, wanted });
                }
                Err(error) => self.env.wait_for_store(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Asks which logs these partitions belong to; none where the worker is to stop.
    async fn identify(&mut self, tps: &[TopicPartition]) -> Result<Option<Vec<Claim>>, WorkerError> {
        let mut claims = Vec::with_capacity(tps.len());
        for tp in tps {
            loop {
                match self.source.identity(*tp).await {
                    Ok(log) => {
                        claims.push(Claim { tp: *tp, log });
                        break;
                    }
                    Err(LogError::NotOwner(_)) => break,
                    Err(LogError::Setting(text)) => {
                        self.park(*tp, 0, ParkCause::Setting(text)).await?;
                        break;
                    }
                    Err(error) => self.env.wait_for_log(error).await?,
                }
                if self.env.cancel.is_cancelled() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(claims))
    }

    async fn start(&mut self, claimed: Claimed, log: LogIdentity) -> Result<(), WorkerError> {
        let tp = claimed.tp;
        loop {
            match self.seek(&claimed, &log).await {
                Ok(()) => {
                    self.on_read_again(tp);
                    return Ok(());
                }
                Err(StartError::Worker(error)) => return Err(error),
                Err(StartError::Log(LogError::NotOwner(_))) => return Ok(()),
                Err(StartError::Log(error)) => self.env.wait_for_log(error).await?,
                Err(StartError::Park(cause)) => {
                    let offset = claimed.position.map_or(0, |position| position.next_offset);
                    return self.park(tp, offset, cause).await;
                }
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        }
    }

    async fn seek(&mut self, claimed: &Claimed, log: &LogIdentity) -> Result<(), StartError> {
        let tp = claimed.tp;
        compare_logs(&claimed.log, log)?;
        let range = self.source.range(tp).await?;
        let mut position = claimed.position.unwrap_or(Position::start(tp, range.start));
        position.epoch = claimed.epoch;
        check_range(&position, range)?;
        let next = position.next_offset;
        let mut refill = Refill { from: next, append_us: i64::MIN, dead: Vec::new() };
        if next > position.first_offset {
            let since_us = position.max_append_us.saturating_sub(self.options.dedup().bounds.window_us);
            let found = self.source.offset_at(tp, since_us).await?;
            // An operator who passed over what cannot be read began the window anew behind it: reading it again to refill
            // the window would meet the same trouble.
            let start = position.window_from.map_or(range.start, |from| from.clamp(range.start, next));
            refill.from = found.clamp(start, next);
            // What the log has let go of may have belonged to the window: it began anew here, and says so.
            if range.start > position.first_offset && found <= range.start {
                position.window_from = Some(range.start);
            }
            refill.dead = self.dead_offsets(tp, refill.from, next).await?;
        }
        // The record before the position is read again: it proves that the log is the position's own (I2).
        let unproven = position.last.filter(|last| last.offset >= range.start);
        let from = unproven.map_or(refill.from, |last| refill.from.min(last.offset));
        self.source.seek(tp, from).await?;
        self.folder.set_partitions(tp.topic, log.partitions);
        let (epoch, committed) = (claimed.epoch, claimed.position.is_some());
        let (log_end, leader_epoch) = (range.end, -1);
        self.owned
            .insert(tp, Owned { epoch, position, committed, fetched: next, log_end, leader_epoch, unproven, refill });
        self.env.observer.lag(tp, range.end - next);
        Ok(())
    }

    async fn dead_offsets(&mut self, tp: TopicPartition, from: i64, to: i64) -> Result<Vec<i64>, StartError> {
        loop {
            match self.store.dead(self.folder.projection(), tp, from..to).await {
                Ok(dead) => return Ok(dead),
                Err(error) => self.env.wait_for_store(error).await.map_err(StartError::Worker)?,
            }
            if self.env.cancel.is_cancelled() {
                return Err(StartError::Log(LogError::NotOwner(tp)));
            }
        }
    }

    /// After a fence: everything uncommitted is discarded, and what the source still assigns is claimed again.
    pub(super) async fn reclaim(&mut self, lost: &[TopicPartition]) -> Result<(), WorkerError> {
        self.env.observer.fenced();
        self.batch.clear();
        self.discard();
        // A page that waits lies behind what was discarded: it is read again, and so is what cannot be read.
        self.pending.take_if(|polled| matches!(polled, Ok(Polled::Page(_) | Polled::Trouble(_))));
        let held: Vec<_> = std::mem::take(&mut self.owned).into_keys().collect();
        for tp in &held {
            self.forget(*tp);
        }
        // The assignment rules: what it still gives is claimed again, even where a zombie took it meanwhile.
        let assigned = loop {
            match self.source.assignment().await {
                Ok(assigned) => break assigned,
                Err(error) => self.env.wait_for_log(error).await?,
            }
            if self.env.cancel.is_cancelled() {
                return Ok(());
            }
        };
        let kept: Vec<_> = held.into_iter().filter(|tp| assigned.contains(tp)).collect();
        tracing::warn!(lost = lost.len(), kept = kept.len(), "fenced: discarded what was not committed");
        Box::pin(self.claim(&kept)).await
    }
}
