//! Publishes what a population does: live at a rate, or a stretch of its history as fast as the log takes it.

use super::population::Population;
use codec::EncodeError;
use pipeline::{Clock, LogError, OutRecord, Publisher, Unpublished};
use std::time::Duration;
use thiserror::Error;
use tokio_util::sync::CancellationToken;

/// The largest batch, records.
const BATCH: u64 = 4_096;
/// How often a live population is looked at.
const TICK_US: i64 = 50_000;
/// How far a live population may fall behind before it skips, in seconds of its rate.
const DEBT_SECONDS: f64 = 1.0;
/// How long to wait after the log did not take a batch.
const REST: Duration = Duration::from_secs(1);

/// When things happen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pace {
    /// Now, so many a second, whatever the hour. An outage of the log is waited out; what happened meanwhile is lost.
    Live {
        /// Events a second.
        rate_per_s: f64,
    },
    /// From a time on, by the hour of the day; published as fast as the log takes it, up to `end_us`.
    History {
        /// The first time, in microseconds since 1970.
        start_us: i64,
        /// No event is later.
        end_us: i64,
        /// Events a second of event time, when the whole population is awake.
        rate_per_s: f64,
    },
}

/// How far a simulation has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Events published and acknowledged.
    pub events: u64,
    /// Events that the log did not take (live only).
    pub lost: u64,
    /// When the latest happened, in microseconds since 1970.
    pub time_us: i64,
}

/// Why a simulation ended early.
#[derive(Debug, Error)]
pub enum SimulationError {
    /// The log does not take the events.
    #[error(transparent)]
    Publish(#[from] LogError),
    /// An event does not fit its schema: a bug.
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

/// A population that is published.
#[derive(Debug)]
pub struct Simulation {
    /// Who acts.
    pub population: Population,
    /// When.
    pub pace: Pace,
    /// The most events to publish.
    pub events: Option<u64>,
    /// The longest time to go on: on the clock where it is live, else of event time.
    pub length: Option<Duration>,
}

impl Simulation {
    /// Publishes until the limits are met or it is told to stop; `observe` is told after every batch.
    ///
    /// # Errors
    /// The log refuses the events; or, unless it is live, is not there.
    pub async fn run<P: Publisher, C: Clock>(
        &mut self,
        publisher: &mut P,
        clock: &C,
        cancel: &CancellationToken,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<Progress, SimulationError> {
        match self.pace {
            Pace::Live { rate_per_s } => self.live(rate_per_s, publisher, clock, cancel, observe).await,
            Pace::History { start_us, end_us, rate_per_s } => {
                let end_us = self.length.map_or(end_us, |length| end_us.min(start_us.saturating_add(micros(length))));
                self.history(start_us, end_us, rate_per_s, publisher, cancel, observe).await
            }
        }
    }

    async fn live<P: Publisher, C: Clock>(
        &mut self,
        rate_per_s: f64,
        publisher: &mut P,
        clock: &C,
        cancel: &CancellationToken,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<Progress, SimulationError> {
        let mut progress = Progress { time_us: clock.now_us(), ..Progress::default() };
        self.population.begin(progress.time_us, rate_per_s);
        let began = clock.monotonic_us();
        let (mut paid_until, mut owed) = (began, 0.0);
        while !cancel.is_cancelled() && !self.done(&progress) {
            let now = clock.monotonic_us();
            if self.length.is_some_and(|length| now - began >= micros(length)) {
                break;
            }
            owed = (owed + (now - paid_until) as f64 / 1e6 * rate_per_s).min((rate_per_s * DEBT_SECONDS).max(1.0));
            paid_until = now;
            let due = (owed as u64).min(BATCH).min(self.left(&progress));
            if due > 0 {
                owed -= due as f64;
                let records = self.happened(progress.time_us, clock.now_us(), due)?;
                progress.time_us = progress.time_us.max(clock.now_us());
                match publisher.publish(records).await {
                    Ok(_) => progress.events += due,
                    Err(Unpublished { error: LogError::Unavailable(_), placed, .. }) => {
                        let taken = placed.iter().flatten().count() as u64;
                        progress.events += taken;
                        progress.lost += due - taken.min(due);
                        rest(clock, REST, cancel).await;
                    }
                    Err(unpublished) => return Err(unpublished.error.into()),
                }
                observe(&progress);
            }
            if owed < 1.0 {
                rest(clock, wait(rate_per_s, owed), cancel).await;
            }
        }
        Ok(progress)
    }

    /// `count` records, evenly after `from_us` up to `to_us`.
    fn happened(&mut self, from_us: i64, to_us: i64, count: u64) -> Result<Vec<OutRecord>, EncodeError> {
        let span = (to_us - from_us).max(0) as f64;
        let time = |at: u64| from_us.min(to_us) + (span * at as f64 / count as f64) as i64;
        (1..=count).map(|at| self.population.next_record(time(at))).collect()
    }

    async fn history<P: Publisher>(
        &mut self,
        start_us: i64,
        end_us: i64,
        rate_per_s: f64,
        publisher: &mut P,
        cancel: &CancellationToken,
        observe: &mut dyn FnMut(&Progress),
    ) -> Result<Progress, SimulationError> {
        let mut progress = Progress { time_us: start_us, ..Progress::default() };
        self.population.begin(start_us, rate_per_s);
        let step_us = 1e6 / rate_per_s;
        let (mut at_us, mut part) = (start_us, 0.0);
        while at_us <= end_us && !cancel.is_cancelled() && !self.done(&progress) {
            let mut records = Vec::new();
            let most = BATCH.min(self.left(&progress));
            while at_us <= end_us && (records.len() as u64) < most {
                records.push(self.population.next_record(at_us)?);
                progress.time_us = at_us;
                part += step_us / Population::awake(at_us);
                at_us += part as i64;
                part = part.fract();
            }
            let count = records.len() as u64;
            publisher.publish(records).await.map_err(|unpublished| unpublished.error)?;
            progress.events += count;
            observe(&progress);
        }
        Ok(progress)
    }

    fn left(&self, progress: &Progress) -> u64 {
        self.events.map_or(u64::MAX, |most| most.saturating_sub(progress.events + progress.lost))
    }

    fn done(&self, progress: &Progress) -> bool {
        self.left(progress) == 0
    }
}

fn micros(length: Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// Until the next event is due, but at least a tick, so that fast populations publish in batches.
fn wait(rate_per_s: f64, owed: f64) -> Duration {
    let due_us = (1.0 - owed) / rate_per_s * 1e6;
    Duration::from_micros((due_us as u64).clamp(TICK_US as u64, 1_000_000))
}

async fn rest<C: Clock>(clock: &C, length: Duration, cancel: &CancellationToken) {
    // Nothing to do with the answer: the loop looks at the token itself.
    let _ = cancel.run_until_cancelled(clock.sleep(length)).await;
}
