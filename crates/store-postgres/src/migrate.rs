//! Numbered migrations, up and down, and the record of those that were applied.
//!
//! A migration is reviewed SQL. `{views}` and `{series}` in it stand for what the physical names of that projection
//! begin with (`views_v1_`): a version v+1 is built beside v. `{by_month:column}` ends a table that is partitioned by
//! month, or becomes a hypertable; `{monthly_reader}` and `{monthly_seen}` say how SQL views over such tables keep tenants
//! apart; `{schema}` is the schema. Each runs in a transaction together with its record, so a
//! crash leaves it done or not begun; an advisory lock lets one migrator work at a time.
//!
//! | the server has | windows and history are |
//! |---|---|
//! | TimescaleDB, installed or preloaded | hypertables; compressed after three months, but for the Apache edition |
//! | not | partitioned by month, with a default partition |
//!
//! Before anything is created, the server's settings are looked at (`check.rs`).

use crate::check::check_server;
use crate::comment;
use crate::config::{PostgresConfig, quoted};
use crate::database::Database;
use crate::error::Sorted as _;
use crate::schema::{physical_name, table_ddl};
use domain::Projection;
use domain::fold::{series::SERIES, views::VIEWS};
use domain::projection::prefix;
use pipeline::migration::Migration;
use pipeline::{StoreError, migrations};
use tokio_postgres::Client;

/// The projections whose tables are here.
pub static PROJECTIONS: [&Projection; 2] = [&VIEWS, &SERIES];

/// A migration, by its number and the name of its file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// From 1, without gaps.
    pub number: i64,
    /// The file.
    pub name: &'static str,
}

static MIGRATIONS: &[Migration] = migrations! { "sql":
    1 "0001_core";
    2 "0002_views";
    3 "0003_series";
    4 "0004_roles";
    5 "0005_contract";
    6 "0006_search";
    7 "0007_rates_at_read";
};

const RECORD: &str = "CREATE TABLE IF NOT EXISTS schema_migration (
    number bigint NOT NULL PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE schema_migration IS 'The migrations that were applied.';
COMMENT ON COLUMN schema_migration.checksum IS 'The hash of its text: what was applied must not be edited afterwards.'";

/// What the statements of a migration depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape<'a> {
    pub schema: &'a str,
    pub hypertables: bool,
}

/// Applies what has not been applied; gives back what it applied.
///
/// # Errors
/// Where the database cannot be reached, was written by a newer version, or was built with another text.
pub async fn up(config: &PostgresConfig) -> Result<Vec<Known>, StoreError> {
    with_lock(config, async |client| {
        check_server(client).await?;
        let schema = quoted(&config.schema);
        // IF NOT EXISTS alone would ask for the right to create schemas.
        let there = client.query_one("SELECT to_regnamespace($1) IS NOT NULL", &[&schema]).await.sorted()?;
        if !there.get::<_, bool>(0) {
            client
                .batch_execute(&format!("CREATE SCHEMA {schema}"))
                .await
                .map_err(|error| failed("the schema", &error))?;
        }
        let applied = applied(client, &config.schema).await?;
        let hypertables = hypertables(client).await?;
        if hypertables {
            client.batch_execute("CREATE EXTENSION IF NOT EXISTS timescaledb").await.sorted()?;
        }
        let shape = Shape { schema: &schema, hypertables };
        let pending = &MIGRATIONS[applied..];
        for migration in pending {
            let record = format!(
                "INSERT INTO schema_migration (number, name, checksum) VALUES ({}, '{}', '{}')",
                migration.number,
                migration.name,
                migration.checksum()
            );
            run(client, migration, &[RECORD, &render(migration.up, shape), &record]).await?;
        }
        client.batch_execute(&comment::all()).await.sorted()?;
        Ok(pending.iter().map(known).collect())
    })
    .await
}

