//! A TCP proxy between a client and an engine that makes the network's faults: connections cut, refused, delayed, or
//! open and dead.
//!
//! It has a thread and a runtime of its own, so that it works alike under any test, and while a test blocks.

mod pump;

use crate::port::Port;
use anyhow::{Context as _, Result};
use pump::relay;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

/// What happens to bytes at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Faults {
    delay: Duration,
    blackhole: bool,
    /// The reply to a request that contains these bytes is lost, and the connection with it.
    lose_reply_to: Option<&'static [u8]>,
}

/// Open connections, by the peer that opened them.
type Connections = Arc<Mutex<HashMap<SocketAddr, CancellationToken>>>;

/// Where the server is, and the count of its replies that were lost.
type Upstream = (SocketAddr, Arc<AtomicU64>);

/// To listen or not, and whom to tell that it is so.
type Listening = (bool, std::sync::mpsc::Sender<io::Result<()>>);

/// A running proxy. Its connections end when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    port: Port,
    faults: watch::Sender<Faults>,
    lost: Arc<AtomicU64>,
    connections: Connections,
    /// `None` while it is being dropped.
    listening: Option<mpsc::UnboundedSender<Listening>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts one on a free port of 127.0.0.1, without a fault.
    ///
    /// # Errors
    /// Where no port is free or no thread can be started.
    pub fn start(upstream: SocketAddr) -> Result<Self> {
        let port = Port::take()?;
        let connections = Connections::default();
        let (faults, seen) = watch::channel(Faults::default());
        let (listening, orders) = mpsc::unbounded_channel();
        let lost = Arc::<AtomicU64>::default();
        let serve = serve(port.address(), (upstream, lost.clone()), orders, seen, connections.clone());
        let runtime = Builder::new_current_thread().enable_all().build().context("cannot start a proxy")?;
        let thread = std::thread::Builder::new().name("proxy".to_owned());
        let thread = thread.spawn(move || run(runtime, serve)).context("cannot start a proxy")?;
        let proxy = Self { port, faults, lost, connections, listening: Some(listening), thread: Some(thread) };
        proxy.refuse(false)?;
        Ok(proxy)
    }

    /// Where clients connect to.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The peers whose connections are open.
    #[must_use]
    pub fn connections(&self) -> Vec<SocketAddr> {
        self.open().keys().copied().collect()
    }

    /// Resets every connection, and says which; new ones are accepted.
    #[allow(clippy::must_use_candidate, reason = "who cuts need not ask what was cut")]
    pub fn cut(&self) -> Vec<SocketAddr> {
        let cut = |(peer, token): (SocketAddr, CancellationToken)| {
            token.cancel();
            peer
        };
        self.open().drain().map(cut).collect()
    }

    /// Refuses new connections, or accepts them again; those that are open stay. It is so when this returns.
    ///
    /// # Errors
    /// Where the port cannot be bound again.
    pub fn refuse(&self, refuse: bool) -> Result<()> {
        let (done, answer) = std::sync::mpsc::channel();
        let sent = self.listening.as_ref().is_some_and(|listening| listening.send((!refuse, done)).is_ok());
        anyhow::ensure!(sent, "the proxy on {} has ended", self.address());
        let answer = answer.recv().with_context(|| format!("the proxy on {} has ended", self.address()))?;
        answer.with_context(|| format!("the proxy cannot listen on {}", self.address()))
    }

    /// Holds every byte back for so long, in each direction; zero: no longer. It delays and does not throttle.
    pub fn delay(&self, delay: Duration) {
        self.faults.send_modify(|faults| faults.delay = delay);
    }

    /// Swallows all bytes, also the end of a stream: connections stay open, new ones too, and nothing answers. When it
    /// ends, those that have lost something are reset: what is left of them is no stream any more.
    pub fn blackhole(&self, blackhole: bool) {
        self.faults.send_modify(|faults| faults.blackhole = blackhole);
    }

    /// From now on, resets a connection instead of passing on what the server answers to a request that contains these
    /// bytes: the server has done what it was asked, and the client cannot know. None: no longer.
    pub fn lose_reply_to(&self, request: Option<&'static [u8]>) {
        self.faults.send_modify(|faults| faults.lose_reply_to = request);
    }

    /// How many replies were lost so far.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn open(&self) -> MutexGuard<'_, HashMap<SocketAddr, CancellationToken>> {
        lock(&self.connections)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn lock(connections: &Connections) -> MutexGuard<'_, HashMap<SocketAddr, CancellationToken>> {
    connections.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Serves until there is nobody left to give orders; what is open then ends with the runtime.
fn run(runtime: Runtime, serve: impl Future<Output = ()>) {
    runtime.block_on(serve);
}

async fn serve(
    address: SocketAddr,
    upstream: Upstream,
    mut orders: mpsc::UnboundedReceiver<Listening>,
    faults: watch::Receiver<Faults>,
    connections: Connections,
) {
    let mut listener: Option<TcpListener> = None;
    loop {
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            order = orders.recv() => {
                let Some((listen, done)) = order else { return };
                let result = listen_or_not(&mut listener, listen, address).await;
                // Who asked may have given up.
                let _ = done.send(result);
            }
            accepted = accepted => {
                // One that has gone already.
                let Ok((client, peer)) = accepted else { continue };
                let token = CancellationToken::new();
                lock(&connections).insert(peer, token.clone());
                tokio::spawn(connection(client, upstream.clone(), faults.clone(), token, peer, connections.clone()));
            }
        }
    }
}

async fn listen_or_not(listener: &mut Option<TcpListener>, listen: bool, address: SocketAddr) -> io::Result<()> {
    match (listen, &listener) {
        (true, None) => *listener = Some(TcpListener::bind(address).await?),
        (true, Some(_)) => {}
        (false, _) => *listener = None,
    }
    Ok(())
}

async fn connection(
    client: TcpStream,
    (upstream, lost): Upstream,
    faults: watch::Receiver<Faults>,
    cut: CancellationToken,
    peer: SocketAddr,
    connections: Connections,
) {
    let relayed = async {
        let server = TcpStream::connect(upstream).await?;
        relay(client, server, (faults, lost), &cut).await
    };
    // Who talks through a proxy sees the end of the connection; there is nobody else to tell.
    let _ = relayed.await;
    // A cut has removed it already, and the same peer may have come again.
    if !cut.is_cancelled() {
        lock(&connections).remove(&peer);
    }
}
