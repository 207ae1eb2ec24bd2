//! One wave of a publish: records that are sent together, and all of whose answers are awaited.

use super::Inner;
use super::client::{Client, Lane};
use crate::error::{sort, sort_code};
use crate::headers;
use domain::TopicPartition;
use pipeline::ports::Placed;
use pipeline::{LogError, OutRecord};
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::producer::Producer as _;
use rdkafka::producer::future_producer::{Delivery, DeliveryFuture, FutureRecord, OwnedDeliveryResult};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// How long to wait when the client's queue is full.
const FULL: Duration = Duration::from_millis(5);
/// How often it is looked whether the client is done for, and what it has queued again is purged.
const LOOK: Duration = Duration::from_millis(50);
/// How much longer than it may take an answer is waited for.
const LOST: Duration = Duration::from_secs(10);

/// Why a wave failed.
pub(super) struct Failure {
    pub(super) error: LogError,
    /// The first record that the log refuses, or whose batch it refuses.
    pub(super) refused: Option<usize>,
}

pub(super) struct Wave<'a> {
    pub(super) inner: &'a Inner,
    pub(super) client: Arc<Client>,
    pub(super) records: &'a [OutRecord],
}

type Outcome = Result<Delivery, KafkaError>;

impl Wave<'_> {
    /// Sends what can be sent together of `todo`: one record of each partition where they go `singly`, or where the brokers
    /// do not know the producer there yet; else everything.
    pub(super) async fn send(
        &self,
        todo: &[usize],
        singly: bool,
        placed: &mut [Option<Placed>],
    ) -> Result<(), Failure> {
        let topics: BTreeMap<_, _> =
            todo.iter().map(|ix| self.records[*ix].topic).map(|topic| (topic, self.inner.names.topic(topic))).collect();
        let request =
            Duration::from_millis(self.inner.config.request_timeout_ms.min(self.inner.config.delivery_timeout_ms));
        let counted = self.client.count(topics.into_iter(), request).await;
        counted.map_err(|error| Failure { error, refused: None })?;
        let mut seen = HashSet::new();
        let firsts = todo.iter().copied().filter(|ix| seen.insert(self.lane(*ix)));
        let firsts: Vec<usize> = firsts.filter(|ix| singly || !self.client.is_known(self.lane(*ix))).collect();
        let wave = if firsts.is_empty() { todo } else { &firsts };

        let mut under_way = Vec::with_capacity(wave.len());
        let mut failure = None;
        let mut progress = Instant::now();
        for ix in wave {
            match self.enqueue(*ix, &mut progress).await {
                Ok(delivery) => under_way.push((*ix, delivery)),
                Err(error) => {
                    failure = Some(self.failed(*ix, &error));
                    break;
                }
            }
        }
        // All are awaited even after a failure: when this returns, nothing of the wave is on its way any more.
        let outcomes = self.outcomes(under_way, progress).await;
        let failed = self.note(outcomes, placed);
        // What is refused here was never sent, and is behind everything that was.
        match failed.or(failure) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn lane(&self, ix: usize) -> Lane {
        self.client.lane(&self.records[ix])
    }

    /// How long nothing may be acknowledged before the wave is given up; the rest of the time is for making sure.
    fn patience(&self) -> Duration {
        Duration::from_millis(self.inner.config.delivery_timeout_ms) * 2 / 3
    }

    /// Hands a record to the client; waits only for room in its queue.
    async fn enqueue(&self, ix: usize, progress: &mut Instant) -> Result<DeliveryFuture, KafkaError> {
        let record = &self.records[ix];
        let topic = self.inner.names.topic(record.topic);
        let (headers, null) = headers::write(&record.headers);
        let mut out = FutureRecord::<[u8], [u8]>::to(&topic).key(&record.key);
        if !(null && record.value.is_empty()) {
            out = out.payload(&record.value);
        }
        if let Some(headers) = headers {
            out = out.headers(headers);
        }
        loop {
            match self.client.producer.send_result(out) {
                Ok(delivery) => {
                    *progress = Instant::now();
                    return Ok(delivery);
                }
                Err((KafkaError::MessageProduction(Code::QueueFull), back)) if progress.elapsed() < self.patience() => {
                    out = back;
                    tokio::time::sleep(FULL).await;
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    async fn outcomes(&self, under_way: Vec<(usize, DeliveryFuture)>, mut progress: Instant) -> Vec<(usize, Outcome)> {
        let mut outcomes = Vec::with_capacity(under_way.len());
        let mut given_up = None;
        for (ix, mut delivery) in under_way {
            let outcome = loop {
                if let Some(since) = given_up {
                    break self.settle(delivery, since).await;
                }
                if let Ok(outcome) = timeout(LOOK, &mut delivery).await {
                    progress = Instant::now();
                    break outcome_of(outcome);
                }
                // A producer that is done for sends nothing more, and fails nothing that it has queued.
                let is_fatal = self.client.producer.client().fatal_error().is_some();
                if is_fatal || progress.elapsed() >= self.patience() {
                    self.inner.retire(&self.client);
                    let grace = if is_fatal { Duration::ZERO } else { self.patience() / 20 };
                    given_up = Some(Instant::now() + grace);
                }
            };
            outcomes.push((ix, outcome));
        }
        outcomes
    }

    /// Waits for the answer to a record of a wave that was given up. From `purge_at` on what is still queued is purged, also
    /// what comes back to the queue to be tried again, while what is under way is answered; publishers that share the
    /// client have until then to get their answers.
    async fn settle(&self, mut delivery: DeliveryFuture, purge_at: Instant) -> Outcome {
        let whole = self.patience() / 2;
        loop {
            if let Ok(outcome) = timeout(LOOK, &mut delivery).await {
                return outcome_of(outcome);
            }
            let Some(passed) = Instant::now().checked_duration_since(purge_at) else { continue };
            if passed >= whole + LOST {
                return Err(KafkaError::Canceled);
            }
            self.client.purge(passed >= whole).await;
        }
    }

    /// Notes where records went; of each partition a beginning. Gives back why the first ones did not, a refusal first.
    fn note(&self, outcomes: Vec<(usize, Outcome)>, placed: &mut [Option<Placed>]) -> Option<Failure> {
        let (mut broken, mut failure): (HashSet<Lane>, Option<Failure>) = (HashSet::new(), None);
        for (ix, outcome) in outcomes {
            let lane = self.lane(ix);
            let error = match outcome {
                Ok(Delivery { partition, offset, .. }) if offset >= 0 && !broken.contains(&lane) => {
                    let tp = TopicPartition::new(self.records[ix].topic, partition.unsigned_abs());
                    self.client.acknowledged((tp.topic, tp.partition));
                    placed[ix] = Some(Placed { tp, offset });
                    continue;
                }
                // An answer to a later one told that it is there, not where; or it is behind one that is not.
                Ok(_) => KafkaError::MessageProduction(Code::NoOffset),
                Err(error) => error,
            };
            broken.insert(lane);
            let failed = self.failed(ix, &error);
            let is_first_refusal =
                failed.refused.is_some() && failure.as_ref().is_none_or(|held| held.refused.is_none());
            if failure.is_none() || is_first_refusal {
                failure = Some(failed);
            }
        }
        failure
    }

    /// Sorts an error. A client that is done for is let go of: the next batch gets a new one.
    fn failed(&self, ix: usize, error: &KafkaError) -> Failure {
        let topic = self.inner.names.topic(self.records[ix].topic);
        let doing = format!("publishing to {topic}");
        let fatal = self.client.producer.client().fatal_error();
        if let Some((code, reason)) = &fatal {
            tracing::debug!(%code, reason, "the producer is replaced");
            self.inner.retire(&self.client);
        }
        let own = match error.rdkafka_error_code() {
            Some(Code::PurgeQueue | Code::PurgeInflight | Code::QueueFull) => sort_code(
                Code::MessageTimedOut,
                format_args!("{doing}: nothing was acknowledged for {} ms", self.patience().as_millis()),
            ),
            _ => sort(error, &doing),
        };
        match (own, fatal) {
            (refused @ LogError::Refused(_), _) => Failure { error: refused, refused: Some(ix) },
            (_, Some((code, reason))) => {
                let text = format!("{doing}: {code}: {reason}: the producer is replaced");
                Failure { error: LogError::Unavailable(text), refused: None }
            }
            (error, None) => Failure { error, refused: None },
        }
    }
}

fn outcome_of<E>(outcome: Result<OwnedDeliveryResult, E>) -> Outcome {
    match outcome {
        Ok(Ok(delivery)) => Ok(delivery),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}
