//! From records to row deltas: decode, admit, fold. No I/O, no waiting; both loops use it.

use crate::batch::Batch;
use crate::deadletter::dead_letter;
use crate::dedup::{Dedup, Identity, Verdict};
use crate::options::WorkerOptions;
use crate::outcome::{DeadKind, DeadReason, Outcome};
use crate::position::{Counts, DeadRow, GENERATION, LastRecord, Position};
use crate::record::{Headers, OutRecord, Page, Record};
use crate::schemas::SchemaBook;
use codec::{DecodeError, EncodeError, Encoder};
use domain::delta::Deltas;
use domain::event::{Event, EventKind};
use domain::projection::{DERIVED_PER_EVENT, Origin};
use domain::{Folded, Projection, Topic, TopicPartition, partitioner, validity};
use std::collections::BTreeMap;
use std::ops::Range;
use xxhash_rust::xxh3::xxh3_64;

/// What folding a batch brought about, besides rows.
#[derive(Debug, Default)]
pub struct Tally {
    /// The positions behind the records folded.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// What happened to the records, in all partitions.
    pub counts: Counts,
    /// The number of records.
    pub records: usize,
    /// Dead letters and derived events, to be published between the statements and COMMIT.
    pub publish: Vec<Outgoing>,
    /// The reasons of the dead records.
    pub dead: Vec<DeadKind>,
    /// The dead records, as the store remembers them.
    pub dead_rows: Vec<DeadRow>,
    /// The append times of the oldest and the newest record, in us.
    pub append_us: Option<(i64, i64)>,
}

/// A record to be published, and the one that gave rise to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The partition of its cause.
    pub tp: TopicPartition,
    /// The offset of its cause.
    pub offset: i64,
    /// The record.
    pub record: OutRecord,
}

/// What must be fetched before a record can be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The sequence of its producer, from the store.
    Sequences,
    /// The schema under this id, from the registry.
    Schema(u32),
    /// An id for the schema of this kind, under which a derived event is written.
    Registration(EventKind),
}

/// How far a run of records was folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The number of records folded.
    pub records: usize,
    /// What the next one needs first.
    pub needed: Option<Needed>,
}

/// Why the events that an event gives rise to are not there.
enum Underived {
    Encode(EncodeError),
    Unregistered(EventKind),
}

/// What of a worker's options the fold needs.
#[derive(Clone, Debug)]
struct FoldOptions {
    /// Whether derived events are published.
    derives: bool,
    max_record_bytes: usize,
    known_dead: Option<std::sync::Arc<crate::options::KnownDead>>,
}

/// Folds records for one projection.
#[derive(Debug)]
pub struct Folder {
    projection: &'static Projection,
    book: SchemaBook,
    encoder: Encoder,
    /// The producer id of derived events, for the partition that it was last made for.
    origin: Option<(TopicPartition, String)>,
    /// What was seen before; none for a store whose writes are idempotent.
    dedup: Option<Dedup>,
    /// The number of partitions of each topic: a key belongs to one of them (I9). 0 where it is not known yet.
    partitions: [u32; Topic::ALL.len()],
    options: FoldOptions,
    /// The rows of the batch.
    pub deltas: Deltas,
    /// The memory of rows that were committed.
    spare: Option<Deltas>,
    /// For folding without keeping the rows.
    scratch: Deltas,
}

impl Folder {
    /// A folder for the projection. Without `dedup` no record is a duplicate.
    #[must_use]
    pub fn new(
        projection: &'static Projection,
        book: SchemaBook,
        dedup: Option<Dedup>,
        options: &WorkerOptions,
    ) -> Self {
        let encoder = Encoder::new(book.schemas().clone());
        let (deltas, scratch) = (Deltas::new(projection.tables), Deltas::new(projection.tables));
        let options = FoldOptions {
            derives: options.derives && dedup.is_some(),
            max_record_bytes: options.max_record_bytes,
            known_dead: options.known_dead.clone(),
        };
        let partitions = [0; Topic::ALL.len()];
        Self {
            projection,
            book,
            encoder,
            origin: None,
            dedup,
            partitions,
            options,
            deltas,
            spare: None,
            scratch,
        }
    }

    /// States the number of partitions of a topic, as its log says (I9).
    pub fn set_partitions(&mut self, topic: Topic, partitions: u32) {
        self.partitions[topic as usize] = partitions;
    }

