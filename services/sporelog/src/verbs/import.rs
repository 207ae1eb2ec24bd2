//! `import`: a file, through a mapping, into the log.

use crate::backend::Way;
use crate::meter::Meter;
use anyhow::Result;
use pipeline::{Clock as _, SystemClock};
use producer::import::{Continuation, Import, Options, Progress, Reject, Report, Stop};
use runtime::config::Config;
use runtime::lifecycle::stop_on_signal;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tokio_util::sync::CancellationToken;

/// Import a CSV or JSONL file through a mapping.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The file: .csv, .tsv or .jsonl, plain or gzip.
    pub file: PathBuf,
    /// The mapping from its columns to events.
    #[arg(long, short, value_name = "TOML")]
    pub mapping: PathBuf,
    /// The tenant [default: the mapping's, else "default"].
    #[arg(long)]
    pub tenant: Option<String>,
    /// Publish nothing: show the first events as JSON, and count.
    #[arg(long)]
    pub dry_run: bool,
    /// How many events a dry run shows.
    #[arg(long, value_name = "N", default_value_t = 3, requires = "dry_run")]
    pub show: usize,
    /// The first row to publish, from 1 [default: all that no earlier import published].
    #[arg(long, value_name = "ROW", value_parser = clap::value_parser!(u64).range(1..))]
    pub from_row: Option<u64>,
    /// Publish all rows, though an earlier import did. What is in the log already is not counted again.
    #[arg(long, conflicts_with = "from_row")]
    pub again: bool,
    /// Stop once more rows than this are rejected.
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    pub max_rejects: u64,
}

const AFTER_HELP: &str = "\
Examples:
  sporelog import messages.csv.gz --mapping messages.toml --dry-run     look before anything is published
  sporelog import messages.csv.gz --mapping messages.toml               import; the same again adds nothing
  sporelog --data-dir /srv/grove import notes.jsonl -m notes.toml --tenant grove

A process that holds the data folder (sporelog up) may run meanwhile; the events go into its log.
Published and rejected rows are kept under imports/ in the data folder: a repeat publishes only rows that no import
has published, rejected ones among them. How to write a mapping: docs/howto/import-your-data.md.

Exit status: 0 where every row was imported, 1 where rows were rejected or it failed, 130 where it was stopped.";

/// The exit status of an import that was told to stop.
const STOPPED: u8 = 130;
/// How many rejects are printed.
const PRINTED: usize = 20;

/// Imports the file.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let clock = SystemClock::new();
    let options = Options {
        tenant: args.tenant.clone(),
        from_row: args.from_row,
        again: args.again,
        max_rejects: args.max_rejects,
        ..Options::new(&args.file, &args.mapping)
    };
    // Mistakes in mapping and file are told before anybody waits for a log.
    let import = Import::prepare(options)?;
    let report = if args.dry_run {
        import.dry_run(&clock, args.show, &mut |event| println!("{event:#}")).await?
    } else {
        publish(import, &config, clock).await?
    };
    summary(&report, args.dry_run, clock.monotonic_us() as f64 / 1e6)?;
    rejects(&args.file, &report)?;
    Ok(match report.stop {
        Stop::Cancelled => ExitCode::from(STOPPED),
        Stop::End if report.rejects.is_empty() => ExitCode::SUCCESS,
        Stop::End | Stop::Rejects => ExitCode::FAILURE,
    })
}

async fn publish(import: Import, config: &Config, clock: SystemClock) -> Result<Report> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let mut way = Way::find(config, &stop).await?;
    // What was published to one log is not in another.
    let imports = config.data.dir.join("imports");
    let import = import.with_state_dir(way.name.as_ref().map_or(imports.clone(), |name| imports.join(name)))?;
    if import.other_mapping() {
        eprintln!(
            "this content was imported before through another mapping: events in the log stay as they are, new ones are added"
        );
        import.continuations().iter().filter_map(continued).for_each(|line| eprintln!("{line}"));
    } else if import.rows_done() > 0 {
        eprintln!("{} rows were imported before: they are passed over", import.rows_done());
    }
    let mut meter = Meter::new(clock);
    let mut observe = |progress: &Progress| meter.bytes(progress.bytes, progress.total_bytes, progress.events);
    let report = import.with_schemas(way.schemas.clone()).run(&mut way, &clock, &stop, &mut observe).await?;
    meter.finish();
    Ok(report)
}

/// What is done with an `[[event]]` that an earlier import did not have, or not so.
fn continued((line, kind, continuation): &(usize, &'static str, Continuation)) -> Option<String> {
    let what = match continuation {
        Continuation::Same => return None,
        Continuation::Widened => "has another condition now: all rows are published, what the log holds counts once",
        Continuation::Mended => "is mended: only the rows that it had not published are",
        Continuation::New => "is new, or gives other events now: all rows are published",
    };
    Some(format!("line {line} of the mapping: this {kind} {what}"))
}

fn summary(report: &Report, dry_run: bool, seconds: f64) -> Result<()> {
    let progress = &report.progress;
    let mut out = std::io::stderr().lock();
    let events = report.events.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
    let verb = if dry_run { "would publish" } else { "published" };
    let rate = progress.events as f64 / seconds.max(0.001);
    writeln!(
        out,
        "{} rows read, {verb} {} events ({events}) in {seconds:.1} s, {rate:.0}/s",
        progress.rows, progress.events
    )?;
    if progress.skipped > 0 {
        writeln!(out, "{} rows had been imported before", progress.skipped)?;
    }
    match report.stop {
        Stop::End => {}
        Stop::Rejects => {
            writeln!(out, "stopped at row {}: too many rows were rejected (--max-rejects)", progress.rows)?
        }
        Stop::Cancelled => {
            writeln!(out, "stopped at row {}: the next import of this file goes on there", progress.rows)?
        }
    }
    Ok(())
}

fn rejects(file: &Path, report: &Report) -> Result<()> {
    let mut out = std::io::stderr().lock();
    for reject in report.rejects.iter().take(PRINTED) {
        writeln!(out, "{}", shown(file, reject))?;
    }
    let more = report.rejects.len().saturating_sub(PRINTED);
    if more > 0 {
        writeln!(out, "... and {more} more")?;
    }
    if let (false, Some(path)) = (report.rejects.is_empty(), &report.rejects_path) {
        writeln!(
            out,
            "{} rows are rejected, kept in {}; the next import tries them again",
            report.rejects.len(),
            path.display()
        )?;
    }
    Ok(())
}

/// `FILE:LINE: column C, field F: reason`
fn shown(file: &Path, reject: &Reject) -> String {
    let column = reject.column.as_ref().map(|column| format!("column `{column}`"));
    let field = reject.field.as_ref().map(|field| format!("field `{field}`"));
    let place = [column, field].into_iter().flatten().collect::<Vec<_>>().join(", ");
    let place = if place.is_empty() { place } else { format!("{place}: ") };
    format!("{}:{}: {place}{}", file.display(), reject.line, reject.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reject_is_shown_with_file_line_column_and_field() {
        let reject = Reject {
            row: 2,
            line: 3,
            column: Some("at".into()),
            field: Some("occurred_at".into()),
            reason: "is empty".into(),
            raw: "a,".into(),
            attempts: 1,
        };
        assert_eq!(shown(Path::new("in.csv"), &reject), "in.csv:3: column `at`, field `occurred_at`: is empty");
        let bare = Reject { column: None, field: None, ..reject };
        assert_eq!(shown(Path::new("in.csv"), &bare), "in.csv:3: is empty");
    }
}
