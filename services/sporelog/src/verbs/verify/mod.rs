//! `verify`: the log is folded again from its start, and every table is compared with what is stored (I1, I10).

mod explain;
mod records;
mod replay;
mod scratch;

use crate::backend::{Cluster, Folder, Look, Ranges};
use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use domain::digest::Digest;
use domain::projection::PROJECTIONS;
use domain::table::Table;
use domain::{Projection, TopicPartition};
use embedded::store::{Difference, Snapshot, diff};
use pipeline::scan::digest;
use pipeline::{LogRange, Position};
use runtime::config::Config;
use scratch::Scratch;
use std::io::Write;
use std::process::ExitCode;

/// Fold the log again and compare every table with what is stored.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Only this projection.
    #[arg(long, value_parser = PossibleValuesParser::new(["records", "views", "series"]))]
    pub projection: Option<String>,
}

const AFTER_HELP: &str = "\
Examples:
  sporelog verify                                  every table of every projection
  sporelog verify --projection views               the views only
  sporelog --config cluster.toml verify            the stores of a cluster

The log is read from its start to the position of each projection, in bounded memory, into a scratch store that is
removed at the end. It may run beside the workers: views and series are compared as of one moment, and records with
what lies between the committed offset and the log's end.

Exit status: 0 where every digest agrees, 1 where one differs; the first row that differs is named, with the event
that explains it.";

/// Compares, prints a line per table, and fails where one differs.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let only = args.projection.as_deref();
    match Cluster::configured(&config)? {
        Some(cluster) => verify_all(&cluster.with_stores(&config)?, only, &config).await,
        None => verify_all(&Folder::new(config.data.dir.clone())?, only, &config).await,
    }
}

async fn verify_all<L: Look>(look: &L, only: Option<&str>, config: &Config) -> Result<ExitCode> {
    let (mut equal, mut out) = (true, std::io::stdout());
    for projection in PROJECTIONS.iter().filter(|projection| only.is_none_or(|name| projection.name == name)) {
        let verified = if projection.name == ingest::PROJECTION.name {
            records::verify(look, projection, config, &mut out).await
        } else {
            verify(look, projection, config, &mut out).await
        };
        equal &= verified.with_context(|| format!("verifying {}", projection.name))?;
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Compares views or series with the log up to the position that was read with them.
async fn verify<L: Look>(
    look: &L,
    projection: &'static Projection,
    config: &Config,
    out: &mut impl Write,
) -> Result<bool> {
    let (mut stored, positions) = look.rows(projection).await?;
    let ranges = ranges(look, &positions).await?;
    let scratch = Scratch::new(&config.data.dir)?;
    let folded = scratch.store("folded.db")?;
    let replayed = replay::replay(look, ranges.clone(), projection, folded.clone(), config).await?;
    let mut equal = compare_accounts(projection, (&positions, &replayed), out)?;
    let folded = folded.reader()?;
    for table in projection.tables {
        let (held, again) = (digest(&mut stored, projection, table).await?, folded.digest(projection, table)?);
        print(out, projection, table, (held == again, "equal"), held)?;
        if held != again {
            equal = false;
            let copy = scratch::copy(&mut stored, projection, table, &scratch.store("stored.db")?).await?;
            if let Some(difference) = diff((&copy, projection), (&folded, projection), table)? {
                tell(out, &difference)?;
                let row = (projection, *table, difference.row.as_slice());
                let why = explain::explain(look, ranges.clone(), row, held_row(&copy, row)?.as_deref(), config).await?;
                writeln!(out, "  {why}")?;
            }
        }
    }
    Ok(equal)
}

fn print(
    out: &mut impl Write,
    projection: &Projection,
    table: &Table,
    (good, word): (bool, &str),
    held: Digest,
) -> Result<()> {
    let verdict = if good { word } else { "DIFFERENT" };
    Ok(writeln!(out, "{:<10} {:<28} {verdict:<10} {held}", projection.name, table.name)?)
}

fn tell(out: &mut impl Write, difference: &Difference) -> Result<()> {
    Ok(writeln!(out, "  stored against folded again: {difference}")?)
}

/// What is stored under this key.
fn held_row(
    copy: &Snapshot,
    (projection, table, key): (&Projection, &'static Table, &[u8]),
) -> Result<Option<Vec<domain::cell::Cell>>> {
    let mut found = None;
    copy.rows(projection, table, |row| {
        if row.key == key {
            found = Some(row.cells);
        }
        Ok(())
    })?;
    Ok(found)
}

/// The ranges behind these positions, which the log must still hold.
async fn ranges<L: Look>(look: &L, positions: &[Position]) -> Result<Ranges> {
    let tps: Vec<TopicPartition> = positions.iter().map(|position| position.tp).collect();
    let held = look.ranges(&tps).await?;
    for position in positions {
        let start = held.get(&position.tp).map_or(0, |range| range.start);
        if start > position.first_offset {
            bail!(
                "{} begins at offset {start} by now, but its projection has read it from {}: what the log has \
                 dropped cannot be folded again",
                position.tp,
                position.first_offset
            );
        }
    }
    let range = |position: &Position| LogRange { start: position.first_offset, end: position.next_offset };
    Ok(positions.iter().map(|position| (position.tp, range(position))).collect())
}

/// The counts of records, and with them duplicates and dead letters, must come out the same.
fn compare_accounts(
    projection: &Projection,
    (stored, replayed): (&[Position], &[Position]),
    out: &mut impl Write,
) -> Result<bool> {
    let mut equal = true;
    for held in stored {
        let Some(again) = replayed.iter().find(|position| position.tp == held.tp) else {
            if held.next_offset > held.first_offset {
                writeln!(out, "{}: {} was not folded again", projection.name, held.tp)?;
                equal = false;
            }
            continue;
        };
        if held.gap() != 0 || (held.next_offset, held.counts) != (again.next_offset, again.counts) {
            writeln!(
                out,
                "{}: the account of {} differs: stored {held:?}, folded again {again:?}",
                projection.name, held.tp
            )?;
            equal = false;
        }
    }
    Ok(equal)
}
