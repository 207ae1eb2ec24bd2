//! `projection skip`: an operator's order to leave offsets behind (I7). It is an event first; then
//! the position moves, and its account counts what was passed over as `lost` (I5).

mod event;
mod offsets;
mod plan;
mod rows;
#[cfg(test)]
mod tests;

use crate::backend::{Cluster, Folder, settings};
use crate::verbs::deadletter::topic;
use anyhow::{Context as _, Result, bail};
use clap::builder::{NonEmptyStringValueParser, PossibleValuesParser};
use domain::{Projection, TopicPartition};
use embedded::folder::DataFolder;
use embedded::log::Log;
use embedded::store::{STORE_FILE, Store};
use pipeline::{Clock as _, Publisher, SystemClock};
use plan::Plan;
use runtime::config::Config;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

pub const AFTER_HELP: &str = "\
Examples:
  sporelog projection skip views agent.state/3 --to 1208 --reason 'batch damaged on disk, no replica'
  sporelog projection skip records spore.created/0 --to 500 --reason 'expired before ingest came back' --yes
  sporelog lag                               names what is parked, at which offset, and why

It shows its plan and asks; --yes answers. The order is an event in policy.audit, with the user and the reason; then the
position moves, and what it passes over is counted as lost. It never goes back, never past the log's end, and never over to
another log. Each projection is skipped by itself.

Workers of views and series may run meanwhile on a cluster. The offsets of records belong to ingest's group: stop every
ingest first. On the embedded log stop `sporelog up` first.

Exit status: 0 where it was done, 1 where it was refused or failed, 2 where nothing was done for want of --yes.";

/// The exit status where there is something to do and nobody has agreed to it.
const UNDONE: u8 = 2;

/// The longest reason: it is part of an event.
const REASON_BYTES: usize = 4_096;

/// What `projection skip` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The projection.
    #[arg(value_parser = PossibleValuesParser::new(["records", "views", "series"]))]
    projection: String,
    /// The partition.
    #[arg(value_name = "TOPIC/PARTITION", value_parser = partition)]
    partition: TopicPartition,
    /// The offset to go on at.
    #[arg(long, value_name = "OFFSET", value_parser = clap::value_parser!(i64).range(0..))]
    to: i64,
    /// Why, for those who read the audit.
    #[arg(long, value_name = "TEXT", value_parser = NonEmptyStringValueParser::new())]
    reason: String,
    /// Do it without asking.
    #[arg(long)]
    yes: bool,
    /// Print the plan, and what was done, as JSON.
    #[arg(long)]
    json: bool,
}

/// Who orders it, and why.
#[derive(Clone, Debug)]
struct Order {
    actor: String,
    reason: String,
}

/// Plans, asks, and does it.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    if args.reason.len() > REASON_BYTES {
        bail!("the reason has {} bytes, at most {REASON_BYTES} fit", args.reason.len());
    }
    let projection = Projection::named(&args.projection).context("no such projection")?;
    let order = Order { actor: actor(), reason: args.reason.clone() };
    match Cluster::configured(&config)? {
        Some(cluster) => on_cluster(projection, &args, &order, cluster, &config).await,
        None => on_embedded(projection, &args, &order, &config).await,
    }
}

async fn on_cluster(
    projection: &'static Projection,
    args: &Args,
    order: &Order,
    cluster: Cluster,
    config: &Config,
) -> Result<ExitCode> {
    let is_ingest = projection.name == ingest::PROJECTION.name;
    let cluster = if is_ingest { cluster } else { cluster.with_postgres(config)? };
    let plan = Plan::new(&cluster, projection, args.partition, args.to).await?;
    if !agree(&plan, args, order)? {
        return Ok(ExitCode::from(UNDONE));
    }
    let mut way = crate::backend::Way::find(config, &CancellationToken::new()).await?;
    let schemas = way.schemas.clone();
    announce(&mut way, &schemas, &plan, order).await?;
    if is_ingest {
        offsets::set_on_cluster(&cluster, &plan).await?;
    } else {
        let mut store = crate::backend::Backend::rows(&cluster).map_err(|error| anyhow::anyhow!(error))?;
        rows::advance(&mut store, &plan).await?;
    }
    finish(&plan, args)
}

async fn on_embedded(projection: &'static Projection, args: &Args, order: &Order, config: &Config) -> Result<ExitCode> {
    let folder = Folder::new(config.data.dir.clone())?;
    let plan = Plan::new(&folder, projection, args.partition, args.to).await?;
    if !agree(&plan, args, order)? {
        return Ok(ExitCode::from(UNDONE));
    }
    // Held to the end: a process that runs would write positions of its own.
    let held = DataFolder::open(&config.data.dir)
        .context("a projection of the embedded log is skipped while nothing else runs on it")?;
    let topics = runtime::topics::load(config.log.topics_file.as_deref(), &config.log.profile)?;
    let mut log = Log::open_held(Arc::new(held), &topics, settings::log(config), SystemClock::new())?;
    let schemas = Arc::new(codec::Schemas::embedded()?);
    announce(&mut log, &schemas, &plan, order).await?;
    if projection.name == ingest::PROJECTION.name {
        offsets::set_embedded(&log, &plan).await?;
    } else {
        rows::advance(&mut Store::open(config.data.dir.join(STORE_FILE))?, &plan).await?;
    }
    finish(&plan, args)
}

/// Shows the plan, and asks unless the answer was given.
fn agree(plan: &Plan, args: &Args, order: &Order) -> Result<bool> {
    if args.json {
        if !args.yes {
            println!("{:#}", plan.json(false));
        }
    } else {
        println!("{plan}");
        println!("by {}: {}", order.actor, order.reason);
    }
    if args.yes {
        return Ok(true);
    }
    if !args.json && std::io::stdin().is_terminal() {
        print!("pass over them? [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        if matches!(answer.trim(), "y" | "Y" | "yes") {
            return Ok(true);
        }
    }
    eprintln!("nothing was done: say --yes if that is meant");
    Ok(false)
}

/// Appends the event: what is not in the log did not happen (I1).
async fn announce(
    publisher: &mut impl Publisher,
    schemas: &Arc<codec::Schemas>,
    plan: &Plan,
    order: &Order,
) -> Result<()> {
    let record = event::record(schemas, plan, order, SystemClock::new().now_us())?;
    publisher
        .publish(vec![record])
        .await
        .context("the order could not be appended to policy.audit: nothing was moved")?;
    Ok(())
}

fn finish(plan: &Plan, args: &Args) -> Result<ExitCode> {
    if args.json {
        println!("{:#}", plan.json(true));
    } else {
        println!("done. {}", plan.next_step());
    }
    Ok(ExitCode::SUCCESS)
}

/// The user, as the system names them.
fn actor() -> String {
    let named = ["SUDO_USER", "USER", "LOGNAME"].iter().filter_map(|name| std::env::var(name).ok());
    let name = named.into_iter().find(|name| !name.is_empty()).unwrap_or_else(|| "unknown".to_owned());
    name.chars().filter(|char| !char.is_control()).take(64).collect()
}

fn partition(text: &str) -> Result<TopicPartition, String> {
    let Some((name, number)) = text.split_once('/') else {
        return Err("write TOPIC/PARTITION, such as agent.state/3".to_owned());
    };
    let number = number.parse().map_err(|_| format!("{number:?} is no partition number"))?;
    Ok(TopicPartition::new(topic(name)?, number))
}
