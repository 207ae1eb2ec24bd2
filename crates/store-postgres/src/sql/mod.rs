//! Analysts' statements: read-only, with answers as text.
//!
//! Each statement runs in a READ ONLY transaction of its own, and the server is asked first whether it is one statement:
//! so none can end the transaction and write behind it.

mod split;

use crate::config::PostgresConfig;
use crate::database::Database;
use crate::error::store_error;
use futures_util::{TryStreamExt as _, pin_mut};
use pipeline::StoreError;
use thiserror::Error;
use tokio_postgres::SimpleQueryMessage;

/// What an answer is made of, in this order, once per statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// The names of the columns.
    Columns(Vec<String>),
    /// A row; null is none.
    Row(Vec<Option<String>>),
    /// The answer is complete, or the statement gives none.
    Done,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum SqlError {
    /// The server refuses the statement.
    #[error("{message}{}", .at.as_ref().map_or(String::new(), |at| format!(" (at: {at})")))]
    Statement {
        /// What the server says, with its hint.
        message: String,
        /// The text from the place on that it complains of.
        at: Option<String>,
    },
    /// The database cannot be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is nothing to ask.
    #[error("there is no statement in the input")]
    Empty,
}

/// A table or view.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableInfo {
    /// Its name.
    pub name: String,
    /// `view` or `table`.
    pub kind: String,
    /// What it holds.
    pub holds: String,
}

/// Runs statements, separated by `;`, and visits their answers until the visitor says no. Where a tenant is named, only
/// its rows are seen: the statements run as the role `sporelog_reader`, of which the user must be a member.
///
/// # Errors
/// What the server says of a statement, or why it cannot be asked.
pub async fn query_text(
    config: &PostgresConfig,
    sql: &str,
    tenant: Option<&str>,
    visit: &mut dyn FnMut(Part) -> bool,
) -> Result<(), SqlError> {
    let statements = split::statements(sql);
    if statements.is_empty() {
        return Err(SqlError::Empty);
    }
    let database = Database::new(PostgresConfig { pool_max: 1, ..config.clone() })?;
    let session = database.session().await?;
    let client = session.client()?;
    for statement in statements {
        let told = |error: tokio_postgres::Error| told(&error, statement);
        client.batch_execute("BEGIN READ ONLY").await.map_err(told)?;
        if let Some(tenant) = tenant {
            let tenant = tenant.replace('\'', "''");
            let see = format!("SET LOCAL ROLE sporelog_reader; SELECT set_config('sporelog.tenant', '{tenant}', true)");
            client.batch_execute(&see).await.map_err(told)?;
        }
        client.prepare(statement).await.map_err(told)?;
        let messages = client.simple_query_raw(statement).await.map_err(told)?;
        pin_mut!(messages);
        while let Some(message) = messages.try_next().await.map_err(told)? {
            if part(&message).is_some_and(|part| !visit(part)) {
                return Ok(());
            }
        }
        client.batch_execute("ROLLBACK").await.map_err(told)?;
    }
    Ok(())
}

fn part(message: &SimpleQueryMessage) -> Option<Part> {
    match message {
        SimpleQueryMessage::RowDescription(columns) => {
            Some(Part::Columns(columns.iter().map(|column| column.name().to_owned()).collect()))
        }
        SimpleQueryMessage::Row(row) => {
            Some(Part::Row((0..row.len()).map(|ix| row.get(ix).map(str::to_owned)).collect()))
        }
        SimpleQueryMessage::CommandComplete(_) => Some(Part::Done),
        _ => None,
    }
}

/// Tables and views, views first: they are the contract. Partitions are left out.
///
/// # Errors
/// Where the database cannot be asked.
pub async fn tables(config: &PostgresConfig) -> Result<Vec<TableInfo>, SqlError> {
    const TABLES: &str = "SELECT relname, CASE relkind WHEN 'v' THEN 'view' ELSE 'table' END,
            coalesce(obj_description(oid, 'pg_class'), '')
        FROM pg_class WHERE relnamespace = to_regnamespace($1) AND relkind IN ('r', 'p', 'v') AND NOT relispartition
        ORDER BY relkind = 'v' DESC, relname";
    let database = Database::new(PostgresConfig { pool_max: 1, ..config.clone() })?;
    let session = database.session().await?;
    let schema = crate::config::quoted(&config.schema);
    let rows = session.client()?.query(TABLES, &[&schema]).await.map_err(|error| told(&error, TABLES))?;
    session.give_back();
    Ok(rows.iter().map(|row| TableInfo { name: row.get(0), kind: row.get(1), holds: row.get(2) }).collect())
}

fn told(error: &tokio_postgres::Error, statement: &str) -> SqlError {
    use tokio_postgres::error::ErrorPosition::Original;
    let Some(said) = error.as_db_error() else { return SqlError::Store(store_error(error)) };
    let mut message = said.message().to_owned();
    if let Some(hint) = said.hint() {
        message.push_str(&format!("; {hint}"));
    }
    if said.code().code() == "25006" {
        message.push_str("; sql only reads: stores are written from the log alone, so publish an event instead");
    }
    let at = match said.position() {
        Some(Original(position)) => {
            let rest: String = statement.chars().skip((*position).saturating_sub(1) as usize).take(40).collect();
            Some(rest).filter(|rest| !rest.is_empty())
        }
        _ => None,
    };
    SqlError::Statement { message, at }
}
