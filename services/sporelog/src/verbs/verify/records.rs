//! Records have no position beside them (I4). At rest, they are what the whole log folds to. Under traffic they lie
//! between two folds: what the log says up to the committed offset is there, and nothing is there that the log up to
//! its end does not say.

use super::scratch::{Scratch, copy};
use super::{compare_accounts, explain, held_row, print, ranges, replay, tell};
use crate::backend::{Look, Ranges};
use anyhow::{Context as _, Result};
use domain::digest::Digest;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use embedded::store::{Difference, Snapshot, missing};
use pipeline::scan::digest;
use pipeline::{LogRange, Position};
use runtime::config::Config;
use std::collections::BTreeMap;
use std::io::Write;

/// A table whose digest is not that of the log up to the committed offset.
struct Open {
    held: Digest,
    copy: Snapshot,
    found: Option<Difference>,
}

/// Compares the records with the log.
pub async fn verify<L: Look>(
    look: &L,
    projection: &'static Projection,
    config: &Config,
    out: &mut impl Write,
) -> Result<bool> {
    let tps = look.partitions(projection.topics).await?;
    let committed = committed(look, projection, &tps).await?;
    let mut stored = look.records().await?;
    let scratch = Scratch::new(&config.data.dir)?;
    let folded = scratch.store("folded.db")?;
    let replayed = replay::replay(look, ranges(look, &committed).await?, projection, folded.clone(), config).await?;
    let mut equal = compare_accounts(projection, (&committed, &replayed), out)?;

    let (sure, mut open, mut digests) = (folded.reader()?, BTreeMap::new(), Vec::new());
    for table in projection.tables {
        let held = digest(&mut stored, projection, table).await?;
        if held != sure.digest(projection, table)? {
            let copy = copy(&mut stored, projection, table, &scratch.store("stored.db")?).await?;
            let found = missing((&sure, projection), (&copy, projection), table)?.map(Difference::swapped);
            open.insert(table.ix, Open { held, copy, found });
        }
        digests.push(held);
    }
    drop(sure);
    let mut all = Ranges::new();
    if !open.is_empty() {
        all = look.ranges(&tps).await?;
        replay::replay(look, behind(&all, &committed), projection, folded.clone(), config).await?;
    }
    let possible = folded.reader()?;
    for (table, held) in projection.tables.iter().zip(digests) {
        let Some(Open { held, copy, found }) = open.remove(&table.ix) else {
            print(out, projection, table, (true, "equal"), held)?;
            continue;
        };
        let found = match found {
            Some(found) => Some(found),
            None => missing((&copy, projection), (&possible, projection), table)?,
        };
        equal &= found.is_none();
        print(out, projection, table, (found.is_none(), "consistent"), held)?;
        if let Some(found) = found {
            tell_why(look, all.clone(), (projection, table, &copy), &found, config, out).await?;
        }
    }
    Ok(equal)
}

async fn tell_why<L: Look>(
    look: &L,
    ranges: Ranges,
    (projection, table, copy): (&'static Projection, &'static Table, &Snapshot),
    found: &Difference,
    config: &Config,
    out: &mut impl Write,
) -> Result<()> {
    tell(out, found)?;
    let row = (projection, table, found.row.as_slice());
    let held = held_row(copy, row)?;
    writeln!(out, "  {}", explain::explain(look, ranges, row, held.as_deref(), config).await?)?;
    Ok(())
}

/// What the log holds behind the committed offsets.
fn behind(all: &Ranges, committed: &[Position]) -> Ranges {
    let start = |tp: &TopicPartition, range: &LogRange| {
        committed.iter().find(|position| position.tp == *tp).map_or(range.start, |position| position.next_offset)
    };
    all.iter().map(|(tp, range)| (*tp, LogRange { start: start(tp, range), end: range.end })).collect()
}

async fn committed<L: Look>(look: &L, projection: &Projection, tps: &[TopicPartition]) -> Result<Vec<Position>> {
    let group = projection.name;
    let position = |offset: &pipeline::GroupOffset| {
        Position::from_metadata(offset.tp, offset.next_offset, &offset.metadata)
            .with_context(|| format!("the account of {} in group {group} does not close: {offset:?}", offset.tp))
    };
    look.committed(projection, tps).await?.iter().map(position).collect()
}
