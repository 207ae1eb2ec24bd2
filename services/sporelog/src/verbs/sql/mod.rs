//! `sporelog sql`: questions to the stores, read-only, also beside a running process.

mod cluster;
mod open;
mod tables;

use crate::backend::Cluster;
use crate::render::{Answer, Format, Value, bytes_text};
use anyhow::{Context as _, Result, bail};
use runtime::config::Config;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::types::ValueRef;
use rusqlite::{Batch, Connection, Statement};
use std::io::{BufWriter, IsTerminal as _, Read as _, Write};
use std::path::PathBuf;
use std::process::ExitCode;

const AFTER_HELP: &str = "\
Examples:
  sporelog sql --tables
  sporelog sql \"SELECT agent_id, count(*) AS sent FROM interactions WHERE direction = 'out' GROUP BY 1 ORDER BY 2 DESC LIMIT 10\"
  sporelog sql \"SELECT time_text(max(last_at)) FROM contact\"
  sporelog sql --format csv --file questions.sql > answers.csv
  echo 'SELECT * FROM freshness' | sporelog sql --format json
  sporelog sql \"SELECT name, type FROM pragma_table_info('contact')\"      the columns of a table

Functions beside those of SQLite:
  uuid(text)        the stored form of a UUID: WHERE spore_id = uuid('0190...')
  uuid_text(blob)   a stored UUID as text
  time_text(us)     a stored time as ISO 8601 in UTC

On a cluster (kafka.bootstrap is set) statements go to Postgres, in its own SQL, and with --records to Cassandra or
ScyllaDB, in CQL:
  sporelog sql --config cluster.toml 'SELECT * FROM tie ORDER BY affection DESC LIMIT 10'
  sporelog sql --config cluster.toml --tenant default 'SELECT count(*) FROM contact'
  sporelog sql --config cluster.toml --records 'SELECT * FROM records_v1_spores LIMIT 5'

In answers, blobs of 16 bytes are shown as UUIDs and others as hexadecimal. The embedded log, where it is
there, is the schema `log`: SELECT * FROM log.topic.";

/// Rows of a table that are shown unless told otherwise: a table is held in memory.
const TABLE_ROWS: usize = 1_000;

/// What `sql` takes.
#[derive(Debug, clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The statements, separated by `;` [default: standard input].
    #[arg(conflicts_with_all = ["file", "tables"])]
    statement: Option<String>,
    /// Read the statements from a file.
    #[arg(long, value_name = "FILE", conflicts_with = "tables")]
    file: Option<PathBuf>,
    /// List tables and views, with what each holds.
    #[arg(long)]
    tables: bool,
    /// Ask the records of a cluster, in CQL: one SELECT.
    #[arg(long, conflicts_with = "tables")]
    records: bool,
    /// See only the rows of this tenant of a cluster, as its readers do.
    #[arg(long, value_name = "TENANT", conflicts_with_all = ["records", "tables"])]
    tenant: Option<String>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// At most this many rows of each answer; 0 for all [default: 1000 in tables, 100000 of records, else all].
    #[arg(long, value_name = "ROWS")]
    limit: Option<usize>,
}

/// Runs the statements and prints their answers.
pub async fn run(args: Args, config: Config) -> Result<ExitCode> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    if let Some(cluster) = Cluster::configured(&config)? {
        cluster::run(&args, cluster, &config, &mut out).await?;
        out.flush()?;
        return Ok(ExitCode::SUCCESS);
    }
    if args.records || args.tenant.is_some() {
        bail!(
            "--records and --tenant are for a cluster, and kafka.bootstrap is not set: the embedded store holds all \
             tables in one file (ask them without --records, WHERE tenant = '...'), or name a cluster with --config"
        );
    }
    let connection = open::open(&config.data.dir)?;
    if args.tables {
        tables::list(&connection, args.format, &mut out)?;
    } else {
        let sql = statements(&args)?;
        answer_all(&connection, &sql, args.format, limit(&args), &mut out)?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// The most rows of an answer.
fn limit(args: &Args) -> usize {
    match args.limit {
        Some(0) => usize::MAX,
        Some(limit) => limit,
        None if args.format == Format::Table => TABLE_ROWS,
        None => usize::MAX,
    }
}

fn note_cut(limit: usize) {
    eprintln!("note: there are more than {limit} rows; --limit 0 shows all, --format csv streams them");
}

fn statements(args: &Args) -> Result<String> {
    if let Some(statement) = &args.statement {
        return Ok(statement.clone());
    }
    if let Some(path) = &args.file {
        return std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()));
    }
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        bail!("no statement: give one as an argument, with --file or on standard input (see sporelog sql --help)");
    }
    let mut sql = String::new();
    input.read_to_string(&mut sql).context("cannot read standard input")?;
    Ok(sql)
}

fn answer_all(connection: &Connection, sql: &str, format: Format, limit: usize, out: &mut impl Write) -> Result<()> {
    let mut batch = Batch::new(connection, sql);
    let mut any = false;
    while let Some(mut statement) = batch.next()? {
        any = true;
        if !statement.readonly() {
            bail!("sql only reads: stores are written from the log alone, so publish an event instead");
        }
        if statement.column_count() == 0 {
            statement.raw_execute()?;
        } else {
            answer(&mut statement, format, limit, out)?;
        }
    }
    if any { Ok(()) } else { bail!("there is no statement in the input") }
}

fn answer(statement: &mut Statement<'_>, format: Format, limit: usize, out: &mut impl Write) -> Result<()> {
    let names: Vec<String> = statement.column_names().map(str::to_owned).collect();
    let width = names.len();
    let mut answer = Answer::new(format, names, &mut *out)?;
    let mut rows = statement.raw_query();
    let mut shown = 0;
    let mut cut = false;
    while let Some(row) = rows.next()? {
        if shown == limit {
            cut = true;
            break;
        }
        let values: Vec<Value> = (0..width).map(|ix| Ok(value(row.get_ref(ix)?))).collect::<Result<_>>()?;
        answer.row(&values)?;
        shown += 1;
    }
    answer.finish()?;
    if cut {
        note_cut(limit);
    }
    Ok(())
}

fn value(value: ValueRef<'_>) -> Value {
    match value {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Value::Text(bytes_text(bytes)),
    }
}

#[cfg(test)]
mod tests;
