//! From records to row deltas: decode, deduplicate, fold. No I/O, no waiting; both loops use it.

mod outcome;

use crate::batch::Batch;
use crate::deadletter::dead_letter;
use crate::dedup::Dedup;
use crate::options::WorkerOptions;
use crate::outcome::{DeadKind, DeadReason, Outcome};
use crate::position::{Counts, DeadRow, LastRecord, Position};
use crate::record::{Headers, OutRecord, Page, Record};
use crate::schemas::SchemaBook;
use codec::{DecodeError, Encoder};
use domain::delta::Deltas;
use domain::event::{Event, EventKind};
use domain::{Folded, Projection, Topic, TopicPartition};
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
    /// The registry's word that this id still has the schema that is known: a record does not fit it.
    Confirmation(u32),
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
    /// The monotonic time, as of the last batch: how old a registry's word is.
    now_us: i64,
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
            now_us: 0,
            deltas,
            spare: None,
            scratch,
        }
    }

    /// States the monotonic time.
    pub fn set_now_us(&mut self, now_us: i64) {
        self.now_us = now_us;
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
        position.last = Some(LastRecord { offset: record.offset, append_us: record.append_time_us, leader_epoch: -1 });
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
        let mut room = None;
        let id = decode(&self.book, record, &mut room).ok().map(|event| event.meta().event_id);
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
        let mut room = None;
        let event = match decode(&self.book, record, &mut room) {
            Ok(event) => event,
            Err(error) => return self.unreadable(record, error).map(drop),
        };
        if event.meta().producer_seq.is_some() || self.fault(event, record).is_some() {
            return Ok(());
        }
        let is_applied = (self.projection.fold)(event, &mut self.scratch) == Folded::Applied;
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
            let mut room = None;
            let Ok(event) = decode(&self.book, &record, &mut room) else { continue };
            let meta = event.meta();
            if meta.producer_seq.is_some() && !dedup.knows(record.tp, meta.tenant_id, meta.producer_id) {
                unknown.insert((record.tp, meta.tenant_id.to_owned(), meta.producer_id.to_owned()));
            }
        }
        unknown.into_iter().collect()
    }
}

/// The event of a record; a foreign serialiser may name its schema in the headers.
fn decode<'r, 'a>(
    book: &SchemaBook,
    record: &Record<'a>,
    room: &'r mut Option<Event<'a>>,
) -> Result<&'r Event<'a>, DecodeError> {
    book.schemas().decode_record_into(record.value, Headers::pairs(record.headers), room)
}
