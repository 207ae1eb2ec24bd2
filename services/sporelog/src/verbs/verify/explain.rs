//! Which event explains that a stored row differs: the log is read once more for the events that
//! write the row.

use crate::backend::{Look, Ranges, each_record};
use anyhow::Result;
use domain::cell::Cell;
use domain::merge::{merge_row, write_counts};
use domain::table::{Slot, Table};
use domain::{Projection, TopicPartition};
use pipeline::dedup::Dedup;
use pipeline::folder::{Folder, Tally};
use pipeline::{Position, Record, SchemaBook, WorkerOptions};
use std::fmt;

/// Events of one row that are kept at most; a row with more is told by its first and last event.
const KEPT: usize = 400;

/// An event that writes the row.
#[derive(Clone, Debug)]
struct Writer {
    at: (TopicPartition, i64),
    event: String,
    cells: Vec<Cell>,
}

impl fmt::Display for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}/{}", self.event, self.at.0, self.at.1)
    }
}

/// One sentence on why the stored row (none: there is no such row) is not what the log says.
pub async fn explain<L: Look>(
    look: &L,
    ranges: Ranges,
    (projection, table, key): (&'static Projection, &'static Table, &[u8]),
    stored: Option<&[Cell]>,
    options: &WorkerOptions,
) -> Result<String> {
    let (mut writers, mut count, mut last) = (Vec::new(), 0_u64, None);
    let mut watch = Watch::new(projection, table, key, &ranges, (look.schemas(), options));
    let tps: Vec<TopicPartition> = ranges.keys().copied().collect();
    for (tp, log) in look.identities(&tps).await? {
        watch.folder.set_partitions(tp.topic, log.map_or(0, |log| log.partitions));
    }
    each_record(look, ranges, |record| {
        if let Some(writer) = watch.writer(record) {
            count += 1;
            last = Some(writer.clone());
            if writers.len() <= KEPT {
                writers.push(writer);
            }
        }
    })
    .await?;
    let slots: Vec<Slot> = table.slots().collect();
    Ok(match (stored, writers.as_slice(), last) {
        (_, [], _) | (_, _, None) => "no event in the log writes this row".to_owned(),
        (None, [only], _) => format!("the row of {only} is missing"),
        (None, [first, ..], Some(last)) => format!("{count} events write this row, from {first} to {last}"),
        (Some(_), all, Some(last)) if all.len() > KEPT => {
            format!("{count} events write this row, the last is {last}")
        }
        (Some(stored), all, Some(last)) => single(&slots, stored, all).unwrap_or_else(|| {
            format!("no single one of the {count} events that write this row explains it; the last is {last}")
        }),
    })
}

/// The one event that, left out or applied twice, gives the stored row.
fn single(slots: &[Slot], stored: &[Cell], writers: &[Writer]) -> Option<String> {
    let gives = |cells: Vec<&Writer>| same(&folded(slots, cells), stored);
    for (ix, writer) in writers.iter().enumerate() {
        if gives(writers[..ix].iter().chain(&writers[ix + 1..]).collect()) {
            return Some(format!("it is as if {writer} had not been applied"));
        }
        if gives(writers.iter().chain(std::iter::once(writer)).collect()) {
            return Some(format!("it is as if {writer} had been applied twice"));
        }
    }
    None
}

fn folded(slots: &[Slot], writers: Vec<&Writer>) -> Vec<Cell> {
    let mut row = vec![Cell::Null; slots.len()];
    writers.into_iter().for_each(|writer| merge_row(slots, &mut row, writer.cells.clone()));
    write_counts(slots, &mut row);
    row
}

fn same(left: &[Cell], right: &[Cell]) -> bool {
    let canonical = |cells: &[Cell]| {
        let mut bytes = Vec::new();
        cells.iter().for_each(|cell| cell.encode(&mut bytes));
        bytes
    };
    canonical(left) == canonical(right)
}

/// Folds one record after the other, and looks whether it writes the row.
struct Watch<'a> {
    folder: Folder,
    tally: Tally,
    schemas: SchemaBook,
    table: &'static Table,
    key: &'a [u8],
}

impl<'a> Watch<'a> {
    fn new(
        projection: &'static Projection,
        table: &'static Table,
        key: &'a [u8],
        ranges: &Ranges,
        (schemas, options): (SchemaBook, &WorkerOptions),
    ) -> Self {
        // Records are written without deduplication: their writes are idempotent (I4).
        let dedup = (projection.name != ingest::PROJECTION.name).then(|| Dedup::new(options.dedup()));
        let mut tally = Tally::default();
        tally.positions.extend(ranges.iter().map(|(tp, range)| (*tp, Position::start(*tp, range.start))));
        Self { folder: Folder::new(projection, schemas.clone(), dedup, options), tally, schemas, table, key }
    }

    fn writer(&mut self, record: &Record<'_>) -> Option<Writer> {
        if self.folder.fold(record, None, &mut self.tally).is_err() {
            // The sequences of a replay from the start are those that it has made itself.
            for (tp, tenant, producer) in self.folder.unknown_producers(std::iter::once(*record)) {
                self.folder.dedup()?.learn(tp, (&tenant, &producer), None);
            }
            self.folder.fold(record, None, &mut self.tally).ok()?;
        }
        self.tally.publish.clear();
        self.tally.dead.clear();
        self.tally.dead_rows.clear();
        self.folder.deltas.roll_up();
        let rows = self.folder.seal();
        let delta = &rows.tables()[self.table.ix];
        let found = (0..delta.len()).find(|row| {
            let rest = delta.key(*row).strip_prefix(self.key);
            rest.is_some_and(|rest| self.table.partial || rest.is_empty())
        });
        let cells = found.map(|row| delta.cells(row).to_vec());
        self.folder.commit(rows);
        let event = self.schemas.schemas().decode(record.value).ok()?;
        let event = format!("{} {}", event.kind(), event.meta().event_id);
        Some(Writer { at: (record.tp, record.offset), event, cells: cells? })
    }
}
