//! `doctor`: what is wrong with log, topics, positions, stores and settings, and what to do.
//! Everything that a worker waits for, or parks a partition for, has its line here; nothing is
//! changed.

mod disk;
mod finding;
mod log;
mod positions;
mod stores;
#[cfg(test)]
mod tests;

use crate::backend::{Cluster, Folder};
use anyhow::Result;
use domain::projection::PROJECTIONS;
use finding::{Finding, Level};
use pipeline::{Clock as _, SystemClock};
use runtime::config::Config;
use std::io::Write;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog doctor                           the data folder here
  sporelog doctor --config cluster.toml     a cluster: brokers, registry, database, nodes
  sporelog doctor --json | jq '.[] | select(.level == \"problem\")'

A line for each thing that was looked at: ok, a warning, or a problem with what to do. It reads only, and may run beside
the workers, or where none of them starts.

Exit status: 0 where there is no problem (warnings do not count), else 1.";

/// What `doctor` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Print an array of objects: area, subject, level, text.
    #[arg(long)]
    json: bool,
}

/// Looks, and prints what was found.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let now_us = SystemClock::new().now_us();
    let mut found = Vec::new();
    match Cluster::configured(&config) {
        Ok(Some(cluster)) => on_cluster(&cluster, &config, now_us, &mut found).await,
        Ok(None) => on_embedded(&config, now_us, &mut found).await,
        Err(error) => found.push(Finding::problem("log", "configuration", format!("{error:#}"))),
    }
    print(&found, args.json, &mut std::io::stdout())?;
    let is_well = found.iter().all(|finding| finding.level != Level::Problem);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn on_cluster(cluster: &Cluster, config: &Config, now_us: i64, found: &mut Vec<Finding>) {
    let has_log = log::on_cluster(cluster, config, found).await;
    stores::registry(cluster, found).await;
    stores::scylla(cluster, config, found).await;
    let database = stores::postgres(cluster, config, found).await;
    if !has_log {
        return;
    }
    for projection in PROJECTIONS {
        let is_ingest = projection.name == ingest::PROJECTION.name;
        match &database {
            _ if is_ingest => positions::look(cluster, projection, config, now_us, found).await,
            Some(with_rows) => positions::look(with_rows, projection, config, now_us, found).await,
            // The store's own line says why.
            None => {}
        }
    }
}

async fn on_embedded(config: &Config, now_us: i64, found: &mut Vec<Finding>) {
    disk::look(&config.data.dir, found);
    if !log::on_embedded(config, found) {
        return;
    }
    let folder = match Folder::new(config.data.dir.clone()) {
        Ok(folder) => folder,
        Err(error) => return found.push(Finding::problem("schemas", "built in", format!("{error:#}"))),
    };
    if !stores::embedded(&folder, found).await {
        return;
    }
    for projection in PROJECTIONS {
        positions::look(&folder, projection, config, now_us, found).await;
    }
}

fn print(found: &[Finding], json: bool, out: &mut impl Write) -> Result<()> {
    if json {
        let list: Vec<_> = found.iter().map(Finding::json).collect();
        return Ok(writeln!(out, "{:#}", serde_json::Value::from(list))?);
    }
    for finding in found {
        writeln!(out, "{finding}")?;
    }
    let count = |level| found.iter().filter(|finding| finding.level == level).count();
    let (problems, warnings) = (count(Level::Problem), count(Level::Warning));
    writeln!(out, "{} looked at: {problems} problems, {warnings} warnings", found.len())?;
    Ok(())
}
