//! What becomes of one record: readable, valid, new, and what it gives rise to.

use super::{Folder, Needed, Outgoing, Tally, decode};
use crate::dedup::{Identity, Verdict};
use crate::outcome::{DeadKind, DeadReason, Outcome};
use crate::position::GENERATION;
use crate::record::{Headers, OutRecord, Record};
use codec::{DecodeError, EncodeError};
use domain::event::{Event, EventKind};
use domain::projection::{DERIVED_PER_EVENT, Origin};
use domain::{Folded, TopicPartition, partitioner, validity};

/// Why the events that an event gives rise to are not there.
enum Underived {
    Encode(EncodeError),
    Unregistered(EventKind),
}

impl Folder {
    /// A null value says that a key is gone; only where the log compacts does that mean anything.
    pub(super) fn is_tombstone(&self, record: &Record<'_>) -> bool {
        record.is_null() && record.tp.topic.is_compacted()
    }

    /// What becomes of a record whose value gives no event.
    ///
    /// # Errors
    /// What the registry must say first.
    pub(super) fn unreadable(&self, record: &Record<'_>, error: DecodeError) -> Result<Outcome, Needed> {
        match error {
            DecodeError::UnknownSchema { id } if self.book.has_registry() => return Err(Needed::Schema(id)),
            DecodeError::UnknownKind { .. } => return Ok(Outcome::Unknown),
            _ => {}
        }
        if let Some(id) = self.book.doubted(&error, record.value, Headers::pairs(record.headers), self.now_us) {
            return Err(Needed::Confirmation(id));
        }
        let text = if record.is_null() { format!("the value is null: {error}") } else { error.to_string() };
        Ok(dead(DeadKind::Undecodable, text))
    }

    /// Why a record whose event is readable cannot be applied, by rules that look at the record alone.
    #[must_use]
    pub fn fault(&self, event: &Event<'_>, record: &Record<'_>) -> Option<(DeadKind, String)> {
        // Forgotten is appended to every topic that it affects (I11).
        if event.kind().topic() != record.tp.topic && event.kind() != EventKind::Forgotten {
            return Some((DeadKind::Invalid, format!("{} belongs to {}", event.kind().name(), event.kind().topic())));
        }
        if let Err(violation) = validity::check(event, record.key, record.append_time_us) {
            return Some((DeadKind::Invalid, violation.to_string()));
        }
        // I9: a retry through a client that places keys otherwise would count twice.
        // An id in upper case names the same row as one in lower case: one partition may write it (I3), that of the
        // canonical key.
        let partitions = self.partitions[record.tp.topic as usize];
        let home = if record.key.iter().any(u8::is_ascii_uppercase) {
            let mut canonical = Vec::new();
            event.key(&mut canonical);
            partitioner::partition_for(&canonical, partitions)
        } else {
            partitioner::partition_for(record.key, partitions)
        };
        (partitions > 0 && home != record.tp.partition).then(|| {
            let text = format!(
                "its key belongs to partition {home} of {partitions}: let the producer place keys by murmur2                  (librdkafka: partitioner=murmur2_random)"
            );
            (DeadKind::Misplaced, text)
        })
    }

    pub(super) fn outcome(
        &mut self,
        record: &Record<'_>,
        append_us: i64,
        tally: &mut Tally,
    ) -> Result<(Outcome, Option<i64>), Needed> {
        if self.is_tombstone(record) {
            return Ok((Outcome::Hole, None));
        }
        let mut room = None;
        let event = match decode(&self.book, record, &mut room) {
            Ok(event) => event,
            Err(error) => return Ok((self.unreadable(record, error)?, None)),
        };
        if let Some((kind, text)) = self.fault(event, record) {
            return Ok((dead(kind, text), None));
        }
        let identity = match self.judge(event, record, append_us)? {
            Ok(identity) => identity,
            Err(outcome) => return Ok((outcome, None)),
        };
        let derived = match self.derive(event, record) {
            Ok(derived) => derived,
            Err(Underived::Unregistered(kind)) => return Err(Needed::Registration(kind)),
            Err(Underived::Encode(error)) => return Ok((dead(DeadKind::Invalid, error.to_string()), None)),
        };
        self.deltas.set_scope(record.tp);
        let folded = (self.projection.fold)(event, &mut self.deltas);
        let is_applied = folded == Folded::Applied;
        if let Some(dedup) = &mut self.dedup {
            dedup.note(record.tp, event.meta(), identity.filter(|_| is_applied), append_us, is_applied);
        }
        if !is_applied {
            return Ok((Outcome::Ignored, None));
        }
        tally.publish.extend(derived);
        Ok((Outcome::Applied, Some(event.meta().occurred_at)))
    }

