//! The HTTP server for probes and metrics.
//!
//! `/healthz` answers while the process lives and asks no store; `/readyz` answers 200 while every
//! worker works, else 503 with each worker and its reason; `/metrics` is Prometheus text.
//!
//! A parked partition does not make a worker unready: an orchestrator that took it out of service,
//! or restarted it, would mend nothing and stop the other partitions (I7). `/readyz` says
//! `degraded` then, with each of them.

use crate::health::{Health, are_ready};
use crate::metrics::Metrics;
use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use thiserror::Error;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long open requests may take to end on shutdown.
const DRAIN: Duration = Duration::from_secs(1);

/// Why the server cannot run.
#[derive(Debug, Error)]
pub enum HttpError {
    /// Another process has the port.
    #[error("port {} of {} is in use by another process: stop that process, or choose another port with --set http.listen={}:0 (0 takes any free one)", .0.port(), .0.ip(), .0.ip())]
    InUse(SocketAddr),
    /// The address cannot be listened on.
    #[error(
        "cannot listen on {address}: {reason}; set http.listen to an address of this machine and a port that this user may open"
    )]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        reason: std::io::Error,
    },
    /// The server broke.
    #[error("the HTTP server stopped: {0}")]
    Serve(std::io::Error),
}

/// What the server shows.
#[derive(Clone)]
pub struct Shown {
    /// Who is ready.
    pub health: Health,
    /// The metrics.
    pub metrics: Arc<Metrics>,
    /// The wall time in microseconds since 1970, for ages.
    pub now_us: Arc<dyn Fn() -> i64 + Send + Sync>,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("health", &self.health).finish_non_exhaustive()
    }
}

/// A server that listens.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shown: Shown,
}

impl Server {
    /// Listens on the address; port 0 takes any free port.
    ///
    /// # Errors
    /// Where the port is taken or the address is not this machine's.
    pub async fn bind(address: SocketAddr, shown: Shown) -> Result<Self, HttpError> {
        let refused = |reason: std::io::Error| match reason.kind() {
            ErrorKind::AddrInUse => HttpError::InUse(address),
            _ => HttpError::Listen { address, reason },
        };
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let address = listener.local_addr().map_err(HttpError::Serve)?;
        Ok(Self { listener, address, shown })
    }

    /// The address that it listens on, with the real port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until the token is cancelled; requests that are open then may take one second more.
    ///
    /// # Errors
    /// Where the listener breaks.
    pub async fn serve(self, stop: CancellationToken) -> Result<(), HttpError> {
        let serving =
            axum::serve(self.listener, router(self.shown)).with_graceful_shutdown(stop.clone().cancelled_owned());
        let overdue = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::select! {
            served = serving.into_future() => served.map_err(HttpError::Serve),
            () = overdue => Ok(()),
        }
    }
}

fn router(shown: Shown) -> Router {
    Router::new()
        .route("/healthz", get(async || "alive\n"))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .fallback(async || (StatusCode::NOT_FOUND, "not found: there are /healthz, /readyz and /metrics\n"))
        .with_state(shown)
}

async fn readyz(State(shown): State<Shown>) -> impl IntoResponse {
    let workers = shown.health.report();
    let ready = are_ready(&workers);
    let parked = workers.iter().any(|worker| !worker.parked.is_empty());
    let (code, status) = match (ready, parked) {
        (true, false) => (StatusCode::OK, "ready"),
        (true, true) => (StatusCode::OK, "degraded"),
        (false, _) => (StatusCode::SERVICE_UNAVAILABLE, "unready"),
    };
    let body = serde_json::json!({ "status": status, "ready": ready, "workers": workers }).to_string();
    (code, [(header::CONTENT_TYPE, "application/json")], body)
}

async fn metrics(State(shown): State<Shown>) -> impl IntoResponse {
    let text = shown.metrics.render((shown.now_us)());
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::ParkedReport;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    async fn start(health: &Health) -> (SocketAddr, CancellationToken, tokio::task::JoinHandle<Result<(), HttpError>>) {
        let shown =
            Shown { health: health.clone(), metrics: Arc::new(Metrics::new().unwrap()), now_us: Arc::new(|| 0) };
        let server = Server::bind(SocketAddr::from(([127, 0, 0, 1], 0)), shown).await.unwrap();
        let (address, stop) = (server.address(), CancellationToken::new());
        (address, stop.clone(), tokio::spawn(server.serve(stop)))
    }

    async fn fetch(address: SocketAddr, path: &str) -> String {
        let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn probes_and_metrics_answer() {
        let health = Health::new();
        let worker = health.register("ingest-0");
        let (address, stop, served) = start(&health).await;
        assert!(fetch(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        worker.paused("the log is unavailable");
        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("application/json"), "{answer}");
        assert!(answer.contains(r#""name":"ingest-0""#) && answer.contains("the log is unavailable"), "{answer}");
        assert!(fetch(address, "/healthz").await.starts_with("HTTP/1.1 200"));
        worker.ready();
        assert!(fetch(address, "/readyz").await.starts_with("HTTP/1.1 200"));
        assert!(fetch(address, "/metrics").await.contains("sporelog_build_info"));
        assert!(fetch(address, "/other").await.starts_with("HTTP/1.1 404"));
        stop.cancel();
        served.await.unwrap().unwrap();
    }

    /// I7: trouble of one partition takes no worker out of service, and is told with its
    /// coordinates.
    #[tokio::test]
    async fn a_parked_partition_degrades_and_an_outage_unreadies() {
        let health = Health::new();
        let worker = health.register("projector-0");
        let (address, stop, served) = start(&health).await;
        worker.ready();
        let (topic, text) = ("agent.state", "agent.state/3 is parked".to_owned());
        let parked = ParkedReport { topic, partition: 3, offset: 7, cause: "unreadable", since_us: 5, text };
        worker.parked(parked);
        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 200") && answer.contains(r#""status":"degraded""#), "{answer}");
        for part in [r#""topic":"agent.state""#, r#""partition":3"#, r#""offset":7"#, r#""cause":"unreadable""#] {
            assert!(answer.contains(part), "{answer}");
        }
        assert!(answer.contains("agent.state/3 is parked"), "{answer}");
        worker.paused("the store is unavailable");
        let answer = fetch(address, "/readyz").await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""cause":"unreadable""#), "{answer}");
        worker.ready();
        worker.unparked("agent.state", 3);
        let answer = fetch(address, "/readyz").await;
        assert!(answer.contains(r#""status":"ready""#) && !answer.contains("unreadable"), "{answer}");
        stop.cancel();
        served.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_port_in_use_is_explained() {
        let (address, ..) = start(&Health::new()).await;
        let shown = Shown { health: Health::new(), metrics: Arc::new(Metrics::new().unwrap()), now_us: Arc::new(|| 0) };
        let error = Server::bind(address, shown).await.unwrap_err().to_string();
        assert!(error.contains(&format!("port {}", address.port())) && error.contains("--set http.listen="), "{error}");
    }
}
