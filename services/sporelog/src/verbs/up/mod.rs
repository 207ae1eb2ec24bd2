//! `up`: every role in one process, on the embedded log and stores.

mod population;
mod status;

use crate::backend::Embedded;
use crate::roles::{Role, Roles};
use anyhow::{Context as _, Result};
use embedded::folder::DataFolder;
use embedded::log::{Log, LogOptions, PageLimit};
use embedded::socket::AppendServer;
use embedded::store::{STORE_FILE, Store};
use pipeline::{Clock as _, SystemClock};
use runtime::config::Config;
use runtime::health::Health;
use runtime::http::{Server, Shown};
use runtime::lifecycle::{Supervisor, stop_on_signal};
use runtime::metrics::Metrics;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Run the whole pipeline in this process: log, workers and stores in one data folder.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// Publish what a simulated population does, at the rate of `simulate.rate_per_s`.
    #[arg(long)]
    pub simulate: bool,
    /// Print no live lines.
    #[arg(long, short)]
    pub quiet: bool,
    /// Stop when every worker has caught up with the log.
    #[arg(long)]
    pub until_idle: bool,
}

const AFTER_HELP: &str = "\
Examples:
  sporelog up --simulate                       watch a population live; Ctrl-C drains and stops
  sporelog --data-dir /var/lib/sporelog up     serve the data folder there
  sporelog --set roles.projector_workers=3 up  three projectors share the partitions
  sporelog up --until-idle --quiet             work the backlog off, then stop

Another process imports into the same folder while this one runs: sporelog import --help";

/// How long the rest of the process may take to stop, beyond the workers' own deadline.
const STOP_MARGIN: Duration = Duration::from_millis(500);

/// Runs until a signal, or until idle where that is asked for.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let stop = CancellationToken::new();
    stop_on_signal(stop.clone())?;
    let folder = Arc::new(DataFolder::open(&config.data.dir)?);
    let topics = runtime::topics::load(config.log.topics_file.as_deref(), &config.log.profile)?;
    let clock = SystemClock::new();
    let log = Log::open_held(folder.clone(), &topics, log_options(&config), clock)?;
    let store = Store::open(folder.path().join(STORE_FILE))?;
    // Ingest's offsets lie in the log: a store that is new here gets every record from the start.
    log.bind(ingest::PROJECTION.name, store.id()?).await?;
    let appends = tokio::spawn(AppendServer::bind(folder.path())?.serve(log.clone()));

    let (health, metrics) = (Health::new(), Arc::new(Metrics::new()?));
    let address = serve_http(&config, &health, &metrics, stop.clone()).await?;
    let mut supervisor = Supervisor::new(stop.clone());
    let backend = Embedded { log: log.clone(), store, schemas: Arc::new(codec::Schemas::embedded()?).into() };
    Roles { backend, metrics: metrics.clone(), health }.start(&mut supervisor, &Role::ALL, &config)?;
    if args.simulate {
        population::start(&mut supervisor, &config, log.clone())?;
    }
    let shown = status::Shown { dir: folder.path().to_owned(), address, quiet: args.quiet };
    let status = tokio::spawn(status::show(shown, metrics, clock, stop.clone(), args.until_idle.then(|| log.clone())));

    let ended = supervisor.wait(config.worker.drain_deadline() + STOP_MARGIN).await;
    stop.cancel();
    let _ = status.await;
    appends.abort();
    ended.context("the pipeline stopped")?;
    Ok(ExitCode::SUCCESS)
}

/// The options of the log, from the configuration.
pub fn log_options(config: &Config) -> LogOptions {
    let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let defaults = LogOptions::default();
    // A page goes whole into a batch, so a smaller batch needs smaller pages.
    let page = PageLimit {
        bytes: defaults.page.bytes.min(size(config.worker.batch_max_bytes)),
        records: defaults.page.records.min(size(config.worker.batch_max_records)),
    };
    LogOptions {
        page,
        queue_bytes: size(config.log.queue_bytes),
        max_record_bytes: size(config.log.max_record_bytes),
        ..defaults
    }
}

async fn serve_http(
    config: &Config,
    health: &Health,
    metrics: &Arc<Metrics>,
    stop: CancellationToken,
) -> Result<Option<std::net::SocketAddr>> {
    if !config.http.enabled {
        return Ok(None);
    }
    let clock = SystemClock::new();
    let shown = Shown { health: health.clone(), metrics: metrics.clone(), now_us: Arc::new(move || clock.now_us()) };
    let server = Server::bind(config.http.listen, shown).await?;
    let address = server.address();
    tokio::spawn(server.serve(stop));
    Ok(Some(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_no_larger_than_a_batch() {
        let mut config = Config::default();
        let page = log_options(&config).page;
        assert!(page.records as u64 <= config.worker.batch_max_records, "{page:?}");
        (config.worker.batch_max_records, config.worker.batch_max_bytes) = (20, 4_096);
        let page = log_options(&config).page;
        assert_eq!((page.records, page.bytes), (20, 4_096));
    }
}