    /// Whether the record was seen before; gives its outcome where it was, else how to note it.
    fn judge(
        &mut self,
        event: &Event<'_>,
        record: &Record<'_>,
        append_us: i64,
    ) -> Result<Result<Option<Identity>, Outcome>, Needed> {
        let Some(dedup) = &mut self.dedup else { return Ok(Ok(None)) };
        let (meta, tp) = (event.meta(), record.tp);
        Ok(match dedup.judge(tp, meta, record.key, append_us) {
            Verdict::New(identity) => Ok(Some(identity)),
            Verdict::Duplicate(identity) => {
                // The window is refreshed by repeats: an id counts as seen since its last occurrence.
                dedup.note(tp, meta, Some(identity), append_us, false);
                Err(Outcome::Duplicate)
            }
            Verdict::Behind { is_first } => {
                if is_first {
                    let (tenant, producer) = (meta.tenant_id, meta.producer_id);
                    tracing::warn!(%tp, tenant, producer, "sends records later than 1,024 of its numbers: give it a new id");
                }
                Err(Outcome::Behind)
            }
            Verdict::Reused => {
                let text = format!(
                    "producer {} used its sequence number {} for another event before: let it keep its counter                      durably, or put its start into its producer_id",
                    meta.producer_id,
                    meta.producer_seq.unwrap_or_default()
                );
                Err(dead(DeadKind::Reused, text))
            }
            Verdict::SequenceNeeded => return Err(Needed::Sequences),
        })
    }

    /// The events that an event gives rise to; one that cannot be encoded makes its cause a dead letter (I6).
    fn derive(&mut self, event: &Event<'_>, record: &Record<'_>) -> Result<Vec<Outgoing>, Underived> {
        let Some(derive) = self.projection.derive.filter(|_| self.options.derives) else { return Ok(Vec::new()) };
        if self.origin.as_ref().is_none_or(|(tp, _)| *tp != record.tp) {
            let TopicPartition { topic, partition } = record.tp;
            self.origin = Some((record.tp, format!("{}/{topic}.{GENERATION}/{partition}", self.projection.name)));
        }
        let producer_id = self.origin.as_ref().map_or("", |(_, id)| id);
        let origin = Origin { producer_id, first_seq: record.offset * DERIVED_PER_EVENT };
        let (book, encoder, mut derived, mut failed) = (&self.book, &mut self.encoder, Vec::new(), None);
        derive(event, origin, &mut |event| {
            let (mut key, mut value) = (Vec::new(), Vec::new());
            if book.is_unregistered(event.kind()) {
                failed = Some(Underived::Unregistered(event.kind()));
                return;
            }
            event.key(&mut key);
            match encoder.encode(event, &mut value) {
                Ok(()) => {
                    let (topic, headers) = (event.kind().topic(), Headers::default());
                    let derives = OutRecord { topic, key, value, headers };
                    derived.push(Outgoing { tp: record.tp, offset: record.offset, record: derives });
                }
                Err(error) => failed = Some(Underived::Encode(error)),
            }
        });
        failed.map_or(Ok(derived), Err)
    }
}

fn dead(kind: DeadKind, text: String) -> Outcome {
    Outcome::Dead(DeadReason { kind, text })
}
