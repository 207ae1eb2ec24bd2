//! Starting, watching and stopping the threads of a process.
//!
//! Each worker has a thread of its own with a single-threaded runtime, since its futures are not `Send`. One
//! token stops them all: it is cancelled by a signal, or by the first worker that fails. From then on every
//! worker has until the drain deadline; one that is still busy then is reported and left behind.

use std::collections::BTreeSet;
use std::error::Error as StdError;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_util::sync::CancellationToken;

/// The exit status after a second signal, as a shell gives it for Ctrl-C.
const INTERRUPTED: i32 = 130;

/// Any error of a worker.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// Cancels the token at SIGINT or SIGTERM; a second signal ends the process at once.
///
/// # Errors
/// Where the system refuses the handlers.
///
/// # Panics
/// Outside a tokio runtime.
pub fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        next().await;
        tracing::info!("stopping: workers finish their batches; a second signal stops at once");
        stop.cancel();
        next().await;
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// How a worker failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It returned an error: the message with its causes.
    Failed(String),
    /// It panicked, with this message.
    Panicked(String),
    /// It was still busy when the drain deadline had passed.
    Overran(Duration),
}

/// The workers that failed, by name, in the order in which they did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkersFailed(pub Vec<(String, Failure)>);

impl fmt::Display for WorkersFailed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (ix, (worker, failure)) in self.0.iter().enumerate() {
            f.write_str(if ix == 0 { "" } else { "; " })?;
            match failure {
                Failure::Failed(message) => write!(f, "worker {worker} failed: {message}"),
                Failure::Panicked(message) => write!(f, "worker {worker} panicked: {message}"),
                Failure::Overran(deadline) => write!(
                    f,
                    "worker {worker} had not finished {} ms after the stop; what it had not committed is read again at the next start",
                    deadline.as_millis()
                ),
            }?;
        }
        Ok(())
    }
}

impl StdError for WorkersFailed {}

/// Starts named workers and waits for them.
#[derive(Debug)]
pub struct Supervisor {
    stop: CancellationToken,
    running: BTreeSet<String>,
    exits: (UnboundedSender<Exit>, UnboundedReceiver<Exit>),
}

type Exit = (String, Result<(), Failure>);

impl Supervisor {
    /// A supervisor whose workers stop when the token is cancelled; it cancels the token when one fails.
    #[must_use]
    pub fn new(stop: CancellationToken) -> Self {
        Self { stop, running: BTreeSet::new(), exits: unbounded_channel() }
    }

    /// Starts a worker on a thread of its own. The closure builds the future in that thread, so the future
    /// need not be `Send`; it should end soon after its token is cancelled.
    ///
    /// # Errors
    /// Where the system refuses a thread.
    pub fn spawn<F, Fut, E>(&mut self, name: &str, worker: F) -> std::io::Result<()>
    where
        F: FnOnce(CancellationToken) -> Fut + Send + 'static,
        Fut: Future<Output = Result<(), E>>,
        E: Into<BoxError>,
    {
        let (stop, exits, own) = (self.stop.child_token(), self.exits.0.clone(), name.to_owned());
        std::thread::Builder::new().name(name.to_owned()).spawn(move || {
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| run(worker, stop)));
            let result = match ended {
                Ok(Ok(())) => Ok(()),
                Ok(Err(error)) => Err(Failure::Failed(chain(error.as_ref()))),
                Err(payload) => Err(Failure::Panicked(panic_message(payload.as_ref()))),
            };
            let _ = exits.send((own, result));
        })?;
        self.running.insert(name.to_owned());
        Ok(())
    }

    /// Waits until every worker has ended, or until the drain deadline after the stop has passed.
    ///
    /// # Errors
    /// Where a worker failed, panicked or overran.
    pub async fn wait(mut self, drain: Duration) -> Result<(), WorkersFailed> {
        let mut failures = Vec::new();
        let stop = self.stop.clone();
        let mut overdue = pin!(async {
            stop.cancelled().await;
            tokio::time::sleep(drain).await;
        });
        while !self.running.is_empty() {
            tokio::select! {
                biased;
                Some((worker, result)) = self.exits.1.recv() => {
                    self.running.remove(&worker);
                    if let Err(failure) = result {
                        tracing::error!(worker, ?failure, "a worker ended: the process stops");
                        failures.push((worker, failure));
                        self.stop.cancel();
                    }
                }
                () = &mut overdue => {
                    failures.extend(std::mem::take(&mut self.running).into_iter().map(|worker| (worker, Failure::Overran(drain))));
                }
            }
        }
        if failures.is_empty() { Ok(()) } else { Err(WorkersFailed(failures)) }
    }
}

fn run<F, Fut, E>(worker: F, stop: CancellationToken) -> Result<(), BoxError>
where
    F: FnOnce(CancellationToken) -> Fut,
    Fut: Future<Output = Result<(), E>>,
    E: Into<BoxError>,
{
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async { worker(stop).await }).map_err(Into::into)
}

/// The message of an error and of its causes.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.ends_with(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}

fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied().or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("no message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;

    type Ended = Result<(), BoxError>;
    const LONG: Duration = Duration::from_secs(60);

    async fn until_stopped(stop: CancellationToken) -> Ended {
        let not_send = Rc::new(());
        stop.cancelled().await;
        drop(not_send);
        Ok(())
    }

    #[tokio::test]
    async fn workers_end_when_the_token_is_cancelled() {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone());
        supervisor.spawn("one", until_stopped).unwrap();
        supervisor.spawn("two", until_stopped).unwrap();
        stop.cancel();
        supervisor.wait(LONG).await.unwrap();
    }

    #[tokio::test]
    async fn a_worker_that_fails_stops_the_others_and_is_named() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("steady", until_stopped).unwrap();
        supervisor.spawn("broken", async |_| Ended::Err("the position lies outside the log".into())).unwrap();
        let error = supervisor.wait(LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "worker broken failed: the position lies outside the log");
    }

    #[tokio::test]
    async fn a_panic_is_reported_with_the_workers_name() {
        let mut supervisor = Supervisor::new(CancellationToken::new());
        supervisor.spawn("steady", until_stopped).unwrap();
        supervisor
            .spawn("shaky", async |_| -> Ended {
                assert!(std::hint::black_box(false), "no such column");
                Ok(())
            })
            .unwrap();
        let error = supervisor.wait(LONG).await.unwrap_err();
        assert_eq!(error.to_string(), "worker shaky panicked: no such column");
    }

    #[tokio::test]
    async fn a_worker_that_overruns_the_deadline_is_named() {
        let stop = CancellationToken::new();
        let mut supervisor = Supervisor::new(stop.clone());
        supervisor.spawn("slow", async |_| std::future::pending::<Ended>().await).unwrap();
        supervisor.spawn("quick", until_stopped).unwrap();
        stop.cancel();
        let failed = supervisor.wait(Duration::from_millis(200)).await.unwrap_err();
        assert_eq!(failed.0, [("slow".to_owned(), Failure::Overran(Duration::from_millis(200)))]);
    }
}