/// Takes back the migrations above `target` (0: all), the newest first, with the rows in their tables; gives back what
/// it took back. Roles stay: they are the server's, and other databases may use them.
///
/// # Errors
/// As for [`up`].
pub async fn down(config: &PostgresConfig, target: i64) -> Result<Vec<Known>, StoreError> {
    with_lock(config, async |client| {
        let schema = quoted(&config.schema);
        let shape = Shape { schema: &schema, hypertables: hypertables(client).await? };
        let mut undone = Vec::new();
        for migration in MIGRATIONS[..applied(client, &config.schema).await?]
            .iter()
            .rev()
            .filter(|known| i64::from(known.number) > target)
        {
            let record = format!("DELETE FROM schema_migration WHERE number = {}", migration.number);
            run(client, migration, &[&render(migration.down, shape), &record]).await?;
            undone.push(known(migration));
        }
        Ok(undone)
    })
    .await
}

/// The migrations that [`up`] would apply.
///
/// # Errors
/// As for [`up`].
pub async fn pending(config: &PostgresConfig) -> Result<Vec<Known>, StoreError> {
    let database = Database::new(PostgresConfig { pool_max: 1, ..config.clone() })?;
    let session = database.session().await?;
    let applied = applied(session.client()?, &config.schema).await?;
    Ok(MIGRATIONS[applied..].iter().map(known).collect())
}

/// Creates the tables of a projection from its declarations, where they are not there: for tests, and for a version
/// that is built beside another.
///
/// # Errors
/// Where the database cannot be reached or lacks the first migration.
pub async fn create_tables(config: &PostgresConfig, projection: &Projection) -> Result<(), StoreError> {
    with_lock(config, async |client| {
        let hypertables = hypertables(client).await?;
        for table in projection.tables {
            let name = physical_name(projection, table);
            let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&name]).await.sorted()?;
            if !there.get::<_, bool>(0) {
                client.batch_execute(&table_ddl(&name, table, hypertables)).await.sorted()?;
            }
        }
        Ok(())
    })
    .await
}

/// Runs work that changes the schema, one migrator at a time. It may wait and take as long as it needs.
async fn with_lock<T>(
    config: &PostgresConfig,
    work: impl AsyncFnOnce(&Client) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let database = Database::new(PostgresConfig { pool_max: 1, ..config.clone() })?;
    let session = database.session().await?;
    let client = session.client()?;
    let lock = "SET statement_timeout = 0; SET lock_timeout = 0; SET idle_in_transaction_session_timeout = 0;
        SELECT pg_advisory_lock(hashtextextended('sporelog.schema_migration ' || current_schemas(false)::text, 0))";
    client.batch_execute(lock).await.sorted()?;
    // The lock is the session's, which ends here.
    work(client).await
}

async fn run(client: &Client, migration: &Migration, statements: &[&str]) -> Result<(), StoreError> {
    let all = format!("BEGIN; {}; COMMIT", statements.join(";\n"));
    client.batch_execute(&all).await.map_err(|error| failed(migration.name, &error))
}

/// An error of a statement that changes the schema. It was rolled back.
fn failed(what: &str, error: &tokio_postgres::Error) -> StoreError {
    match error.code().map(tokio_postgres::error::SqlState::code) {
        Some("42501") => StoreError::Fatal(format!(
            "{what}: this user may not change the schema ({}): let the owner of the database run `sporelog migrate up`",
            error.as_db_error().map_or("", |said| said.message())
        )),
        _ => StoreError::Unavailable(format!("{what} cannot be migrated: {}", crate::error::store_error(error))),
    }
}

/// Whether a worker may begin: every migration was applied, and none that this version does not know. All of it is mended
/// by somebody else, so a worker waits.
pub(crate) async fn check(client: &Client, schema: &str) -> Result<(), StoreError> {
    let wait = |text: String| StoreError::Unavailable(text);
    match applied(client, schema).await {
        Ok(count) if count == MIGRATIONS.len() => Ok(()),
        Ok(count) => Err(wait(format!(
            "the schema {schema} has {count} of {} migrations: run `sporelog migrate up`",
            MIGRATIONS.len()
        ))),
        Err(StoreError::Fatal(text)) => Err(wait(text)),
        Err(error) => Err(error),
    }
}

