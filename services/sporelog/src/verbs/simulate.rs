//! `simulate`: a made-up population that publishes every event a producer can.

use crate::backend::Way;
use crate::meter::Meter;
use anyhow::{Context as _, Result, bail};
use codec::Schemas;
use domain::event::EventKind;
use jiff::{SignedDuration, Timestamp};
use pipeline::{Clock as _, LogError, OutRecord, Placed, Publisher, SystemClock, Unpublished};
use producer::simulate::{Options, Pace, Population, Progress, Simulation, Spread};
use runtime::config::Config;
use runtime::lifecycle::stop_on_signal;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Publish what a made-up population of agents does.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Events a second [default: simulate.rate_per_s].
    #[arg(long, value_parser = rate)]
    pub rate: Option<f64>,
    /// The number of agents [default: simulate.agents].
    #[arg(long, value_parser = clap::value_parser!(u64).range(2..))]
    pub agents: Option<u64>,
    /// The seed: the same seed gives the same population [default: simulate.seed].
    #[arg(long)]
    pub seed: Option<u64>,
    /// Stop after so many events.
    #[arg(long, value_name = "N")]
    pub events: Option<u64>,
    /// Stop after so long, such as 10m or 2h30m; of event time with --start or --out.
    #[arg(long = "for", value_name = "TIME", value_parser = length)]
    pub length: Option<Duration>,
    /// Tell a past from this time up to now, as fast as the log takes it, with days and nights.
    #[arg(long, value_name = "RFC3339")]
    pub start: Option<Timestamp>,
    /// Write JSON lines into a file instead of publishing [event time begins at --start, else 2026-01-01].
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Only these events, such as InteractionRecorded,SporeCreated.
    #[arg(long, value_name = "EVENTS", value_delimiter = ',', value_parser = kind)]
    pub only: Vec<EventKind>,
    /// How activity is spread over the agents.
    #[arg(long, value_parser = spread, default_value = "zipf", value_name = "zipf|uniform|round-robin")]
    pub spread: Spread,
    /// The name of this run: a repeat under its name, with the same --start and rate, counts once [default: the time].
    #[arg(long)]
    pub run: Option<String>,
    /// Leave producer_seq out, as a producer that keeps no sequence.
    #[arg(long)]
    pub unsequenced: bool,
    /// The tenant.
    #[arg(long, default_value = "default")]
    pub tenant: String,
}

const AFTER_HELP: &str = "\
Examples:
  sporelog simulate --rate 200 --agents 500 --seed 1          live, until Ctrl-C
  sporelog simulate --start 2026-01-01T00:00:00Z --rate 5     a past with days and nights, as fast as possible
  sporelog simulate --events 1000 --out events.jsonl          a file, the same each time
  sporelog simulate --rate 5000 --for 10m --only InteractionRecorded,SporeCreated

A process that holds the data folder (sporelog up) may run meanwhile; the events go into its log.";

/// Where event time begins in a file, so that it is the same each time: 2026-01-01T00:00:00Z.
const FILE_START_US: i64 = 1_767_225_600_000_000;
/// What a file holds unless told otherwise.
const FILE_EVENTS: u64 = 10_000;

/// Runs the population.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let clock = SystemClock::new();
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let mut simulation = simulation(&args, &config, clock.now_us())?;
    let mut meter = Meter::new(clock);
    let mut observe = |progress: &Progress| meter.events(progress.events);
    let progress = match &args.out {
        Some(path) => {
            let mut file = JsonLines::create(path)?;
            let progress = simulation.run(&mut file, &clock, &stop, &mut observe).await?;
            file.out.flush()?;
            progress
        }
        None => {
            let mut way = Way::find(&config, &stop).await?;
            simulation.population = simulation.population.with_schemas(way.schemas.clone());
            simulation.run(&mut way, &clock, &stop, &mut observe).await?
        }
    };
    meter.finish();
    let seconds = clock.monotonic_us() as f64 / 1e6;
    eprintln!("{} events in {seconds:.1} s, {:.0}/s", progress.events, progress.events as f64 / seconds);
    if progress.lost > 0 {
        eprintln!("{} events were lost while the log was not there", progress.lost);
    }
    Ok(ExitCode::SUCCESS)
}

