//! Records have no position beside them (I4). At rest, they are what the whole log folds to. Under
//! traffic they lie between two folds: what the log says up to the committed offset is there, and
//! nothing is there that the log up to its end does not say.
//!
//! A record's row is made by one event. So where the log has lost its beginning, what is left of it
//! still says which rows must be there; it does not say which may be.

use super::compare::{Verdict, print, tell_why};
use super::limits::{Limit, Plan};
use super::replay::{Reached, replay, replay_options};
use super::scratch::{Scratch, copy};
use super::{compare_accounts, judged};
use crate::backend::{Look, Ranges, positions};
use crate::verbs::deadletter::letters::known_dead;
use anyhow::Result;
use domain::digest::Digest;
use domain::{Projection, TopicPartition};
use embedded::store::{Difference, Snapshot, Store, missing};
use pipeline::scan::digest;
use pipeline::{GroupPosition, LogRange, WorkerOptions};
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
) -> Result<Verdict> {
    let tps = look.partitions(projection.topics).await?;
    let held = positions(look, projection, &tps).await?;
    let mut stored = look.records().await?;
    // Ingest's store keeps no rows of dead records: their letters say which they are, as long as
    // their topic keeps them.
    let (dead, troubles) = known_dead(look, projection.name).await?;
    for trouble in troubles {
        writeln!(out, "{}: not every dead letter could be read: {}", projection.name, trouble.text)?;
    }
    let options = replay_options(config, None, dead)?;
    let mut plan = Plan::new(look, projection, &held).await?;
    let scratch = Scratch::new(&config.data.dir)?;
    let (folded, reached) = fold_committed(look, projection, &mut plan, &scratch, &options).await?;
    let mut verdict = compare_accounts(projection, (&held, &reached.positions), &plan, out)?;

    let (sure, mut open, mut digests) = (folded.reader()?, BTreeMap::new(), Vec::new());
    for table in projection.tables {
        let held = digest(&mut stored, projection, table).await?;
        if held != sure.digest(projection, table)? {
            let copy = copy(&mut stored, projection, table, &scratch.fresh()?, |_| true).await?;
            let found = missing((&sure, projection), (&copy, projection), table)?.map(Difference::swapped);
            open.insert(table.ix, Open { held, copy, found });
        }
        digests.push(held);
    }
    drop(sure);
    let mut all = Ranges::new();
    if !open.is_empty() {
        all = look.ranges(&tps).await?;
        // Where reading ends, ingest's reading ends too: nothing behind it can be stored.
        replay(look, behind(&all, &held, &plan), projection, folded.clone(), &options).await?;
    }
    let possible = folded.reader()?;
    for (table, held) in projection.tables.iter().zip(digests) {
        let Some(Open { held, copy, found }) = open.remove(&table.ix) else {
            print(out, projection, table, ("equal", held))?;
            continue;
        };
        let is_whole = plan.is_whole(table.topics);
        let found = match found {
            None if is_whole => missing((&copy, projection), (&possible, projection), table)?,
            found => found,
        };
        let (word, came_to) = match (&found, is_whole) {
            (Some(_), _) => ("DIFFERENT", Verdict::Differs),
            (None, true) => ("consistent", Verdict::Equal),
            (None, false) => ("partly", Verdict::Partly),
        };
        print(out, projection, table, (word, held))?;
        verdict = verdict.max(came_to);
        if let Some(found) = found {
            tell_why(look, all.clone(), (projection, table, &copy), &found, &options, out).await?;
        }
    }
    plan.tell(projection, out)?;
    judged::tell(projection, &reached.judged, out)?;
    Ok(verdict)
}

/// Folds what the log holds up to the committed offsets. What cannot be read is noted, and what
/// lies before it is folded: each row is true by itself.
async fn fold_committed<L: Look>(
    look: &L,
    projection: &'static Projection,
    plan: &mut Plan,
    scratch: &Scratch,
    options: &WorkerOptions,
) -> Result<(Store, Reached)> {
    let store = scratch.fresh()?;
    let ranges: Ranges = plan.whole.iter().chain(&plan.cut).map(|(tp, range)| (*tp, *range)).collect();
    let reached = replay(look, ranges, projection, store.clone(), options).await?;
    for parked in &reached.parked {
        plan.limit(parked.tp, Limit::Parked(parked.to_string()), None);
    }
    Ok((store, reached))
}

/// What the log holds behind the committed offsets; what lies behind trouble, or belongs to another
/// log, is not read.
fn behind(all: &Ranges, held: &[GroupPosition], plan: &Plan) -> Ranges {
    let start = |tp: &TopicPartition, range: &LogRange| {
        let held = held.iter().find(|held| held.position.tp == *tp);
        held.map_or(range.start, |held| held.position.next_offset.max(range.start))
    };
    let is_readable = |tp: &TopicPartition| !matches!(plan.limits.get(tp), Some(Limit::Parked(_)));
    all.iter()
        .filter(|(tp, _)| is_readable(tp))
        .map(|(tp, range)| (*tp, LogRange { start: start(tp, range), end: range.end }))
        .filter(|(_, range)| range.start < range.end)
        .collect()
}
