//! What every process with workers has: signals, probes and metrics, and a supervisor.

use anyhow::{Context as _, Result};
use pipeline::{Clock as _, SystemClock};
use runtime::config::Config;
use runtime::health::Health;
use runtime::http::{Server, Shown};
use runtime::lifecycle::{Supervisor, stop_on_signal};
use runtime::metrics::Metrics;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How long the rest of the process may take to stop, beyond the workers' own deadline.
const STOP_MARGIN: Duration = Duration::from_millis(500);

/// A process with workers.
pub struct Process {
    /// Cancelled by a signal, or by the first worker that fails.
    pub stop: CancellationToken,
    /// Who is ready.
    pub health: Health,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// Starts workers and waits for them.
    pub supervisor: Supervisor,
    /// Where probes and metrics are served, if they are.
    pub address: Option<SocketAddr>,
}

impl Process {
    /// Listens for signals, and serves probes and metrics from the first moment: not ready, but alive.
    pub async fn start(config: &Config) -> Result<Self> {
        let stop = CancellationToken::new();
        stop_on_signal(stop.clone())?;
        let (health, metrics) = (Health::new(), Arc::new(Metrics::new()?));
        let address = serve(config, &health, &metrics, stop.clone()).await?;
        let supervisor = Supervisor::new(stop.clone());
        Ok(Self { stop, health, metrics, supervisor, address })
    }

    /// Waits until every worker has ended.
    pub async fn wait(self, config: &Config) -> Result<()> {
        let ended = self.supervisor.wait(config.worker.drain_deadline() + STOP_MARGIN).await;
        self.stop.cancel();
        ended.context("the pipeline stopped")
    }
}

async fn serve(
    config: &Config,
    health: &Health,
    metrics: &Arc<Metrics>,
    stop: CancellationToken,
) -> Result<Option<SocketAddr>> {
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