    /// The projection.
    #[must_use]
    pub fn projection(&self) -> &'static Projection {
        self.projection
    }

    /// The schemas.
    #[must_use]
    pub fn book(&self) -> &SchemaBook {
        &self.book
    }

    /// What was seen before, if this projection looks at it.
    pub fn dedup(&mut self) -> Option<&mut Dedup> {
        self.dedup.as_mut()
    }

    /// Forgets what was folded and not committed.
    pub fn discard(&mut self) {
        self.deltas.clear();
        if let Some(dedup) = &mut self.dedup {
            dedup.roll_back();
        }
    }

    /// Gives the rows of the batch away, to be committed; what is folded now is of the next batch.
    pub fn seal(&mut self) -> Deltas {
        if let Some(dedup) = &mut self.dedup {
            dedup.seal();
        }
        let empty = self.spare.take().unwrap_or_else(|| Deltas::new(self.projection.tables));
        std::mem::replace(&mut self.deltas, empty)
    }

    /// The sealed rows are committed.
    pub fn commit(&mut self, rows: Deltas) {
        self.recycle(rows);
        if let Some(dedup) = &mut self.dedup {
            dedup.commit();
        }
    }

    /// Takes the memory of sealed rows back.
    pub fn recycle(&mut self, mut rows: Deltas) {
        rows.clear();
        self.spare = Some(rows);
    }

    /// Folds records of a batch in their order, up to the first that needs something; those of a partition that `owns`
    /// does not take are passed over. `forced` is of the first one that is folded.
    pub fn fold_batch(
        &mut self,
        batch: &Batch,
        records: Range<usize>,
        mut forced: Option<DeadReason>,
        tally: &mut Tally,
        mut owns: impl FnMut(TopicPartition, &mut Tally) -> bool,
    ) -> Run {
        let mut run = Run { records: 0, needed: None };
        for (page, records) in batch.runs(records.start, records.end) {
            if !owns(page.tp(), tally) {
                run.records += records.len();
                continue;
            }
            let done = self.fold_run(page, records, forced.take(), tally);
            run = Run { records: run.records + done.records, needed: done.needed };
            if run.needed.is_some() {
                break;
            }
        }
        run
    }

    /// Folds records of a page in their order, as [`Folder::fold`] does, up to the first that needs something; `forced`
    /// is of the first one.
    pub fn fold_run(
        &mut self,
        page: &Page,
        records: Range<usize>,
        mut forced: Option<DeadReason>,
        tally: &mut Tally,
    ) -> Run {
        let Some(mut position) = tally.positions.get(&page.tp()).copied() else {
            return Run { records: records.len(), needed: None };
        };
        let mut run = Run { records: 0, needed: None };
        for ix in records {
            match self.fold_record(&page.record(ix), forced.take(), &mut position, tally) {
                Ok(()) => run.records += 1,
                Err(needed) => {
                    run.needed = Some(needed);
                    break;
                }
            }
        }
        tally.positions.insert(page.tp(), position);
        run
    }

    /// Folds one record: rows into the deltas, everything else into the tally, whose positions must hold the
    /// record's partition. `forced` makes it dead: a store refused its rows, or the registry has no such schema.
    ///
    /// # Errors
    /// What is [`Needed`] first, before anything is changed.
    pub fn fold(&mut self, record: &Record<'_>, forced: Option<DeadReason>, tally: &mut Tally) -> Result<(), Needed> {
        let Some(mut position) = tally.positions.get(&record.tp).copied() else { return Ok(()) };
        let folded = self.fold_record(record, forced, &mut position, tally);
        tally.positions.insert(record.tp, position);
        folded
    }

    fn fold_record(
        &mut self,
        record: &Record<'_>,
        forced: Option<DeadReason>,
        position: &mut Position,
        tally: &mut Tally,
    ) -> Result<(), Needed> {
        let append_us = position.max_append_us.max(record.append_time_us);
        let (outcome, occurred_us) = match forced.or_else(|| self.known_dead(record)) {
            Some(reason) => (Outcome::Dead(reason), None),
            None => self.outcome(record, append_us, tally)?,
        };
        let holes = record.offset - position.next_offset;
        position.counts.holes += holes;
        tally.counts.holes += holes;
        position.next_offset = record.offset + 1;
        position.max_append_us = append_us;
        position.last =
            Some(LastRecord { offset: record.offset, append_us: record.append_time_us, leader_epoch: -1 });
        if let Some(occurred_us) = occurred_us {
            position.watermark_us = position.watermark_us.max(occurred_us.min(record.append_time_us));
        }
        position.counts.count(&outcome);
        tally.counts.count(&outcome);
        tally.records += 1;
        let (oldest, newest) = tally.append_us.unwrap_or((record.append_time_us, record.append_time_us));
        tally.append_us = Some((oldest.min(record.append_time_us), newest.max(record.append_time_us)));
        if let Outcome::Dead(reason) = &outcome {
            self.bury(record, reason, tally);
        }
        Ok(())
    }

    /// A dead record: its letter, and the row by which it is remembered (I6).
    fn bury(&self, record: &Record<'_>, reason: &DeadReason, tally: &mut Tally) {
        let Record { tp, offset, .. } = *record;
        let letter = dead_letter(record, self.projection.name, reason, self.options.max_record_bytes);
        tally.dead.push(reason.kind);
        tally.publish.push(Outgoing { tp, offset, record: letter });
        let id = self.book.schemas().decode(record.value).ok().map(|event| event.meta().event_id);
        tally.dead_rows.push(DeadRow {
            tp,
            offset,
            append_us: record.append_time_us,
            reason: reason.to_string(),
            value_hash: xxh3_64(record.value) as i64,
            id_hash: id.map(|id| xxh3_64(id.as_bytes()) as i64),
        });
    }

    /// The reason of a record that the store in question holds for dead.
    fn known_dead(&self, record: &Record<'_>) -> Option<DeadReason> {
        let known = self.options.known_dead.as_deref()?;
        known.get(&record.tp)?.get(&record.offset).map(|reason| DeadReason::parse(reason))
    }

    /// Takes up a record from before the position, which was folded before this worker owned the partition. `append_us` is
    /// the largest append time from the beginning of the window to this record. The record is not dead.
    ///
    /// # Errors
    /// The schema that is [`Needed`] first: its former owner may have known it.
    pub fn refill(&mut self, record: &Record<'_>, append_us: i64) -> Result<(), Needed> {
        if self.is_tombstone(record) {
            return Ok(());
        }
        let event = match self.book.schemas().decode(record.value) {
            Ok(event) => event,
            Err(DecodeError::UnknownSchema { id }) if self.book.has_registry() => return Err(Needed::Schema(id)),
            Err(_) => return Ok(()),
        };
        if event.meta().producer_seq.is_some()
            || validity::check(&event, record.key, record.append_time_us).is_err()
        {
            return Ok(());
        }
        let is_applied = (self.projection.fold)(&event, &mut self.scratch) == Folded::Applied;
        if let Some(dedup) = &mut self.dedup {
            dedup.refill(record.tp, event.meta(), record.key, append_us, is_applied);
        }
        self.scratch.clear();
        Ok(())
    }

    /// The producers (tenant, producer id) of these records whose sequences are not in memory.
    #[must_use]
    pub fn unknown_producers<'a>(
        &self,
        records: impl Iterator<Item = Record<'a>>,
    ) -> Vec<(TopicPartition, String, String)> {
        let Some(dedup) = &self.dedup else { return Vec::new() };
        let mut unknown = std::collections::BTreeSet::new();
        for record in records {
            let Ok(event) = self.book.schemas().decode(record.value) else { continue };
            let meta = event.meta();
            if meta.producer_seq.is_some() && !dedup.knows(record.tp, meta.tenant_id, meta.producer_id) {
                unknown.insert((record.tp, meta.tenant_id.to_owned(), meta.producer_id.to_owned()));
            }
        }
        unknown.into_iter().collect()
    }

    /// A null value says that a key is gone; only where the log compacts does that mean anything.
    fn is_tombstone(&self, record: &Record<'_>) -> bool {
        record.is_null() && record.tp.topic.is_compacted()
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
        let partitions = self.partitions[record.tp.topic as usize];
        let home = partitioner::partition_for(record.key, partitions);
        (partitions > 0 && home != record.tp.partition).then(|| {
            let text = format!(
                "its key belongs to partition {home} of {partitions}: let the producer place keys by murmur2                  (librdkafka: partitioner=murmur2_random)"
            );
            (DeadKind::Misplaced, text)
        })
    }

    fn outcome(
        &mut self,
        record: &Record<'_>,
        append_us: i64,
        tally: &mut Tally,
    ) -> Result<(Outcome, Option<i64>), Needed> {
        if self.is_tombstone(record) {
            return Ok((Outcome::Hole, None));
        }
        let mut room = None;
        let event = match self.book.schemas().decode_into(record.value, &mut room) {
            Ok(event) => event,
            Err(DecodeError::UnknownSchema { id }) if self.book.has_registry() => return Err(Needed::Schema(id)),
            Err(error) if record.is_null() => {
                return Ok((dead(DeadKind::Undecodable, format!("the value is null: {error}")), None));
            }
            Err(error) => return Ok((dead(DeadKind::Undecodable, error.to_string()), None)),
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