/// How many migrations were applied. The schema is named: `public`, which is in the search path too, may be another
/// deployment's.
async fn applied(client: &Client, schema: &str) -> Result<usize, StoreError> {
    let record = format!("{}.schema_migration", quoted(schema));
    let there = client.query_one("SELECT to_regclass($1) IS NOT NULL", &[&record]).await.sorted()?;
    if !there.get::<_, bool>(0) {
        return Ok(0);
    }
    let select = format!("SELECT number, checksum FROM {record} ORDER BY number");
    let rows = client.query(&select, &[]).await.sorted()?;
    if rows.len() > MIGRATIONS.len() {
        return Err(StoreError::Fatal(format!(
            "the database was written by a newer version (migration {}; this one knows {}): install that version",
            rows.len(),
            MIGRATIONS.len()
        )));
    }
    for (row, migration) in rows.iter().zip(MIGRATIONS) {
        let (number, held): (i64, String) = (row.get(0), row.get(1));
        if number != i64::from(migration.number) || held != migration.checksum() {
            return Err(StoreError::Fatal(format!(
                "the database was built with another text of migration {}: use the version that built it, \
                 or another database: the store is rebuilt from the log",
                migration.name
            )));
        }
    }
    Ok(rows.len())
}

/// Whether windows and history become hypertables. An extension that is not preloaded cannot be created: where it is, its
/// loader has defined settings, which everybody may see (`shared_preload_libraries` itself only a few).
async fn hypertables(client: &Client) -> Result<bool, StoreError> {
    let sql = "SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = 'timescaledb'
        AND (installed_version IS NOT NULL OR EXISTS (SELECT FROM pg_settings WHERE name LIKE 'timescaledb.%')))";
    Ok(client.query_one(sql, &[]).await.sorted()?.get(0))
}

fn known(migration: &Migration) -> Known {
    Known { number: migration.number.into(), name: migration.name }
}

/// The statements of a migration for this server.
pub(crate) fn render(sql: &str, shape: Shape<'_>) -> String {
    let mut sql = sql.replace("{schema}", shape.schema);
    for projection in PROJECTIONS {
        sql = sql.replace(&format!("{{{}}}", projection.name), &prefix(projection.name, projection.version));
    }
    let (reader, seen) = if shape.hypertables {
        ("WITH (security_barrier)", "sees(tenant)")
    } else {
        ("WITH (security_invoker)", "true")
    };
    sql = sql.replace("{monthly_reader}", reader).replace("{monthly_seen}", seen);
    for column in ["window_start", "occurred_at"] {
        let by_month = if shape.hypertables { String::new() } else { format!("PARTITION BY RANGE ({column})") };
        sql = sql.replace(&format!("{{by_month:{column}}}"), &by_month);
    }
    sql
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_partitions_or_hypertables_and_nothing_is_left_unfilled() {
        for hypertables in [false, true] {
            let shape = Shape { schema: "\"public\"", hypertables };
            let all: String =
                MIGRATIONS.iter().flat_map(|known| [render(known.up, shape), render(known.down, shape)]).collect();
            assert_eq!(all.matches("PARTITION BY RANGE (").count(), if hypertables { 0 } else { 13 });
            assert_eq!(all.matches("WITH (security_barrier)").count(), if hypertables { 15 } else { 0 });
            assert_eq!(all.matches("sees(tenant)").count(), if hypertables { 15 } else { 0 });
            assert!(!all.contains("{views}") && !all.contains("{series}") && !all.contains("{schema}"));
            assert!(!all.contains("{by_month") && !all.contains("{monthly"));
        }
    }

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (migration, number) in MIGRATIONS.iter().zip(1..) {
            assert_eq!(migration.number, number);
            assert!(migration.name.starts_with(&format!("{number:04}_")));
        }
    }
}
