//! From records to row deltas: decode, admit, fold. No I/O, no waiting; both loops use it.

use crate::admission::{Admission, Admit};
use crate::batch::Batch;
use crate::deadletter::dead_letter;
use crate::outcome::{DeadKind, DeadReason, Outcome};
use crate::position::{Counts, Position};
use crate::record::{Headers, OutRecord, Page, Record};
use crate::schemas::SchemaBook;
use codec::{DecodeError, EncodeError, Encoder};
use domain::delta::Deltas;
use domain::event::{Event, EventKind};
use domain::projection::{DERIVED_PER_EVENT, Origin};
use domain::{Folded, Projection, TopicPartition, validity};
use std::collections::BTreeMap;
use std::ops::Range;

/// What folding a batch brought about, besides rows.
#[derive(Debug, Default)]
pub struct Tally {
    /// The positions behind the records folded.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// What happened to the records, in all partitions.
    pub counts: Counts,
    /// The number of records.
    pub records: usize,
    /// Dead letters and derived events, to be published before the commit.
    pub publish: Vec<OutRecord>,
    /// The reasons of the dead letters.
    pub dead: Vec<DeadKind>,
    /// The append times of the oldest and the newest record, in us.
    pub append_us: Option<(i64, i64)>,
    /// Partitions whose horizon was cut short by its cap.
    pub shortened: Vec<TopicPartition>,
}

/// What must be fetched before a record can be folded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed {
    /// The mark of its producer, from the store.
    Marks,
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

/// Folds records for one projection.
#[derive(Debug)]
pub struct Folder {
    projection: &'static Projection,
    book: SchemaBook,
    encoder: Encoder,
    /// The producer id of derived events, for the partition that it was last made for.
    origin: Option<(TopicPartition, String)>,
    /// What was seen before; none for a store whose writes are idempotent.
    admission: Option<Admission>,
    /// Whether derived events are published.
    derives: bool,
    /// The rows of the batch.
    pub deltas: Deltas,
    /// The memory of rows that were committed.
    spare: Option<Deltas>,
    /// For folding without keeping the rows.
    scratch: Deltas,
}

