//! `verify`: the log is folded again, and every table is compared with what is stored (I1, I10).
//!
//! What the log does not hold any more cannot be compared: it is left out and said, see `limits`.
//! Repeats are told by the rules stored with the rows, and what is dead is taken from the store:
//! neither is a function of the log alone.

mod compare;
mod explain;
mod judged;
mod limits;
mod records;
mod replay;
mod scratch;

use crate::backend::{Cluster, Folder, Held as _, Look};
use crate::verbs::verify::compare::{Folds, Verdict};
use anyhow::{Context as _, Result};
use clap::builder::PossibleValuesParser;
use domain::Projection;
use domain::projection::PROJECTIONS;
use limits::Plan;
use pipeline::{GroupPosition, Position};
use replay::replay_options;
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
what lies between the committed offset and the log's end. Repeats are told by the rules that are stored with the rows;
records that are dead stay dead, and those that today's rules would apply are listed.

Topics whose first records have expired, compacted topics after cleaning, partitions of which an operator has passed
over records, and such as cannot be read are compared as far as possible: tables are `partly` compared or `not compared`
then, and each reason is said.

Exit status: 0 where everything is equal, 1 where something differs (the first row that differs is named, with the
event that explains it) or it failed, 2 where nothing differs, but not everything could be compared.";

/// The exit status where not everything could be compared.
const PARTLY: u8 = 2;

/// Compares, prints a line per table, and tells by the status whether all is equal.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let only = args.projection.as_deref();
    let verdict = match Cluster::configured(&config)? {
        Some(cluster) => verify_all(&cluster.with_stores(&config)?, only, &config).await?,
        None => verify_all(&Folder::new(config.data.dir.clone())?, only, &config).await?,
    };
    Ok(match verdict {
        Verdict::Equal => ExitCode::SUCCESS,
        Verdict::Partly => ExitCode::from(PARTLY),
        Verdict::Differs => ExitCode::FAILURE,
    })
}

async fn verify_all<L: Look>(look: &L, only: Option<&str>, config: &Config) -> Result<Verdict> {
    let (mut verdict, mut out) = (Verdict::Equal, std::io::stdout());
    for projection in PROJECTIONS.iter().filter(|projection| only.is_none_or(|name| projection.name == name)) {
        let verified = if projection.name == ingest::PROJECTION.name {
            records::verify(look, projection, config, &mut out).await
        } else {
            verify(look, projection, config, &mut out).await
        };
        verdict = verdict.max(verified.with_context(|| format!("verifying {}", projection.name))?);
    }
    Ok(verdict)
}

/// Compares views or series with the log up to the position that was read with them.
async fn verify<L: Look>(
    look: &L,
    projection: &'static Projection,
    config: &Config,
    out: &mut impl Write,
) -> Result<Verdict> {
    let mut stored = look.rows().await?;
    let held = stored.positions(projection).await?;
    let options = replay_options(config, stored.settings(projection).await?, stored.known_dead(projection).await?)?;
    let plan = Plan::new(look, projection, &held).await?;
    let scratch = Scratch::new(&config.data.dir)?;
    let folds = Folds::make(look, projection, plan, &scratch, &options).await?;
    let mut verdict = compare_accounts(projection, (&held, &folds.reached), &folds.plan, out)?;
    for table in projection.tables {
        verdict = verdict.max(folds.compare(look, &mut stored, table, (&scratch, &options), out).await?);
    }
    folds.plan.tell(projection, out)?;
    judged::tell(projection, &folds.judged, out)?;
    Ok(verdict)
}

/// The counts of records, and with them duplicates and dead letters, must come out the same where
/// the log has every record that was counted.
fn compare_accounts(
    projection: &Projection,
    (held, replayed): (&[GroupPosition], &[Position]),
    plan: &Plan,
    out: &mut impl Write,
) -> Result<Verdict> {
    let mut verdict = if plan.limits.is_empty() { Verdict::Equal } else { Verdict::Partly };
    for held in held.iter().map(|held| held.position) {
        if held.gap() != 0 {
            writeln!(out, "{}: the account of {} does not close: {held:?}", projection.name, held.tp)?;
            verdict = Verdict::Differs;
        }
        if !plan.whole.contains_key(&held.tp) {
            continue;
        }
        let Some(again) = replayed.iter().find(|position| position.tp == held.tp) else {
            writeln!(out, "{}: {} was not folded again", projection.name, held.tp)?;
            verdict = Verdict::Differs;
            continue;
        };
        if (held.next_offset, held.counts) != (again.next_offset, again.counts) {
            writeln!(
                out,
                "{}: the account of {} differs: stored {held:?}, folded again {again:?}",
                projection.name, held.tp
            )?;
            verdict = Verdict::Differs;
        }
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests;