fn simulation(args: &Args, config: &Config, now_us: i64) -> Result<Simulation> {
    let section = &config.simulate;
    let rate_per_s = args.rate.unwrap_or(section.rate_per_s.into());
    let run = match (&args.run, &args.out) {
        (Some(run), _) => run.clone(),
        (None, Some(_)) => "0".to_owned(),
        (None, None) => format!("{:x}", now_us / 1_000),
    };
    let options = Options {
        run,
        tenant: args.tenant.clone(),
        sequenced: !args.unsequenced,
        only: args.only.clone(),
        spread: args.spread,
        ..Options::new(args.seed.unwrap_or(section.seed), args.agents.unwrap_or(section.agents.into()))
    };
    let start = args.start.map(Timestamp::as_microsecond);
    let (pace, events) = match (&args.out, start) {
        (Some(_), start) => {
            let start_us = start.unwrap_or(FILE_START_US);
            let events = args.events.or(args.length.is_none().then_some(FILE_EVENTS));
            (Pace::History { start_us, end_us: i64::MAX, rate_per_s }, events)
        }
        (None, Some(start_us)) if start_us > now_us => bail!("--start lies ahead: a log holds no future"),
        (None, Some(start_us)) => (Pace::History { start_us, end_us: now_us, rate_per_s }, args.events),
        (None, None) => (Pace::Live { rate_per_s }, args.events),
    };
    Ok(Simulation { population: Population::new(&options)?, pace, events, length: args.length })
}

/// A population's events as JSON lines.
struct JsonLines {
    schemas: Schemas,
    out: BufWriter<File>,
}

impl JsonLines {
    fn create(path: &PathBuf) -> Result<Self> {
        let file = File::create(path).with_context(|| format!("cannot create {}", path.display()))?;
        Ok(Self { schemas: Schemas::embedded()?, out: BufWriter::new(file) })
    }
}

impl JsonLines {
    fn write(&mut self, record: &OutRecord) -> Result<(), LogError> {
        let refused = |error: &dyn std::fmt::Display| LogError::Refused(error.to_string());
        let event = codec::to_json(&self.schemas, &record.value).map_err(|error| refused(&error))?;
        let kind = self.schemas.kind(&record.value).map_err(|error| refused(&error))?;
        let line = serde_json::json!({
            "topic": record.topic.name(),
            "key": String::from_utf8_lossy(&record.key),
            "event": kind.name(),
            "value": event,
        });
        writeln!(self.out, "{line}").map_err(|error| LogError::Fatal(error.to_string()))
    }
}

impl Publisher for JsonLines {
    /// A file has no partitions, so nothing is said of where a record went.
    async fn publish(&mut self, records: Vec<OutRecord>) -> Result<Vec<Placed>, Unpublished> {
        for record in &records {
            self.write(record)?;
        }
        Ok(Vec::new())
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(rate) if (0.001..=1e6).contains(&rate) => Ok(rate),
        _ => Err("a number of events a second from 0.001 to 1000000".to_owned()),
    }
}

fn length(text: &str) -> Result<Duration, String> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|length| Duration::try_from(length).ok());
    parsed.ok_or_else(|| "a time such as 30s, 10m or 2h30m".to_owned())
}

fn kind(text: &str) -> Result<EventKind, String> {
    match EventKind::from_name(text) {
        Some(kind) if kind.derived() => Err(format!("{kind} is derived by the workers")),
        Some(kind) => Ok(kind),
        None => {
            let names: Vec<_> = EventKind::ALL.iter().filter(|kind| !kind.derived()).map(|kind| kind.name()).collect();
            Err(format!("no such event; there are {}", names.join(", ")))
        }
    }
}

fn spread(text: &str) -> Result<Spread, String> {
    match text {
        "zipf" => Ok(Spread::Zipf),
        "uniform" => Ok(Spread::Uniform),
        "round-robin" => Ok(Spread::RoundRobin),
        _ => Err("zipf, uniform or round-robin".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_understood_or_refused_with_what_would_be() {
        assert_eq!(length("2h30m"), Ok(Duration::from_secs(9_000)));
        assert!(length("-1s").is_err() && length("soon").is_err());
        assert_eq!(rate("0.5"), Ok(0.5));
        assert!(rate("0").is_err() && rate("NaN").is_err());
        assert_eq!(kind("SporeCreated"), Ok(EventKind::SporeCreated));
        assert!(kind("Contributed").is_err_and(|message| message.contains("derived")));
        assert!(kind("Spore").is_err_and(|message| message.contains("SporeCreated")));
        assert_eq!(spread("round-robin"), Ok(Spread::RoundRobin));
    }
}