impl Folder {
    /// A folder for the projection. Without `admission` no record is a duplicate.
    #[must_use]
    pub fn new(projection: &'static Projection, book: SchemaBook, admission: Option<Admission>, derives: bool) -> Self {
        let encoder = Encoder::new(book.schemas().clone());
        let (deltas, scratch) = (Deltas::new(projection.tables), Deltas::new(projection.tables));
        Self { projection, book, encoder, origin: None, admission, derives, deltas, spare: None, scratch }
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

    /// The admission, if this projection has one.
    pub fn admission(&mut self) -> Option<&mut Admission> {
        self.admission.as_mut()
    }

    /// Forgets what was folded and not committed.
    pub fn discard(&mut self) {
        self.deltas.clear();
        if let Some(admission) = &mut self.admission {
            admission.roll_back();
        }
    }

    /// Gives the rows of the batch away, to be committed; what is folded now is of the next batch.
    pub fn seal(&mut self) -> Deltas {
        if let Some(admission) = &mut self.admission {
            admission.seal();
        }
        let empty = self.spare.take().unwrap_or_else(|| Deltas::new(self.projection.tables));
        std::mem::replace(&mut self.deltas, empty)
    }

    /// The sealed rows are committed.
    pub fn commit(&mut self, rows: Deltas) {
        self.recycle(rows);
        if let Some(admission) = &mut self.admission {
            admission.commit();
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
        let (outcome, occurred_us) = match forced {
            Some(reason) => (Outcome::Dead(reason), None),
            None => self.outcome(record, tally)?,
        };
        let holes = record.offset - position.next_offset;
        position.counts.holes += holes;
        tally.counts.holes += holes;
        position.next_offset = record.offset + 1;
        position.last_append_us = position.last_append_us.max(record.append_time_us);
        if let Some(occurred_us) = occurred_us {
            position.watermark_us = position.watermark_us.max(occurred_us.min(record.append_time_us));
        }
        position.counts.count(&outcome);
        tally.counts.count(&outcome);
        tally.records += 1;
        let (oldest, newest) = tally.append_us.unwrap_or((record.append_time_us, record.append_time_us));
        tally.append_us = Some((oldest.min(record.append_time_us), newest.max(record.append_time_us)));
        if let Outcome::Dead(reason) = &outcome {
            tally.dead.push(reason.kind);
            tally.publish.push(dead_letter(record, self.projection.name, reason));
        }
        Ok(())
    }

    /// Takes up the event id of a record that was applied before this worker owned the partition.
    ///
    /// # Errors
    /// The schema that is [`Needed`] first: its former owner may have known it.
    pub fn refill(&mut self, record: &Record<'_>) -> Result<(), Needed> {
        let event = match self.book.schemas().decode(record.value) {
            Ok(event) => event,
            Err(DecodeError::UnknownSchema { id }) if self.book.has_registry() => return Err(Needed::Schema(id)),
            Err(_) => return Ok(()),
        };
        if event.meta().producer_seq.is_some() || validity::check(&event, record.key, record.append_time_us).is_err() {
            return Ok(());
        }
        if (self.projection.fold)(&event, &mut self.scratch) == Folded::Applied
            && let Some(admission) = &mut self.admission
            && let Admit::New(identity) = admission.admit(record.tp, event.meta(), record.key, record.append_time_us)
        {
            admission.refilled(record.tp, identity, record.append_time_us);
        }
        self.scratch.clear();
        Ok(())
    }

    /// The producers of these records whose marks are not known.
    #[must_use]
    pub fn unknown_producers<'a>(&self, records: impl Iterator<Item = Record<'a>>) -> Vec<(TopicPartition, String)> {
        let Some(admission) = &self.admission else { return Vec::new() };
        let mut unknown = std::collections::BTreeSet::new();
        for record in records {
            let Ok(event) = self.book.schemas().decode(record.value) else { continue };
            let meta = event.meta();
            if meta.producer_seq.is_some() && !admission.knows(record.tp, meta.producer_id) {
                unknown.insert((record.tp, meta.producer_id.to_owned()));
            }
        }
        unknown.into_iter().collect()
    }

    fn outcome(&mut self, record: &Record<'_>, tally: &mut Tally) -> Result<(Outcome, Option<i64>), Needed> {
        let mut room = None;
        let event = match self.book.schemas().decode_into(record.value, &mut room) {
            Ok(event) => event,
            Err(DecodeError::UnknownSchema { id }) if self.book.has_registry() => return Err(Needed::Schema(id)),
            Err(error) => return Ok((dead(DeadKind::Undecodable, error.to_string()), None)),
        };
        // Forgotten is appended to every topic that it affects (I11).
        if event.kind().topic() != record.tp.topic && event.kind() != EventKind::Forgotten {
            let text = format!("{} belongs to {}", event.kind().name(), event.kind().topic());
            return Ok((dead(DeadKind::Invalid, text), None));
        }
        if let Err(violation) = validity::check(event, record.key, record.append_time_us) {
            return Ok((dead(DeadKind::Invalid, violation.to_string()), None));
        }
        let meta = event.meta();
        let mut identity = None;
        if let Some(admission) = &mut self.admission {
            match admission.admit(record.tp, meta, record.key, record.append_time_us) {
                Admit::New(new) => identity = Some(new),
                Admit::Duplicate => return Ok((Outcome::Duplicate, None)),
                Admit::MarkNeeded => return Err(Needed::Marks),
            }
        }
        let derived = match self.derive(event, record) {
            Ok(derived) => derived,
            Err(Underived::Unregistered(kind)) => return Err(Needed::Registration(kind)),
            Err(Underived::Encode(error)) => return Ok((dead(DeadKind::Invalid, error.to_string()), None)),
        };
        self.deltas.set_scope(record.tp);
        if (self.projection.fold)(event, &mut self.deltas) == Folded::Ignored {
            return Ok((Outcome::Ignored, None));
        }
        if let (Some(admission), Some(identity)) = (&mut self.admission, identity)
            && admission.applied(record.tp, meta, identity, record.append_time_us)
        {
            tally.shortened.push(record.tp);
        }
        tally.publish.extend(derived);
        Ok((Outcome::Applied, Some(meta.occurred_at)))
    }

    /// The events that an event gives rise to; one that cannot be encoded makes its cause a dead letter (I6).
    fn derive(&mut self, event: &Event<'_>, record: &Record<'_>) -> Result<Vec<OutRecord>, Underived> {
        let Some(derive) = self.projection.derive.filter(|_| self.derives) else { return Ok(Vec::new()) };
        if self.origin.as_ref().is_none_or(|(tp, _)| *tp != record.tp) {
            self.origin = Some((record.tp, format!("{}/{}", self.projection.name, record.tp)));
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
                    derived.push(OutRecord { topic, key, value, headers });
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
