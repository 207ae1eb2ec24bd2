//! Numbered migrations, up and down, and the record of those that were applied.
//!
//! A migration is reviewed CQL, in which `{records}` stands for the keyspace and what the physical names of the records
//! begin with (`sporelog.records_v1_`). The nodes have no transactions, so every statement may be run again: a crash is
//! mended by the next run, and two that migrate at the same time do the same. Each change of the schema is agreed upon
//! by all nodes before the next one.

use crate::check::check;
use crate::config::ScyllaConfig;
use crate::error::request_error;
use crate::session::connect;
use domain::fold::records::RECORDS;
use domain::projection::prefix;
use pipeline::migration::Migration;
use pipeline::{StoreError, migrations};
use scylla::client::session::Session;
use std::collections::BTreeMap;

static MIGRATIONS: &[Migration] = migrations! { "cql":
    1 "0001_records";
};

/// A change of the schema waits for the nodes to agree.
const CHANGE_TIMEOUT_MS: u64 = 60_000;

/// Creates the keyspace, and applies what has not been applied; gives back the names of what was.
///
/// # Errors
/// Where the nodes cannot be reached, or hold migrations that this version does not know or knows with another text.
pub async fn up(config: &ScyllaConfig) -> Result<Vec<&'static str>, StoreError> {
    let session = connect(&patient(config)).await?;
    let (keyspace, replication) = (&config.keyspace, config.replication.cql());
    run(&session, &format!("CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}")).await?;
    // It may be there already, made by somebody else or with other settings.
    check(&session, config, &prefix(RECORDS.name, RECORDS.version)).await?;
    let record = "number int PRIMARY KEY, name text, checksum text";
    let comment = "The migrations that were applied: number, file, and the hash of its text.";
    run(
        &session,
        &format!("CREATE TABLE IF NOT EXISTS {keyspace}.schema_migration ({record}) WITH comment = '{comment}'"),
    )
    .await?;
    let applied = applied(&session, keyspace).await?;
    let mut done = Vec::new();
    for migration in MIGRATIONS.iter().filter(|migration| !applied.contains_key(&migration.number)) {
        for statement in statements(&render(keyspace, migration.up)) {
            run(&session, &statement).await?;
        }
        let insert = format!("INSERT INTO {keyspace}.schema_migration (number, name, checksum) VALUES (?, ?, ?)");
        let row = (migration.number, migration.name, migration.checksum());
        session.query_unpaged(insert, row).await.map_err(|error| request_error(&error))?;
        done.push(migration.name);
    }
    Ok(done)
}

/// Takes back the migrations above `target` (0: all), the newest first, with the rows in their tables; gives back the
/// names of those taken back. The keyspace stays.
///
/// # Errors
/// As [`up`].
pub async fn down(config: &ScyllaConfig, target: i32) -> Result<Vec<&'static str>, StoreError> {
    let session = connect(&patient(config)).await?;
    let keyspace = &config.keyspace;
    let applied = applied(&session, keyspace).await?;
    let mut done = Vec::new();
    for migration in MIGRATIONS.iter().rev() {
        if migration.number <= target || !applied.contains_key(&migration.number) {
            continue;
        }
        for statement in statements(&render(keyspace, migration.down)) {
            run(&session, &statement).await?;
        }
        let delete = format!("DELETE FROM {keyspace}.schema_migration WHERE number = ?");
        session.query_unpaged(delete, (migration.number,)).await.map_err(|error| request_error(&error))?;
        done.push(migration.name);
    }
    Ok(done)
}

/// The names of the migrations that [`up`] would apply.
///
/// # Errors
/// As [`up`].
pub async fn pending(config: &ScyllaConfig) -> Result<Vec<&'static str>, StoreError> {
    let session = connect(config).await?;
    let applied = applied(&session, &config.keyspace).await?;
    let missing = MIGRATIONS.iter().filter(|migration| !applied.contains_key(&migration.number));
    Ok(missing.map(|migration| migration.name).collect())
}

/// Drops the keyspace with everything in it, for tests and for whoever means it.
///
/// # Errors
/// Where the nodes cannot be reached or refuse.
pub async fn drop_keyspace(config: &ScyllaConfig) -> Result<(), StoreError> {
    let session = connect(&patient(config)).await?;
    run(&session, &format!("DROP KEYSPACE IF EXISTS {}", config.keyspace)).await
}

