//! `migrate up|down|status`: the tables of a cluster's stores. Workers never change a schema by themselves.

use crate::backend::Cluster;
use anyhow::{Context as _, Result, bail};
use runtime::config::Config;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog migrate status --config cluster.toml
  sporelog migrate up --config cluster.toml                         both stores
  sporelog migrate up --only postgres --config cluster.toml
  sporelog migrate down --only postgres --to 4 --yes --config cluster.toml

Migrations are numbered and apply in order; several processes may run `up` at a time. The keyspace is made with
scylla.replication. The embedded store migrates itself when it is opened.

Exit status of `status`: 0 where every migration is applied, 2 where some are pending.";

/// The exit status where migrations are pending.
const PENDING: u8 = 2;

/// What `migrate` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    #[command(subcommand)]
    verb: Verb,
    /// Only this store.
    #[arg(long, value_enum, global = true)]
    only: Option<Store>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Store {
    /// Views and series.
    Postgres,
    /// Records, in Cassandra or ScyllaDB.
    Scylla,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    /// Apply what is pending.
    #[command(after_help = AFTER_HELP)]
    Up,
    /// Show what is pending.
    #[command(after_help = AFTER_HELP)]
    Status,
    /// Take migrations back, with the rows in their tables: they can be built again from the log.
    #[command(after_help = AFTER_HELP)]
    Down {
        /// Keep migrations up to this number; 0 keeps none.
        #[arg(long, value_name = "NUMBER")]
        to: u32,
        /// Without it nothing is done: rows are lost.
        #[arg(long)]
        yes: bool,
    },
}

/// Migrates, or says what would be.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let wants = |store| args.only.is_none_or(|only| only == store);
    let mut cluster = Cluster::needed(&config, "migrate")?;
    let mut pending = 0;
    if let Verb::Down { yes: false, to } = args.verb {
        bail!("`migrate down --to {to}` drops tables with their rows: say --yes if that is meant");
    }
    if wants(Store::Postgres) {
        cluster = cluster.with_postgres(&config)?;
        let names = postgres(&args.verb, cluster.postgres_config()?).await.context("postgres")?;
        pending += tell(&args.verb, "postgres", &names);
    }
    if wants(Store::Scylla) {
        cluster = cluster.with_scylla(&config)?;
        let names = scylla(&args.verb, cluster.scylla_config()?).await.context("scylla")?;
        pending += tell(&args.verb, "scylla", &names);
    }
    Ok(if pending > 0 { ExitCode::from(PENDING) } else { ExitCode::SUCCESS })
}

async fn postgres(verb: &Verb, config: &store_postgres::PostgresConfig) -> Result<Vec<&'static str>> {
    use store_postgres::migrate::{down, pending, up};
    let known = match verb {
        Verb::Up => up(config).await?,
        Verb::Status => pending(config).await?,
        Verb::Down { to, .. } => down(config, i64::from(*to)).await?,
    };
    Ok(known.iter().map(|known| known.name).collect())
}

async fn scylla(verb: &Verb, config: &store_scylla::ScyllaConfig) -> Result<Vec<&'static str>> {
    use store_scylla::migrate::{down, pending, up};
    Ok(match verb {
        Verb::Up => up(config).await?,
        Verb::Status => pending(config).await?,
        Verb::Down { to, .. } => down(config, i32::try_from(*to)?).await?,
    })
}

/// Prints what was done, or is to be done; gives the number of migrations to be done.
fn tell(verb: &Verb, store: &str, names: &[&str]) -> usize {
    let word = match verb {
        Verb::Up => "applied",
        Verb::Status => "pending",
        Verb::Down { .. } => "taken back",
    };
    if names.is_empty() {
        println!("{store:<10} nothing {}", if matches!(verb, Verb::Down { .. }) { "to take back" } else { "to apply" });
    }
    names.iter().for_each(|name| println!("{store:<10} {word} {name}"));
    if matches!(verb, Verb::Status) { names.len() } else { 0 }
}
