//! The pool, and connections that are given back only clean.

use crate::config::PostgresConfig;
use crate::error::{Sorted, no_reply, pool_error};
use crate::tls;
use deadpool_postgres::{Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime};
use pipeline::StoreError;
use std::cell::Cell;
use std::pin::Pin;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, TargetSessionAttrs};
use tokio_postgres::{Client, Error, Statement};
use tokio_postgres_rustls::MakeRustlsConnect;

/// A pool of connections to one database. Clones share it.
#[derive(Clone)]
pub struct Database {
    pool: Pool,
    config: PostgresConfig,
    /// Where the servers are, for messages.
    place: String,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Database").field("config", &self.config).field("status", &self.status()).finish()
    }
}

/// What the pool holds now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStatus {
    /// The most connections.
    pub max: usize,
    /// Open connections.
    pub open: usize,
    /// Those of them that nobody uses.
    pub available: usize,
    /// Those who wait for one.
    pub waiting: usize,
}

impl Database {
    /// A pool that opens its first connection when it is needed. Connections are served by the runtime that this is
    /// called in, which must live as long as the pool: best one that is never blocked.
    ///
    /// # Errors
    /// [`StoreError::Fatal`] where the settings cannot be right.
    pub fn new(config: PostgresConfig) -> Result<Self, StoreError> {
        let (mut driver, tls) = tls::parse(&config.url)?;
        driver
            .application_name(&config.application_name)
            .connect_timeout(Duration::from_millis(config.connect_timeout_ms))
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3)
            .tcp_user_timeout(config.reply_timeout());
        if driver.get_hosts().len() > 1 {
            driver.target_session_attrs(TargetSessionAttrs::ReadWrite);
        }
        let place = place(&driver);
        let handle =
            Handle::try_current().map_err(|_| StoreError::Fatal("the pool needs a tokio runtime".to_owned()))?;
        let opener = Opener { tls, handle, session: config.session_sql() };
        let manager = ManagerConfig { recycling_method: RecyclingMethod::Fast };
        let (connect, acquire) = (config.connect_timeout_ms, config.acquire_timeout_ms);
        let pool = Pool::builder(Manager::from_connect(driver, opener, manager))
            .max_size(config.pool_max.max(1) as usize)
            .create_timeout(Some(Duration::from_millis(connect.saturating_mul(2))))
            .wait_timeout(Some(Duration::from_millis(acquire)))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| StoreError::Fatal(format!("the pool cannot be built: {error}")))?;
        Ok(Self { pool, config, place })
    }

    /// The settings it was made with.
    #[must_use]
    pub fn config(&self) -> &PostgresConfig {
        &self.config
    }

    /// What the pool holds now.
    #[must_use]
    pub fn status(&self) -> PoolStatus {
        let status = self.pool.status();
        PoolStatus { max: status.max_size, open: status.size, available: status.available, waiting: status.waiting }
    }

    /// Asks the server for one answer: how a health check, or one that times the acquisition of a connection, looks.
    ///
    /// # Errors
    /// Whatever a worker would meet.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let session = self.session().await?;
        session.replied(session.client()?.batch_execute("")).await?;
        session.give_back();
        Ok(())
    }

    /// A connection of the pool.
    pub(crate) async fn session(&self) -> Result<Session, StoreError> {
        let object = self.pool.get().await.map_err(|error| pool_error(&error, &self.place))?;
        let idle_timeout_ms = self.config.idle_in_transaction_timeout_ms;
        Ok(Session {
            object: Some(object),
            reply_timeout: self.config.reply_timeout(),
            idle_timeout_ms,
            is_condemned: Cell::new(false),
        })
    }
}

/// The servers' addresses.
fn place(driver: &tokio_postgres::Config) -> String {
    let ports = driver.get_ports();
    let addresses = driver.get_hosts().iter().enumerate().map(|(ix, host)| {
        let port = ports.get(ix).or(ports.first()).copied().unwrap_or(5432);
        match host {
            Host::Tcp(name) => format!("{name}:{port}"),
            #[cfg(unix)]
            Host::Unix(path) => format!("{}:{port}", path.display()),
        }
    });
    addresses.collect::<Vec<_>>().join(", ")
}

/// A connection in use. Unless it is given back it is closed, and the server rolls back what was begun on it.
pub(crate) struct Session {
    object: Option<Object>,
    reply_timeout: Duration,
    idle_timeout_ms: u64,
    is_condemned: Cell<bool>,
}

impl Session {
    /// Puts the connection back into the pool: the caller knows that no transaction is open on it.
    pub(crate) fn give_back(mut self) {
        if !self.is_condemned.get() {
            self.object.take();
        }
    }

    /// Makes sure that the connection is closed, whoever gives it back.
    pub(crate) fn condemn(&self) {
        self.is_condemned.set(true);
    }

    /// A statement, prepared once per connection.
    pub(crate) async fn prepared(&self, sql: &str) -> Result<Statement, StoreError> {
        let object = self.object.as_ref().ok_or_else(gone)?;
        self.replied(object.prepare_cached(sql)).await
    }

    /// The reply, if it comes in time.
    pub(crate) async fn replied<T>(&self, reply: impl Future<Output = Result<T, Error>>) -> Result<T, StoreError> {
        self.replied_behind(1, reply).await
    }

    /// The reply to the last of so many statements that were sent together, if it comes in time.
    pub(crate) async fn replied_behind<T>(
        &self,
        statements: u32,
        reply: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, StoreError> {
        match tokio::time::timeout(self.reply_timeout.saturating_mul(statements), reply).await {
            Ok(reply) => reply.sorted(),
            Err(_) => Err(StoreError::Unavailable(no_reply())),
        }
    }

    /// The connection itself.
    pub(crate) fn client(&self) -> Result<&Client, StoreError> {
        self.object.as_ref().map(|object| &***object).ok_or_else(gone)
    }

    pub(crate) fn reply_timeout(&self) -> Duration {
        self.reply_timeout
    }

    /// How long the server lets a transaction stand idle.
    pub(crate) fn idle_timeout_ms(&self) -> u64 {
        self.idle_timeout_ms
    }
}

// Only giving back and dropping take the connection out, and both end the session.
fn gone() -> StoreError {
    StoreError::Unavailable("the connection was given back".to_owned())
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

/// Opens connections on the pool's runtime, whoever asks for them.
struct Opener {
    tls: MakeRustlsConnect,
    handle: Handle,
    session: String,
}

type Opened = Result<(Client, JoinHandle<()>), Error>;

impl Connect for Opener {
    fn connect(&self, driver: &tokio_postgres::Config) -> Pin<Box<dyn Future<Output = Opened> + Send + '_>> {
        let (driver, tls, session) = (driver.clone(), self.tls.clone(), self.session.clone());
        Box::pin(async move {
            let opening = self.handle.spawn(open(driver.clone(), tls.clone(), session.clone()));
            match opening.await {
                Ok(opened) => opened,
                // The pool's runtime is shutting down.
                Err(_) => open(driver, tls, session).await,
            }
        })
    }
}

async fn open(driver: tokio_postgres::Config, tls: MakeRustlsConnect, session: String) -> Opened {
    let (client, connection) = driver.connect(tls).await?;
    let served = tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to postgres ended");
        }
    });
    client.batch_execute(&session).await?;
    Ok((client, served))
}