fn patient(config: &ScyllaConfig) -> ScyllaConfig {
    let request_timeout_ms = config.request_timeout_ms.max(CHANGE_TIMEOUT_MS);
    ScyllaConfig { request_timeout_ms, connections_per_node: 1, ..config.clone() }
}

/// Runs a statement; after a change of the schema the driver waits until all nodes agree.
async fn run(session: &Session, statement: &str) -> Result<(), StoreError> {
    session.query_unpaged(statement, ()).await.map(drop).map_err(|error| request_error(&error))
}

/// What was applied, by number: nothing where there is no keyspace or no record yet.
async fn applied(session: &Session, keyspace: &str) -> Result<BTreeMap<i32, String>, StoreError> {
    let exists =
        "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'schema_migration'";
    let found: Vec<(String,)> = rows(session, exists, (keyspace,)).await?;
    if found.is_empty() {
        return Ok(BTreeMap::new());
    }
    let select = format!("SELECT number, checksum FROM {keyspace}.schema_migration");
    let held: BTreeMap<i32, String> = rows(session, &select, ()).await?.into_iter().collect();
    for (number, held) in &held {
        let Some(migration) = MIGRATIONS.iter().find(|migration| migration.number == *number) else {
            return Err(StoreError::Fatal(format!(
                "the keyspace {keyspace} was migrated by a newer version (migration {number}; this one knows {}): \
                 install that version, or use another keyspace",
                MIGRATIONS.len()
            )));
        };
        if *held != migration.checksum() {
            return Err(StoreError::Fatal(format!(
                "the keyspace {keyspace} was built with another text of migration {}: use the version that built it, \
                 or another keyspace: it is rebuilt from the log",
                migration.name
            )));
        }
    }
    Ok(held)
}

/// The rows of an answer that is small.
pub(crate) async fn rows<R>(
    session: &Session,
    select: &str,
    values: impl scylla::serialize::row::SerializeRow,
) -> Result<Vec<R>, StoreError>
where
    R: for<'f, 'm> scylla::deserialize::row::DeserializeRow<'f, 'm>,
{
    let unread = |error: &dyn std::fmt::Display| StoreError::Fatal(format!("the schema cannot be read: {error}"));
    let result = session.query_unpaged(select, values).await.map_err(|error| request_error(&error))?;
    let result = result.into_rows_result().map_err(|error| unread(&error))?;
    let rows = result.rows::<R>().map_err(|error| unread(&error))?;
    rows.collect::<Result<_, _>>().map_err(|error| unread(&error))
}

fn render(keyspace: &str, cql: &str) -> String {
    cql.replace("{records}", &format!("{keyspace}.{}", prefix(RECORDS.name, RECORDS.version)))
}

/// The statements of a file, without comments. A statement ends with a semicolon at the end of a line.
fn statements(cql: &str) -> Vec<String> {
    let (mut statements, mut statement) = (Vec::new(), String::new());
    for line in cql.lines() {
        let code = line.split("--").next().unwrap_or_default().trim_end();
        match code.strip_suffix(';') {
            Some(last) => {
                statement.push_str(last);
                statements.push(std::mem::take(&mut statement).trim().to_owned());
            }
            None => {
                statement.push_str(code);
                statement.push('\n');
            }
        }
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_split_into_statements() {
        let cql = "-- a; b\nCREATE TABLE {records}a (\n  x int, -- of; c\n) WITH x = 1;\nDROP TABLE {records}b;\n";
        let found = statements(&render("k", cql));
        assert_eq!(found, ["CREATE TABLE k.records_v1_a (\n  x int,\n) WITH x = 1", "DROP TABLE k.records_v1_b"]);
        for (number, migration) in (1..).zip(MIGRATIONS) {
            assert_eq!(migration.number, number);
            assert!(statements(migration.up).iter().all(|statement| statement.contains("IF NOT EXISTS")));
            assert!(statements(migration.down).iter().all(|statement| statement.contains("IF EXISTS")));
        }
    }
}
