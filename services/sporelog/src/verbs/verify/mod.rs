//! `verify`: the log is folded again from its start, and every table is compared with what is stored (I1, I10).

mod replay;

use anyhow::{Context as _, Result, bail};
use clap::builder::PossibleValuesParser;
use domain::Projection;
use domain::projection::PROJECTIONS;
use embedded::log::LogView;
use embedded::store::{STORE_FILE, Snapshot, Store, StoreConfig, diff};
use pipeline::Position;
use runtime::config::Config;
use std::io::Write;
use std::path::Path;
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
  sporelog verify                       every table of every projection
  sporelog verify --projection views    the views only

The log is read from its start to the position of each projection, in bounded memory, into a scratch store in the
data folder that is removed at the end. It may run beside `sporelog up`.

Exit status: 0 where every digest agrees, 1 where one differs; the first row that differs is named.";

/// Compares, prints a line per table, and fails where one differs.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let dir = &config.data.dir;
    let wanted = |projection: &&&Projection| args.projection.as_ref().is_none_or(|name| projection.name == name);
    let (mut equal, mut out) = (true, std::io::stdout());
    for projection in PROJECTIONS.iter().filter(wanted) {
        equal &= verify(dir, projection, &config, &mut out)
            .await
            .with_context(|| format!("verifying {}", projection.name))?;
    }
    Ok(if equal { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is stored of a projection, with the positions that belong to it.
struct Stored {
    snapshot: Snapshot,
    positions: Vec<Position>,
}

async fn verify(dir: &Path, projection: &'static Projection, config: &Config, out: &mut impl Write) -> Result<bool> {
    let log = LogView::open(dir)?;
    let stored = if projection.name == ingest::PROJECTION.name {
        records_at_rest(dir, &log).await?
    } else {
        let snapshot = Snapshot::open(&dir.join(STORE_FILE))?;
        let positions = snapshot.positions(projection)?;
        Stored { snapshot, positions }
    };
    let scratch_dir = tempfile::Builder::new().prefix("verify-").tempdir_in(dir)?;
    let scratch = Store::open_with(StoreConfig::scratch(scratch_dir.path().join(STORE_FILE)))?;
    let replayed = replay::replay(log, &stored.positions, projection, scratch.clone(), config).await?;
    let mut equal = compare_accounts(projection, (&stored.positions, &replayed), out)?;
    let fresh = scratch.reader()?;
    for table in projection.tables {
        let (held, folded) = (stored.snapshot.digest(projection, table)?, fresh.digest(projection, table)?);
        let verdict = if held == folded { "equal" } else { "DIFFERENT" };
        writeln!(out, "{:<10} {:<28} {verdict:<10} {held}", projection.name, table.name)?;
        if held != folded {
            equal = false;
            if let Some(difference) = diff((&stored.snapshot, projection), (&fresh, projection), table)? {
                writeln!(out, "  stored against folded again: {difference}")?;
            }
        }
    }
    Ok(equal)
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

/// Records have no position beside them (I4): they are compared at a moment when ingest has caught up.
async fn records_at_rest(dir: &Path, log: &LogView) -> Result<Stored> {
    const TRIES: u32 = 100;
    let tps = log.partitions(ingest::PROJECTION.topics);
    for _ in 0..TRIES {
        let before = committed(log, &tps)?;
        let snapshot = Snapshot::open(&dir.join(STORE_FILE))?;
        let at_rest = tps.iter().try_fold(true, |rest, tp| {
            let next = before.iter().find(|position| position.tp == *tp).map_or(0, |position| position.next_offset);
            Ok::<_, pipeline::LogError>(rest && log.end(*tp)? == next)
        })?;
        if at_rest {
            return Ok(Stored { snapshot, positions: before });
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    bail!(
        "ingest is behind the log, so records cannot be compared: let `sporelog up` catch up first, \
         or run `sporelog up --until-idle`"
    )
}

fn committed(log: &LogView, tps: &[domain::TopicPartition]) -> Result<Vec<Position>> {
    let group = ingest::PROJECTION.name;
    let offsets = log.committed(group, tps)?;
    offsets
        .iter()
        .map(|offset| {
            Position::from_metadata(offset.tp, offset.next_offset, &offset.metadata)
                .with_context(|| format!("the account of {} in group {group} does not close: {offset:?}", offset.tp))
        })
        .collect()
}
